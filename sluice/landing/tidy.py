"""Tidying processing: what a process that died has left there, unknown to the ledger or finished."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from sluice.base import permissions, queries
from sluice.base.renaming import rename_if_free
from sluice.base.settings import Settings
from sluice.landing import folders, incoming
from sluice.ledger import file_names

Connection = psycopg.Connection[dict[str, Any]]
_PAGE = 1000
_log = logging.getLogger(__name__)


class Tidied(NamedTuple):
    """Names in incoming of what went back there, and names in processing of what went on to its place."""

    returned: list[str]
    finished: list[str]


def tidy(settings: Settings, connection: Connection) -> Tidied:
    """Return to incoming what the ledger does not know, and move on what it says is finished."""
    result = Tidied([], [])
    for names in _pages(_ours(settings)):
        unknown, finished = _to_tidy(connection, names)
        for name in unknown:
            with contextlib.suppress(FileNotFoundError):
                back = return_to_incoming(settings, name)
                result.returned.append(back)
                _log.warning("returned %r to incoming as %r: the ledger does not know it", name, back)
        for name, target in finish(settings, connection, finished):
            result.finished.append(name)
            _log.info("moved %r to %r: the ledger says %s", name, str(target), finished[name]["state"])
    return result


def finish(settings: Settings, connection: Connection, files: dict[str, dict[str, Any]]) -> Iterator[tuple[str, Path]]:
    """Move finished files, rows of the ledger by their names in processing, to where the ledger has them.

    Each that was moved, with its new place. None is while the folders are not there.
    """
    home = settings.home_dir
    for names in _pages(files):
        if folders.problem(settings, connection):
            return
        targets = {name: home / files[name]["path"] for name in names}
        for folder in {target.parent for target in targets.values()}:
            permissions.make_folder(folder, settings)
        for name, target in targets.items():
            with contextlib.suppress(FileNotFoundError):
                if place := _finish(settings, connection, home / "processing" / name, target, files[name]):
                    yield name, place


def _finish(settings: Settings, connection: Connection, source: Path, target: Path, row: dict[str, Any]) -> Path | None:
    if target.parent == source.parent:
        return None
    is_done, goes_back = rename_if_free(source, target), row["path"].startswith("incoming/")
    if not is_done and goes_back:
        # A new file has that name. The ledger says another one first, then the file goes there.
        target = target.with_name(incoming.free_name(settings, row["name"]))
        queries.run(connection, "ledger/files.set_path", file_id=row["file_id"], path=f"incoming/{target.name}")
        is_done = rename_if_free(source, target)
    if is_done and goes_back:
        # It was written to after it had been registered: who did that may not be done, so that it has to settle.
        with contextlib.suppress(OSError):  # a mover was faster, or it is another user's file
            os.utime(target)
    if not is_done:
        incoming.say_once(
            source.name, f"it is {row['state']}, but {row['path']} exists already: compare the two and delete one"
        )
    return target if is_done else None


def strays(settings: Settings, connection: Connection, older_than_seconds: float = 10.0) -> list[str]:
    """Names in processing that a mover should tidy: unknown to the ledger, or finished there, and not just now."""
    found = []
    for names in _pages(_ours(settings)):
        unknown, finished = _to_tidy(connection, names)
        found += [*unknown, *finished]
    return [name for name in found if _unchanged_for(settings.processing_dir / name, older_than_seconds)]


def return_to_incoming(settings: Settings, basename: str) -> str:
    """Put ``processing/<basename>`` back in incoming and return its name there; nothing is ever overwritten.

    The name is the landed one as far as the basename keeps it, with ``returned-<n>-`` before it when it is taken.
    Raises FileNotFoundError when the file is not in processing.
    """
    parts = file_names.parse(basename)
    return incoming.return_as(settings, settings.processing_dir / basename, parts.landed_name if parts else basename)


def _to_tidy(connection: Connection, names: list[str]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Which of these names in processing the ledger does not know, and its rows of those that are finished."""
    waiting = file_names.waiting(connection, names)
    others = [name for name in names if name not in waiting]
    known = file_names.known(connection, others)
    finished = {name: row for name, row in known.items() if row["state"] != "landed"}
    return [name for name in others if name not in known], finished


def _pages(names: Iterable[str]) -> Iterator[list[str]]:
    """The names, so many at a time that rows of the ledger for all of them fit into memory."""
    rest = iter(names)
    while page := list(itertools.islice(rest, _PAGE)):
        yield page


def _ours(settings: Settings) -> Iterator[str]:
    with os.scandir(settings.processing_dir) as entries:
        yield from (entry.name for entry in entries if file_names.parse(entry.name))


def _unchanged_for(path: Path, seconds: float) -> bool:
    try:
        return time.time() - path.lstat().st_ctime >= seconds
    except OSError:
        return False
