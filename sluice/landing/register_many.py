"""Entering many files in the ledger at once, by a few statements.

Only what needs no waiting and no second look is entered: new bytes, and duplicates of files that are there. The others
are left to ``register.enter``, one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import psycopg

from sluice.base import queries
from sluice.base.settings import Settings
from sluice.landing import register
from sluice.landing.register import Entered, Found
from sluice.ledger import archive

Connection = psycopg.Connection[dict[str, Any]]
Entries = list[tuple[Found, Entered]]
_Rows = list[tuple[Found, dict[str, Any]]]


def enter(settings: Settings, connection: Connection, files: Iterable[Found]) -> Entries:
    """Enter those of ``files`` that can be entered at once; ``connection`` is in a transaction, whose end decides.

    Raises LockNotAvailable or DeadlockDetected when another transaction holds what one of the files needs.
    """
    rows = list(_of_different_names(settings, files))
    landed, others = _enter_new(settings, connection, rows)
    _adopt(connection, landed)
    entries = landed + _enter_duplicates(settings, connection, others, {entered.file_id for _, entered in landed})
    file_ids = [entered.file_id for _, entered in entries]
    paths = [entered.path for _, entered in entries]
    queries.run(connection, "ledger/files.set_paths", file_ids=file_ids, paths=paths)
    wishes = {"names": [found.name for found, _ in entries], "sha256s": [found.sha256 for found, _ in entries]}
    queries.run(connection, "ledger/files.bind_insistences", file_ids=file_ids, **wishes)
    return entries


def _of_different_names(settings: Settings, files: Iterable[Found]) -> Iterator[tuple[Found, dict[str, Any]]]:
    """The second of two names that are one as text is left out: it may have to join the lane of the first."""
    seen = set()
    for found in files:
        if found.name not in seen:
            seen.add(found.name)
            yield found, register.values_of(settings, found)


def _enter_new(settings: Settings, connection: Connection, rows: _Rows) -> tuple[Entries, _Rows]:
    """What was entered as landed, and the rows whose bytes another file has; of the same bytes the first is entered."""
    new = queries.all(connection, "ledger/files.insert_many_landed", **_columns(rows))
    file_ids = {row["sha256"]: row["file_id"] for row in new}
    processing = settings.processing_dir
    landed, others = [], []
    for found, values in rows:
        if (file_id := file_ids.pop(found.sha256, None)) is None:
            others.append((found, values))
        else:
            landed.append((found, register.landed(processing, file_id, found)))
    return landed, others


def _adopt(connection: Connection, landed: Entries) -> None:
    """Duplicates whose original had ended without an heir have one again."""
    heirs = {found.sha256: entered.file_id for found, entered in landed}
    if orphans := queries.all(connection, "ledger/files.find_duplicates", sha256s=list(heirs)):
        originals = [heirs[row["sha256"]] for row in orphans]
        file_ids = [row["file_id"] for row in orphans]
        queries.run(connection, "ledger/files.set_originals", file_ids=file_ids, originals=originals)


def _enter_duplicates(settings: Settings, connection: Connection, rows: _Rows, new: set[int]) -> Entries:
    if not rows:
        return []
    originals = _originals(settings, connection, sorted({found.sha256 for found, _ in rows}), new)
    rows = [(found, values) for found, values in rows if found.sha256 in originals]
    columns = _columns(rows) | {"originals": [originals[found.sha256] for found, _ in rows]}
    processing = settings.processing_dir
    made = {row["name"]: row for row in queries.all(connection, "ledger/files.insert_many_duplicates", **columns)}
    return [
        (found, register.duplicate(processing, made[found.name]["file_id"], found, made[found.name]["day"]))
        for found, _ in rows
    ]


def _originals(settings: Settings, connection: Connection, sha256s: list[str], new: set[int]) -> dict[str, int]:
    """The file that has each of these bytes and cannot end before this transaction does; the others are left out."""
    same = queries.all(connection, "ledger/files.find_many_same_bytes", sha256s=sha256s)
    home = settings.home_dir
    loaded = [row["file_id"] for row in same if row["state"] == "loaded"]
    sure = new | {row["file_id"] for row in queries.all(connection, "ledger/files.touch_many_loaded", file_ids=loaded)}
    return {
        row["sha256"]: row["file_id"]
        for row in same
        if row["file_id"] in sure or (row["state"] == "landed" and archive.where(home, row["path"]).exists())
    }


def _columns(rows: _Rows) -> dict[str, list[Any]]:
    names = {"names": "name", "sha256s": "sha256", "sizes": "bytes", "landed_ats": "landed_at", "lanes": "lane"}
    return {column: [values[name] for _, values in rows] for column, name in names.items()}
