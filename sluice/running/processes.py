"""Processes of one pipeline: marked by their environment, found in /proc, ended by process id, never by name."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import psutil

MARK = "SLUICE_INSTANCE"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def mark(home: Path) -> dict[str, str]:
    """What a process carries in its environment to be known as one of the pipeline whose state is in ``home``.

    SPT_NOENV keeps setproctitle, which Airflow calls, from writing its titles over that environment.
    """
    return {MARK: str(home), "SPT_NOENV": "1"}


def members(home: Path, besides: Collection[int] = (), leaders: Collection[int] = ()) -> list[psutil.Process]:
    """Living processes that carry the mark of ``home``; never this process nor one of ``besides``.

    Airflow hides the environment of its workers, so whoever is not root finds these by their session: that of one of
    ``leaders``, process ids of those that the launcher has started, alive or not.
    """
    wanted = f"{MARK}={home}".encode()
    living = []
    for pid in psutil.pids():
        if pid == os.getpid() or pid in besides:
            continue
        try:
            if _is_marked(pid, wanted, leaders):
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    living.append(process)
        except (OSError, psutil.Error):
            continue
    return living


def _is_marked(pid: int, wanted: bytes, leaders: Collection[int]) -> bool:
    try:
        return wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except PermissionError:
        return os.getsid(pid) in leaders and psutil.Process(pid).uids().real == os.getuid()


def session(leader: int) -> list[psutil.Process]:
    """Living processes of the session that ``leader`` began, also after its death."""
    living = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == leader:
                living.append(psutil.Process(pid))
        except (OSError, psutil.Error):
            continue
    return [process for process in living if _lives(process)]


def end(processes: Iterable[psutil.Process], how: signal.Signals, timeout: float) -> list[psutil.Process]:
    """Signal ``processes`` and wait for their end for up to ``timeout`` seconds; return those that still live."""
    left = list(processes)
    for process in left:
        try:
            process.send_signal(how)
        except psutil.Error:
            continue
    deadline = time.monotonic() + timeout
    while True:
        reap()
        left = [process for process in left if _lives(process)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def follow_parent(how: signal.Signals) -> Callable[[], None]:
    """A function for ``preexec_fn``: the kernel sends ``how`` to the child when the thread that made it dies."""

    def ask() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, how.value, 0, 0, 0)

    return ask


def adopt_orphans() -> None:
    """From now on, a descendant whose parent dies becomes a child of this process instead of init's."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap(known: Iterable[subprocess.Popen[bytes]] = ()) -> None:
    """Collect adopted orphans that ended; those of ``known`` keep their exit status for their Popen."""
    mine = {process.pid: process for process in known}
    for process in mine.values():
        process.poll()
    with contextlib.suppress(ChildProcessError):  # there is no child at all
        # Asked five times a second: a look at each process of the machine would cost more than all else here.
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid not in mine:
            os.waitpid(ended.si_pid, os.WNOHANG)
