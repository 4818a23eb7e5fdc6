"""One member in a process of its own: ``python -m bench.peers.run NAME``.

It is spoken to in lines. It says ``{"missing": …, "version": …}``; is told a job, gets ready and says ``{"ready": …}``;
is told to go, loads, and says ``{"done": …}``; is told to end. What the peer itself prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from bench.peers.base import Job
from bench.peers.members import member


def main() -> int:
    """Play the part of one member; 1 when it failed, with the reason told."""
    told = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # a peer may print what it likes
    peer = member(sys.argv[1])
    missing = _missing(peer)
    _say(told, missing=missing)
    if missing or not (line := sys.stdin.readline()):
        return 0
    try:
        job = Job(**json.loads(line))
        Path(job.folder).mkdir(exist_ok=True)
        peer.warm(job)
        _say(told, ready=peer.version())
        sys.stdin.readline()
        peer.load(job)
        _say(told, done=True)
    except Exception as error:  # whatever a peer raises is its result
        _say(told, error=f"{type(error).__name__}: {error}"[:2000])
        return 1
    sys.stdin.readline()
    peer.close()
    return 0


def _missing(peer: Any) -> str:
    try:
        return str(peer.missing())
    except ImportError as error:
        return str(error)


def _say(told: TextIO, **words: object) -> None:
    told.write(json.dumps(words) + "\n")


if __name__ == "__main__":
    sys.exit(main())
