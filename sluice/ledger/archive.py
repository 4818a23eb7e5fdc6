"""What lies in the archive: one file found by its name, and the files on which the ledger disagrees."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from sluice.base.settings import Settings
from sluice.ledger import file_names

Connection = psycopg.Connection[dict[str, Any]]

_PAGE = 1000


class Apart(NamedTuple):
    """An archived file on which the ledger disagrees. ``state`` is the ledger's; None: it does not know the file."""

    path: Path
    file_id: int
    state: str | None

    def __str__(self) -> str:
        if self.state is None:
            return (
                f"{self.path} is in the archive, but the ledger does not know it: with the pipeline stopped, "
                "`python -m sluice reland` lands it again"
            )
        return f"{self.path} is in the archive, but file {self.file_id} is {self.state} and has its place elsewhere"


def find(settings: Settings, basename: str) -> Path | None:
    """The archived file of this name, which carries file_id and digits of the hash; the newest, None without any."""
    places = (day / basename for day in sorted(_days(settings), key=lambda day: day.name, reverse=True))
    return next((place for place in places if place.is_file() and not place.is_symlink()), None)


def where(home: Path, path: str) -> Path:
    """Where the file of this path in the ledger lies: there, or still in processing, from where it goes there next."""
    place, left = home / path, home / "processing" / Path(path).name
    return left if not place.exists() and left.exists() else place


def apart_from_ledger(settings: Settings, connection: Connection, older_than_seconds: float = 10.0) -> list[Apart]:
    """Archived files that the ledger does not know, or has elsewhere: the ledger is older than they are.

    Only files that have not been moved for ``older_than_seconds``: a move that is under way is none of them.
    ``connection`` must see what commits meanwhile (autocommit). Costs one look at each folder, and one query for
    every thousand files.
    """
    files = (path for day in sorted(_days(settings)) for path in _files(day))
    apart = []
    while page := list(itertools.islice(files, _PAGE)):
        apart += [each for each in _apart(settings, connection, page) if _rests(each.path, older_than_seconds)]
    return apart


def _apart(settings: Settings, connection: Connection, paths: list[Path]) -> Iterator[Apart]:
    known = file_names.known(connection, [path.name for path in paths])
    for path in paths:
        row, name = known.get(path.name), file_names.parse(path.name)
        if row is None and name is not None:
            yield Apart(path, name.file_id, None)
        elif row is not None and settings.home_dir / row["path"] != path:
            yield Apart(path, row["file_id"], row["state"])


def _days(settings: Settings) -> Iterator[Path]:
    """The folders archive/<state>/<day>."""
    for state in _folders(settings.archive_dir):
        yield from _folders(state)


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_file(follow_symlinks=False))
    except FileNotFoundError:
        return []


def _rests(path: Path, seconds: float) -> bool:
    try:
        return time.time() - path.lstat().st_ctime >= seconds
    except OSError:
        return False
