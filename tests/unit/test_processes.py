"""Processes of a pipeline are found by their mark and ended by id; nobody else is touched."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from sluice.running import processes

WAIT = "import sys, time; print('ready', flush=True); time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}"


@contextmanager
def program(code: str, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Python program that carries the mark of ``home`` and has said that it is ready."""
    environment = os.environ | processes.mark(home)
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) as started:
        try:
            assert started.stdout is not None
            assert started.stdout.readline() == b"ready\n"
            yield started
        finally:
            started.kill()


def test_only_processes_of_the_same_state_folder_are_found(tmp_path: Path) -> None:
    with program(WAIT, tmp_path / "a") as ours, program(WAIT, tmp_path / "ab"):
        assert [process.pid for process in processes.members(tmp_path / "a")] == [ours.pid]
        assert processes.members(tmp_path / "a", besides=[ours.pid]) == []


def test_a_title_set_by_the_program_does_not_hide_its_mark(tmp_path: Path) -> None:
    pytest.importorskip("setproctitle", reason="comes with Airflow")
    code = f"import setproctitle; setproctitle.setproctitle('x' * 2000); {WAIT}"
    with program(code, tmp_path) as ours:
        assert [process.pid for process in processes.members(tmp_path)] == [ours.pid]


def as_normal_user(work: Callable[[], bool]) -> bool:
    """What ``work`` answers in a fork of this process that is not root."""
    if (pid := os.fork()) == 0:
        answer = False
        with contextlib.suppress(BaseException):
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            answer = work()
        os._exit(0 if answer else 1)
    return os.waitpid(pid, 0)[1] == 0


def hide() -> int:
    """The process id of a child that leads a session and hides its environment, as Airflow's workers do."""
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        os.setsid()
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
        os.write(write, b"hidden")
        time.sleep(600)
        os._exit(0)
    assert os.read(read, 6) == b"hidden"
    return pid


def test_who_hides_the_environment_is_found_in_the_session_of_a_leader(tmp_path: Path) -> None:
    def work() -> bool:
        hidden = hide()
        try:
            unled, led = processes.members(tmp_path), processes.members(tmp_path, leaders=[hidden])
            return unled == [] and [process.pid for process in led] == [hidden]
        finally:
            os.kill(hidden, signal.SIGKILL)

    assert as_normal_user(work)


def test_who_ignores_sigterm_is_returned_and_ends_by_sigkill(tmp_path: Path) -> None:
    with program(DEAF, tmp_path) as ours:
        found = processes.members(tmp_path)
        assert [process.pid for process in processes.end(found, signal.SIGTERM, 0.2)] == [ours.pid]
        assert processes.end(found, signal.SIGKILL, 10) == []
        assert processes.members(tmp_path) == []


PARENT = f"""
import signal, subprocess, sys
from sluice.running import processes
child = subprocess.Popen(["sleep", "600"], preexec_fn=processes.follow_parent(signal.SIGKILL))
{WAIT.replace("'ready'", "'ready', child.pid, sep=chr(10)")}
"""


def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    with program(PARENT, tmp_path) as ours:
        assert ours.stdout is not None
        child = psutil.Process(int(ours.stdout.readline()))
        ours.kill()
        ours.wait()
        assert psutil.wait_procs([child], timeout=10)[1] == []


def test_the_session_of_a_dead_leader_is_still_found() -> None:
    code = "import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid, flush=True)"
    leader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    with leader:
        assert leader.stdout is not None
        child = int(leader.stdout.readline())
    try:
        assert [process.pid for process in processes.session(leader.pid)] == [child]
    finally:
        os.kill(child, signal.SIGKILL)
