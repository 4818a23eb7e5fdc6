"""Submits the stream when none lives, and stays with it."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from landed_file_sensor import is_scheduled

from sluice.base import database, permissions
from sluice.base.settings import PROJECT, SettingError, Settings, load
from sluice.ledger import contract_waits, leases, waiting_files
from sluice.ledger.leases import EndedHow, StreamStoppedError
from sluice.loading.retry_rules import STOPPED

if TYPE_CHECKING:
    from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook
    from airflow.sdk import Context

DRAIN_ATTEMPTS = 3
KILL_PATIENCE_SECONDS = 3.5  # Airflow sends SIGKILL 5 s after SIGTERM
WAIT_SECONDS = 0.5


class FilesStillLandedError(RuntimeError):
    """Files of a run made by hand were not loaded in time; the message names them and the stream's last error."""


class SubmitStreamOperator(SparkSubmitOperator):
    """Takes the lease on being the one stream, submits the driver with it, and stays until the driver ends.

    The lease is taken here and not in a task before this one, because a retry and a restarted scheduler run only this
    task again. When a living stream holds the lease, the task ends as success.

    A run made by hand does not stream on: it loads what has landed and ends. While a stream lives, that stream loads
    it and the task waits; otherwise the task submits a stream that drains. ``moved`` says which files to wait for:
    ``{"first": file_id, "last": file_id}``, as MoveLandedFilesOperator returns it, or nothing.
    """

    template_fields: Sequence[str] = (*SparkSubmitOperator.template_fields, "moved")

    def __init__(self, *, moved: Any = None, **kwargs: Any) -> None:
        settings = load()
        defaults = {
            "application": str(PROJECT / "spark_jobs" / "stream_events.py"),
            "name": "sluice",
            "driver_memory": settings.spark_driver_memory,
            "properties_file": str(settings.spark_conf_file),
            "conf": {
                "spark.executorEnv.PYTHONPATH": str(PROJECT),
                # Spark sets the modes of the checkpoint's files itself, whatever the umask of its process.
                "spark.hadoop.fs.permissions.umask-mode": settings.umask,
            },
            "durable": False,
        }
        super().__init__(**defaults | kwargs)
        self.moved = moved
        self._lease: leases.Lease | None = None
        self._environment: dict[str, str] = {}

    def execute(self, context: Context) -> None:
        """Stream on, or drain and end.

        Raises FilesStillLandedError, StreamStoppedError when the driver says that its environment is wrong, or
        AirflowException when the driver fails otherwise.
        """
        settings = load()
        permissions.be_private(settings)  # what the driver spills
        if is_scheduled(context):
            self._stream(settings, context)
        else:
            self._drain(settings, context)

    def on_kill(self) -> None:
        """Ask the stream to stop and give it a moment, then kill what is left."""
        if self._lease is None:
            return
        try:
            with self._connect(load(), connect_timeout=2) as connection:
                leases.request_stop(connection, self._lease.epoch)
            deadline = time.monotonic() + KILL_PATIENCE_SECONDS
            while self._driver_runs() and time.monotonic() < deadline:
                time.sleep(0.1)
        except psycopg.Error as error:
            self.log.warning("the stream could not be asked to stop and is killed: %s", error)
        finally:
            super().on_kill()

    def _stream(self, settings: Settings, context: Context) -> None:
        with self._connect(settings) as connection:
            pulse = leases.pulse(connection)
            if not pulse.living and not pulse.due:
                self.log.info("a stream ended a moment ago: the next one is submitted by a later run")
                return
            lease = self._take(settings, connection, context)
        if lease is not None:
            self._submit(settings, context, lease, [])

    def _drain(self, settings: Settings, context: Context) -> None:
        attempts, fewest, deadline = 0, sys.maxsize, time.monotonic() + settings.drain_seconds
        while True:
            with self._connect(settings) as connection:
                pulse, lease = leases.pulse(connection), None
                still = waiting_files.still_landed(connection, **self.moved) if self.moved else 0
                if not pulse.living and (still or (pulse.waiting and attempts == 0)):
                    if attempts == DRAIN_ATTEMPTS:
                        raise self._too_late(connection, still, f"{attempts} streams were submitted for them")
                    lease = self._take(settings, connection, context)
                elif not still:
                    self.log.info("nothing that had landed waits to be loaded")
                    if held := contract_waits.names(connection):
                        self.log.warning("%s files wait for a contract, see `make status`: %s", len(held), held[:5])
                    return
                if still < fewest:
                    self.log.info("waiting for %s landed files to be loaded", still)
                    fewest, deadline = still, time.monotonic() + settings.drain_seconds
                elif time.monotonic() > deadline:
                    raise self._too_late(connection, still, f"none was loaded for {settings.drain_seconds:g} s")
            if lease is not None:
                attempts += 1
                self._submit(settings, context, lease, ["--drain"])
            else:
                self._pause()

    def _pause(self) -> None:
        time.sleep(WAIT_SECONDS)

    def _take(self, settings: Settings, connection: leases.Connection, context: Context) -> leases.Lease | None:
        run_id = context["dag_run"].run_id
        who = f"{run_id} on {socket.gethostname()}"
        lease = leases.take(connection, submitted_by=who, run_id=run_id, seconds=settings.submit_seconds)
        if lease is not None:
            self.log.info("took the lease: this is stream %s", lease.epoch)
        elif (holder := leases.living(connection)) is not None:
            self.log.info(
                "stream %s lives (%s, on %s), submitted by %s: nothing to submit",
                *(holder[key] for key in ("epoch", "state", "host", "submitted_by")),
            )
        return lease

    def _submit(self, settings: Settings, context: Context, lease: leases.Lease, arguments: list[str]) -> None:
        self._lease, self._hook = lease, None
        self.application_args = arguments
        self._environment = {
            "SLUICE_STREAM_TOKEN": lease.token,
            "SLUICE_SUBMITTER_PID": str(os.getpid()),
            # spark-submit and the python it starts stand beside this interpreter; what the user put on PATH wins.
            "PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)]),
            "PYSPARK_PYTHON": os.environ.get("PYSPARK_PYTHON", sys.executable),
        }
        how, because = EndedHow.FAILED, "its driver was killed or failed"
        try:
            super().execute(context)
            how, because = EndedHow.UNKNOWN, ""
        except Exception as error:
            if self._exit_code() == STOPPED:
                how = EndedHow.ENVIRONMENT
                because = "the environment is wrong: what its driver logged says what to correct"
                raise StreamStoppedError(self._why_stopped(settings, lease)) from error
            raise
        finally:
            self._lease = None
            self._end(settings, lease, how, because)
            self._close_output()

    def _get_hook(self) -> SparkSubmitHook:
        """The hook, which starts the driver with its environment: in client mode it is a child of this process.

        What the operator calls ``env_vars`` would be arguments of spark-submit on YARN and Kubernetes, which every user
        of the machine can read. Raises SettingError for deploy mode cluster: the driver would get no token there.
        """
        hook = super()._get_hook()
        if hook._connection["deploy_mode"] == "cluster":
            raise SettingError(
                f"connection {self._conn_id} has deploy-mode cluster: the driver would run on another machine, and the "
                "lease's token could not be told there without showing it to others; set deploy-mode to client"
            )
        hook._env = self._environment
        return hook

    def _end(self, settings: Settings, lease: leases.Lease, how: EndedHow, because: str) -> None:
        """A driver that ended itself said so already. One that could not must not hold the lease until it lapses."""
        try:
            with self._connect(settings) as connection:
                leases.end(connection, epoch=lease.epoch, how=how, because=because)
        except psycopg.Error as error:
            self.log.warning("stream %s could not be ended, its lease lapses by itself: %s", lease.epoch, error)

    def _too_late(self, connection: leases.Connection, still: int, why: str) -> FilesStillLandedError:
        oldest = waiting_files.oldest_still_landed(connection, **self.moved) if self.moved else []
        names = ", ".join(oldest) + (f" and {still - len(oldest)} more" if still > len(oldest) else "")
        error = leases.last_error(connection)
        return FilesStillLandedError(
            f"{still} files are still landed, {why}: {names}; "
            f"{f'the stream said last: {error}' if error else 'the stream said no error'}; see `make status`"
        )

    def _driver_runs(self) -> bool:
        process = getattr(self._hook, "_submit_sp", None)
        return process is not None and process.poll() is None

    def _exit_code(self) -> int | None:
        process = getattr(self._hook, "_submit_sp", None)
        return None if process is None else process.poll()

    def _why_stopped(self, settings: Settings, lease: leases.Lease) -> str:
        """What the driver said last; its login may be refused here too, then its own lines above say it."""
        said = "its lines above say what to correct"
        with contextlib.suppress(psycopg.Error), self._connect(settings) as connection:
            said = leases.last_error(connection) or said
        return f"stream {lease.epoch} ended itself, another one is submitted later by itself: {said}"

    def _close_output(self) -> None:
        """The hook leaves the pipe open that it read the driver's output from."""
        process = getattr(self._hook, "_submit_sp", None)
        if process is not None and process.stdout is not None:
            process.stdout.close()

    @staticmethod
    def _connect(settings: Settings, connect_timeout: int | None = None) -> leases.Connection:
        return database.connect(
            settings.writer_dsn, application_name="sluice-submitter", connect_timeout=connect_timeout
        )
