"""Ending everything that belongs to a pipeline, also when its launcher is dead: nothing may stay behind.

Run as a program (``python -m sluice.running.shutdown HOME``) it is the launcher's guard: it waits until its standard
input closes, which it does however the launcher ends, and then ends whatever the launcher left.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg

from sluice.base import database
from sluice.base.settings import load
from sluice.ledger import leases
from sluice.running import embedded, processes
from sluice.running.instance import Instance, Running

STREAM_SECONDS = 20.0
TERM_SECONDS = 6.0
API_SECONDS = 3.0


def end_everything(instance: Instance, say: Callable[[str], None], besides: Collection[int] = ()) -> int:
    """End all processes of ``instance`` but this one and ``besides``; return how many were found.

    In this order: the scheduler is told to stop, so that nothing new begins; the stream is asked in the ledger to end
    what it does; tasks and the rest are told to end (SIGTERM) while the api-server still hears how they ended; then
    whoever is left is made to end (SIGKILL); PostgreSQL goes last.
    """
    pgdata = instance.postgres_dir / "pgdata"
    server = embedded.running(pgdata)
    kept = {*besides, *_tree(server)}
    said = instance.last_said() or Running(pid=0, started_at=0)
    leaders = said.pids.values()
    found = processes.members(instance.home, kept, leaders)
    if found:
        scheduler, api_server = said.pids.get("scheduler"), said.pids.get("api-server", 0)
        processes.end([process for process in found if process.pid == scheduler], signal.SIGTERM, 0)
        if server is not None or instance.settings.database_url:
            _end_stream(instance, said.postgres_port, say)
        processes.end(processes.members(instance.home, {*kept, api_server}, leaders), signal.SIGTERM, TERM_SECONDS)
        processes.end(processes.members(instance.home, kept, leaders), signal.SIGTERM, API_SECONDS)
        _kill_rest(instance, kept, leaders)
    if server is not None:
        say("stopping PostgreSQL …")
        embedded.stop_running(pgdata)
    return len(found) + (server is not None)


def _end_stream(instance: Instance, port: int, say: Callable[[str], None]) -> None:
    """Ask the living stream to stop and wait until it has; a ledger that does not answer is passed over.

    One that is only submitted, or whose process is gone, will not answer: nobody waits for it.
    """
    with contextlib.suppress(psycopg.Error), database.connect(instance.with_urls(port).owner_dsn) as connection:
        epoch = leases.request_stop(connection)
        if epoch is None:
            return
        say(f"stream {epoch} was asked to end what it does (up to {STREAM_SECONDS:g} s) …")
        deadline = time.monotonic() + STREAM_SECONDS
        while time.monotonic() < deadline:
            row = leases.living(connection)
            if row is None or row["epoch"] != epoch or not row["started_at"] or not psutil.pid_exists(row["pid"]):
                return
            processes.reap()
            time.sleep(0.2)
        say(f"stream {epoch} did not end in time: it is ended by force, which loses nothing")


def _kill_rest(instance: Instance, kept: Collection[int], leaders: Collection[int]) -> None:
    """SIGKILL until nobody is left: what is killed may have begun another one just before."""
    deadline = time.monotonic() + TERM_SECONDS
    while rest := processes.members(instance.home, kept, leaders):
        processes.end(rest, signal.SIGKILL, 1)
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes {[process.pid for process in rest]} do not end, not even by SIGKILL")


def _tree(process: psutil.Process | None) -> set[int]:
    if process is None:
        return set()
    try:
        return {process.pid, *(child.pid for child in process.children(recursive=True))}
    except psutil.Error:
        return {process.pid}


def _guard(home: Path) -> None:
    for which in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(which, signal.SIG_IGN)
    sys.stdin.buffer.read()
    instance = Instance(replace(load(), home=str(home)))
    if end_everything(instance, lambda sentence: None, besides=[os.getpid()]):
        print("the launcher died: the guard has ended what it left behind", flush=True)


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))
