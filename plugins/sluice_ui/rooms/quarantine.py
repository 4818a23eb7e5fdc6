"""Room Quarantine: what is set aside and why; single rejects, and all of them as CSV."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from fastapi.responses import StreamingResponse

from sluice.reports import definitions
from sluice.watching import quarantine
from sluice.watching.quarantine import Chosen
from sluice_ui import rejects_csv, rights
from sluice_ui.answers import Answers
from sluice_ui.desk import Fresh

FRESH_MOST = 64
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
        except quarantine.UnknownZoneError:  # a browser may know zones that PostgreSQL does not
            return await fresh(which, "UTC").answer()

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
        there = await answers.ask(quarantine.how_many, which, rejects_csv.MOST)
        is_complete = there <= rejects_csv.MOST
        headers = {
            "Content-Disposition": f'attachment; filename="{rejects_csv.file_name(which, is_complete=is_complete)}"',
            "X-Sluice-Complete": "true" if is_complete else "false",
        }
        pages = rejects_csv.pieces(
            lambda before: answers.ask(quarantine.spreadsheet, settings, which, before, rejects_csv.PAGE)
        )
        return StreamingResponse(pages, media_type="text/csv; charset=utf-8", headers=headers)

    return room
