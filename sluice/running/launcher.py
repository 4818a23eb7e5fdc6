"""Runs the whole pipeline on this machine: PostgreSQL, Airflow's four processes, and through them the stream.

The launcher supervises: it starts each process in a session of its own, restarts one that dies, and at the end leaves
nothing behind. Should it be killed itself, its guard (sluice.running.shutdown) ends the rest.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sluice.base import database, disks, poolers
from sluice.landing import incoming
from sluice.running import databases, embedded, java, processes, shutdown, status, web
from sluice.running.child import Child
from sluice.running.console import Console
from sluice.running.heartbeat import job_lives
from sluice.running.instance import Instance, now
from sluice.running.ledger_view import LedgerView
from sluice.running.logs import Rotation, tail
from sluice.running.pipeline import WEB_USER, InstanceError, Running
from sluice.running.server_watch import ServerWatch
from sluice.running.telling import Telling

HEALTHY_SECONDS = 240.0
_TICK = 0.2
# The second group starts when the api-server answers: tasks call it, and all at once on few cores takes no less time.
# Logs are read from disk: without --skip-serve-logs, two programs would listen on all interfaces.
_COMPONENTS = (
    {"api-server": ["api-server"], "dag-processor": ["dag-processor"]},
    {"scheduler": ["scheduler", "--skip-serve-logs"], "triggerer": ["triggerer", "--skip-serve-logs"]},
)


class StopAsked(BaseException):
    """A signal asked the launcher to stop."""


class Launcher:
    """One life of the pipeline, from start to stop."""

    def __init__(self, instance: Instance, *, live_every: float = 5.0) -> None:
        self.instance = instance
        self.console = Console(live_every)
        self.running = Running(pid=os.getpid(), started_at=now())
        self.children: list[Child] = []
        self.server = embedded.Server(
            instance.postgres_dir,
            embedded.binaries(instance.settings.postgres_bin),
            port=instance.settings.postgres_port,
            before_exec=processes.follow_parent(signal.SIGINT),
            say=self.console.say,
        )
        self._folders = disks.folders(instance.settings)
        self.server_watch = ServerWatch(self.server, self.console.say, self._folders)
        self.guard: subprocess.Popen[bytes] | None = None
        self.since = datetime.now(UTC)
        self._rotation = Rotation([self.server.log, instance.launcher_log])
        self._telling = Telling(instance, self._folders, self.console.say)

    def run(self) -> int:
        """Start, supervise until a signal asks to stop, stop. Raises InstanceError when it cannot start."""
        with self._alone():
            try:
                _on_signals(_raise_stop)
                self.start()
                self._supervise()
            except StopAsked:
                pass
            finally:
                _on_signals(self._say_patience)
        return 0

    @contextmanager
    def only_database(self, *, with_airflow: bool = True) -> Iterator[dict[str, str]]:
        """The databases without the pipeline, for one command: the environment that it needs, Airflow or not."""
        with self._alone():
            if with_airflow:
                java.ensure(self.console.say)
            self.start_database()
            if with_airflow:
                self.migrate_airflow()
            yield self.instance.environment(self.running)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The only launcher of this state folder, with a guard, until all is stopped."""
        lock = self.instance.lock()
        if lock is None:
            raise InstanceError(_already(self.instance))
        processes.adopt_orphans()
        os.environ.update(processes.mark(self.instance.home))
        self.instance.make_folders()
        try:
            self._start_guard(lock.fileno())
            yield
        finally:
            self._stop()
            lock.close()

    def start(self) -> None:
        """Everything up to healthy: PostgreSQL, roles, migrations, Airflow."""
        begun = time.monotonic()
        self.instance.tell(self.running)
        java.ensure(self.console.say)
        self.running = replace(self.running, web_port=web.port_to_use(self.instance.settings.web_port))
        self.start_database()
        self.migrate_airflow()
        self.console.say("starting Airflow's api-server, dag-processor, scheduler and triggerer …")
        deadline = time.monotonic() + HEALTHY_SECONDS
        for group in _COMPONENTS:
            self._start_children(group)
            self._wait_until(group, deadline)
        self.console.say(f"Airflow is healthy, {time.monotonic() - begun:.0f} s after the start")

    def start_database(self) -> None:
        """The embedded server, its roles and databases, and the migrations of the pipeline's own database."""
        begun = time.monotonic()
        self.instance.make_folders()
        self.server.start()
        status.tell_trouble(self.instance, "")
        self.running = replace(self.running, postgres_port=self.server.port)
        self.instance.tell(self.running)
        settings = self.instance.with_urls(self.server.port)
        prepared = databases.prepare_own(
            self.server.url(), settings.owner_dsn, self.instance.secrets(), self.instance.settings
        )
        self.since = prepared.clock
        if prepared.waits_for:
            self.console.say(f"WAITING: {prepared.waits_for}")
        with database.connect(settings.writer_dsn) as connection:
            poolers.refuse_shared_sessions(connection)
        where = "your own server" if self.instance.settings.database_url else f"127.0.0.1:{self.server.port}"
        self.console.say(
            f"PostgreSQL is ready: {where}, {prepared.applied} migrations applied ({time.monotonic() - begun:.1f} s)"
        )

    def migrate_airflow(self) -> None:
        """Bring Airflow's own database up to date, and let generate_events follow SLUICE_GENERATOR."""
        begun = time.monotonic()
        self.instance.write_web_password()
        url = self.instance.role_url("airflow", self.server.port)
        databases.prepare_airflows(url, self.airflow, generator=self.instance.settings.generator)
        self.console.say(f"Airflow's database is up to date ({time.monotonic() - begun:.0f} s)")

    def airflow(self, arguments: list[str]) -> None:
        """Run an airflow command to its end; raises InstanceError with what it printed when it fails."""
        log = self.instance.log_dir / "airflow-setup.log"
        child = self._child("airflow-setup", arguments)
        child.start()
        assert child.process is not None
        if child.process.wait() != 0:
            raise InstanceError(f"`airflow {' '.join(arguments)}` failed:\n{tail(log)}")

    def _child(self, name: str, arguments: list[str]) -> Child:
        program = str(Path(sys.executable).parent / "airflow")
        log = self.instance.log_dir / f"{name}.log"
        child = Child(name, [program, *arguments], log, self.instance.environment(self.running))
        if name == "scheduler":
            url = self.instance.role_url("airflow", self.running.postgres_port)
            child.beats = lambda seconds: job_lives(url, "SchedulerJob", seconds)
        return child

    def _tell(self, **changes: Any) -> None:
        """Leave word of what runs, after these ``changes`` of it."""
        self.running = replace(self.running, **changes)
        self._telling.tell(self.running, self.server_watch.trouble)

    def _tell_pids(self) -> None:
        self._tell(pids={child.name: child.process.pid for child in self.children if child.process})

    def _start_guard(self, lock: int) -> None:
        """The guard shares the lock: nobody starts a new pipeline while it clears up after a killed launcher."""
        with self.instance.launcher_log.open("ab") as log:
            self.guard = subprocess.Popen(
                [sys.executable, "-m", "sluice.running.shutdown", str(self.instance.home)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[lock],
                start_new_session=True,
            )

    def _start_children(self, group: dict[str, list[str]]) -> None:
        for name, command in group.items():
            child = self._child(name, command)
            child.start()
            self.children.append(child)
        self._tell_pids()

    def _wait_until(self, group: Collection[str], deadline: float) -> None:
        """Wait until all of ``group`` are healthy; raises InstanceError with the ends of their logs otherwise."""
        while missing := self._unhealthy(group):
            self._watch_children()
            if time.monotonic() > deadline:
                logs = "\n".join(f"--- {name}\n{tail(self.instance.log_dir / f'{name}.log')}" for name in missing)
                raise InstanceError(f"not healthy within {HEALTHY_SECONDS:g} s: {', '.join(missing)}\n{logs}")
            time.sleep(_TICK)

    def _unhealthy(self, group: Collection[str]) -> list[str]:
        health = web.health(self.running.url)
        return [name for name in group if not health.get(name)]

    def _supervise(self) -> None:
        """Watch the children and renew the live line, until StopAsked."""
        self._greet()
        view = LedgerView(self.instance.with_urls(self.server.port).owner_dsn, self.since)
        while True:
            self._watch_children()
            if self.console.due(view.cost):
                self.console.live(self._live_line(view))
            if not self.running.ready and (what := view.first_result(self.instance.settings.generator)):
                self.console.say(what)
                self._tell(ready=True)
            time.sleep(_TICK)

    def _live_line(self, view: LedgerView) -> str:
        report = view.look()
        if report is None:
            return self.server_watch.trouble or "the ledger does not answer"
        return status.live_line(report, incoming.survey(self.instance.settings).waiting)

    def _greet(self) -> None:
        password = self.instance.secrets()["web_password"]
        self.console.say(f"web UI: {self.running.url}   user {WEB_USER}   password {password}")
        self.console.say(
            f"land CSV files in {self.instance.settings.incoming_dir}; `make help` lists what else there is"
        )

    def _watch_children(self) -> None:
        known = [child.process for child in self.children if child.process]
        assert self.server.process is not None
        processes.reap([*known, self.server.process, *([self.guard] if self.guard else [])])
        if self.server.log in self._rotation.look():
            self.server.log_begins_anew()
        started = [child.name for child in self.children if child.watch(self.console)]
        changed = self.server_watch.look()
        if changed and not self.server_watch.trouble:
            for child in self.children:
                if child.watchdog is not None:
                    child.watchdog.database_came_back()
        if started or changed or self._telling.is_due():
            self._tell_pids()

    def _stop(self) -> None:
        self.console.say("stopping …")
        besides = [self.guard.pid] if self.guard else []
        try:
            shutdown.end_everything(self.instance, self.console.say, besides)
            self.instance.forget()
        finally:
            if self.guard and self.guard.stdin:
                self.guard.stdin.close()
                self.guard.wait(60)
        self.console.say("stopped: no process is left")

    def _say_patience(self, number: int, frame: object) -> None:
        self.console.say("stopping already: the stream ends its work first, up to a minute in all")


def _already(instance: Instance) -> str:
    running = instance.running()
    if running is None or not running.url:
        return f"the pipeline in {instance.home} is starting or stopping in another process: wait, or run `make down`"
    return (
        f"the pipeline in {instance.home} already runs (pid {running.pid}, {running.url}): `make status` shows it, "
        "`make down` ends it"
    )


def _on_signals(handler: Any) -> None:
    for which in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(which, handler)


def _raise_stop(number: int, frame: object) -> None:
    _on_signals(signal.SIG_IGN)
    raise StopAsked
