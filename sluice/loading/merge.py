"""Compares the ids of new events with those of all months, and sets the later one of two aside.

A load finds an id that is there within the month of its row. The same id in another month is found here: the row with
the higher (file_id, record_number) leaves ``events`` for the quarantine, with tally, receipt and audit, as a load would
have done. docs/decisions/0016-events-by-month.md says why.

Finding reads the keys of the partitions, and holds nothing that anybody waits for. Then each file that has later rows
is one short transaction. A merge that is killed is simply run again: only what it finished is marked as seen.
"""

from __future__ import annotations

import json
import logging
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from sluice.base import queries
from sluice.base.crash_points import crash_point
from sluice.base.settings import Settings
from sluice.contracts.folder import Contracts, read_contracts
from sluice.loading.months import Month, Months
from sluice.loading.read_again import keep_rejects
from sluice.loading.writer_session import WriterSession

_log = logging.getLogger(__name__)

# A lock that somebody holds is waited for so long; then the file is tried again, and at last left to the next merge.
_LOCK_TIMEOUT = "500ms"
_ATTEMPTS = 5
_HELD = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
_TABLES = (
    "load/merge.make_files",
    "load/merge.make_rows",
    "load/merge.make_found",
    "load/merge.make_late",
    "load/merge.make_twins",
    "load/merge.make_rejects",
)
BY_WHOM = "merge"
_REASON = "its event_id is in another month, in an earlier row"


@dataclass
class Merged:
    """What a merge found: files and rows that were new, and rows that were later than another of their id.

    ``left``: files whose later rows are in use by others, for the next merge.
    """

    files: int = 0
    rows: int = 0
    conflicts: int = 0
    seconds: float = 0.0
    left: list[int] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def merge(settings: Settings, *, when_due: bool = False) -> Merged | None:
    """Compare the rows of all files that no merge has seen; what was found, or None when another merge is at it.

    ``when_due``: None, too, when the last one began less than SLUICE_MERGE_EVERY_HOURS ago. Raises psycopg.Error when
    the database is away; what was set aside before stays so.
    """
    session = WriterSession(settings.writer_dsn, "sluice-merge", lock_timeout=_LOCK_TIMEOUT)
    try:
        [(alone,)] = session.run("load/merge.begin_alone")
        if not alone:
            return None
        if when_due and not session.run("load/merge.is_due", settings.merge_every_hours * 3600)[0][0]:
            return None
        return _Merge(settings, session).run()
    finally:
        session.disconnect()


class _Merge:
    """One merge, over one session, whose temporary tables it fills."""

    def __init__(self, settings: Settings, session: WriterSession) -> None:
        self._settings = settings
        self._session = session
        self._months = Months(settings.writer_dsn, settings.events_partition).all(session.run)
        self._contracts: Contracts | None = None
        self._merged = Merged()

    def run(self) -> Merged:
        """Find the later rows, set them aside, mark the files as seen."""
        began = time.monotonic()
        [(at,)] = self._session.run("load/merge.now")
        self._find()
        for (file_id,) in self._rows("load/merge.late_files"):
            if not self._set_aside_patiently(file_id):
                self._merged.left.append(file_id)
                self._do("load/merge.leave_file", file_id)
        self._do("load/merge.mark_files")
        merged = self._merged
        merged.seconds = round(time.monotonic() - began, 3)
        self._do("load/merge.note", at, merged.files, merged.rows, merged.conflicts)
        _log.info("merged: %s", merged)
        return merged

    def _find(self) -> None:
        self._rows("load/merge.be_one")
        for table in _TABLES:
            self._do(table)
        for first, last, since, until in self._rows("load/merge.runs"):
            self._do("load/merge.take_rows", first, last, since, until)
        self._do("load/merge.index_rows")
        keys = (
            queries.compose(
                "load/merge.keys", low=sql.Literal(month.low), high=sql.Literal(month.high), month=_partition(month)
            )
            for month in self._months
        )
        self._do("load/merge.find", keys=sql.SQL(" UNION ALL ").join(keys))
        for month in self._months:
            self._do("load/merge.find_twins", month=_partition(month))
        self._do("load/merge.find_late")
        [(self._merged.files, self._merged.rows)] = self._rows("load/merge.count_rows")

    def _set_aside_patiently(self, file_id: int) -> bool:
        """Whether the file's later rows are set aside; False when others hold what that needs."""
        self._read_again(file_id)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._set_aside(file_id)
                return True
            except _HELD:
                self._session.rollback()
                _log.info("file %s: attempt %s: others hold its rows", file_id, attempt)
                time.sleep(0.2 * attempt)
        return False

    def _set_aside(self, file_id: int) -> None:
        """In one transaction: the file's later rows that are still there, and their duplicates, become conflicts."""
        run = self._session.run
        run("load/withdraw.hold_file", file_id)
        states = dict(run("load/merge.lock_files", file_id))
        if states.get(file_id) != "loaded":
            self._session.rollback()
            return
        run("load/merge.hold_kept", file_id)
        run("load/withdraw.make_withdrawn")
        run("load/withdraw.make_given")
        gone = sum(run("load/merge.take_out", file_id, *month.bounds)[0][0] for month in self._months)
        crash_point("merge.after_take_out")
        settled = run("load/merge.settle", file_id)
        run("load/receipts.follow_withdrawn", file_id, _REASON, BY_WHOM)
        for touched, from_loaded, from_duplicates in settled:
            details = {"loaded": from_loaded, "duplicates": from_duplicates, "because_of": file_id}
            run("load/withdraw.note", "merge", touched, _REASON, BY_WHOM, json.dumps(details))
        crash_point("merge.before_commit")
        self._session.commit()
        crash_point("merge.after_commit")
        self._merged.conflicts += sum(loaded + duplicates for _, loaded, duplicates in settled)
        if gone:
            _log.warning("file %s: %s rows are set aside: %s", file_id, gone, _REASON)

    def _read_again(self, file_id: int) -> None:
        """Read the bytes of what may be set aside before anything is held; where they are gone, the row stands in."""
        self._do("load/merge.forget_rejects")
        records = defaultdict(list)
        for place, record in self._rows("load/merge.places", file_id):
            records[place].append(record)
        for place, numbers in records.items():
            keep_rejects(self._settings, self._session, self._known(), place, numbers, "late_rejects")
            self._session.commit()

    def _known(self) -> Contracts:
        if self._contracts is None:
            self._contracts = read_contracts(self._settings.contracts_dir)
        return self._contracts

    def _rows(self, name: str, *parameters: Any) -> list[tuple[Any, ...]]:
        rows = self._session.run(name, *parameters)
        self._session.commit()
        return rows

    def _do(self, name: str, *parameters: Any, **parts: sql.Composable) -> None:
        self._session.change(name, *parameters, **parts)
        self._session.commit()


def _partition(month: Month) -> sql.Identifier:
    return sql.Identifier("public", month.name)
