"""Which disk is full: what an error that says only "no space left on device" leaves open."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sluice.base.settings import Settings

# PostgreSQL writes its log in segments of 16 MB: with less than two left, the next one may not fit.
FULL_BYTES = 32 << 20


@dataclass(frozen=True)
class Disk:
    """A disk, and the first of our folders that is on it; ``free`` is in bytes."""

    what: str
    folder: Path
    free: int
    holds_files: bool = True

    @property
    def is_full(self) -> bool:
        """Whether the next write may fail."""
        return self.free < FULL_BYTES or not self.holds_files


def folders(settings: Settings) -> dict[str, Path]:
    """What the pipeline writes on this machine, and where; a server elsewhere has its own disks."""
    return {
        "the database": settings.home_dir / "postgres",
        "the state folder": settings.home_dir,
        "landed files": settings.processing_dir,
        "the archive": settings.archive_dir,
        "the checkpoint": settings.checkpoint_dir,
        "temporary files": Path(tempfile.gettempdir()),
    }


def look(where: Mapping[str, Path]) -> list[Disk]:
    """The disks of ``where``, each once, by the first folder there that is on it; what is not there is passed over."""
    found: dict[int, Disk] = {}
    for what, folder in where.items():
        try:
            device, disk = folder.stat().st_dev, os.statvfs(folder)
        except OSError:
            continue
        holds_files = not disk.f_files or disk.f_favail > 0
        found.setdefault(device, Disk(what, folder, disk.f_bavail * disk.f_frsize, holds_files))
    return list(found.values())


def full(where: Mapping[str, Path]) -> list[str]:
    """The disks of ``where`` that are full, in words, one entry a disk."""
    return [
        f"the disk of {disk.what} ({disk.folder}) "
        + (f"is full: {disk.free / 1e6:.1f} MB left" if disk.free < FULL_BYTES else "can hold no more files")
        for disk in look(where)
        if disk.is_full
    ]
