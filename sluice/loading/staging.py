"""From the staging table into ``events``: each staged row is inserted, or counts on the row that is there already.

A row that is there already belongs to a file that may be taken back at any moment. So that file is held until the
transaction ends, and only then is the row called a duplicate or a conflict. What left in between is found by counting.

An id is looked for within the month of its row; a replay looks in all months first.
"""

from __future__ import annotations

from collections.abc import Sequence

from sluice.contracts.event_columns import same_content
from sluice.contracts.model import Contract
from sluice.loading.errors import RowsMovedError
from sluice.loading.months import Month
from sluice.loading.writer_session import WriterSession


def make(session: WriterSession) -> None:
    """Nothing is staged yet."""
    session.run("load/load.make_staging")
    session.run("load/load.make_repeated")


def insert(session: WriterSession, months: Sequence[Month]) -> list[Month]:
    """Insert the rows of ``staged_events``, which lie in these months; in which of them some were there already, under
    files that are held by now.

    Raises RowsMovedError when one of them is gone: nothing may be committed then, a new attempt finds it gone.
    """
    inserted = session.change("load/load.insert_staged")
    return _held(session, inserted, {}, months)


def insert_new(session: WriterSession, months: Sequence[Month], everywhere: Sequence[Month]) -> list[Month]:
    """The same, but a row whose id is in another month is not inserted either; ``everywhere`` are all months."""
    elsewhere = {month: session.change("load/replay.find_elsewhere", *month.bounds) for month in everywhere}
    inserted = session.change("load/replay.insert_staged")
    return _held(session, inserted, {month: rows for month, rows in elsewhere.items() if rows}, months)


def _held(session: WriterSession, inserted: int, found: dict[Month, int], months: Sequence[Month]) -> list[Month]:
    [(rows,)] = session.run("load/load.count_staged")
    if inserted == rows:
        return []
    if inserted + sum(found.values()) < rows:
        for month in months:
            if repeated := session.change("load/load.find_repeated", *month.bounds):
                found[month] = found.get(month, 0) + repeated
    slots = {slot for month in found for (slot,) in session.run("load/load.find_originals", *month.bounds)}
    session.run("load/load.hold_originals", sorted(slots))
    held = sum(count for month in found for ((count,),) in [session.run("load/load.count_held", *month.bounds)])
    if held != rows - inserted:
        gone = rows - inserted - held
        raise RowsMovedError(f"{gone} of {rows} rows were in events and are not any more")
    return list(found)


def sort_repeated(session: WriterSession, contract: Contract, months: Sequence[Month]) -> tuple[int, list[int]]:
    """Note the staged rows that are in these months with equal content; how many, and the records of the others."""
    same = same_content("staged", "present", whenever=contract.is_timed_by_arrival)
    noted = 0
    others: list[int] = []
    for month in months:
        [(duplicates, conflicts)] = session.run("load/load.sort_repeated", *month.bounds, same_content=same)
        noted += duplicates
        others += conflicts or []
    return noted, sorted(others)
