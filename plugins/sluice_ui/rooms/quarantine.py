"""Room Quarantine: what is set aside and why; single rejects, and all of them as CSV."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, HTTPException, Path, Query
from fastapi.responses import StreamingResponse

from sluice.reports import definitions
from sluice.reports.html import spreadsheets
from sluice.watching import quarantine
from sluice.watching.quarantine import Chosen, Key
from sluice.watching.reader import SlowError
from sluice_ui import rights
from sluice_ui.answers import Answers
from sluice_ui.desk import BusyError, Fresh

CSV_MOST = 100_000
CSV_PAGE = 200
FRESH_MOST = 64
# A download waits longer for its turn than a page does, for it cannot ask again by itself.
_PATIENCE = 40
_PAUSE_SECONDS = 0.25

Text = Annotated[str | None, Query(max_length=300)]
Id = Annotated[int | None, Query(ge=1, le=2**63 - 1)]
Days = Annotated[int | None, Query(ge=1, le=3660)]
Number = Annotated[int, Path(ge=1, le=2**63 - 1)]


def _chosen(contract: Text = None, rule: Text = None, file_id: Id = None, days: Days = None) -> Chosen:
    if "\0" in (contract or "") + (rule or ""):
        raise HTTPException(422, "no contract and no rule has a NUL in its name")
    return Chosen(contract, rule, file_id, days)


Which = Annotated[Chosen, Depends(_chosen)]


def router(answers: Answers) -> APIRouter:
    """The endpoints."""
    room = APIRouter(prefix="/quarantine")
    settings = answers.settings
    counts: dict[tuple[Chosen, str], Fresh] = {}

    def fresh(which: Chosen, zone: str) -> Fresh:
        """What all who look at the same of it share."""
        if len(counts) >= FRESH_MOST:
            counts.clear()
        return counts.setdefault(
            (which, zone), answers.fresh(lambda connection: quarantine.counts(connection, settings, which, zone))
        )

    @room.get("")
    async def look(which: Which, zone: Annotated[str, Query(pattern=r"^[A-Za-z0-9_+/-]{1,64}$")] = "UTC") -> Any:
        try:
            return await fresh(which, zone).answer()
        except quarantine.UnknownZoneError as error:
            raise HTTPException(422, str(error)) from error

    @room.get("/reports")
    async def reports() -> list[dict[str, str]]:
        made = [each for each in definitions.read() if each.kind is not definitions.Kind.CELLS]
        return [{"name": f"report.{each.name}", "says": each.says} for each in made]

    @room.get("/rejects", dependencies=[rights.SEE_ROWS])
    async def page(
        which: Which,
        before_file: Id = None,
        before_record: Id = None,
        most: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> dict[str, Any]:
        before = (before_file, before_record) if before_file and before_record else quarantine.BEFORE_ALL
        return await answers.ask(quarantine.page, settings, which, before, most)

    @room.get("/rejects/{file_id}/{record_number}", dependencies=[rights.SEE_ROWS])
    async def one(file_id: Number, record_number: Number) -> dict[str, Any]:
        found = await answers.ask(quarantine.one, settings, file_id, record_number)
        if found is None:
            raise HTTPException(404, f"file {file_id} has no reject of record {record_number}")
        return found

    @room.get("/rejects.csv", dependencies=[rights.SEE_ROWS])
    async def download(which: Which) -> StreamingResponse:
        there = await answers.ask(quarantine.how_many, which, CSV_MOST)
        is_complete = there <= CSV_MOST
        headers = {
            "Content-Disposition": f'attachment; filename="{_file_name(which, is_complete)}"',
            "X-Sluice-Complete": "true" if is_complete else "false",
        }
        pages = _csv(lambda before: answers.ask(quarantine.spreadsheet, settings, which, before, CSV_PAGE))
        return StreamingResponse(pages, media_type="text/csv; charset=utf-8", headers=headers)

    return room


async def _csv(
    page: Callable[[Key], Awaitable[tuple[list[list[spreadsheets.Value]], Key | None]]],
) -> AsyncIterator[bytes]:
    """The file in pieces. A question that fails in between ends it unfinished, which a browser tells."""
    yield spreadsheets.BYTE_ORDER_MARK + spreadsheets.lines([quarantine.CSV_COLUMNS])
    key: Key | None = quarantine.BEFORE_ALL
    left = CSV_MOST
    while key is not None and left > 0:
        rows, key = await _patiently(page, key)
        yield spreadsheets.lines(rows[:left])
        left -= len(rows)


async def _patiently(page: Callable[[Key], Awaitable[Any]], key: Key) -> Any:
    for _ in range(_PATIENCE):
        try:
            return await page(key)
        except (BusyError, SlowError):
            await anyio.sleep(_PAUSE_SECONDS)
    return await page(key)


def _file_name(which: Chosen, is_complete: bool) -> str:
    """A name of ours: of what a contract and a rule are called only what any system takes."""
    parts = ["rejects", which.contract, which.rule, f"file-{which.file_id}" if which.file_id else None]
    called = "-".join(re.sub(r"[^A-Za-z0-9._-]+", "_", part)[:60].strip("._") for part in parts if part)
    until = "" if is_complete else f"-first-{CSV_MOST}"
    return f"{called}{until}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.csv"
