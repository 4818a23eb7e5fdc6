"""Named places where a test may kill this very process, once."""

from __future__ import annotations

import os
import signal


def crash_point(name: str) -> None:
    """Die by SIGKILL here when SLUICE_CRASH_AT is ``name`` and the file SLUICE_CRASH_ONCE names does not exist yet.

    The file is created first, so that the process that comes after passes. Without the variables this does nothing.
    """
    if os.environ.get("SLUICE_CRASH_AT") != name:
        return
    try:
        os.close(os.open(os.environ["SLUICE_CRASH_ONCE"], os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
