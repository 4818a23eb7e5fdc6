"""What lies in the archive: one file found by its name, and the files on which the ledger disagrees."""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from sluice.base import database
from sluice.base.settings import Settings

Connection = psycopg.Connection[dict[str, Any]]

_NAME = re.compile(r"(\d{1,18})-([0-9a-f]{12})-.+", re.DOTALL)
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
    found = []
    while page := list(itertools.islice(files, _PAGE)):
        found += [apart for apart in _apart(settings, connection, page) if _rests(apart.path, older_than_seconds)]
    return found


def _apart(settings: Settings, connection: Connection, paths: list[Path]) -> Iterator[Apart]:
    parts = {path: match.groups() for path in paths if (match := _NAME.fullmatch(path.name))}
    query: Any = database.queries("ledger/folders")["known"]
    file_ids = [int(number) for number, _ in parts.values()]
    rows = {row["file_id"]: row for row in connection.execute(query, {"file_ids": file_ids})}
    for path, (number, digits) in parts.items():
        row = rows.get(int(number))
        if row is None or not row["sha256"].startswith(digits):
            yield Apart(path, int(number), None)
        elif settings.home_dir / row["path"] != path:
            yield Apart(path, int(number), row["state"])


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
