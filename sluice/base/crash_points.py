"""Named places where a test may kill this very process, once each. docs/protocol.md says what a kill there leaves."""

from __future__ import annotations

import fcntl
import os
import signal


def crash_point(name: str) -> None:
    """Die by SIGKILL here when SLUICE_CRASH_AT names this place and the file SLUICE_CRASH_ONCE does not yet.

    SLUICE_CRASH_AT is one name, or several with commas between them. The name is written to the file first, so that the
    process that comes after passes. Without the variables this does nothing.
    """
    if name not in os.environ.get("SLUICE_CRASH_AT", "").split(","):
        return
    with open(os.environ["SLUICE_CRASH_ONCE"], "a+") as died:
        fcntl.flock(died, fcntl.LOCK_EX)
        died.seek(0)
        if name in died.read().split():
            return
        print(name, file=died, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
