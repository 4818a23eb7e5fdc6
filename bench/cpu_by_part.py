"""Whose CPU time it is: the processes of one running pipeline, summed by its parts."""

from __future__ import annotations

import contextlib
import os
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import psutil

from sluice.running import embedded, processes

# The first whose mark stands in a process's command line, or in that of the nearest ancestor that has one.
_MARKS = {
    "postgres: Airflow's sessions": ("postgres: airflow",),
    "postgres: the pipeline's sessions": ("postgres: sluice",),
    "postgres: server": ("postgres",),
    "Spark: Python workers": (
        "pyspark.daemon",
        "worker_daemon",
        "pyspark.sql.worker",
        "pyspark/daemon",
        "python_streaming",
    ),
    "Spark: JVM": ("bin/java\x00",),
    "Spark: driver": ("stream_events.py",),
    "Airflow: scheduler": ("airflow\x00scheduler", "airflow scheduler"),
    "Airflow: dag-processor": ("dag-processor", "DagFileProcessor"),
    "Airflow: triggerer": ("triggerer", "TriggerRunner"),
    "Airflow: api-server": ("api-server", "api_server", "gunicorn", "uvicorn"),
    "launcher": ("sluice\x00run", "sluice.running.shutdown"),
}
TASKS = "Airflow: tasks"
_TASKS = ("LocalExecutor", "task supervisor", "task runner", "airflow worker")


class Meter:
    """CPU seconds of the pipeline in the state folder ``home``, by part, since this was made.

    What a process has waited for counts as its parent's, so that tasks that come and go between two looks are counted.
    """

    def __init__(self, home: Path, launcher: int) -> None:
        self.home = home
        self.launcher = launcher
        self._begun = time.monotonic()
        self._first = self._look()

    def shares(self) -> dict[str, float]:
        """CPU seconds per second of wall time since it was made, by part; ``all`` is their sum."""
        now, seconds = self._look(), time.monotonic() - self._begun
        parts: dict[str, float] = defaultdict(float)
        for pid, (part, used) in now.items():
            parts[part] += (used - self._first.get(pid, (part, 0.0))[1]) / seconds
        return dict(sorted(parts.items())) | {"all": sum(parts.values())}

    def _look(self) -> dict[int, tuple[str, float]]:
        """The part and the CPU seconds so far of each process that lives."""
        found = {}
        for process in {process.pid: process for process in self._processes()}.values():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                used = times.user + times.system + times.children_user + times.children_system
                found[process.pid] = _part(process), used
        return found

    def _processes(self) -> Iterable[psutil.Process]:
        yield psutil.Process(self.launcher)
        yield from processes.members(self.home, besides=[os.getpid()])
        if (server := embedded.running(self.home / "postgres" / "pgdata")) is not None:
            yield server
            yield from server.children(recursive=True)


def _part(process: psutil.Process) -> str:
    try:
        for one in [process, *process.parents()]:
            line = "\0".join(one.cmdline())
            if any(mark in line for mark in _TASKS):
                return TASKS
            if (part := next((part for part, marks in _MARKS.items() if _has(line, marks)), None)) is not None:
                return part
    except psutil.Error:
        pass
    return "other"


def _has(line: str, marks: tuple[str, ...]) -> bool:
    return any(mark in line for mark in marks)
