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
        digest, count, most = hashlib.sha256(), 0, min(_BLOCK, before.st_size + 1)
        while block := file.read(most):
            digest.update(block)
            count += len(block)
            if len(block) < most:  # of a regular file: its end
                break
        if identity_of(before) != identity_of(os.fstat(handle)) or count != before.st_size:
            raise ChangedError
    landed_at = datetime.fromtimestamp(before.st_ctime, UTC)
    return Fingerprint(digest.hexdigest(), identity_of(before), count, landed_at)


def identity_of(found: os.stat_result) -> tuple[int, int, int, int]:
    """Which file it is, and what changes when it is written to."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class Found(NamedTuple):
    """A file of incoming that was read."""

    path: Path
    fingerprint: Fingerprint

    @property
    def name(self) -> str:
        """Its name as the ledger writes it."""
        return file_names.readable(self.path.name)

    @property
    def sha256(self) -> str:
        """The hash of its bytes."""
        return self.fingerprint.sha256


class Entered(NamedTuple):
    """A file that is in the ledger: its ``path`` there is where it lies for good; it goes by way of ``target``."""

    file_id: int
    path: str
    target: Path
    outcome: str = "landed"

    @property
    def is_duplicate(self) -> bool:
        """Whether another file of these bytes is landed or loaded."""
        return self.outcome == "duplicate"


def landed(processing: Path, file_id: int, found: Found) -> Entered:
    """The file as one that is to be loaded; ``processing`` is the folder."""
    basename = str(file_names.make(file_id, found.sha256, found.path.name))
    return Entered(file_id, f"processing/{basename}", processing / basename)


def duplicate(processing: Path, file_id: int, found: Found, day: str) -> Entered:
    """The file as one that is put away at once; all go by way of processing, which is tidied."""
    basename = str(file_names.make(file_id, found.sha256, found.path.name))
    return Entered(file_id, f"archive/duplicate/{day}/{basename}", processing / basename, "duplicate")


def enter(settings: Settings, connection: Connection, found: Found) -> Entered:
    """Enter one file; ``connection`` is in a transaction, whose end decides.

    Waits for whoever ends a file of the same bytes; raises LockNotAvailable when that takes too long.
    """
    values = values_of(settings, found)
    entered = _enter(settings, connection, found, values)
    queries.run(connection, "ledger/files.bind_insistence", file_id=entered.file_id, **values)
    return entered


def values_of(settings: Settings, found: Found) -> dict[str, Any]:
    """What the ledger notes of the file before it has an id."""
    return {
        "name": found.name,
        "sha256": found.sha256,
        "bytes": found.fingerprint.bytes,
        "landed_at": found.fingerprint.landed_at,
        "lane": lanes.lane_of(settings, found.path.name, found.fingerprint.bytes),
    }


def _enter(settings: Settings, connection: Connection, found: Found, values: dict[str, Any]) -> Entered:
    while True:
        if (row := queries.one(connection, "ledger/files.insert_landed", **values)) is not None:
            queries.run(connection, "ledger/files.adopt_duplicates", **values, **row)
            return _at_place(connection, landed(settings.processing_dir, row["file_id"], found))
        # The file that has the bytes may have ended since the insert looked: then look again.
        same = queries.one(connection, "ledger/files.find_same_bytes", **values)
        if same is not None and (
            same["state"] == "landed" or queries.one(connection, "ledger/files.touch_loaded", **same)
        ):
            break
    if _lost(settings, connection, same):
        place = settings.home_dir / same["path"]
        return Entered(same["file_id"], same["path"], place, "landed again: its file was lost")
    row = queries.row(connection, "ledger/files.insert_duplicate", **values, duplicate_of=same["file_id"])
    return _at_place(connection, duplicate(settings.processing_dir, row["file_id"], found, row["day"]))


def _at_place(connection: Connection, entered: Entered) -> Entered:
    queries.run(connection, "ledger/files.set_path", file_id=entered.file_id, path=entered.path)
    return entered


def _lost(settings: Settings, connection: Connection, same: dict[str, Any]) -> bool:
    """Whether the landed file with these bytes is gone, and no task has it: this one takes its place."""
    if same["state"] != "landed" or archive.where(settings.home_dir, same["path"]).exists():
        return False
    locked = queries.one(connection, "ledger/files.lock_landed", file_id=same["file_id"])
    return locked is not None and not archive.where(settings.home_dir, same["path"]).exists()
