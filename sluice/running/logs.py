"""Logs that others append to: their end, and keeping them from growing for ever."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def tail(path: Path, lines: int = 15) -> str:
    """The end of a log."""
    if not path.exists():
        return "(no log)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def rotate(path: Path, most: int = 50_000_000) -> None:
    """When it is larger than ``most`` bytes, its old part moves to ``<name>.1``; OSError when the disk is full."""
    if path.exists() and path.stat().st_size > most:
        # Copied and emptied, not renamed: whoever writes it goes on appending to the same file.
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)
