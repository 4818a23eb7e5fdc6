"""The landing folder: what lies in it, what may be taken from it, and how a file comes back to it."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sluice.base.renaming import rename_if_free
from sluice.base.settings import Settings
from sluice.landing import predicate
from sluice.landing.predicate import Look, Verdict
from sluice.ledger import file_names

_log = logging.getLogger(__name__)
_SAID: set[tuple[str, str]] = set()


class Survey(NamedTuple):
    """How many entries are or will be taken, and the reason of each that never will be, by its name as text."""

    waiting: int
    refused: dict[str, str]


def survey(settings: Settings, now: float | None = None) -> Survey:
    """What lies in incoming, for people; nothing when the folder does not exist. No file is opened."""
    waiting, refused = 0, {}
    if settings.incoming_dir.is_dir() and not os.access(settings.incoming_dir, os.R_OK | os.X_OK):
        return Survey(0, {".": "the folder itself cannot be read: give the mover's user permission"})
    with contextlib.suppress(FileNotFoundError), os.scandir(settings.incoming_dir) as entries:
        for entry in entries:
            look = predicate.look_unopened(Path(entry.path), now)
            if not isinstance(look, Look):
                waiting += 1
            elif look.verdict is Verdict.REFUSE:
                refused[file_names.readable(entry.name)] = look.reason
    return Survey(waiting, dict(sorted(refused.items())))


def scan(settings: Settings, now: float | None = None) -> Iterator[tuple[Path, Look]]:
    """Each entry of incoming with its verdict, in no order; nothing when the folder does not exist."""
    with contextlib.suppress(FileNotFoundError), os.scandir(settings.incoming_dir) as entries:
        for entry in entries:
            yield Path(entry.path), predicate.look(Path(entry.path), settings.settle_seconds, now)


def takeable(settings: Settings, now: float | None = None) -> list[Path]:
    """The files that the mover would take now, the oldest first; what it refuses is logged, once a process."""
    return sort(settings, now)[0]


def sort(settings: Settings, now: float | None = None) -> tuple[list[Path], dict[str, str]]:
    """The files that may be taken now, the oldest first, and why others never will be, by their names as text."""
    paths, refused = [], {}
    for path, (verdict, reason) in scan(settings, now):
        if verdict is Verdict.TAKE:
            paths.append(path)
        elif verdict is Verdict.REFUSE:
            refused[file_names.readable(path.name)] = reason
            say_once(file_names.readable(path.name), reason)
    return sorted(paths, key=_age), refused


def say_once(name: str, reason: str) -> None:
    """Log the reason, once a process."""
    if (name, reason) not in _SAID:
        _SAID.add((name, reason))
        _log.warning("refused %r: %s", name, reason)


def _age(path: Path) -> tuple[float, str]:
    try:
        return path.lstat().st_mtime, path.name
    except OSError:
        return 0.0, path.name


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
