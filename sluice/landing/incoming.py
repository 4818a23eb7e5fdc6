"""The landing folder: what lies in it, what may be taken from it, and how a file comes back to it."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sluice.base.renaming import rename_if_free, sync_folder
from sluice.base.settings import Settings
from sluice.landing import predicate
from sluice.landing.land import land
from sluice.landing.predicate import Look, Verdict
from sluice.ledger import file_names

_log = logging.getLogger(__name__)
_SAID: set[tuple[str, str]] = set()
# Files whose order is found at once: a few MB.
PAGE = 20_000
_BLOCK = 1 << 20


class Survey(NamedTuple):
    """How many entries are or will be taken, and the reason of each that never will be, by its name as text.

    ``bytes``: of those that will be taken, as they are now; ``since``: when the first of them came, in seconds since
    1970, infinity without any. ``is_whole``: all entries were looked at.
    """

    waiting: int
    refused: dict[str, str]
    bytes: int = 0
    since: float = math.inf
    is_whole: bool = True


def survey(settings: Settings, now: float | None = None, most: int = sys.maxsize) -> Survey:
    """What lies in incoming, for people; nothing when the folder does not exist. No file is opened.

    No more than ``most`` entries are looked at, for whom that would take too long.
    """
    waiting, size, since, refused, is_whole = 0, 0, math.inf, {}, True
    if settings.incoming_dir.is_dir() and not os.access(settings.incoming_dir, os.R_OK | os.X_OK):
        return Survey(0, {".": "the folder itself cannot be read: give the mover's user permission"})
    with contextlib.suppress(FileNotFoundError), os.scandir(settings.incoming_dir) as entries:
        for entry in itertools.islice(entries, most):
            look = predicate.look_unopened(entry, now)
            if not isinstance(look, Look):
                waiting, size, since = waiting + 1, size + look.st_size, min(since, look.st_ctime)
            elif look.verdict is Verdict.REFUSE:
                refused[file_names.readable(entry.name)] = look.reason
        is_whole = next(entries, None) is None
    return Survey(waiting, dict(sorted(refused.items())), size, since, is_whole)


def scan(settings: Settings, now: float | None = None) -> Iterator[tuple[Path, Look]]:
    """Each entry of incoming with its verdict, in no order; nothing when the folder does not exist."""
    with contextlib.suppress(FileNotFoundError), os.scandir(settings.incoming_dir) as entries:
        for entry in entries:
            yield Path(entry.path), predicate.look(entry, settings.settle_seconds, now)


def any_takeable(settings: Settings) -> bool:
    """Whether the mover would take a file now; what it refuses and is met on the way is logged, once a process."""
    folder = settings.incoming_dir
    return any(not _is_open(folder / name) for _, name in _settled(settings, {}))


def takeable(settings: Settings, now: float | None = None) -> list[Path]:
    """The files that the mover would take now, the oldest first; what it refuses is logged, once a process."""
    return sort(settings, now)[0]


def sort(settings: Settings, now: float | None = None) -> tuple[list[Path], dict[str, str]]:
    """The files that may be taken now, the oldest first, and why others never will be, by their names as text."""
    refused: dict[str, str] = {}
    return list(in_order(settings, refused, now)), refused


def in_order(settings: Settings, refused: dict[str, str], now: float | None = None, most: int = PAGE) -> Iterator[Path]:
    """The files that may be taken, the oldest first; why others never will be goes into ``refused``, by names as text.

    ``most`` names at a time are held in memory, and the folder is read anew for the next. A file that came meanwhile
    and is older than those that were given is left out.
    """
    folder = settings.incoming_dir
    last: tuple[float, str] = (-math.inf, "")
    is_more = True
    while is_more:
        page = heapq.nsmallest(most, (age for age in _settled(settings, refused, now) if age > last))
        yield from (path for path in (folder / name for _, name in page) if not _is_open(path))
        is_more = len(page) == most
        last = page[-1] if page else last


def _settled(settings: Settings, refused: dict[str, str], now: float | None = None) -> Iterator[tuple[int, str]]:
    """When it was last written to, in nanoseconds, and its name, of each file that only a writer may keep from us."""
    with contextlib.suppress(FileNotFoundError), os.scandir(settings.incoming_dir) as entries:
        for entry in entries:
            look = predicate.look_settled(entry, settings.settle_seconds, now)
            if not isinstance(look, Look):
                yield look.st_mtime_ns, entry.name
            elif look.verdict is Verdict.REFUSE:
                name = file_names.readable(entry.name)
                refused[name] = look.reason
                say_once(name, look.reason)


def _is_open(path: Path) -> bool:
    try:
        return predicate.open_for_writing(path, path.lstat())
    except OSError:
        return False


def say_once(name: str, reason: str) -> None:
    """Log the reason, once a process."""
    if (name, reason) not in _SAID:
        _SAID.add((name, reason))
        _log.warning("refused %r: %s", name, reason)


def return_as(settings: Settings, source: Path, landed_name: str) -> str:
    """Put ``source`` in incoming as ``landed_name``, or with ``returned-<n>-`` before it when that is taken."""
    return next(
        name for name in _names_in_incoming(landed_name) if rename_if_free(source, settings.incoming_dir / name)
    )


def link_as(settings: Settings, source: Path, landed_name: str) -> bool:
    """Let ``source`` lie in incoming too, as ``landed_name``, and stay where it is; False when that name is another's.

    Raises FileNotFoundError when there is no such file, NotLandedError when it cannot land.
    """
    target = settings.incoming_dir / landed_name
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        return os.path.samefile(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links, or incoming is another one
        with source.open("rb") as file:
            land(settings, landed_name, iter(lambda: file.read(_BLOCK), b""))
    sync_folder(settings.incoming_dir)
    return True


def free_name(settings: Settings, landed_name: str) -> str:
    """The name that ``return_as`` would give it now; it may be taken by the time that somebody uses it."""
    return next(name for name in _names_in_incoming(landed_name) if not os.path.lexists(settings.incoming_dir / name))


def _names_in_incoming(landed_name: str) -> Iterator[str]:
    yield landed_name
    yield from (f"returned-{number}-{landed_name}" for number in itertools.count(1))
