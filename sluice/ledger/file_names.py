"""The name of a landed file in processing and in the archive: made and parsed here, and nowhere else.

``<file_id>-<12 digits of its sha256>-<the name that it landed with, in safe characters>``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import psycopg

from sluice.base import queries

Connection = psycopg.Connection[dict[str, Any]]

_DIGITS = 12
_LONGEST = 150
_SHAPE = re.compile(rf"([1-9][0-9]{{0,17}})-([0-9a-f]{{{_DIGITS}}})-(.+)", re.DOTALL)


class FileName(NamedTuple):
    """The parts of such a name; ``str`` puts them together, ``parse`` takes them apart."""

    file_id: int
    digits: str
    landed_name: str

    def __str__(self) -> str:
        return f"{self.file_id}-{self.digits}-{self.landed_name}"

    def is_of(self, sha256: str) -> bool:
        """Whether a file with these bytes may have this name."""
        return sha256.startswith(self.digits)


def make(file_id: int, sha256: str, landed_name: str) -> FileName:
    """The name of file ``file_id``; of ``landed_name`` it keeps the end, and only characters that are safe anywhere."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", landed_name)[-_LONGEST:]
    return FileName(file_id, sha256[:_DIGITS], f"{'x' if safe[0] in '._-' else ''}{safe}")


def parse(basename: str) -> FileName | None:
    """The parts of ``basename``; None when it is no name of ours."""
    match = _SHAPE.fullmatch(basename)
    return FileName(int(match[1]), match[2], match[3]) if match else None


def to_land_as(name: str | None, basename: str) -> str:
    """What a file whose basename here is ``basename`` lands as again: its ``name`` in the ledger, if that is known and
    not escaped; otherwise what the basename keeps of it."""
    if name is not None and name == os.path.basename(name) and "\\" not in name:
        return name
    parts = parse(basename)
    return parts.landed_name if parts else basename


def known(connection: Connection, basenames: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The ledger's file_id, name, sha256, state and path of these names: file_id and the hash's digits both agree.

    Costs one query. A name that the ledger does not know, or that is none of ours, is left out.
    """
    names = {basename: name for basename in basenames if (name := parse(basename))}
    if not names:
        return {}
    rows = queries.all(connection, "ledger/files.find_known", file_ids=[name.file_id for name in names.values()])
    by_id = {row["file_id"]: row for row in rows}
    return {
        basename: by_id[name.file_id]
        for basename, name in names.items()
        if name.file_id in by_id and name.is_of(by_id[name.file_id]["sha256"])
    }


def waiting(connection: Connection, basenames: Iterable[str]) -> set[str]:
    """Those of these names that are of files which wait to be loaded; costs one query."""
    names = {basename: name for basename in basenames if (name := parse(basename))}
    file_ids = " ".join(str(name.file_id) for name in names.values())
    marks = queries.row(connection, "ledger/files.find_waiting_marks", file_ids=file_ids, digits=_DIGITS)["marks"]
    known = set((marks or "").split())
    return {basename for basename, name in names.items() if f"{name.file_id}-{name.digits}" in known}


def readable(name: str) -> str:
    """A file's name as text: bytes that are not UTF-8 are escaped with backslashes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
