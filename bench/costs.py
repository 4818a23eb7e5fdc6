"""What an action costs the machine: seconds, CPU of this process and of the server's, bytes of WAL."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bench import cpu
from bench.server import Bench

_WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS bytes"


def told(what: str, measure: Callable[..., dict[str, Any]], *asked: Any) -> dict[str, Any]:
    """What was measured, printed as soon as it is known."""
    found = measure(*asked)
    print(f"{what}: {found}", flush=True)
    return found


def timed(action: Callable[..., Any], *asked: Any) -> tuple[float, Any]:
    """Seconds, and what it returned."""
    started = time.monotonic()
    found = action(*asked)
    return time.monotonic() - started, found


def costs(server: Bench, action: Callable[..., Any], *asked: Any) -> tuple[dict[str, float], Any]:
    """Seconds, CPU seconds of this process and of the server's, bytes of WAL; and what the action returned."""
    used, own, wal = cpu.seconds(server.pid), time.process_time(), _wal(server)
    seconds, found = timed(action, *asked)
    return {
        "seconds": seconds,
        "server_cpu": cpu.seconds(server.pid) - used,
        "client_cpu": time.process_time() - own,
        "wal": _wal(server) - wal,
    }, found


def _wal(server: Bench) -> int:
    return int(server.one(_WAL)["bytes"])
