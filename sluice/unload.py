"""Taking a loaded file back: its rows leave ``events`` and the reports, and the ledger says who wanted it and why.

Everything is one transaction, so a process that dies anywhere leaves the file loaded or unloaded. Rows that another
loaded file had as well stay, under that file's number: no row is lost because the wrong one of two files came first.
docs/decisions/0007-duplicates-give-rows-back.md says why its bytes need not be read again.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from sluice import database, report_refresh
from sluice.crash_points import crash_point
from sluice.settings import Settings

log = logging.getLogger(__name__)

Run = Callable[..., list[tuple[Any, ...]]]
STATE_AFTER = {"unload": "unloaded", "replace": "replaced"}
ATTEMPTS = 5
REASON_MIN = 3
_COLLISIONS = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)


class UnloadError(ValueError):
    """The file cannot be unloaded; the message says why and what to do."""


@dataclass
class Withdrawn:
    """What left with a file, in rows; ``given_back`` is rows by the file_id that has them now."""

    file_id: int
    name: str
    rows_removed: int
    rejects_withdrawn: int
    duplicates_forgotten: int
    given_back: dict[int, int] = field(default_factory=dict)
    reports: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON, whose keys are texts."""
        return asdict(self) | {"given_back": {str(heir): rows for heir, rows in self.given_back.items()}}


def withdraw(run: Run, file_id: int, action: str, *, reason: str, by_whom: str) -> Withdrawn:
    """Take a loaded file's rows out within the caller's transaction, which must hold the lock of ``lock_events``.

    ``run(name, *parameters)`` runs a query of include/sql/load; ``action`` is unload or replace. Raises UnloadError
    when the file is not loaded.
    """
    rows = run("withdraw.lock_file", file_id)
    if not rows:
        raise UnloadError(f"there is no file {file_id}: the files are in ledger.files")
    name, state, _ = rows[0]
    if state != "loaded":
        raise UnloadError(f"file {file_id} ({name}) is {state}: only a loaded file can be taken back")
    run("withdraw.make_withdrawn")
    [(removed,)] = run("withdraw.take_out", file_id)
    given_back: dict[int, int] = dict(run("withdraw.give_back", file_id))
    [(rejects, duplicates)] = run("withdraw.close_file", file_id, STATE_AFTER[action])
    run("receipts.follow_withdrawn", file_id, f"{action} of file {file_id}: {reason}", by_whom)
    left = Withdrawn(file_id, name, removed - sum(given_back.values()), rejects, duplicates, given_back)
    details = left.as_dict() | {"rows_taken_out": removed, "rows_given_back": sum(given_back.values())}
    run("withdraw.note", action, file_id, reason, by_whom, json.dumps(details))
    return left


def unload_file(settings: Settings, file_id: int, reason: str, *, by_whom: str) -> Withdrawn:
    """Take one loaded file back, out of ``events`` and the published reports at the same moment.

    Loads wait until it is done. Raises UnloadError when the file is not loaded or the reason says nothing,
    psycopg.OperationalError when the database is away: then a second call finds out whether it was done.
    """
    if len(reason.strip()) < REASON_MIN:
        raise UnloadError(f"reason {reason!r} says nothing: the audit keeps it for those who come after")
    with database.connect(settings.writer_dsn, application_name="sluice-unload") as connection:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return _unload(connection, file_id, reason.strip(), by_whom)
            except _COLLISIONS as error:
                if attempt == ATTEMPTS:
                    raise
                log.info("file %s: attempt %s met %s, trying again", file_id, attempt, error)
                time.sleep(0.2 * attempt)
    raise AssertionError("the last attempt raises")


def _unload(connection: psycopg.Connection[dict[str, Any]], file_id: int, reason: str, by_whom: str) -> Withdrawn:
    cursor = psycopg.RawCursor(connection, row_factory=tuple_row)

    def run(name: str, *parameters: Any) -> list[tuple[Any, ...]]:
        file, _, query = name.partition(".")
        cursor.execute(database.queries(f"load/{file}")[query], parameters or None)
        return cursor.fetchall() if cursor.description else []

    with_reports = report_refresh.are_published(connection)
    with connection.transaction():
        if with_reports:
            report_refresh.begin(connection)
        run("withdraw.lock_events")
        left = withdraw(run, file_id, "unload", reason=reason, by_whom=by_whom)
        crash_point("unload.after_withdraw")
        left.reports = report_refresh.refresh(connection, f"unload of file {file_id}") if with_reports else "none yet"
        crash_point("unload.before_commit")
    crash_point("unload.after_commit")
    log.info("unloaded file %s (%s): %s", file_id, left.name, left)
    return left
