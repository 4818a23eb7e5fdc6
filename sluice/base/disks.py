"""Which disk is full: what an error that says only "no space left on device" leaves open."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sluice.base.settings import Settings

# PostgreSQL writes its log in segments of 16 MB: with less than two left, the next one may not fit.
FULL_BYTES = 32 << 20


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


def full(where: Mapping[str, Path]) -> list[str]:
    """The disks of ``where`` that are full, in words, one entry a disk; folders that are not there are passed over."""
    found: dict[int, str] = {}
    for what, folder in where.items():
        try:
            device, disk = folder.stat().st_dev, os.statvfs(folder)
        except OSError:
            continue
        free = disk.f_bavail * disk.f_frsize
        if free < FULL_BYTES:
            found.setdefault(device, f"the disk of {what} ({folder}) is full: {free / 1e6:.1f} MB left")
        elif disk.f_files and not disk.f_favail:
            found.setdefault(device, f"the disk of {what} ({folder}) can hold no more files")
    return list(found.values())
