"""Logs that others append to: their end, and keeping them from growing for ever."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

# Of the launcher's own log and of PostgreSQL's.
MOST_BYTES = 10_000_000
KEPT = 3
_LOOK_SECONDS = 30.0


def tail(path: Path, lines: int = 15) -> str:
    """The end of a log."""
    if not path.exists():
        return "(no log)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def rotate(path: Path, most: int = 50_000_000, keep: int = 1) -> bool:
    """When it is larger than ``most`` bytes, its old part moves to ``<name>.1``; whether it was.

    What was there before moves on to ``<name>.2``, up to ``keep``. Raises OSError when the disk is full: then the log
    is as it was.
    """
    if not path.exists() or path.stat().st_size <= most:
        return False
    making = path.with_name(f"{path.name}.making")
    try:
        # Copied and emptied, not renamed: whoever writes it goes on appending to the same file.
        shutil.copyfile(path, making)
    except OSError:
        making.unlink(missing_ok=True)
        raise
    for number in range(keep - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    making.replace(path.with_name(f"{path.name}.1"))
    os.truncate(path, 0)
    return True


class Rotation:
    """Looks at some logs now and then."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)
        self._look_at = 0.0

    def look(self) -> list[Path]:
        """Rotate what has grown too large; which that were. A disk without room is asked again later."""
        if time.monotonic() < self._look_at:
            return []
        self._look_at = time.monotonic() + _LOOK_SECONDS
        return [path for path in self._paths if _rotated(path)]


def _rotated(path: Path) -> bool:
    try:
        return rotate(path, MOST_BYTES, KEPT)
    except OSError:
        return False
