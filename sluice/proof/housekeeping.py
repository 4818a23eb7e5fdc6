"""Keeps what grows at the ages that the environment sets: Airflow's metadata, task logs, the archive, batches.

Events, rejects and the rows of ``ledger.files`` are never deleted. The clock is the database's, or ``now``.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg

from sluice.base import database, poolers, queries
from sluice.base.settings import SettingError, Settings
from sluice.landing import folders
from sluice.ledger import file_names, receipts

log = logging.getLogger(__name__)

Connection = psycopg.Connection[dict[str, Any]]
Row = Mapping[str, Any]

HOUR = 3600.0
DAY = 24 * HOUR
PAGE = 200
RECEIPT_SECONDS = 60.0
_LONG_AGO = datetime(1, 1, 2, tzinfo=UTC)

# What a run leaves behind. Not `dag`: after a long stop it would delete DAGs that are not parsed again yet, with all
# they know, and not `trigger`: the triggerer clears its own.
METADATA_TABLES = (
    "asset_event",
    "callback",
    "dag_run",
    "dag_version",
    "deadline",
    "import_error",
    "job",
    "log",
    "revoked_token",
    "task_instance",
    "task_instance_history",
    "task_reschedule",
    "task_state_store",
    "xcom",
)


class HousekeepingError(RuntimeError):
    """Something was kept because it could not be verified or cleaned; all the rest is done. The message says what."""


@dataclass
class Sealed:
    """What became of the archive's old files."""

    files: int = 0
    duplicates: int = 0
    leftovers: int = 0
    bytes: int = 0
    kept: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"sealed {self.files} files and {self.duplicates} duplicates, {self.bytes:,} bytes; deleted "
            f"{self.leftovers} sealed earlier; kept {len(self.kept)} that cannot be verified"
        )


# --- the archive


def seal_archive(settings: Settings, connection: Connection, *, now: datetime | None = None) -> Sealed:
    """Verify tally and receipt of each loaded file older than ``keep_archive_days``, seal it, delete its bytes.

    Duplicates of loaded files go at the same age. Rejected files stay: no table holds their rows. The seal is committed
    before the file is deleted; what a crash leaves between the two is deleted by the next call. Raises
    HousekeepingError, after all files were looked at, when one could not be verified; that one is kept. Raises
    FoldersError, with nothing sealed or deleted, when the folders are not there.
    """
    folders.check(settings, connection)
    cutoff = _cutoff(connection, settings.keep_archive_days * DAY, now)
    outcome = Sealed()
    with _alone(connection):
        _delete_leftovers(settings, connection, cutoff, outcome)
        for row in _files_to_seal(connection, cutoff):
            if _verify_and_delete(settings, connection, row, now, outcome):
                outcome.files += 1
        for row in _duplicates_to_seal(settings, connection, cutoff):
            if _verify_and_delete(settings, connection, row, now, outcome):
                outcome.duplicates += 1
        _remove_empty_days(settings, cutoff)
    log.info("%s", outcome)
    if outcome.kept:
        raise HousekeepingError(
            f"kept {len(outcome.kept)} archived files that cannot be verified (`make reconcile` recounts them): "
            + "; ".join(outcome.kept[:20])
        )
    return outcome


def _files_to_seal(connection: Connection, cutoff: datetime) -> Iterator[Row]:
    after: dict[str, Any] = {"after_loaded_at": _LONG_AGO, "after_file_id": 0}
    while True:
        page = queries.all(connection, "ledger/housekeeping.files_to_seal", cutoff=cutoff, most=PAGE, **after)
        yield from page
        if len(page) < PAGE:
            return
        after = {"after_loaded_at": page[-1]["loaded_at"], "after_file_id": page[-1]["file_id"]}


def _duplicates_to_seal(settings: Settings, connection: Connection, cutoff: datetime) -> Iterator[Row]:
    for paths in _pages(_old_files(settings, "duplicate", cutoff)):
        rows = queries.all(
            connection, "ledger/housekeeping.duplicates_to_seal", file_ids=_file_ids(paths), cutoff=cutoff
        )
        yield from (row for row in rows if row["original_is_loaded"])


def _verify_and_delete(
    settings: Settings, connection: Connection, row: Row, now: datetime | None, outcome: Sealed
) -> bool:
    if why := _why_unverified(settings, row):
        outcome.kept.append(f"file {row['file_id']} ({row['name']}): {why}")
        log.warning("kept file %s (%s): %s", row["file_id"], row["name"], why)
        return False
    if row["is_pending"]:
        receipts.make(connection, row["file_id"])
    seal = {"file_id": row["file_id"], "path": row["path"], "now": now}
    if not queries.all(connection, "ledger/housekeeping.seal", **seal):
        log.info("file %s (%s) changed its state meanwhile and is kept", row["file_id"], row["name"])
        return False
    (settings.home_dir / row["path"]).unlink(missing_ok=True)
    outcome.bytes += row["bytes"]
    return True


