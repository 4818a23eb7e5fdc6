"""Compares the ids of new events with those of all months, and sets the later one of two aside.

A load finds an id that is there within the month of its row. The same id in another month is found here: the row with
the higher (file_id, record_number) leaves ``events`` for the quarantine, with tally, receipt and audit, as a load would
have done; of a feed whose rows are timed by their arrival an equal one becomes a duplicate.
docs/decisions/0016-events-by-month.md says why.

Finding reads the keys of the partitions, and holds nothing that anybody waits for. Then each file that has later rows
is one short transaction. A merge that is killed is simply run again: only what it finished is marked as seen. A file of
which a later row stays is not: the next merge looks at it again.
"""

from __future__ import annotations

import itertools
import json
import logging
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import psycopg
from psycopg import sql

from sluice.base import queries
from sluice.base.crash_points import crash_point
from sluice.base.settings import Settings
from sluice.contracts.event_columns import same_content
from sluice.contracts.folder import read_contracts
from sluice.contracts.model import Contract
from sluice.loading.months import Month, Months
from sluice.loading.read_again import NotReadAgainError, keep_rejects
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
    "load/merge.make_twins",
    "load/merge.make_late",
    "load/merge.make_rejects",
)
BY_WHOM = "merge"
_REASON = "its event_id is in another month, in an earlier row"
_WAITING_MAX = 100


