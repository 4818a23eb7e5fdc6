"""For tests that run the real stream: spark-submit as the operator calls it, its processes, and waiting for them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from sluice.base.settings import PROJECT
from sluice.running import processes

JOBS = PROJECT / "spark_jobs"
LOCAL = "local[2,4]"  # four attempts a task; plain local[2] never retries
PATIENCE_SECONDS = 300.0  # how long until a test fails; none waits for so long on a machine of its own


def submit_command(*arguments: str, master: str = LOCAL, conf: dict[str, str] | None = None) -> list[str]:
    """The command line that submits the stream."""
    settings = [word for name, value in (conf or {}).items() for word in ("--conf", f"{name}={value}")]
    spark = ["spark-submit", "--master", master, "--properties-file", str(JOBS / "spark.conf"), *settings]
    return [*spark, str(JOBS / "stream_events.py"), *arguments]


def spark_environment(**more: str) -> dict[str, str]:
    """This environment, with Spark's programs on PATH; this process is the submitter unless ``more`` says otherwise."""
    return (
        os.environ
        | {
            "SLUICE_SUBMITTER_PID": str(os.getpid()),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": "127.0.0.1",
        }
        | more
    )


class Tree:
    """A command in a session of its own, whose output goes to ``log``; with it ends every process of the session."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self._root = subprocess.Popen(
                command, env=environment, cwd=PROJECT, stdout=output, stderr=output, start_new_session=True
            )
        self.pid = self._root.pid

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        left = self.processes()
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended with another one
                process.kill()
        self._root.wait()

    def processes(self) -> list[psutil.Process]:
        """The living processes of the session."""
        return processes.session(self.pid)

    def signal_all(self, how: signal.Signals) -> None:
        """Signal every process, again until no new one appears."""
        told: set[int] = set()
        while new := [process for process in self.processes() if process.pid not in told]:
            for process in new:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(how)
                told.add(process.pid)

    def kill_root(self) -> None:
        """SIGKILL to the command itself, not to what it started."""
        self._root.kill()
        self._root.wait()

    def wait(self) -> int:
        """Wait for the command's end; its exit code."""
        return self._root.wait(PATIENCE_SECONDS)

    def wait_for(self, condition: Callable[[], object], *, also_when_ended: bool = False) -> None:
        """Wait until ``condition`` holds; fails, with the end of the log, when the command ends before."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            ended = self._root.poll() is not None and not also_when_ended
            said = self.log.read_text(errors="replace")[-4000:]
            assert not ended, f"it has ended with {self._root.returncode}: {said}"
            assert time.monotonic() < deadline, f"it did not happen: {said}"
            threading.Event().wait(0.05)