def _why_unverified(settings: Settings, row: Row) -> str | None:
    if problems := row["problems"]:
        return "; ".join(problems)
    path = settings.home_dir / row["path"]
    if not path.is_relative_to(settings.archive_dir):
        return f"its path {row['path']!r} is not in the archive"
    try:
        size, sha256 = _measure(path)
    except OSError as error:
        return f"{row['path']} cannot be read: {error.strerror or error}"
    if (size, sha256) != (row["bytes"], row["sha256"]):
        return (
            f"{row['path']} holds {size} bytes with sha256 {sha256[:12]}…, "
            f"the ledger says {row['bytes']} and {row['sha256'][:12]}…"
        )
    return None


def _measure(path: Path) -> tuple[int, str]:
    """Size in bytes and sha256 of a regular file; a link or special file raises OSError."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise OSError("it is not a regular file")
        return about.st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _delete_leftovers(settings: Settings, connection: Connection, cutoff: datetime, outcome: Sealed) -> None:
    for state in ("loaded", "duplicate"):
        for paths in _pages(_old_files(settings, state, cutoff)):
            sealed = {
                row["path"]
                for row in queries.all(connection, "ledger/housekeeping.sealed_paths", file_ids=_file_ids(paths))
            }
            for path in paths:
                if str(path.relative_to(settings.home_dir)) in sealed:
                    path.unlink(missing_ok=True)
                    outcome.leftovers += 1


def _old_days(settings: Settings, state: str, cutoff: datetime) -> list[Path]:
    """The archive's day folders of ``state`` that may hold files older than ``cutoff``."""
    folder = settings.archive_dir / state
    if not folder.is_dir():
        return []
    return sorted(day for day in folder.iterdir() if _is_day_until(day, cutoff.astimezone(UTC).date()))


def _is_day_until(folder: Path, last: date) -> bool:
    try:
        return date.fromisoformat(folder.name) <= last and folder.is_dir() and not folder.is_symlink()
    except ValueError:
        return False


def _old_files(settings: Settings, state: str, cutoff: datetime) -> Iterator[Path]:
    for day in _old_days(settings, state, cutoff):
        yield from sorted(day.iterdir())


def _remove_empty_days(settings: Settings, cutoff: datetime) -> None:
    for state in ("loaded", "duplicate"):
        for day in _old_days(settings, state, cutoff):
            _remove_if_empty(day)


def _file_ids(paths: list[Path]) -> list[int]:
    """The ids that archived names carry; other names have none."""
    return [name.file_id for path in paths if (name := file_names.parse(path.name))]


def _pages(paths: Iterator[Path]) -> Iterator[list[Path]]:
    page: list[Path] = []
    for path in paths:
        page.append(path)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    poolers.refuse_shared_sessions(connection)  # the lock belongs to the session
    queries.all(connection, "ledger/housekeeping.lock_archive")
    try:
        yield
    finally:
        if not connection.closed:
            queries.all(connection, "ledger/housekeeping.unlock_archive")


# --- receipts


def make_receipts(connection: Connection, *, seconds: float = RECEIPT_SECONDS) -> int:
    """Make pending receipts for about so long, whether files wait or not; return how many were made.

    The stream makes them when it has nothing else to do: this is for one that never has, or does not run.
    """
    made, ends = 0, time.monotonic() + seconds
    while time.monotonic() < ends and receipts.make_next(connection, also_when_files_wait=True):
        made += 1
    log.info("made %s receipts that were pending", made)
    return made


# --- batches


def trim_batches(settings: Settings, connection: Connection, *, now: datetime | None = None) -> int:
    """Delete the batches older than ``keep_batches_days``; return how many."""
    cutoff = _cutoff(connection, settings.keep_batches_days * DAY, now)
    deleted = queries.run(connection, "ledger/housekeeping.trim_batches", cutoff=cutoff)
    log.info("deleted %s batches from before %s", deleted, cutoff)
    return deleted


# --- task logs


def trim_logs(settings: Settings, folder: Path, *, now: float | None = None) -> int:
    """Delete the files under ``folder`` that were written to last before ``keep_logs_days``, and folders left empty.

    Links are not followed. Returns the number of files deleted; ``now`` is in seconds since 1970.
    """
    cutoff = (time.time() if now is None else now) - settings.keep_logs_days * DAY
    deleted = _trim_folder(folder, cutoff) if folder.is_dir() else 0
    log.info("deleted %s log files from before %s", deleted, datetime.fromtimestamp(cutoff, UTC))
    return deleted


def _trim_folder(folder: Path, cutoff: float) -> int:
    deleted = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                deleted += _trim_entry(entry, cutoff)
            except FileNotFoundError:
                log.debug("%s vanished", entry.path)
    return deleted


