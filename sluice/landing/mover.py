"""The mover: every takeable file of incoming is entered in the ledger and moved to processing.

Moving registers files and renames them in one transaction, many small ones together; a process that dies between the
two leaves files in processing that the ledger does not know, and the tidy step of the next mover puts them back. One
file that cannot be moved keeps no other from it: then they are moved in smaller groups, down to that one. A file in
processing whose ledger row says it is finished was left by a task that died before its last rename; the tidy step does
that rename.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from sluice.base import permissions, poolers, queries
from sluice.base.crash_points import crash_point
from sluice.base.renaming import rename_if_free, sync_folder
from sluice.base.settings import Settings
from sluice.landing import folders, incoming, register, register_many, tidy
from sluice.landing.register import Found
from sluice.landing.register_many import Entries
from sluice.ledger import file_names

Connection = psycopg.Connection[dict[str, Any]]
_LOCK = 7_215_482_302
# So many files of a call share the first transaction, which is done at once; so many, or so many bytes, a later one.
_FIRST_FILES, _BATCH_FILES, _BATCH_BYTES = 16, 256, 8_000_000
# For how long one file waits for another transaction, and many for one that is in the way of one of them.
_PATIENCE, _PATIENCE_OF_MANY = "10s", "1s"
_HELD = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
_FEW = 16  # so many files have a line each in the log
_log = logging.getLogger(__name__)


class LandingError(RuntimeError):
    """The landing folders cannot be used; the message names the folder and the remedy."""


@dataclass
class MoveResult:
    """What one call of move_landed did: file_ids of files moved and of duplicates, and names with reasons."""

    moved: list[int] = field(default_factory=list)
    duplicates: list[int] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    busy: bool = False


def move_landed(settings: Settings, connection: Connection, wait_seconds: float = 10.0) -> MoveResult:
    """Tidy processing, then register every takeable file and move it there; ``connection`` is an autocommit one.

    Two movers never overlap: the second waits up to ``wait_seconds``, then returns a result that says busy. Raises
    LandingError when the folders cannot be used, FoldersError when they are not there, psycopg.OperationalError when
    the database is away: what was under way then is decided by the next call.
    """
    folders.check(settings, connection)
    _check_folders(settings)
    result = MoveResult()
    with only_mover(connection, wait_seconds) as alone:
        if not alone:
            _log.warning(
                "nothing is moved: another mover has been at work for %.0f s, see the other runs", wait_seconds
            )
            return MoveResult(busy=True)
        result.returned, result.finished = tidy.tidy(settings, connection)
        for paths in _batches(incoming.in_order(settings, result.refused)):
            _move_together(settings, connection, paths, result)
    return result


@contextlib.contextmanager
def only_mover(connection: Connection, wait_seconds: float) -> Iterator[bool]:
    """Hold the lock that keeps two movers apart; False when another had it for ``wait_seconds``.

    Raises SharedSessionsError when ``connection`` has no session of its own, which the lock belongs to.
    """
    poolers.refuse_shared_sessions(connection)
    try:
        with connection.transaction():
            connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{max(1, int(wait_seconds * 1000))}ms"])
            queries.run(connection, "ledger/files.lock_mover", key=_LOCK)
    except psycopg.errors.LockNotAvailable:
        _log.info("another mover is at work: nothing is moved by this one")
        yield False
        return
    try:
        yield True
    finally:
        # A broken connection has released the lock already, and must not hide the error that broke it.
        with contextlib.suppress(psycopg.OperationalError):
            queries.run(connection, "ledger/files.unlock_mover", key=_LOCK)


def _check_folders(settings: Settings) -> None:
    permissions.make_incoming(settings)
    for folder in (settings.processing_dir, settings.archive_dir):
        permissions.make_private(folder, settings)
    for folder in (settings.incoming_dir, settings.processing_dir, settings.archive_dir):
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise LandingError(f"{folder} cannot be written: give the user of Airflow's tasks permission for it")
        if folder.stat().st_dev != settings.processing_dir.stat().st_dev:
            raise LandingError(
                f"{folder} and {settings.processing_dir} are on different file systems: a file must move between them "
                "in one step; mount their common parent instead"
            )


def _batches(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """The paths in their order, in groups; nobody waits long for the others of a group."""
    batch: list[Path] = []
    most, size = _FIRST_FILES, 0
    for path in paths:
        bytes_ = _size(path)
        if batch and (len(batch) == most or size + bytes_ > _BATCH_BYTES):
            yield batch
            batch, size, most = [], 0, min(most * 4, _BATCH_FILES)
        batch.append(path)
        size += bytes_
    if batch:
        yield batch


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _move_together(settings: Settings, connection: Connection, paths: list[Path], result: MoveResult) -> None:
    files = [found for path in paths if (found := _read(path, result))]
    if files:
        _move(settings, connection, files, result)


def _read(path: Path, result: MoveResult) -> Found | None:
    try:
        return Found(path, register.fingerprint_of(path))
    except (OSError, register.ChangedError) as error:
        _tell_why_not(path, error, result)
        return None


def _move(settings: Settings, connection: Connection, files: list[Found], result: MoveResult) -> None:
    """Move ``files`` in one transaction; when one of them is in the way, in several, until that one is alone."""
    try:
        entries = _register_and_rename(settings, connection, files)
    except (OSError, register.ChangedError, *_HELD) as error:
        half = len(files) // 2
        if not half:
            _tell_why_not(files[0].path, error, result)
            return
        _move(settings, connection, files[:half], result)
        _move(settings, connection, files[half:], result)
        return
    crash_point("mover.after_commit")
    _tell(entries, result)
    _put_away(settings, connection, [entered.target.name for _, entered in entries if entered.is_duplicate])
    moved = {found.path for found, _ in entries}
    for found in files:
        if found.path not in moved:
            _move(settings, connection, [found], result)


def _tell_why_not(path: Path, error: Exception, result: MoveResult) -> None:
    name = file_names.readable(path.name)
    match error:
        case FileNotFoundError():
            _log.info("%r vanished before it could be moved", name)
        case register.ChangedError():
            _log.info("%r changed while it was read: it waits for the next time", name)
        case OSError():
            result.failed[name] = str(error)
            _log.error("%r could not be moved and stays in incoming: %s", name, error)
        case _:
            _log.info("%r has the bytes of a file that is being loaded or taken back: it waits for the next time", name)


def _register_and_rename(settings: Settings, connection: Connection, files: list[Found]) -> Entries:
    """Enter and rename the files, or none of them; of many, those that have to be alone are left out."""
    crash_point("mover.before_register")
    with connection.transaction():
        entries = _enter(settings, connection, files)
        crash_point("mover.after_register")
        done: list[tuple[Path, Path]] = []
        parents = {entered.target.parent for _, entered in entries}
        try:
            for folder in parents:
                permissions.make_folder(folder, settings)
            for found, entered in entries:
                _rename(found, entered.target)
                done.append((found.path, entered.target))
                permissions.tighten(entered.target, settings.file_mode)
                crash_point("mover.after_one_rename")
            # A folder that went away a moment ago may have left its mount point, where the files now lie.
            if why := folders.problem(settings, connection):
                raise folders.FoldersError(why)
            for folder in parents:
                sync_folder(folder)
        except (OSError, register.ChangedError, folders.FoldersError):
            _rename_back(done)
            raise
        crash_point("mover.after_rename")
    return entries


def _enter(settings: Settings, connection: Connection, files: list[Found]) -> Entries:
    queries.run(
        connection, "ledger/files.set_up_move", lock_timeout=_PATIENCE if len(files) == 1 else _PATIENCE_OF_MANY
    )
    if len(files) > 1:
        return register_many.enter(settings, connection, files)
    return [(files[0], register.enter(settings, connection, files[0]))]


def _rename(found: Found, target: Path) -> None:
    if register.identity_of(found.path.lstat()) != found.fingerprint.identity:
        raise register.ChangedError
    if not rename_if_free(found.path, target):
        raise FileExistsError(errno.EEXIST, "exists already; the database may have been restored", str(target))


def _rename_back(done: list[tuple[Path, Path]]) -> None:
    """What is left in processing when this fails, the next mover puts back."""
    for path, target in reversed(done):
        with contextlib.suppress(OSError):
            rename_if_free(target, path)


def _tell(entries: Entries, result: MoveResult) -> None:
    for found, entered in entries:
        (result.duplicates if entered.is_duplicate else result.moved).append(entered.file_id)
        if len(entries) <= _FEW:
            told = found.name, entered.file_id, entered.outcome, found.fingerprint.bytes
            _log.info("%r is file %s, %s, %s bytes", *told)
    if len(entries) > _FEW:
        ids = [entered.file_id for _, entered in entries]
        size = sum(found.fingerprint.bytes for found, _ in entries)
        twice = sum(entered.is_duplicate for _, entered in entries)
        told_of_all = len(ids), min(ids), max(ids), twice, size
        _log.info("%s files are files %s to %s of the ledger, %s of them duplicates, %s bytes", *told_of_all)


def _put_away(settings: Settings, connection: Connection, names: list[str]) -> None:
    """Move duplicates on to the archive; the tidy step does it when this does not."""
    try:
        if names:
            list(tidy.finish(settings, connection, file_names.known(connection, names)))
    except OSError as error:
        _log.info("%s duplicates stay in the processing folder for now: %s", len(names), error)
