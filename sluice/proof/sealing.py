"""Sealing: an archived file is deleted only when its tally and its receipt are proven, and the seal says so for good.

Events, rejects and the rows of ``ledger.files`` are never deleted.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg

from sluice.base import poolers, queries
from sluice.base.empty_folders import remove_if_empty
from sluice.base.plain_text import escaped
from sluice.base.settings import Settings
from sluice.landing import folders
from sluice.ledger import ages, file_names, receipts

_log = logging.getLogger(__name__)

Connection = psycopg.Connection[dict[str, Any]]
Row = Mapping[str, Any]

PAGE = 200
_LONG_AGO = datetime(1, 1, 2, tzinfo=UTC)


class UnverifiedError(RuntimeError):
    """Files were kept because they could not be verified; all the rest is done. The message says which."""


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


def seal_archive(settings: Settings, connection: Connection, *, now: datetime | None = None) -> Sealed:
    """Verify tally and receipt of each loaded file older than ``keep_archive_days``, seal it, delete its bytes.

    Duplicates of loaded files go at the same age. Rejected files stay: no table holds their rows. The seal is committed
    before the file is deleted; what a crash leaves between the two is deleted by the next call. Raises
    UnverifiedError, after all files were looked at, when one could not be verified; that one is kept. Raises
    FoldersError, with nothing sealed or deleted, when the folders are not there.
    """
    folders.check(settings, connection)
    cutoff = ages.cutoff(connection, settings.keep_archive_days * ages.DAY, now)
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
    _log.info("%s", outcome)
    if outcome.kept:
        raise UnverifiedError(
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
        kept = escaped(f"file {row['file_id']} ({row['name']}): {why}")
        outcome.kept.append(kept)
        _log.warning("kept %s", kept)
        return False
    if row["is_pending"]:
        receipts.make(connection, row["file_id"])
    seal = {"file_id": row["file_id"], "path": row["path"], "now": now}
    if not queries.all(connection, "ledger/housekeeping.seal", **seal):
        _log.info("file %s (%s) changed its state meanwhile and is kept", row["file_id"], escaped(row["name"]))
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
            remove_if_empty(day)


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
