"""From the staging table into ``events``: each staged row is inserted, or counts on the row that is there already.

A row that is there already belongs to a file that may be taken back at any moment. So that file is held until the
transaction ends, and only then is the row called a duplicate or a conflict. What left in between is found by counting.
"""

from __future__ import annotations

from sluice.contracts.event_columns import same_content
from sluice.contracts.model import Contract
from sluice.loading.errors import RowsMovedError
from sluice.loading.writer_session import WriterSession


def insert(session: WriterSession) -> int:
    """Insert the rows of ``staged_events``; how many of them were there already, under files that are held by now.

    Raises RowsMovedError when one of them is gone: nothing may be committed then, a new attempt finds it gone.
    """
    inserted = session.change("load/load.insert_staged")
    [(rows,)] = session.run("load/load.count_staged")
    present = int(rows - inserted)
    if present:
        session.run("load/load.hold_originals")
        [(held,)] = session.run("load/load.count_held")
        if held != rows:
            raise RowsMovedError(f"{rows - held} of {rows} rows were in events and are not any more")
    return present


def sort_repeated(session: WriterSession, contract: Contract) -> tuple[int, list[int]]:
    """Note the staged rows that are there with equal content; how many, and the records of those with other content."""
    same = same_content("staged", "present", whenever=contract.is_timed_by_arrival)
    [(duplicates, conflicts)] = session.run("load/load.sort_repeated", same_content=same)
    return int(duplicates), conflicts or []
