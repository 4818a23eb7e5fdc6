"""The pipeline as containers of one network: what each service of docker-compose.yaml runs.

    python -m sluice.containers secrets      make the secrets and deal each part its own
    python -m sluice.containers init         roles, databases, migrations
    python -m sluice.containers SERVICE      become that part of Airflow or Spark
    python -m sluice.containers healthy JOB  whether this container's Airflow job lives

A container knows the secrets of its own part only: that of Spark's workers neither the owner's password nor Airflow's
keys. They are read from files and travel in the environment of processes, never in that of the container.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import psycopg

from sluice.base import database, permissions
from sluice.base.settings import PROJECT, SettingError, Settings, load, refuse_unknown
from sluice.landing import folders
from sluice.ledger import migrate, roles
from sluice.ledger.migrate import MigrationError
from sluice.loading import restore
from sluice.running import heartbeat, shutdown
from sluice.running.instance import Instance, InstanceError, Running, read_env_file, write_private

SECRETS = Path("/run/sluice/secrets.json")
DEALT = Path("/run/secrets-of")
HOST = Path("/run/host")  # the project's folder as the host has it
# What each part is told; the service init alone knows everything.
PARTS = {
    "airflow": (
        *("sluice_writer", "sluice_reader", "airflow", "spark_secret"),
        *("web_password", "fernet_key", "jwt_secret", "api_secret_key"),
    ),
    "spark": ("sluice_writer", "sluice_reader", "spark_secret"),
}
SUPERUSER = "postgres"
API = "http://api-server:8080"
MASTER = "spark-master"
PATIENCE_SECONDS = 600.0
UI_SECONDS = 120.0
_SAY_EVERY_SECONDS = 10.0
_AIRFLOW = {
    "api-server": ["airflow", "api-server"],
    "scheduler": ["airflow", "scheduler", "--skip-serve-logs"],
    "dag-processor": ["airflow", "dag-processor"],
    "triggerer": ["airflow", "triggerer", "--skip-serve-logs"],
}
_JAVA_CLASS = "org.apache.spark.deploy"


class Containers(Instance):
    """The same pipeline, as a process inside one of its containers sees it.

    The strongest role that a container knows, but for init, is the writer: where a command asks for the owner's URL, it
    gets the writer's, as on a user's own server with one login.
    """

    database_host = "postgres"

    def __init__(self, settings: Settings, secrets_path: Path = SECRETS) -> None:
        super().__init__(settings)
        self.secrets_path = secrets_path
        self.airflow_home = Path.home() / "airflow"
        self.spark_conf = Path.home() / "spark.conf"
        self.children: dict[str, int] = {}
        reader, writer = (self.embedded_url(f"sluice_{who}", 5432) for who in ("reader", "writer"))
        self.settings = replace(
            settings,
            database_url=writer,
            writer_url=writer,
            reader_url=reader,
            spark_master=f"spark://{MASTER}:7077",
            spark_conf=str(self.spark_conf),
        )

    def secrets(self) -> dict[str, str]:
        """What this part was dealt. Raises InstanceError when it was dealt nothing."""
        try:
            known: dict[str, str] = json.loads(self.secrets_path.read_text())
        except (OSError, ValueError) as error:
            raise InstanceError(
                f"{self.secrets_path} cannot be read ({error}): start with `docker compose up`, whose service "
                "`secrets` makes it; a service started alone finds none"
            ) from error
        return known

    def is_locked(self) -> bool:
        """Containers have no launcher: whoever asks inside one, the pipeline runs."""
        return True

    def last_said(self) -> Running:
        """What a launcher would say; it runs as long as this container does."""
        since = Path("/proc/1").stat().st_ctime
        web_port = self.settings.web_port
        return Running(pid=1, started_at=since, postgres_port=5432, web_port=web_port, ready=True, pids=self.children)

    def processes(self, running: Running) -> dict[str, bool]:
        """What the api-server says of Airflow's jobs; `docker compose ps` knows the containers."""
        try:
            with urllib.request.urlopen(f"{API}/api/v2/monitor/health", timeout=5) as answer:
                health = json.load(answer)
        except (OSError, ValueError):
            return {"api-server": False}
        jobs = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}
        return {"api-server": True} | {
            name: (health.get(key) or {}).get("status") == "healthy" for name, key in jobs.items()
        }

    def environment(self, running: Running, environ: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of Airflow's processes, with the addresses of the network."""
        return super().environment(running, environ) | {
            "AIRFLOW__API__HOST": "0.0.0.0",
            "AIRFLOW__API__PORT": "8080",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{API}/execution/",
            # Jobs are found by the name that the health check of their container knows.
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": "/var/log/sluice",
            "SLUICE_SPARK_CONF": str(self.spark_conf),
        }

    def worker_environment(self) -> dict[str, str]:
        """The environment of Spark's master and workers, and of the tasks that they run."""
        return {
            **os.environ,
            "SLUICE_WRITER_URL": self.settings.writer_url,
            "SLUICE_READER_URL": self.settings.reader_url,
        }

    def write_spark_conf(self, **more: str) -> None:
        """The project's properties, those of a cluster, ``more``, and the secret without which nobody may submit."""
        parts = [PROJECT / "spark_jobs" / "spark.conf", PROJECT / "spark_jobs" / "cluster.conf"]
        text = "".join(part.read_text(encoding="utf-8") for part in parts)
        more |= {"spark.authenticate.secret": self.secrets()["spark_secret"]}
        write_private(self.spark_conf, text + "".join(f"{name}  {value}\n" for name, value in more.items()))


class AllSecrets(Containers):
    """What the services secrets and init see: everything."""

    def __init__(self, settings: Settings, root: Path = DEALT) -> None:
        super().__init__(settings, root / "all" / "secrets.json")
        self.root = root

    def secrets(self) -> dict[str, str]:
        """All of them, made at the first call."""
        return Instance.secrets(self)

    def new_secrets(self) -> dict[str, str]:
        """Those of every pipeline, the superuser's password, and what Spark's parts tell one another apart by."""
        extra = {name: secrets.token_urlsafe(32) for name in (SUPERUSER, "spark_secret")}
        return super().new_secrets() | extra

    def server_url(self, database: str) -> str:
        """The superuser's URL of ``database``."""
        return self.embedded_url(SUPERUSER, 5432).removesuffix("sluice") + database

    def owner_url(self, database: str) -> str:
        """The owner's URL of ``database``."""
        return self.embedded_url("sluice_owner", 5432).removesuffix("sluice") + database

    def deal(self) -> None:
        """Write each part its own; raises OSError when a volume cannot be written."""
        known = self.secrets()
        for part, names in PARTS.items():
            dealt = {name: known[name] for name in names}
            write_private(self.root / part / "secrets.json", json.dumps(dealt, indent=2) + "\n")
        write_private(self.root / "postgres" / "password", known[SUPERUSER])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; what a user can mend is one clear sentence, not a traceback."""
    parser = argparse.ArgumentParser(prog="python -m sluice.containers", description="What the containers run.")
    parser.add_argument("command", choices=[*_COMMANDS, *_AIRFLOW])
    parser.add_argument("arguments", nargs="*")
    parsed = parser.parse_args(arguments)
    try:
        refuse_unknown(os.environ)
        permissions.be_private(load())
        command = _COMMANDS.get(parsed.command) or (lambda _: run_airflow(parsed.command))
        code: int = command(parsed.arguments)
        return code
    except (InstanceError, SettingError, MigrationError, restore.RestoreError) as error:
        say(f"{parsed.command}: {error}")
        return 1


def say(sentence: str) -> None:
    """A line in the container's log."""
    print(f"sluice: {sentence}", flush=True)


def deal_secrets(_: Sequence[str] = ()) -> int:
    """Service secrets: before everything else, for PostgreSQL's superuser password comes from here."""
    try:
        AllSecrets(load()).deal()
    except OSError as error:
        raise InstanceError(_unwritable(Path(error.filename or DEALT))) from error
    say("every part has its secrets; the web UI's login: `docker compose exec api-server python -m sluice login`")
    return 0


def check_port(_: Sequence[str] = ()) -> int:
    """Service web-port, in the host's network: whether the UI's port is free, or answered by our own UI already.

    Nothing waits for it: Docker itself refuses the port later, but cannot say what to do about it.
    """
    port = load().web_port
    deadline = time.monotonic() + UI_SECONDS
    while _is_taken(port):
        answers = _answers_as_airflow(port)
        if answers:
            return 0
        # A UI of ours that is starting gives no answer yet; another program gives another one.
        if answers is False or time.monotonic() > deadline:
            raise InstanceError(
                f"port {port} of 127.0.0.1 is taken by another program: end it, or choose another port: "
                f"`SLUICE_WEB_PORT={port + 1} docker compose up`"
            )
        time.sleep(1)
    return 0


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _answers_as_airflow(port: int) -> bool | None:
    """Whether the web UI answers there; None when nothing does."""
    url = f"http://127.0.0.1:{port}/api/v2/monitor/health"
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return "metadatabase" in json.load(answer)
    except (urllib.error.HTTPError, ValueError):
        return False
    except (OSError, http.client.HTTPException):
        return None


def init(_: Sequence[str] = ()) -> int:
    """Service init: everything that must be there before Airflow starts; doing it again changes nothing."""
    refuse_unknown_in_file(HOST / ".env")
    instance = AllSecrets(load())
    check_volumes(instance)
    wait_for_database(instance.server_url("postgres"))
    with database.connect(instance.server_url("postgres"), application_name="sluice-init") as connection:
        roles.make_roles(connection, instance.secrets())
    applied = migrate.migrate(instance.embedded_url("sluice_owner", 5432))
    say(f"PostgreSQL is ready: {len(applied)} migrations applied")
    with database.connect(instance.embedded_url("sluice_owner", 5432), application_name="sluice-init") as connection:
        try:
            folders.check(instance.settings, connection)
        except folders.FoldersError as error:
            say(f"waiting: {error}")
    environment = instance.environment(instance.last_said())
    _airflow(environment, ["db", "migrate"])
    airflow = instance.embedded_url("airflow", 5432)
    with database.connect(airflow, search_path=database.AIRFLOWS_PATH) as connection:
        for command in roles.generator_commands(connection, wanted=instance.settings.generator):
            _airflow(environment, command)
    say("Airflow's database is up to date")
    return 0


def refuse_unknown_in_file(path: Path) -> None:
    """Compose hands on the settings that it knows, so a typo in the host's .env is found here or nowhere.

    Raises SettingError. A file that this user may not read is passed over, with a word.
    """
    found: dict[str, str] = {}
    try:
        read_env_file(path, found)
    except OSError as error:
        say(f".env cannot be read ({error.strerror}): a misspelt setting in it is not noticed")
    refuse_unknown(found)


def restore_begin(arguments: Sequence[str] = ()) -> int:
    """First step of a restore: a database for pg_restore to fill; with ``discard-replaced``, whatever it costs."""
    instance = AllSecrets(load())
    wait_for_database(instance.server_url("postgres"))
    restore.begin(instance.settings, instance.server_url, discard_replaced="discard-replaced" in arguments)
    return 0


def restore_finish(arguments: Sequence[str] = ()) -> int:
    """Last step of a restore: what was restored becomes the pipeline's, and what it does not know lands again.

    With ``copy-sealed``, rows of files whose bytes are gone are copied over.
    """
    instance = AllSecrets(load())
    found = restore.finish(
        instance.settings, instance.server_url, instance.owner_url, say, copy_sealed="copy-sealed" in arguments
    )
    for line in found.lines():
        say(line)
    return 0


def copy_sealed(_: Sequence[str] = ()) -> int:
    """After a restore: copy rows over whose files are gone, from the database that it replaced."""
    instance = AllSecrets(load())
    wait_for_database(instance.server_url("postgres"))
    for line in restore.copy_sealed(instance.settings, instance.server_url, instance.owner_url).lines():
        say(line)
    return 0


def check_volumes(instance: Containers) -> None:
    """Raises InstanceError with the remedy when a folder that the pipeline writes cannot be written."""
    settings = instance.settings
    try:
        folders = (settings.incoming_dir, settings.processing_dir, settings.archive_dir, settings.checkpoint_dir)
        for folder in (settings.home_dir, *folders, Path("/var/log/sluice")):
            permissions.make_private(folder, settings)
            probe = folder / f".{os.getpid()}.tmp"
            probe.touch()
            probe.unlink()
    except OSError as error:
        raise InstanceError(_unwritable(Path(error.filename or settings.home_dir))) from error
    if not os.access(settings.contracts_dir, os.R_OK | os.X_OK):
        raise InstanceError(
            f"{settings.contracts_dir} cannot be read by user {os.getuid()}: on the host, "
            "`chmod -R a+rX include/contracts`"
        )


def wait_for_database(url: str, patience: float = PATIENCE_SECONDS, tell: Callable[[str], None] = say) -> None:
    """Return when the database of ``url`` answers; say every 10 s what it is waiting for.

    Raises InstanceError at once when the password is refused, and after ``patience`` seconds.
    """
    parts = psycopg.conninfo.conninfo_to_dict(url)
    where = f"PostgreSQL at {parts['host']}:{parts['port']} (database {parts['dbname']}, role {parts['user']})"
    begun, said = time.monotonic(), 0.0
    while True:
        try:
            database.connect(url, application_name="sluice-wait").close()
            if said:
                tell(f"{where} answers after {time.monotonic() - begun:.0f} s")
            return
        except psycopg.OperationalError as error:
            reason = str(error).strip().splitlines()[0]
        waited = time.monotonic() - begun
        if "password authentication failed" in reason:
            raise InstanceError(_refused(where, str(parts["user"])))
        if waited > patience:
            raise InstanceError(
                f"{where} did not answer within {patience:g} s ({reason}): `docker compose logs postgres`"
            )
        if waited >= said:
            tell(f"waiting for {where}, {waited:.0f} s so far: {reason}")
            said = waited + _SAY_EVERY_SECONDS
        time.sleep(0.5)


def run_airflow(name: str) -> int:
    """Become one of Airflow's processes; the scheduler gets one above it that ends the stream in good order."""
    instance = Containers(load())
    instance.airflow_home.mkdir(exist_ok=True)
    environment = instance.environment(instance.last_said())
    wait_for_database(instance.embedded_url("airflow", 5432))
    if name == "api-server":
        instance.write_web_password()
    if name != "scheduler":
        os.execvpe(_AIRFLOW[name][0], _AIRFLOW[name], environment)
    wait_for_database(instance.settings.writer_dsn)
    # The driver of the stream is a child of its Airflow task, and so lives in this container: workers reach it here.
    instance.write_spark_conf(**{"spark.driver.host": socket.gethostname(), "spark.driver.bindAddress": "0.0.0.0"})
    return _supervise(instance, _AIRFLOW[name], environment)


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
    url = Containers(load()).embedded_url("airflow", 5432)
    return 0 if heartbeat.job_lives(url, jobs[0], 60, socket.gethostname()) else 1


def inside() -> bool:
    """Whether this process runs in one of the containers."""
    return SECRETS.exists()


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
    url = instance.embedded_url("airflow", 5432)
    watch = heartbeat.Pulse(lambda seconds: heartbeat.job_lives(url, "SchedulerJob", seconds, socket.gethostname()))
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
    shutdown.end_everything(instance, say)
    return 0 if asked else 1


def _airflow(environment: dict[str, str], arguments: list[str]) -> None:
    done = subprocess.run(["airflow", *arguments], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise InstanceError(f"`airflow {' '.join(arguments)}` failed:\n{(done.stdout + done.stderr)[-4000:]}")


def _unwritable(path: Path) -> str:
    return (
        f"{path} cannot be written by user {os.getuid()}, whom the containers run as: give the volume to that user, "
        "docker run --rm --user root --entrypoint chown -v VOLUME:/volume sluice "
        f"-R {os.getuid()}:{os.getgid()} /volume (`docker volume ls` names the volumes), then `docker compose up` again"
    )


def _refused(where: str, role: str) -> str:
    remedy = (
        "the database was made with another password than the one in volume secrets; "
        "`docker compose exec postgres /set-password` sets it to this one, then `docker compose up` again"
        if role == SUPERUSER
        else "run `docker compose up` once more: its service `init` sets the passwords of the roles"
    )
    return f"{where} refuses the password: {remedy}"


_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "secrets": deal_secrets,
    "web-port": check_port,
    "init": init,
    "restore-begin": restore_begin,
    "restore-finish": restore_finish,
    "copy-sealed": copy_sealed,
    "healthy": healthy,
    "spark-master": run_master,
    "spark-worker": run_worker,
}

if __name__ == "__main__":
    sys.exit(main())
