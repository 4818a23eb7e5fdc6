"""The mover: every takeable file of incoming is entered in the ledger and moved to processing.

Moving registers a file and renames it in one transaction; a process that dies between the two leaves a file in
processing that the ledger does not know, and the tidy step of the next mover puts it back. A file in processing whose
ledger row says it is finished was left by a task that died before its last rename; the tidy step does that rename.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from sluice.base import permissions, poolers, queries
from sluice.base.crash_points import crash_point
from sluice.base.renaming import rename_if_free, sync_folder
from sluice.base.settings import Settings
from sluice.landing import folders, incoming, register, tidy
from sluice.ledger import file_names

Connection = psycopg.Connection[dict[str, Any]]
_LOCK = 7_215_482_302
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
        paths, result.refused = incoming.sort(settings)
        for path in paths:
            _move(settings, connection, path, result)
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


def _move(settings: Settings, connection: Connection, path: Path, result: MoveResult) -> None:
    name = file_names.readable(path.name)
    try:
        fingerprint = register.fingerprint_of(path)
        _register_and_rename(settings, connection, path, fingerprint, result)
    except FileNotFoundError:
        _log.info("%r vanished before it could be moved", name)
    except register.ChangedError:
        _log.info("%r changed while it was read: it waits for the next time", name)
    except psycopg.errors.LockNotAvailable:
        _log.info("%r has the bytes of a file that is being loaded or taken back: it waits for the next time", name)
    except OSError as error:
        result.failed[name] = str(error)
        _log.error("%r could not be moved and stays in incoming: %s", name, error)


def _register_and_rename(
    settings: Settings, connection: Connection, path: Path, fingerprint: register.Fingerprint, result: MoveResult
) -> None:
    crash_point("mover.before_register")
    with connection.transaction():
        connection.execute("SELECT set_config('lock_timeout', '10s', true)")
        entered = register.enter(settings, connection, path.name, fingerprint)
        wish = {"file_id": entered.file_id, "name": file_names.readable(path.name), "sha256": fingerprint.sha256}
        queries.run(connection, "ledger/files.bind_insistence", **wish)
        crash_point("mover.after_register")
        if register.identity_of(path.lstat()) != fingerprint.identity:
            raise register.ChangedError
        permissions.make_folder(entered.target.parent, settings)
        if not rename_if_free(path, entered.target):
            raise FileExistsError(
                errno.EEXIST, "exists already; the database may have been restored", str(entered.target)
            )
        _undo_unless_ours(settings, connection, path, entered.target)
        permissions.tighten(entered.target, settings.file_mode)
        sync_folder(entered.target.parent)
        crash_point("mover.after_rename")
    crash_point("mover.after_commit")
    (result.duplicates if entered.is_duplicate else result.moved).append(entered.file_id)
    told = file_names.readable(path.name), entered.file_id, entered.outcome, fingerprint.bytes
    _log.info("%r is file %s, %s, %s bytes", *told)
    if entered.is_duplicate:
        _put_away(settings, connection, entered.target.name)


def _put_away(settings: Settings, connection: Connection, name: str) -> None:
    """Move a duplicate on to the archive; the tidy step does it when this does not."""
    try:
        if row := file_names.known(connection, [name]).get(name):
            tidy.finish(settings, connection, name, row)
    except OSError as error:
        _log.info("%s stays in the processing folder for now: %s", name, error)


def _undo_unless_ours(settings: Settings, connection: Connection, path: Path, target: Path) -> None:
    """A folder that went away a moment ago may have left its mount point, where the file now lies: it goes back."""
    if why := folders.problem(settings, connection):
        with contextlib.suppress(FileNotFoundError):
            rename_if_free(target, path)
        raise folders.FoldersError(why)
