"""A folder for what does not fit into memory: this user's alone, under a name that nobody can guess, gone in the end.

Spark's workers leave without any cleaning up, and any process may be killed; so each holds a lock in its folder, and
the next one that needs a folder removes those whose lock nobody holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

_PREFIX = "sluice-judge-"
_LOCK = "lock"
# One that is younger may not have got as far as its lock.
_YOUNG_SECONDS = 60.0


class Spill:
    """The folder, from now until ``close``; ``path`` in it does not exist yet and is made by whoever needs it."""

    def __init__(self) -> None:
        _sweep()
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = os.open(self._folder / _LOCK, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path = self._folder / "spilled"

    def close(self) -> None:
        """Remove it with everything in it; a second time does nothing."""
        if self._lock >= 0:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


def _sweep() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Somebody else's, or gone meanwhile.
        with contextlib.suppress(OSError):
            if _is_left_behind(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_left_behind(folder: Path) -> bool:
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.geteuid() or abs(time.time() - found.st_mtime) < _YOUNG_SECONDS:
        return False
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
