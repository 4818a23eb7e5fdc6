"""Landing: which files in incoming may be taken, and moving them to processing.

One predicate serves the sensor and the mover, so the sensor never fires for what the mover would leave. Moving
registers a file in the ledger and renames it in one transaction; a process that dies between the two leaves a file in
processing that the ledger does not know, and the tidy step of the next mover puts it back. A file in processing whose
ledger row says it is finished was left by a task that died before its last rename; the tidy step does that rename.
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import errno
import fcntl
import functools
import hashlib
import itertools
import logging
import os
import signal
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from sluice.base import permissions, poolers, queries
from sluice.base.crash_points import crash_point
from sluice.base.settings import Settings
from sluice.landing import folders
from sluice.ledger import archive, file_names

Connection = psycopg.Connection[dict[str, Any]]

ENDINGS = tuple(
    f"{kind}{packed}" for kind in (".csv", ".tsv", ".psv", ".ssv", ".txt") for packed in ("", ".gz", ".zst")
)
_UNFINISHED = (".part", ".tmp")
_BLOCK = 1024 * 1024
_LOCK = 7_215_482_302
# The kernel's own time cannot lie so far ahead otherwise; a file server's clock can.
_CLOCK_WAS_SET_BACK_SECONDS = 60.0
_AT_FDCWD, _RENAME_NOREPLACE = -100, 1
_NO_LEASES = {"nfs", "nfs4", "cifs", "smb3"}
_log = logging.getLogger(__name__)


class LandingError(RuntimeError):
    """The landing folders cannot be used; the message names the folder and the remedy."""


class Verdict(enum.Enum):
    """What becomes of an entry of incoming."""

    TAKE = "take"
    WAIT = "wait"  # it may become takeable by itself
    REFUSE = "refuse"  # it never will; somebody should know why
    IGNORE = "ignore"  # a name that says: not yet, or not for you


class Look(NamedTuple):
    """A verdict, and the reason for people when it is not TAKE."""

    verdict: Verdict
    reason: str = ""


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


def look(path: Path, settle_seconds: float, now: float | None = None) -> Look:
    """Judge one entry of incoming; ``now`` in seconds since the epoch. An entry that vanished is to be ignored."""
    found = _stat_or_verdict(path)
    if isinstance(found, Look):
        return found
    if not _settled(found, settle_seconds, time.time() if now is None else now):
        return Look(Verdict.WAIT, "it changed a moment ago")
    return Look(Verdict.WAIT, "it is open for writing") if _open_for_writing(path, found) else Look(Verdict.TAKE)


def _stat_or_verdict(path: Path) -> os.stat_result | Look:
    """What is never taken, or not for now, has its verdict; the others are only a matter of time."""
    name = path.name.lower()
    if name.startswith((".", "_")) or name.endswith(_UNFINISHED):
        return Look(Verdict.IGNORE, "its name says that it is not finished")
    try:
        found = path.lstat()
    except FileNotFoundError:
        return Look(Verdict.IGNORE, "it vanished")
    except OSError as error:
        return Look(Verdict.REFUSE, f"it cannot be looked at ({error.strerror})")
    if not stat.S_ISREG(found.st_mode):
        return Look(Verdict.REFUSE, _KINDS.get(stat.S_IFMT(found.st_mode), "it is a special file: land regular files"))
    if why := why_not_its_name(name):
        return Look(Verdict.REFUSE, why)
    if not os.access(path, os.R_OK):
        return Look(Verdict.REFUSE, "it cannot be read: give the mover's user permission, chmod a+r")
    return found


def why_not_its_name(name: str) -> str:
    """The reason, with the remedy, why a file of this name is never taken; "" when its ending is one of ours."""
    name = name.lower()
    if name.endswith(ENDINGS):
        return ""
    other = (why for endings, why in _OTHER_FORMATS.items() if name.endswith(endings))
    return next(other, f"its name ends in none of {', '.join(ENDINGS)}: rename it")


class Incoming(NamedTuple):
    """How many entries are or will be taken, and the reason of each that never will be, by its name as text."""

    waiting: int
    refused: dict[str, str]


def incoming(settings: Settings) -> Incoming:
    """What lies in incoming, for people; nothing when the folder does not exist. No file is opened."""
    waiting, refused = 0, {}
    if settings.incoming_dir.is_dir() and not os.access(settings.incoming_dir, os.R_OK | os.X_OK):
        return Incoming(0, {".": "the folder itself cannot be read: give the mover's user permission"})
    with contextlib.suppress(FileNotFoundError), os.scandir(settings.incoming_dir) as entries:
        for entry in entries:
            found = _stat_or_verdict(Path(entry.path))
            if not isinstance(found, Look):
                waiting += 1
            elif found.verdict is Verdict.REFUSE:
                refused[file_names.readable(entry.name)] = found.reason
    return Incoming(waiting, dict(sorted(refused.items())))


def scan(settings: Settings, now: float | None = None) -> Iterator[tuple[Path, Look]]:
    """Each entry of incoming with its verdict, in no order; nothing when the folder does not exist."""
    with contextlib.suppress(FileNotFoundError), os.scandir(settings.incoming_dir) as entries:
        for entry in entries:
            yield Path(entry.path), look(Path(entry.path), settings.settle_seconds, now)


def is_takeable(path: Path, settings: Settings, now: float | None = None) -> bool:
    """Whether the mover would take this entry now."""
    return look(path, settings.settle_seconds, now).verdict is Verdict.TAKE


def takeable(settings: Settings, now: float | None = None) -> list[Path]:
    """The files that the mover would take now, the oldest first; what it refuses is logged, once a process."""
    return _sort(settings, now)[0]


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
            return MoveResult(busy=True)
        _tidy(settings, connection, result)
        paths, result.refused = _sort(settings, None)
        for path in paths:
            _move(settings, connection, path, result)
    return result


def waiting_range(connection: Connection) -> dict[str, int] | None:
    """The lowest and the highest file_id that waits to be loaded, as first and last; None when none waits."""
    row = queries.one(connection, "ledger/files.find_waiting_range")
    return row if row is not None and row["first"] is not None else None


def still_landed(connection: Connection, first: int, last: int) -> list[str]:
    """The names of the files in this range of file_ids that still wait to be loaded, oldest first."""
    rows = queries.all(connection, "ledger/files.find_still_landed", first=first, last=last)
    return [f"{row['name']} (file {row['file_id']})" for row in rows]


def strays(settings: Settings, connection: Connection, older_than_seconds: float = 10.0) -> list[str]:
    """Names in processing that a mover should tidy: unknown to the ledger, or finished there, and not just now."""
    names = [name for name in _ours(settings) if _unchanged_for(settings.processing_dir / name, older_than_seconds)]
    known = file_names.known(connection, names)
    return [name for name in names if known.get(name, {}).get("state") != "landed"]


def return_to_incoming(settings: Settings, basename: str) -> str:
    """Put ``processing/<basename>`` back in incoming and return its name there; nothing is ever overwritten.

    The name is the landed one as far as the basename keeps it, with ``returned-<n>-`` before it when it is taken.
    Raises FileNotFoundError when the file is not in processing.
    """
    parts = file_names.parse(basename)
    return return_as(settings, settings.processing_dir / basename, parts.landed_name if parts else basename)


def return_as(settings: Settings, source: Path, landed_name: str) -> str:
    """Put ``source`` in incoming as ``landed_name``, or with ``returned-<n>-`` before it when that is taken."""
    return next(
        name for name in _names_in_incoming(landed_name) if rename_if_free(source, settings.incoming_dir / name)
    )


def free_name(settings: Settings, landed_name: str) -> str:
    """The name that ``return_as`` would give it now; it may be taken by the time that somebody uses it."""
    return next(name for name in _names_in_incoming(landed_name) if not os.path.lexists(settings.incoming_dir / name))


def _names_in_incoming(landed_name: str) -> Iterator[str]:
    yield landed_name
    yield from (f"returned-{number}-{landed_name}" for number in itertools.count(1))


class _ChangedError(Exception):
    """The file changed while it was hashed."""


class _Fingerprint(NamedTuple):
    sha256: str
    identity: tuple[int, int, int, int]
    bytes: int
    landed_at: datetime


_KINDS = {
    stat.S_IFLNK: "it is a link: land a copy of the file itself",
    stat.S_IFDIR: "it is a folder: land files directly in incoming",
}
_OTHER_FORMATS = {
    (".xls", ".xlsx", ".xlsm", ".xlsb", ".ods"): "it is a workbook: save each sheet as CSV and land that",
    (
        ".zip",
        ".7z",
        ".rar",
        ".tar",
        ".tgz",
        ".bz2",
        ".xz",
    ): "it is an archive: unpack it (.gz and .zst are read as they are)",
    (".json", ".jsonl", ".ndjson", ".xml", ".parquet", ".avro", ".orc"): "its format is not read: convert it to CSV",
}
_SAID: set[tuple[str, str]] = set()


def _sort(settings: Settings, now: float | None) -> tuple[list[Path], dict[str, str]]:
    paths, refused = [], {}
    for path, (verdict, reason) in scan(settings, now):
        if verdict is Verdict.TAKE:
            paths.append(path)
        elif verdict is Verdict.REFUSE:
            refused[file_names.readable(path.name)] = reason
            _say_once(file_names.readable(path.name), reason)
    return sorted(paths, key=_age), refused


def _say_once(name: str, reason: str) -> None:
    if (name, reason) not in _SAID:
        _SAID.add((name, reason))
        _log.warning("refused %r: %s", name, reason)


def _settled(found: os.stat_result, settle_seconds: float, now: float) -> bool:
    # A producer may set a modification time in the future; the change time is the kernel's own.
    changed = found.st_mtime if found.st_mtime <= now else found.st_ctime
    if changed - now > _CLOCK_WAS_SET_BACK_SECONDS and not _on_network(found.st_dev):
        return True
    return now - changed >= settle_seconds


def _open_for_writing(path: Path, found: os.stat_result) -> bool:
    """Whether some process holds the file open for writing, as far as the operating system tells: a read lease is
    granted only when none does."""
    if _on_network(found.st_dev):
        return False
    try:
        handle = _open(path)
    except OSError:
        return False
    try:
        # A writer that opens the file while the lease is held signals its holder, and SIGIO would end the process.
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except (OSError, AttributeError) as error:
        return isinstance(error, OSError) and error.errno == errno.EAGAIN
    finally:
        os.close(handle)
    return False


@functools.cache
def _on_network(device: int) -> bool:
    """Network file systems answer a lease request with "try again" for reasons of their own."""
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return False
    kinds = {line.split()[2]: line.split(" - ", 1)[1].split()[0] for line in mounts if " - " in line}
    return kinds.get(number) in _NO_LEASES


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _age(path: Path) -> tuple[float, str]:
    try:
        return path.lstat().st_mtime, path.name
    except OSError:
        return 0.0, path.name


def _check_folders(settings: Settings) -> None:
    folders = (settings.incoming_dir, settings.processing_dir, settings.archive_dir)
    permissions.make_incoming(settings)
    for folder in (settings.processing_dir, settings.archive_dir):
        permissions.make_private(folder, settings)
    for folder in folders:
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise LandingError(f"{folder} cannot be written: give the user of Airflow's tasks permission for it")
        if folder.stat().st_dev != settings.processing_dir.stat().st_dev:
            raise LandingError(
                f"{folder} and {settings.processing_dir} are on different file systems: a file must move between them "
                "in one step; mount their common parent instead"
            )


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


def _tidy(settings: Settings, connection: Connection, result: MoveResult) -> None:
    names = list(_ours(settings))
    known = file_names.known(connection, names)
    for name in names:
        row = known.get(name)
        with contextlib.suppress(FileNotFoundError):
            if row is None:
                back = return_to_incoming(settings, name)
                result.returned.append(back)
                _log.warning("returned %s to incoming as %s: the ledger does not know it", name, back)
            elif row["state"] != "landed" and (target := _finish(settings, connection, name, row)):
                result.finished.append(name)
                _log.info("moved %s to %s: the ledger says %s", name, target, row["state"])


def _finish(settings: Settings, connection: Connection, name: str, row: dict[str, Any]) -> Path | None:
    """Move a finished file from processing to where the ledger has it; where that is, None when it stays."""
    source, target = settings.processing_dir / name, settings.home_dir / row["path"]
    if target.parent == settings.processing_dir or folders.problem(settings, connection):
        return None
    permissions.make_folder(target.parent, settings)
    is_done = rename_if_free(source, target)
    if not is_done and target.parent == settings.incoming_dir:
        # A new file has that name. The ledger says another one first, then the file goes there.
        target = target.with_name(free_name(settings, row["name"]))
        path = str(target.relative_to(settings.home_dir))
        queries.run(connection, "ledger/files.set_path", file_id=row["file_id"], path=path)
        is_done = rename_if_free(source, target)
    if not is_done:
        _say_once(name, f"it is {row['state']}, but {row['path']} exists already: compare the two and delete one")
    return target if is_done else None


def _ours(settings: Settings) -> Iterator[str]:
    with os.scandir(settings.processing_dir) as entries:
        yield from (entry.name for entry in entries if file_names.parse(entry.name))


def _unchanged_for(path: Path, seconds: float) -> bool:
    try:
        return time.time() - path.lstat().st_ctime >= seconds
    except OSError:
        return False


def _move(settings: Settings, connection: Connection, path: Path, result: MoveResult) -> None:
    name = file_names.readable(path.name)
    try:
        fingerprint = _fingerprint(path)
        _register_and_rename(settings, connection, path, fingerprint, result)
    except FileNotFoundError:
        _log.info("%r vanished before it could be moved", name)
    except _ChangedError:
        _log.info("%r changed while it was read: it waits for the next time", name)
    except psycopg.errors.LockNotAvailable:
        _log.info("%r has the bytes of a file that is being loaded or taken back: it waits for the next time", name)
    except OSError as error:
        result.failed[name] = str(error)
        _log.error("%r could not be moved and stays in incoming: %s", name, error)


def _fingerprint(path: Path) -> _Fingerprint:
    handle = _open(path)
    with open(handle, "rb", buffering=0) as file:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            raise _ChangedError
        digest, count = hashlib.sha256(), 0
        while block := file.read(_BLOCK):
            digest.update(block)
            count += len(block)
        if _identity(before) != _identity(os.fstat(handle)) or count != before.st_size:
            raise _ChangedError
    landed_at = datetime.fromtimestamp(before.st_ctime, UTC)
    return _Fingerprint(digest.hexdigest(), _identity(before), count, landed_at)


def _identity(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _register_and_rename(
    settings: Settings, connection: Connection, path: Path, fingerprint: _Fingerprint, result: MoveResult
) -> None:
    crash_point("mover.before_register")
    with connection.transaction():
        connection.execute("SELECT set_config('lock_timeout', '10s', true)")
        file_id, target, outcome = _register(settings, connection, path.name, fingerprint)
        wish = {"file_id": file_id, "name": file_names.readable(path.name), "sha256": fingerprint.sha256}
        queries.run(connection, "ledger/files.bind_insistence", **wish)
        crash_point("mover.after_register")
        if _identity(path.lstat()) != fingerprint.identity:
            raise _ChangedError
        permissions.make_folder(target.parent, settings)
        if not rename_if_free(path, target):
            raise FileExistsError(errno.EEXIST, "exists already; the database may have been restored", str(target))
        _undo_unless_ours(settings, connection, path, target)
        permissions.tighten(target, settings.file_mode)
        _sync(target.parent)
        crash_point("mover.after_rename")
    crash_point("mover.after_commit")
    (result.duplicates if outcome == "duplicate" else result.moved).append(file_id)
    _log.info("%r is file %s, %s, %s bytes", file_names.readable(path.name), file_id, outcome, fingerprint.bytes)
    if outcome == "duplicate":
        _put_away(settings, connection, target.name)


def _put_away(settings: Settings, connection: Connection, name: str) -> None:
    """Move a duplicate on to the archive; the tidy step does it when this does not."""
    try:
        if row := file_names.known(connection, [name]).get(name):
            _finish(settings, connection, name, row)
    except OSError as error:
        _log.info("%s stays in the processing folder for now: %s", name, error)


def _undo_unless_ours(settings: Settings, connection: Connection, path: Path, target: Path) -> None:
    """A folder that went away a moment ago may have left its mount point, where the file now lies: it goes back."""
    if why := folders.problem(settings, connection):
        with contextlib.suppress(FileNotFoundError):
            rename_if_free(target, path)
        raise folders.FoldersError(why)


def _register(
    settings: Settings, connection: Connection, name: str, fingerprint: _Fingerprint
) -> tuple[int, Path, str]:
    """Enter the file in the ledger; its file_id, where it goes, and what it is there."""
    values = {
        "name": file_names.readable(name),
        "sha256": fingerprint.sha256,
        "bytes": fingerprint.bytes,
        "landed_at": fingerprint.landed_at,
    }
    while True:
        if (row := queries.one(connection, "ledger/files.insert_landed", **values)) is not None:
            queries.run(connection, "ledger/files.adopt_duplicates", **values, **row)
            return _place(settings, connection, row["file_id"], fingerprint, name, settings.processing_dir, "landed")
        # The file that has the bytes may have ended since the insert looked: then look again.
        same = queries.one(connection, "ledger/files.find_same_bytes", **values)
        if same is not None and (
            same["state"] == "landed" or queries.one(connection, "ledger/files.touch_loaded", **same)
        ):
            break
    if _lost(settings, connection, same):
        return same["file_id"], settings.home_dir / same["path"], "landed again: its file was lost"
    row = queries.row(connection, "ledger/files.insert_duplicate", **values, duplicate_of=same["file_id"])
    folder = settings.archive_dir / "duplicate" / row["day"]
    return _place(settings, connection, row["file_id"], fingerprint, name, folder, "duplicate")


def _place(
    settings: Settings,
    connection: Connection,
    file_id: int,
    fingerprint: _Fingerprint,
    name: str,
    folder: Path,
    outcome: str,
) -> tuple[int, Path, str]:
    """The ledger says the place where the file will lie for good; all go by way of processing, which is tidied."""
    basename = str(file_names.make(file_id, fingerprint.sha256, name))
    relative = str((folder / basename).relative_to(settings.home_dir))
    queries.run(connection, "ledger/files.set_path", file_id=file_id, path=relative)
    return file_id, settings.processing_dir / basename, outcome


def _lost(settings: Settings, connection: Connection, same: dict[str, Any]) -> bool:
    """Whether the landed file with these bytes is gone, and no task has it: this one takes its place."""
    if same["state"] != "landed" or archive.where(settings.home_dir, same["path"]).exists():
        return False
    locked = queries.one(connection, "ledger/files.lock_landed", file_id=same["file_id"])
    return locked is not None and not archive.where(settings.home_dir, same["path"]).exists()


def rename_if_free(source: Path, target: Path) -> bool:
    """Rename without overwriting; False when the target exists. Raises FileNotFoundError when the source does not."""
    if source == target:  # else it would be taken for the other half of a rename that was cut off, and deleted
        return source.exists()
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        if not os.path.samefile(source, target):
            return False
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links, or not our file
        return _rename_in_one_call(source, target)
    os.unlink(source)
    return True


def _rename_in_one_call(source: Path, target: Path) -> bool:
    """As rename_if_free. Only where the system has no such call is there a moment between the look and the rename."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        code = errno.ENOSYS
    else:
        failed = renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE)
        code = ctypes.get_errno() if failed else 0
    if code == errno.EEXIST:
        return False
    if code in (errno.ENOSYS, errno.EINVAL):
        if os.path.lexists(target):
            return False
        os.rename(source, target)
    elif code:
        raise OSError(code, os.strerror(code), str(source), None, str(target))
    return True


def _sync(folder: Path) -> None:
    """After a power cut the ledger must not know of a rename that the disk has forgotten."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
