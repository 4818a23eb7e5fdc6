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

import psycopg

from sluice.base import database, disks, poolers, queries
from sluice.landing import folders, incoming
from sluice.ledger import migrate, roles
from sluice.running import embedded, java, processes, shutdown, status, web
from sluice.running.child import Child
from sluice.running.console import Console
from sluice.running.heartbeat import job_lives
from sluice.running.instance import Instance, now
from sluice.running.ledger_view import LedgerView
from sluice.running.logs import tail
from sluice.running.pipeline import WEB_USER, InstanceError, Running
from sluice.running.server_watch import ServerWatch

HEALTHY_SECONDS = 240.0
TELL_AGAIN_SECONDS = 10.0
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
        self._untold_since: float | None = None
        self._tell_again_at = 0.0

    def run(self) -> int:
        """Start, supervise until a signal asks to stop, stop. Raises InstanceError when it cannot start."""
        lock = self.instance.lock()
        if lock is None:
            raise InstanceError(_already(self.instance))
        processes.adopt_orphans()
        os.environ.update(processes.mark(self.instance.home))
        self.instance.make_folders()
        try:
            self._start_guard(lock.fileno())
            _on_signals(_raise_stop)
            self.start()
            self._supervise()
        except StopAsked:
            pass
        finally:
            _on_signals(self._say_patience)
            self._stop()
            lock.close()
        return 0

    @contextmanager
    def only_database(self, *, with_airflow: bool = True) -> Iterator[dict[str, str]]:
        """The databases without the pipeline, for one command: the environment that it needs, Airflow or not."""
        lock = self.instance.lock()
        if lock is None:
            raise InstanceError(_already(self.instance))
        processes.adopt_orphans()
        os.environ.update(processes.mark(self.instance.home))
        self.instance.make_folders()
        try:
            self._start_guard(lock.fileno())
            if with_airflow:
                java.ensure(self.console.say)
            self.start_database()
            if with_airflow:
                self.migrate_airflow()
            yield self.instance.environment(self.running)
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
        with database.connect(self.server.url()) as connection:
            roles.make_roles(connection, self.instance.secrets())
        settings = self.instance.with_urls(self.server.port)
        applied = migrate.migrate(settings.owner_dsn)
        with database.connect(settings.owner_dsn) as connection:
            self.since = queries.row(connection, "ledger/status.clock")["now"]
            self._check_folders(connection)
        with database.connect(settings.writer_dsn) as connection:
            poolers.refuse_shared_sessions(connection)
        where = "your own server" if self.instance.settings.database_url else f"127.0.0.1:{self.server.port}"
        self.console.say(
            f"PostgreSQL is ready: {where}, {len(applied)} migrations applied ({time.monotonic() - begun:.1f} s)"
        )

    def _check_folders(self, connection: psycopg.Connection[dict[str, Any]]) -> None:
        """Those of a new ledger are marked here. What is not there is waited for: the stream goes on by itself then."""
        try:
            folders.check(self.instance.settings, connection)
        except folders.FoldersError as error:
            self.console.say(f"WAITING: {error}")

    def migrate_airflow(self) -> None:
        """Bring Airflow's own database up to date, and let generate_events follow SLUICE_GENERATOR."""
        begun = time.monotonic()
        self.instance.write_web_password()
        self.airflow(["db", "migrate"])
        url = self.instance.role_url("airflow", self.server.port)
        with database.connect(url, search_path=database.AIRFLOWS_PATH) as connection:
            for command in roles.generator_commands(connection, wanted=self.instance.settings.generator):
                self.airflow(command)
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
        """Say what runs; a disk that cannot take it now is asked again, because the pipeline itself can go on."""
        self.running = replace(self.running, **changes)
        self._tell_again_at = time.monotonic() + TELL_AGAIN_SECONDS
        try:
            self.instance.tell(self.running)
            status.tell_trouble(self.instance, self.server_watch.trouble)
        except OSError as error:
            if self._untold_since is None:
                self._untold_since = time.monotonic()
                self.console.say(
                    f"the state folder cannot be written ({'; '.join(disks.full(self._folders)) or error}): free "
                    f"space; until then `make status` may show old process ids, and it is tried again every "
                    f"{TELL_AGAIN_SECONDS:g} s by itself"
                )
            return
        if self._untold_since is not None:
            self.console.say(f"the state folder takes files again, after {time.monotonic() - self._untold_since:.0f} s")
            self._untold_since = None

    def _tell_pids(self) -> None:
        self._tell(pids={child.name: child.process.pid for child in self.children if child.process})

    def _start_guard(self, lock: int) -> None:
        """The guard shares the lock: nobody starts a new pipeline while it clears up after a killed launcher."""
        with (self.instance.log_dir / "launcher.log").open("ab") as log:
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
        while missing := [name for name in group if not web.health(self.running.url).get(name)]:
            self._watch_children()
            if time.monotonic() > deadline:
                logs = "\n".join(f"--- {name}\n{tail(self.instance.log_dir / f'{name}.log')}" for name in missing)
                raise InstanceError(f"not healthy within {HEALTHY_SECONDS:g} s: {', '.join(missing)}\n{logs}")
            time.sleep(_TICK)

    def _supervise(self) -> None:
        """Watch the children and renew the live line, until StopAsked."""
        self._greet()
        view = LedgerView(self.instance.with_urls(self.server.port).owner_dsn, self.since)
        while True:
            self._watch_children()
            if self.console.due(view.cost):
                found = view.look()
                line = (
                    self.server_watch.trouble or "the ledger does not answer"
                    if found is None
                    else status.live_line(found, incoming.survey(self.instance.settings).waiting)
                )
                self.console.live(line)
            if not self.running.ready and (what := view.first_result(self.instance.settings.generator)):
                self.console.say(what)
                self._tell(ready=True)
            time.sleep(_TICK)

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
        started = [child.name for child in self.children if child.watch(self.console)]
        changed = self.server_watch.look()
        if changed and not self.server_watch.trouble:
            for child in self.children:
                if child.watchdog is not None:
                    child.watchdog.database_came_back()
        if started or changed or (self._untold_since is not None and time.monotonic() > self._tell_again_at):
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
