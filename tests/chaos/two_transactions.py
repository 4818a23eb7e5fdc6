"""The control arm's loader: what the pipeline must never do. It commits the ledger's row first and the rows after it.

Never imported by the pipeline: tests/chaos/control.py puts it into a copy of the project, at the end of its loader.
Between the two transactions it lingers for a second, in a query that PostgreSQL shows.
"""

from __future__ import annotations

from typing import Any

from sluice.loading.one_load import FileLoad
from sluice.loading.registered_bytes import reading

LINGERS = "SELECT pg_sleep(1) AS between_two_transactions"
_in_one_transaction = FileLoad.run


def _in_two_transactions(self: FileLoad) -> Any:
    """Find out the tally and forget the rows; commit the tally; linger; commit the rows."""
    session = self.writer.session
    run, commit = session.run, session.commit
    tallies: list[tuple[Any, ...]] = []

    def without_tally(name: str, *parameters: Any, **pieces: Any) -> list[tuple[Any, ...]]:
        if name != "load/load.mark_loaded":
            return run(name, *parameters, **pieces)
        tallies.append(parameters)
        return []

    session.run, session.commit = without_tally, session.rollback  # type: ignore[method-assign]
    try:
        result = _in_one_transaction(self)
    finally:
        session.run, session.commit = run, commit  # type: ignore[method-assign]
    self.writer.begin(self.file.file_id)
    run("load/load.mark_loaded", *tallies[0])
    commit()
    with session.connection.cursor() as cursor:
        cursor.execute(LINGERS)
        cursor.fetchall()
    session.rollback()
    with reading(self.writer, self.file) as landed:
        self.copy(landed)
    commit()
    return result


FileLoad.run = _in_two_transactions  # type: ignore[method-assign]
