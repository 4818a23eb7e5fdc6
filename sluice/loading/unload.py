"""Taking a loaded file back: its rows leave ``events`` and the reports, and the ledger says who wanted it and why.

Everything is one transaction, so a process that dies anywhere leaves the file loaded or unloaded. Rows that another
loaded file had as well stay, under that file's number: no row is lost because the wrong one of two files came first.
docs/decisions/0007-duplicates-give-rows-back.md says why its bytes need not be read again.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from sluice.base import database, queries
from sluice.base.crash_points import crash_point
from sluice.base.plain_text import shown
from sluice.base.settings import Settings
from sluice.ledger.takeover import Takeover, take_over
from sluice.reports import refresh

log = logging.getLogger(__name__)

Connection = psycopg.Connection[dict[str, Any]]
Run = Callable[..., list[tuple[Any, ...]]]
STATE_AFTER = {"unload": "unloaded", "replace": "replaced"}
# How long an attempt waits for each lock: loads that want it queue up behind for no longer.
LOCK_TIMEOUT = "500ms"
REASON_MIN = 3
_COLLISIONS = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
)


class UnloadError(ValueError):
    """The file cannot be unloaded; the message says why and what to do."""


@dataclass
class Withdrawn:
    """What left with a file, in rows; ``given_back`` is rows by the file_id that has them now, as it had them as well.

    ``rows_taken_out`` counts all rows that ceased to be the file's, ``rows_removed`` those that are nobody's now;
    ``rows_expired`` had left before, with months that are not kept. ``lands_again``: its bytes are to be judged anew.
    ``days_changed`` says by feed which days the reports count anew; an unload knows them, a revision leaves it empty.
    """

    file_id: int
    name: str
    rows_removed: int
    rejects_withdrawn: int
    duplicates_forgotten: int
    given_back: dict[int, int] = field(default_factory=dict)
    rows_taken_out: int = 0
    rows_expired: int = 0
    lands_again: bool = False
    duplicates: Takeover = field(default_factory=Takeover)
    reports: str = ""
    days_changed: dict[str, dict[str, Any]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, whose keys are texts."""
        return asdict(self) | {"given_back": {str(heir): rows for heir, rows in self.given_back.items()}}


def withdraw(
    run: Run,
    file_id: int,
    action: str,
    *,
    home: Path,
    reason: str,
    by_whom: str,
    replaced_by: int | None = None,
    with_duplicates: bool = False,
    lands_again: bool = False,
) -> Withdrawn:
    """Take a loaded file's rows out within the caller's transaction, which must hold the file's lock (``hold_file``).

    ``run(name, *parameters)`` runs a query of include/sql/load; ``action`` is unload or replace; ``home`` is the folder
    that the ledger's paths start from. A duplicate takes the file's place unless ``with_duplicates`` is set. Raises
    UnloadError when the file is not loaded.
    """
    rows = run("load/withdraw.lock_file", file_id)
    if not rows:
        raise UnloadError(f"there is no file {file_id}: the files are in ledger.files")
    name, state, since, until, expired = rows[0]
    if state != "loaded":
        raise UnloadError(f"file {file_id} ({shown(name)}) is {state}: only a loaded file can be taken back")
    run("load/withdraw.make_withdrawn")
    run("load/withdraw.make_given")
    [(removed,)] = run("load/withdraw.take_out", file_id, since, until)
    run("load/withdraw.end_file", file_id, STATE_AFTER[action])
    taken = take_over(run, file_id, home=home, by_whom=by_whom, has_rows=True, with_duplicates=with_duplicates)
    run("load/withdraw.hold_heirs", file_id)
    given_back: dict[int, int] = {} if taken.handed_over else dict(run("load/withdraw.give_back", file_id))
    [(rejects, duplicates)] = run("load/withdraw.close_file", file_id)
    run("load/receipts.follow_withdrawn", file_id, f"{action} of file {file_id}: {reason}", by_whom)
    stay = taken.rows_handed_over + sum(given_back.values())
    left = Withdrawn(
        file_id, name, removed - stay, rejects, duplicates, given_back, removed, expired, lands_again, taken
    )
    told = {name: value for name, value in left.as_dict().items() if name != "days_changed"}
    details = told | {"rows_given_back": sum(given_back.values()), "replaced_by": replaced_by}
    run("load/withdraw.note", action, file_id, reason, by_whom, json.dumps(details))
    return left


