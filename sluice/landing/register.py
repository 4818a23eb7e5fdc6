"""Entering a file in the ledger: as landed, as the duplicate of another, or in the place of one that was lost."""

from __future__ import annotations

import hashlib
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from sluice.base import queries
from sluice.base.settings import Settings
from sluice.landing import predicate
from sluice.ledger import archive, file_names, lanes

Connection = psycopg.Connection[dict[str, Any]]
_BLOCK = 1024 * 1024


class ChangedError(Exception):
    """The file changed while it was hashed."""


class Fingerprint(NamedTuple):
    """What a file was while it was hashed: ``identity_of`` it, its size in bytes, and when it landed."""

    sha256: str
    identity: tuple[int, int, int, int]
    bytes: int
    landed_at: datetime


def fingerprint_of(path: Path) -> Fingerprint:
    """Read the whole file; raises ChangedError when it does not hold still, OSError when it cannot be read."""
    handle = predicate.open_to_read(path)
    with open(handle, "rb", buffering=0) as file:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            raise ChangedError
        digest, count = hashlib.sha256(), 0
        while block := file.read(_BLOCK):
            digest.update(block)
            count += len(block)
        if identity_of(before) != identity_of(os.fstat(handle)) or count != before.st_size:
            raise ChangedError
    landed_at = datetime.fromtimestamp(before.st_ctime, UTC)
    return Fingerprint(digest.hexdigest(), identity_of(before), count, landed_at)


def identity_of(found: os.stat_result) -> tuple[int, int, int, int]:
    """Which file it is, and what changes when it is written to."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class Entered(NamedTuple):
    """A file that is in the ledger: where it goes first, and what it is there."""

    file_id: int
    target: Path
    outcome: str
    is_duplicate: bool = False


def enter(settings: Settings, connection: Connection, name: str, fingerprint: Fingerprint) -> Entered:
    """Enter the file that landed as ``name``; ``connection`` is in a transaction, whose end decides."""
    values = {
        "name": file_names.readable(name),
        "sha256": fingerprint.sha256,
        "bytes": fingerprint.bytes,
        "landed_at": fingerprint.landed_at,
        "lane": lanes.lane_of(settings, name, fingerprint.bytes),
    }
    while True:
        if (row := queries.one(connection, "ledger/files.insert_landed", **values)) is not None:
            queries.run(connection, "ledger/files.adopt_duplicates", **values, **row)
            target = _place(settings, connection, row["file_id"], fingerprint, name, settings.processing_dir)
            return Entered(row["file_id"], target, "landed")
        # The file that has the bytes may have ended since the insert looked: then look again.
        same = queries.one(connection, "ledger/files.find_same_bytes", **values)
        if same is not None and (
            same["state"] == "landed" or queries.one(connection, "ledger/files.touch_loaded", **same)
        ):
            break
    if _lost(settings, connection, same):
        return Entered(same["file_id"], settings.home_dir / same["path"], "landed again: its file was lost")
    row = queries.row(connection, "ledger/files.insert_duplicate", **values, duplicate_of=same["file_id"])
    folder = settings.archive_dir / "duplicate" / row["day"]
    target = _place(settings, connection, row["file_id"], fingerprint, name, folder)
    return Entered(row["file_id"], target, "duplicate", is_duplicate=True)


def _place(
    settings: Settings, connection: Connection, file_id: int, fingerprint: Fingerprint, name: str, folder: Path
) -> Path:
    """The ledger says the place where the file will lie for good; all go by way of processing, which is tidied."""
    basename = str(file_names.make(file_id, fingerprint.sha256, name))
    relative = str((folder / basename).relative_to(settings.home_dir))
    queries.run(connection, "ledger/files.set_path", file_id=file_id, path=relative)
    return settings.processing_dir / basename


def _lost(settings: Settings, connection: Connection, same: dict[str, Any]) -> bool:
    """Whether the landed file with these bytes is gone, and no task has it: this one takes its place."""
    if same["state"] != "landed" or archive.where(settings.home_dir, same["path"]).exists():
        return False
    locked = queries.one(connection, "ledger/files.lock_landed", file_id=same["file_id"])
    return locked is not None and not archive.where(settings.home_dir, same["path"]).exists()
