"""The landing predicate: what becomes of an entry of incoming, and of a name.

The sensor, the mover, whatever lands files and the status all ask here: none fires for, takes, refuses or shows what
another would judge differently.
"""

from __future__ import annotations

import enum
import errno
import fcntl
import functools
import os
import signal
import stat
import time
from pathlib import Path
from typing import NamedTuple

Entry = Path | os.DirEntry[str]

ENDINGS = tuple(
    f"{kind}{packed}" for kind in (".csv", ".tsv", ".psv", ".ssv", ".txt") for packed in ("", ".gz", ".zst")
)
_UNFINISHED = (".part", ".tmp")
# Untouched for so long, a file with such a name is no writer's any more.
UNFINISHED_SECONDS = 3600.0
_NOT_FINISHED = "its name says that it is not finished: rename it when it is"
# The kernel's own time cannot lie so far ahead otherwise; a file server's clock can.
_CLOCK_WAS_SET_BACK_SECONDS = 60.0
_NO_LEASES = {"nfs", "nfs4", "cifs", "smb3"}
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


class Verdict(enum.Enum):
    """What becomes of an entry of incoming."""

    TAKE = "take"
    WAIT = "wait"  # it may become takeable by itself
    REFUSE = "refuse"  # it never will; somebody should know why
    IGNORE = "ignore"  # a name that says: a writer is at work, or nobody's data


class Look(NamedTuple):
    """A verdict, and the reason for people when it is not TAKE."""

    verdict: Verdict
    reason: str = ""


def look(path: Entry, settle_seconds: float, now: float | None = None) -> Look:
    """Judge one entry of incoming; ``now`` in seconds since the epoch. An entry that vanished is to be ignored."""
    about = look_settled(path, settle_seconds, now)
    if isinstance(about, Look):
        return about
    return Look(Verdict.WAIT, "it is open for writing") if open_for_writing(path, about) else Look(Verdict.TAKE)


def look_settled(path: Entry, settle_seconds: float, now: float | None = None) -> os.stat_result | Look:
    """As ``look``, but no file is opened: the stat of one that may be taken unless somebody writes to it."""
    now = time.time() if now is None else now
    about = look_unopened(path, now)
    if isinstance(about, Look) or _settled(about, settle_seconds, now):
        return about
    return Look(Verdict.WAIT, "it changed a moment ago")


def look_unopened(path: Entry, now: float | None = None) -> os.stat_result | Look:
    """What is never taken, or not for now, has its verdict; the others, with their stat, are only a matter of time.

    A name that says that a writer is at work is refused when nothing was written for an hour.
    """
    named = look_at_name(path.name)
    if named is not None and named.verdict is Verdict.IGNORE and _is_nobodys(path.name):
        return named
    try:
        about = os.lstat(path)
    except FileNotFoundError:
        return Look(Verdict.IGNORE, "it vanished")
    except OSError as error:
        return Look(Verdict.REFUSE, f"it cannot be looked at ({error.strerror})")
    # The change time is the kernel's own; a copy may have the modification time of its original.
    age = (time.time() if now is None else now) - about.st_ctime
    if named is not None and named.verdict is Verdict.IGNORE and age < UNFINISHED_SECONDS:
        return named
    if not stat.S_ISREG(about.st_mode):
        return Look(Verdict.REFUSE, _KINDS.get(stat.S_IFMT(about.st_mode), "it is a special file: land regular files"))
    if named is not None:
        return named._replace(verdict=Verdict.REFUSE)
    if not os.access(path, os.R_OK):
        return Look(Verdict.REFUSE, "it cannot be read: give the mover's user permission, chmod a+r")
    return about


def look_at_name(name: str) -> Look | None:
    """The verdict that its name alone brings a file, with the remedy; None when a file of this name may be taken."""
    name = name.lower()
    if name.startswith(".") or name.endswith(_UNFINISHED):
        return Look(Verdict.IGNORE, _NOT_FINISHED)
    if name.startswith("_"):
        return Look(Verdict.REFUSE, _NOT_FINISHED)
    if name.endswith(ENDINGS):
        return None
    other = (why for endings, why in _OTHER_FORMATS.items() if name.endswith(endings))
    return Look(Verdict.REFUSE, next(other, f"its name ends in none of {', '.join(ENDINGS)}: rename it"))


def _is_nobodys(name: str) -> bool:
    """Whether it is hidden and holds no ending of a landed file: `.gitkeep`, `.DS_Store`, `.nfs00a1`."""
    name = name.lower()
    return not name.endswith(_UNFINISHED) and not any(ending in name for ending in ENDINGS)


def _settled(about: os.stat_result, settle_seconds: float, now: float) -> bool:
    # A producer may set a modification time in the future; the change time is the kernel's own.
    changed = about.st_mtime if about.st_mtime <= now else about.st_ctime
    if changed - now > _CLOCK_WAS_SET_BACK_SECONDS and not _on_network(about.st_dev):
        return True
    return now - changed >= settle_seconds or _renamed_in(about)


def _renamed_in(about: os.stat_result) -> bool:
    """Whether something came after the last write: a rename, or the times that a copy gives its target at its end.

    The kernel gives a write both times at once, a rename only the change time. Nothing rests on it but when a file is
    taken: one that is written to all the same has another hash than was registered, and goes back.
    """
    return 0 < about.st_mtime_ns < about.st_ctime_ns and about.st_size > 0 and not _on_network(about.st_dev)


def open_for_writing(path: Entry, about: os.stat_result) -> bool:
    """Whether some process holds the file open for writing, as far as the operating system tells: a read lease is
    granted only when none does."""
    if _on_network(about.st_dev):
        return False
    try:
        handle = open_to_read(path)
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


def open_to_read(path: Entry) -> int:
    """A descriptor of the file itself: no link is followed, no pipe or device is waited for."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
