"""Rejects as a CSV file that is sent while it is read: page by page, each a question of its own."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeAlias

import anyio

from sluice.reports.html import spreadsheets
from sluice.watching import quarantine
from sluice.watching.quarantine import Chosen, Key
from sluice.watching.reader import SlowError
from sluice_ui.desk import BusyError

Page: TypeAlias = tuple[list[list[spreadsheets.Value]], Key | None]
MOST = 100_000
PAGE = 200
# A download waits longer for its turn than a page does, for it cannot ask again by itself.
_PATIENCE = 40
_PAUSE_SECONDS = 0.25


async def pieces(page: Callable[[Key], Awaitable[Page]]) -> AsyncIterator[bytes]:
    """The file. A question that fails in between ends it unfinished, which a browser tells."""
    yield spreadsheets.BYTE_ORDER_MARK + spreadsheets.lines([quarantine.CSV_COLUMNS])
    key: Key | None = quarantine.BEFORE_ALL
    left = MOST
    while key is not None and left > 0:
        rows, key = await _patiently(page, key)
        yield spreadsheets.lines(rows[:left])
        left -= len(rows)


async def _patiently(page: Callable[[Key], Awaitable[Page]], key: Key) -> Page:
    for _ in range(_PATIENCE):
        try:
            return await page(key)
        except (BusyError, SlowError):
            await anyio.sleep(_PAUSE_SECONDS)
    return await page(key)


def file_name(which: Chosen, *, is_complete: bool) -> str:
    """A name of ours: of what a contract and a rule are called only what any system takes."""
    parts = ["rejects", which.contract, which.rule, f"file-{which.file_id}" if which.file_id else None]
    called = "-".join(re.sub(r"[^A-Za-z0-9._-]+", "_", part)[:60].strip("._") for part in parts if part)
    until = "" if is_complete else f"-first-{MOST}"
    return f"{called}{until}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.csv"