def _trim_entry(entry: os.DirEntry[str], cutoff: float) -> int:
    written_at = entry.stat(follow_symlinks=False).st_mtime
    if not entry.is_dir(follow_symlinks=False):
        if written_at >= cutoff:
            return 0
        os.unlink(entry.path)
        return 1
    # A run's folder is as old as its tasks; looking into every young one would cost as much as there are logs.
    if entry.name.startswith("run_id=") and written_at >= cutoff:
        return 0
    deleted = _trim_folder(Path(entry.path), cutoff)
    # A young folder may be one that a task is about to write its first line in.
    if written_at < cutoff:
        _remove_if_empty(entry.path)
    return deleted


def _remove_if_empty(folder: str | Path) -> None:
    try:
        os.rmdir(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


# --- Airflow's metadata


@dataclass(frozen=True)
class Cleaning:
    """One `airflow db clean`: rows from before ``before``, of these dags only, or of all but these."""

    before: datetime
    only: tuple[str, ...] = ()
    all_but: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """The command line after `airflow`."""
        return [
            *("db", "clean", "--yes", "--skip-archive", "--error-on-cleanup-failure", "--batch-size", "10000"),
            *("--tables", ",".join(METADATA_TABLES)),
            *("--clean-before-timestamp", self.before.isoformat()),
            *(("--dag-ids", ",".join(self.only)) if self.only else ()),
            *(("--exclude-dag-ids", ",".join(self.all_but)) if self.all_but else ()),
        ]


def clean_metadata(
    settings: Settings, *, now: datetime | None = None, environ: Mapping[str, str] | None = None
) -> list[Cleaning]:
    """Delete Airflow's records of what began more than ``keep_runs_hours`` ago, but nothing of a run that is active.

    Runs `airflow db clean` as a process of its own: a task may not touch the metadata itself. Raises HousekeepingError
    when it fails, SettingError when the metadata database is not known.
    """
    environ = os.environ if environ is None else environ
    url = metadata_url(settings, environ)
    plain = re.sub(r"^\w+(\+\w+)?://", "postgresql://", url)
    with database.connect(plain, search_path=database.AIRFLOWS_PATH) as connection:
        plan = plan_cleaning(settings, connection, now=now)
        for cleaning in plan:
            _airflow(cleaning.arguments, _with_metadata(environ, url))
        left = [row["tablename"] for row in queries.all(connection, "ledger/housekeeping.archive_tables")]
    if left:
        log.warning("archive tables are left in the metadata: %s; `airflow db drop-archived` drops them", left)
    return plan


def plan_cleaning(settings: Settings, connection: Connection, *, now: datetime | None = None) -> list[Cleaning]:
    """What to clean on ``connection`` (Airflow's metadata).

    `airflow db clean` looks at ages, not states: a dag with an active run older than the age is cleaned only up to the
    start of that run, so one stuck run neither loses its records nor keeps those of all other dags.
    """
    cutoff = _cutoff(connection, settings.keep_runs_hours * HOUR, now)
    active = queries.all(connection, "ledger/housekeeping.oldest_active_runs", cutoff=cutoff)
    dag_ids = tuple(row["dag_id"] for row in active)
    plan = [Cleaning(cutoff, all_but=dag_ids)]
    if active:
        plan.append(Cleaning(min(row["started_at"] for row in active), only=dag_ids))
    return plan


def metadata_url(settings: Settings, environ: Mapping[str, str]) -> str:
    """The SQLAlchemy URL of Airflow's metadata database; raises SettingError when it is not known or not PostgreSQL.

    Airflow hides its own setting from tasks, so the pipeline's is asked first.
    """
    url = settings.airflow_database_url or environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "")
    if not re.match(r"postgres(ql)?(\+\w+)?://", url):
        scheme = url.partition(":")[0] or "nothing"
        raise SettingError(
            f"Airflow's metadata cannot be cleaned: its database is given as {scheme}; "
            "set SLUICE_AIRFLOW_DATABASE_URL=postgresql://… in the environment of Airflow's processes"
        )
    return url


def _with_metadata(environ: Mapping[str, str], url: str) -> dict[str, str]:
    """The environment of a process of Airflow that is no task."""
    hidden = ("_AIRFLOW", "AIRFLOW__CORE__SQL_ALCHEMY_CONN", "__AIRFLOW")
    kept = {key: value for key, value in environ.items() if not key.startswith(hidden)}
    return kept | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url.replace("postgres://", "postgresql://", 1)}


def _airflow(arguments: list[str], environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "airflow", *arguments]
    last: list[str] = []
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        for line in filter(None, map(str.strip, process.stdout)):
            log.info("%s", line)
            last = [*last[-9:], line]
    if process.returncode != 0:
        raise HousekeepingError(
            f"airflow {' '.join(arguments[:2])} ended with {process.returncode}: " + " | ".join(last)
        )


# --- queries


def _cutoff(connection: Connection, seconds: float, now: datetime | None) -> datetime:
    moment: datetime = queries.row(connection, "ledger/housekeeping.cutoff", seconds=seconds, now=now)["cutoff"]
    return moment