def unload_file(
    settings: Settings,
    file_id: int,
    reason: str,
    *,
    by_whom: str,
    with_duplicates: bool = False,
    dry_run: bool = False,
    lands_again: bool = False,
) -> Withdrawn:
    """Take one loaded file back, out of ``events``; then refresh the reports, unless others do.

    When other files landed with the same bytes, the oldest of them is loaded in its place; ``with_duplicates`` takes
    them back too. A ``dry_run`` does all of it but the reports, and undoes it: what it says is what would happen.
    ``lands_again``: the caller lands the file once more, as the audit says then; the reports wait for it.

    Loads that have rows of the file wait until it is done, others do not. Raises UnloadError when the file is not
    loaded, the reason says nothing, or others hold the file for longer than SLUICE_UNLOAD_PATIENCE_SECONDS;
    psycopg.OperationalError when the database is away: then a second call finds out whether it was done.
    """
    if not dry_run and len(reason.strip()) < REASON_MIN:
        raise UnloadError(f"reason {reason!r} says nothing: the audit keeps it for those who come after")
    with database.connect(settings.writer_dsn, application_name="sluice-unload", lock_timeout=LOCK_TIMEOUT) as opened:
        unloading = _Unloading(
            opened,
            settings,
            file_id,
            reason.strip(),
            by_whom,
            with_duplicates=with_duplicates,
            dry_run=dry_run,
            lands_again=lands_again,
        )
        return unloading.patiently(settings.unload_patience_seconds)


class _Unloading:
    """One unload: short attempts, each of which lets go of everything that it holds before the next."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        file_id: int,
        reason: str,
        by_whom: str,
        *,
        with_duplicates: bool,
        dry_run: bool,
        lands_again: bool,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._cursor = psycopg.RawCursor(connection, row_factory=tuple_row)
        self._file_id = file_id
        self._reason = reason
        self._by_whom = by_whom
        self._with_duplicates = with_duplicates
        self._dry_run = dry_run
        self._lands_again = lands_again

    def patiently(self, seconds: float) -> Withdrawn:
        """Attempts until one is through, for ``seconds``; then the reports follow."""
        begun = time.monotonic()
        for attempt in itertools.count(1):
            waited = time.monotonic() - begun
            try:
                with self._held():
                    left = self._attempt()
                left.reports = self._refreshed()
                return left
            except _COLLISIONS as error:
                if waited > seconds:
                    raise UnloadError(self._who_holds(waited)) from error
                log.info("file %s: attempt %s met %s, trying again", self._file_id, attempt, error)
            # Longer than the attempt: loads that came to the lock meanwhile go first.
            time.sleep(random.uniform(0.5, 1.5) * min(2.0, 0.25 * attempt))
        raise AssertionError("the loop has no end of its own")

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the file's lock, in the session: a transaction would have taken its snapshot before it had the lock."""
        self._run("load/withdraw.hold_file_in_session", self._file_id)
        try:
            yield
        finally:
            # A broken connection has released the lock already, and must not hide the error that broke it.
            with contextlib.suppress(psycopg.OperationalError):
                self._run("load/withdraw.let_go_of_file", self._file_id)

    def _attempt(self) -> Withdrawn:
        with self._connection.transaction(force_rollback=self._dry_run):
            if not self._run("load/withdraw.is_held", self._file_id):
                raise UnloadError(
                    "the database is reached through a pooler that changes sessions between transactions: set "
                    "SLUICE_WRITER_URL to PostgreSQL itself, or pool sessions"
                )
            left = withdraw(
                self._run,
                self._file_id,
                "unload",
                home=self._settings.home_dir,
                reason=self._reason,
                by_whom=self._by_whom,
                with_duplicates=self._with_duplicates,
                lands_again=self._lands_again,
            )
            left.days_changed = {
                feed: {"days": days, "first": first, "last": last}
                for feed, days, first, last in self._run("load/withdraw.days_changed")
            }
            crash_point("unload.after_withdraw")
            crash_point("unload.before_commit")
        crash_point("unload.after_commit")
        done = "dry run of unloading" if self._dry_run else "unloaded"
        log.info("%s file %s (%s): %s", done, self._file_id, shown(left.name), left)
        return left

    def _refreshed(self) -> str:
        if self._dry_run:
            return "dry run: nothing was changed"
        if self._lands_again:
            return refresh.NOT_REFRESHED
        return refresh.follow(self._connection, self._settings, f"unload of file {self._file_id}")

    def _who_holds(self, seconds: float) -> str:
        rows = self._run("load/withdraw.holders", self._file_id)
        said = "; ".join(f"pid {pid} ({name}, {state}, for {age:,} s)" for pid, name, state, age in rows[:10])
        return (
            f"file {self._file_id} was in use for {seconds:.0f} s and is loaded as before. "
            f"It is held by {said or 'sessions that have ended by now'}: ask again later, end such a session with "
            "SELECT pg_terminate_backend(pid), or raise SLUICE_UNLOAD_PATIENCE_SECONDS"
        )

    def _run(self, name: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return queries.all(self._cursor, name, *parameters)
