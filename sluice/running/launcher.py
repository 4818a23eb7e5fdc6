"""Runs the whole pipeline on this machine: PostgreSQL, Airflow's four processes, and through them the stream.

The launcher supervises: it starts each process in a session of its own, restarts one that dies, and at the end leaves
nothing behind. Should it be killed itself, its guard (sluice.running.shutdown) ends the rest.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from sluice.base import database, disks, poolers
from sluice.landing import folders, mover
from sluice.ledger import leases, migrate, roles
from sluice.running import embedded, java, processes, shutdown, status
from sluice.running.heartbeat import Pulse, job_lives
from sluice.running.instance import WEB_USER, Instance, InstanceError, Running, now, rotate, tail
from sluice.running.server_watch import ServerWatch

HEALTHY_SECONDS = 240.0
START_AGAIN_SECONDS = 10.0
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


class Console:
    """Sentences one below another and, on a terminal, one live line below them that is written over."""

    def __init__(self, every: float = 5.0) -> None:
        self._terminal = sys.stdout.isatty()
        self._every = 1.0 if self._terminal else every
        self._last = 0.0

    def say(self, sentence: str) -> None:
        """Print ``sentence`` on a line of its own; a reader that went away is no error."""
        with suppress(OSError):
            print(f"\r\033[K{sentence}" if self._terminal else sentence, flush=True)

    def due(self, cost: float) -> bool:
        """Whether the live line should be renewed; one that takes ``cost`` seconds to make comes more rarely."""
        return time.monotonic() - self._last >= max(self._every, 20 * cost)

    def live(self, line: str) -> None:
        """Show ``line`` as the live line."""
        self._last = time.monotonic()
        with suppress(OSError):
            if self._terminal:
                print(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
            else:
                print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


@dataclass
class Child:
    """One supervised process: what it runs, how often it died lately, when it may start again."""

    name: str
    command: list[str]
    log: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    started: float = 0.0
    not_before: float = field(default=0.0)
    rotate_at: float = 0.0
    pulse: Pulse | None = None
    beats: Callable[[float], bool] | None = None

    def start(self) -> None:
        """Start it, in a session of its own; the kernel tells it to end when the launcher dies. OSError: it cannot."""
        self._rotate()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=processes.follow_parent(signal.SIGTERM),
            )
        self.started = time.monotonic()
        self.pulse = Pulse(self.beats) if self.beats else None

    def watch(self, console: Console) -> bool:
        """Start it again if it died, later each time; True when it was started."""
        assert self.process is not None
        code = self.process.poll()
        if code is None:
            self._rotate()
            if self.pulse is not None and self.pulse.is_lost():
                console.say(f"{self.name} does nothing any more: it is ended; its log is {self.log}")
                self._end_session()
            return False
        if not self.not_before:
            self._end_session()
            self.deaths = self.deaths + 1 if time.monotonic() - self.started < 60 else 1
            wait = min(30.0, 2.0 ** min(self.deaths - 1, 10))
            self.not_before = time.monotonic() + wait
            console.say(f"{self.name} ended (exit code {code}): starting it again in {wait:g} s; its log is {self.log}")
        if time.monotonic() < self.not_before:
            return False
        try:
            self.start()
        except OSError as error:
            self.not_before = time.monotonic() + START_AGAIN_SECONDS
            console.say(f"{self.name} cannot be started ({error}): trying again in {START_AGAIN_SECONDS:g} s")
            return False
        self.not_before = 0.0
        return True

    def _rotate(self) -> None:
        """A disk that has no room for the old part is asked again later."""
        if time.monotonic() >= self.rotate_at:
            try:
                rotate(self.log)
            except OSError:
                self.rotate_at = time.monotonic() + 60

    def _end_session(self) -> None:
        """End what the dead process left: a scheduler's workers would idle on, and its tasks be run a second time."""
        assert self.process is not None
        processes.end(processes.session(self.process.pid), signal.SIGTERM, 3)
        processes.end(processes.session(self.process.pid), signal.SIGKILL, 3)


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
        self.running = replace(self.running, web_port=_web_port(self.instance.settings.web_port))
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
            clock = connection.execute(_status("clock")).fetchone()
            self._check_folders(connection)
        self.since = clock["now"] if clock else self.since
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
        url = self.instance.embedded_url("airflow", self.server.port)
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
            url = self.instance.embedded_url("airflow", self.running.postgres_port)
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
        while missing := [name for name in _unhealthy(self.running.url) if name in group]:
            self._watch_children()
            if time.monotonic() > deadline:
                logs = "\n".join(f"--- {name}\n{tail(self.instance.log_dir / f'{name}.log')}" for name in missing)
                raise InstanceError(f"not healthy within {HEALTHY_SECONDS:g} s: {', '.join(missing)}\n{logs}")
            time.sleep(_TICK)

    def _supervise(self) -> None:
        """Watch the children and renew the live line, until StopAsked."""
        self._greet()
        view = _View(self.instance.with_urls(self.server.port).owner_dsn, self.since)
        while True:
            self._watch_children()
            if self.console.due(view.cost):
                found = view.look()
                line = (
                    self.server_watch.trouble or "the ledger does not answer"
                    if found is None
                    else status.live_line(found, mover.incoming(self.instance.settings).waiting)
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
                if child.pulse is not None:
                    child.pulse.database_came_back()
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


class _View:
    """The ledger as the launcher watches it; a connection that breaks is made anew at the next look."""

    def __init__(self, url: str, since: datetime) -> None:
        self.url = url
        self.cost = 0.0
        self.connection: psycopg.Connection[dict[str, Any]] | None = None
        self.since = since

    def look(self) -> dict[str, Any] | None:
        """What the ledger says; None when it does not answer."""
        begun = time.monotonic()
        found: dict[str, Any] | None = self._ask(lambda each: status.ledger_report(each, everything=False))
        self.cost = time.monotonic() - begun
        return found

    def first_result(self, generator: bool) -> str | None:
        """The sentence that says that the pipeline works: a file was loaded; without a generator, a stream lives."""
        if generator:
            row = self._ask(lambda each: each.execute(_status("loaded_since"), {"since": self.since}).fetchone())
            return f"the first file is loaded: {row['name']}, {row['rows_loaded']:,} rows" if row else None
        row = self._ask(leases.living)
        return f"the stream is alive (epoch {row['epoch']})" if row and row["started_at"] else None

    def _ask(self, question: Any) -> Any:
        try:
            if self.connection is None or self.connection.closed:
                self.connection = database.connect(self.url, application_name="sluice-launcher")
            return question(self.connection)
        except psycopg.Error:
            if self.connection is not None:
                self.connection.close()
            return None


def _web_port(wanted: int) -> int:
    """``wanted`` when it is free, any free port for 0; raises InstanceError for one that is taken."""
    if wanted == 0:
        return embedded.free_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise InstanceError(
                f"port {wanted} of 127.0.0.1, for the web UI, cannot be used ({error.strerror}): stop the program that "
                "has it, or set SLUICE_WEB_PORT to another one (0: any free one)"
            ) from error
    return wanted


def _unhealthy(url: str) -> list[str]:
    """The components that Airflow does not call healthy yet; all of them as long as the api-server does not answer."""
    names = {"scheduler": "scheduler", "dag_processor": "dag-processor", "triggerer": "triggerer"}
    try:
        with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=5) as answer:
            health = json.load(answer)
    except (OSError, ValueError):
        return ["api-server", *names.values()]
    return [name for key, name in names.items() if (health.get(key) or {}).get("status") != "healthy"]


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


def _status(name: str) -> str:
    return database.queries("ledger/status")[name]
