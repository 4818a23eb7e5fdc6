"""What the kernel tells of a folder: that a file was renamed into it, or closed after it had been written to.

Nothing rests on it: where the kernel cannot tell (another system, a network folder), who waits looks now and then.
"""

from __future__ import annotations

import ctypes
import os
import select
import time
from pathlib import Path

_CLOSE_WRITE, _MOVED_TO = 0x08, 0x80
_libc = ctypes.CDLL(None, use_errno=True)


class Notices:
    """A wait that ends when something has landed in ``folder`` since the last one; close it."""

    def __init__(self, folder: Path) -> None:
        self._handle = _watch(folder)

    def wait(self, seconds: float) -> bool:
        """Wait up to ``seconds``; whether something landed, as far as the kernel tells."""
        if self._handle is None:
            time.sleep(seconds)
            return False
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        if not poll.poll(seconds * 1000):
            return False
        os.read(self._handle, 1 << 16)
        return True

    def close(self) -> None:
        """Hear no more."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _watch(folder: Path) -> int | None:
    """A handle of inotify that becomes readable when something lands in ``folder``; None where there is none."""
    try:
        handle = int(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if handle < 0:
            return None
        if _libc.inotify_add_watch(handle, os.fsencode(folder), _CLOSE_WRITE | _MOVED_TO) < 0:
            os.close(handle)
            return None
    except AttributeError:
        return None
    return handle
