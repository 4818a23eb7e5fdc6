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
from sluice.running.instance import Instance
from sluice.running.pipeline import Pipeline, Running

STREAM_SECONDS = 20.0
TERM_SECONDS = 6.0
API_SECONDS = 3.0


def end_everything(instance: Instance, say: Callable[[str], None], besides: Collection[int] = ()) -> int:
    """End all processes of ``instance`` but this one and ``besides``, PostgreSQL last; return how many there were."""
    pgdata = instance.postgres_dir / "pgdata"
    server = embedded.running(pgdata)
    said = instance.last_said() or Running(pid=0, started_at=0)
    has_ledger = server is not None or bool(instance.settings.database_url)
    ended = end_processes(instance, said, say, {*besides, *_tree(server)}, has_ledger=has_ledger)
    if server is not None:
        say("stopping PostgreSQL …")
        embedded.stop_running(pgdata)
    return ended + (server is not None)


def end_processes(
    pipeline: Pipeline,
    said: Running,
    say: Callable[[str], None],
    kept: Collection[int] = (),
    *,
    has_ledger: bool = True,
) -> int:
    """End the processes of ``pipeline`` but this one and those ``kept``; return how many there were.

    In this order: the scheduler is told to stop, so that nothing new begins; the stream is asked in the ledger, if that
    answers, to end what it does; tasks and the rest are told to end (SIGTERM) while the api-server still hears how they
    ended; then whoever is left is made to end (SIGKILL). ``said`` is what the launcher said last.
    """
    leaders = said.pids.values()
    living = processes.members(pipeline.home, kept, leaders)
    if living:
        scheduler, api_server = said.pids.get("scheduler"), said.pids.get("api-server", 0)
        processes.end([process for process in living if process.pid == scheduler], signal.SIGTERM, 0)
        if has_ledger:
            _end_stream(pipeline, said.postgres_port, say)
        processes.end(processes.members(pipeline.home, {*kept, api_server}, leaders), signal.SIGTERM, TERM_SECONDS)
        processes.end(processes.members(pipeline.home, kept, leaders), signal.SIGTERM, API_SECONDS)
        _kill_rest(pipeline, kept, leaders)
    return len(living)


def _end_stream(pipeline: Pipeline, port: int, say: Callable[[str], None]) -> None:
    """Ask the living stream to stop and wait until it has; a ledger that does not answer is passed over.

    One that is only submitted, or whose process is gone, will not answer: nobody waits for it.
    """
    with contextlib.suppress(psycopg.Error), database.connect(pipeline.with_urls(port).owner_dsn) as connection:
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


def _kill_rest(pipeline: Pipeline, kept: Collection[int], leaders: Collection[int]) -> None:
    """SIGKILL until nobody is left: what is killed may have begun another one just before."""
    deadline = time.monotonic() + TERM_SECONDS
    while rest := processes.members(pipeline.home, kept, leaders):
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