@dataclass
class Merged:
    """What a merge found: files and rows that were new, and rows that were later than another of their id.

    ``left``: files of which a later row stays for the next merge, because others use it or the row before it has left.
    ``waiting``: files of which one stays until somebody has done what is said there.
    """

    files: int = 0
    rows: int = 0
    conflicts: int = 0
    duplicates: int = 0
    seconds: float = 0.0
    left: list[int] = field(default_factory=list)
    waiting: dict[int, str] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left for the next merge."""
        return not self.left and not self.waiting

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def merge(settings: Settings, *, when_due: bool = False) -> Merged | None:
    """Compare the rows of all files that no merge has seen; what was found, or None when another merge is at it.

    ``when_due``: None, too, when the last one began less than SLUICE_MERGE_EVERY_HOURS ago. Raises FoldersError when
    a later row's bytes are needed and their folder is not there, psycopg.Error when the database is away; what was set
    aside before stays so.
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
        self._merged = Merged()

    def run(self) -> Merged:
        """Find the later rows, set them aside, mark the files as seen."""
        began = time.monotonic()
        [(at,)] = self._session.run("load/merge.now")
        self._find()
        for (file_id,) in self._rows("load/merge.late_files"):
            if not self._settle(file_id):
                self._do("load/merge.leave_file", file_id)
        self._do("load/merge.mark_files")
        merged = self._merged
        merged.seconds = round(time.monotonic() - began, 3)
        waiting = json.dumps(dict(itertools.islice(merged.waiting.items(), _WAITING_MAX)))
        self._do("load/merge.note", at, merged.files, merged.rows, merged.conflicts, merged.duplicates, waiting)
        _log.info("merged: %s", merged)
        return merged

    def _find(self) -> None:
        self._rows("load/merge.be_one")
        for table in _TABLES:
            self._do(table)
        for first, last, since, until in self._rows("load/merge.runs"):
            self._do("load/merge.take_rows", first, last, since, until)
        self._know("merging_rows")
        keys = (
            queries.compose("load/merge.keys", **_bounds(month), month=sql.Identifier("public", month.name))
            for month in self._months
        )
        self._do("load/merge.find", keys=sql.SQL(" UNION ALL ").join(keys))
        self._know("found_ids")
        for month in self._months:
            self._do("load/merge.find_twins", **_bounds(month))
        self._do("load/merge.find_late", same_content=same_content("late", "kept", whenever=True))
        self._know("late_rows")
        [(self._merged.files, self._merged.rows)] = self._rows("load/merge.count_rows")

    def _know(self, table: str) -> None:
        self._do("load/merge.know", table=sql.Identifier("pg_temp", table))

    def _settle(self, file_id: int) -> bool:
        """Whether none of the file's later rows is in events any more."""
        try:
            self._read_again(file_id)
        except NotReadAgainError as why:
            self._session.rollback()
            _log.warning("file %s: rows of ids that earlier rows have wait in events: %s", file_id, why)
            self._merged.waiting[file_id] = str(why)
            return False
        if not self._set_aside_patiently(file_id):
            _log.info("file %s: later rows of it are left for the next merge", file_id)
            self._merged.left.append(file_id)
            return False
        return True

    def _set_aside_patiently(self, file_id: int) -> bool:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._set_aside(file_id)
            except _HELD:
                self._session.rollback()
                _log.info("file %s: attempt %s: others hold its rows", file_id, attempt)
                time.sleep(0.2 * attempt)
        return False

    def _set_aside(self, file_id: int) -> bool:
        """In one transaction: the file's later rows that are still there, and their duplicates, become conflicts or
        duplicates of the row that stays. False when some stay: the row before them left, or others came meanwhile."""
        run = self._session.run
        run("load/withdraw.hold_file", file_id)
        states = dict(run("load/merge.lock_files", file_id))
        if states.get(file_id) != "loaded":
            self._session.rollback()
            return True
        run("load/merge.hold_kept", file_id)
        if run("load/merge.unread", file_id, self._timed_by_arrival):
            self._session.rollback()
            _log.info("file %s: a duplicate of its rows came meanwhile", file_id)
            return False
        run("load/withdraw.make_withdrawn")
        run("load/withdraw.make_given")
        months = run("load/merge.late_months", file_id)
        gone = sum(run("load/merge.take_out", file_id, low, high)[0][0] for _, low, high in months)
        crash_point("merge.after_take_out")
        settled = run("load/merge.settle", file_id, self._timed_by_arrival)
        run("load/receipts.follow_withdrawn", file_id, _REASON, BY_WHOM)
        self._note(file_id, settled)
        crash_point("merge.before_commit")
        self._session.commit()
        crash_point("merge.after_commit")
        if gone:
            _log.warning("file %s: %s rows are set aside: %s", file_id, gone, _REASON)
        self._merged.conflicts += sum(conflicts for _, _, _, conflicts in settled)
        self._merged.duplicates += sum(were + had - conflicts for _, were, had, conflicts in settled)
        return bool(gone == sum(late for late, _, _ in months))

    def _note(self, because_of: int, settled: list[tuple[Any, ...]]) -> None:
        for file_id, from_loaded, from_duplicates, conflicts in settled:
            details = {
                "loaded": from_loaded,
                "duplicates": from_duplicates,
                "conflicts": conflicts,
                "because_of": because_of,
            }
            self._session.run("load/withdraw.note", "merge", file_id, _REASON, BY_WHOM, json.dumps(details))

    def _read_again(self, file_id: int) -> None:
        """Read the bytes of what will be conflicts before anything is held. Raises NotReadAgainError, FoldersError."""
        self._do("load/merge.forget_rejects")
        records = defaultdict(list)
        for place, record in self._rows("load/merge.unread", file_id, self._timed_by_arrival):
            records[place].append(record)
        for place, numbers in records.items():
            keep_rejects(self._settings, self._session, self._contracts, place, numbers, "late_rejects")
            self._session.commit()

    @cached_property
    def _contracts(self) -> dict[str, Contract]:
        """By name; one that cannot be used as it last could."""
        last_usable = dict(self._rows("load/load.last_usable"))
        found = read_contracts(self._settings.contracts_dir, last_usable=lambda: last_usable)
        return {contract.name: contract for contract in found.candidates}

    @cached_property
    def _timed_by_arrival(self) -> list[str]:
        """The names of contracts whose rows' moments are no part of their content."""
        return [name for name, contract in self._contracts.items() if contract.is_timed_by_arrival]

    def _rows(self, name: str, *parameters: Any) -> list[tuple[Any, ...]]:
        rows = self._session.run(name, *parameters)
        self._session.commit()
        return rows

    def _do(self, name: str, *parameters: Any, **parts: sql.Composable) -> None:
        self._session.change(name, *parameters, **parts)
        self._session.commit()


def _bounds(month: Month) -> dict[str, sql.Composable]:
    return {"low": sql.Literal(month.low), "high": sql.Literal(month.high)}
