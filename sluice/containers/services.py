"""The services that stay: a container becomes one of Airflow's processes, or one of Spark's."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sluice.base.settings import load
from sluice.containers.instance import MASTER, PORT, Containers
from sluice.containers.log import say
from sluice.containers.waiting import wait_for_database
from sluice.running import heartbeat, shutdown

AIRFLOW = {
    "api-server": ["airflow", "api-server"],
    "scheduler": ["airflow", "scheduler", "--skip-serve-logs"],
    "dag-processor": ["airflow", "dag-processor"],
    "triggerer": ["airflow", "triggerer", "--skip-serve-logs"],
}
_JAVA_CLASS = "org.apache.spark.deploy"


def run_airflow(name: str) -> int:
    """Become one of Airflow's processes; the scheduler gets one above it that ends the stream in good order."""
    instance = Containers(load())
    instance.airflow_home.mkdir(exist_ok=True)
    environment = instance.environment(instance.running())
    wait_for_database(instance.role_url("airflow", PORT))
    if name == "api-server":
        instance.write_web_password()
    if name != "scheduler":
        os.execvpe(AIRFLOW[name][0], AIRFLOW[name], environment)
    wait_for_database(instance.settings.writer_dsn)
    # The driver of the stream is a child of its Airflow task, and so lives in this container: workers reach it here.
    instance.write_spark_conf(**{"spark.driver.host": socket.gethostname(), "spark.driver.bindAddress": "0.0.0.0"})
    return _supervise(instance, AIRFLOW[name], environment)


def run_master(_: Sequence[str] = ()) -> int:
    """Become Spark's master."""
    where = ["--host", MASTER, "--port", "7077", "--webui-port", "8080"]
    return _become_spark("master.Master", where)


def run_worker(_: Sequence[str] = ()) -> int:
    """Become one of Spark's workers: as many tasks at once as SPARK_WORKER_CORES says."""
    folder = Path.home() / "work"
    where = ["--host", socket.gethostname(), "--webui-port", "8081", "--work-dir", str(folder)]
    return _become_spark("worker.Worker", [*where, f"spark://{MASTER}:7077"])


def healthy(jobs: Sequence[str]) -> int:
    """Whether the Airflow job of this container has given a sign of life lately."""
    url = Containers(load()).role_url("airflow", PORT)
    return 0 if heartbeat.job_lives(url, jobs[0], 60, socket.gethostname()) else 1


def _become_spark(which: str, arguments: list[str]) -> int:
    instance = Containers(load())
    instance.write_spark_conf()
    words = ["spark-class", f"{_JAVA_CLASS}.{which}", "--properties-file", str(instance.spark_conf), *arguments]
    os.execvpe(words[0], words, instance.worker_environment())


def _supervise(instance: Containers, command: list[str], environment: dict[str, str]) -> int:
    """Run the scheduler; told to stop, end the stream and the tasks first. A scheduler alone would wait for them."""
    child = subprocess.Popen(command, env=environment)
    instance.children["scheduler"] = child.pid
    asked: list[int] = []
    for which in (signal.SIGTERM, signal.SIGINT):
        signal.signal(which, lambda number, frame: asked.append(number))
    url = instance.role_url("airflow", PORT)
    watch = heartbeat.Watchdog(lambda seconds: heartbeat.job_lives(url, "SchedulerJob", seconds, socket.gethostname()))
    while child.poll() is None and not asked and not watch.is_lost():
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(0.5)
    if child.returncode is not None:
        say(f"the scheduler ended (exit code {child.returncode}): the container restarts, and the stream with it")
        return child.returncode or 1
    say(
        "stopping: the stream ends what it does first"
        if asked
        else "the scheduler schedules no more: it is started anew"
    )
    shutdown.end_processes(instance, instance.running(), say)
    return 0 if asked else 1
