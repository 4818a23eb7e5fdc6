"""One pipeline's state folder: its secrets, who runs it, its addresses, and the environment of its processes."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psutil

from sluice.base import permissions
from sluice.base.settings import PROJECT, Settings
from sluice.ledger.roles import ROLES
from sluice.running import embedded, java, processes

WEB_USER = "admin"


class InstanceError(RuntimeError):
    """The pipeline cannot do what was asked; the message says why and what to do."""


@dataclass(frozen=True)
class Running:
    """What a launcher tells of itself in ``run/instance.json``."""

    pid: int
    started_at: float
    postgres_port: int = 0
    web_port: int = 0
    ready: bool = False
    pids: dict[str, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the web UI is."""
        return f"http://127.0.0.1:{self.web_port}"


class Instance:
    """The state folder of ``settings`` and what it says; making one touches nothing."""

    database_host = "127.0.0.1"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = settings.home_dir
        self.run_dir = self.home / "run"
        self.log_dir = self.home / "logs"
        self.airflow_home = self.home / "airflow"
        self.postgres_dir = self.home / "postgres"
        self.secrets_path = self.home / "secrets.json"

    def make_folders(self) -> None:
        """Make the folders that are missing, and close those that are there to other users, as the settings say.

        Producers pass through the state folder to ``incoming``, and PostgreSQL to its data when it runs as a user of
        its own, because this one is root.
        """
        settings = self.settings
        through = permissions.PASSABLE if os.geteuid() == 0 else 0
        permissions.make_private(self.home, settings, permissions.PASSABLE if settings.incoming_group else through)
        permissions.make_private(self.postgres_dir, settings, through)
        folders = (self.run_dir, self.log_dir, self.airflow_home, settings.checkpoint_dir)
        for folder in (*folders, settings.processing_dir, settings.archive_dir):
            permissions.make_private(folder, settings)
        permissions.make_incoming(settings)
        self.airflow_home.chmod(0o700)

    # --- who runs it

    def lock(self) -> IO[str] | None:
        """Become the one who runs this pipeline, until the file is closed; None when another does."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        file = (self.run_dir / "lock").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file

    def is_locked(self) -> bool:
        """Whether a launcher (or the one who clears up after it) lives now."""
        if not self.run_dir.is_dir():
            return False
        if (file := self.lock()) is None:
            return True
        file.close()
        return False

    def running(self) -> Running | None:
        """What the living launcher says of itself; None when there is none, or it has not said anything yet."""
        return self.last_said() if self.is_locked() else None

    def last_said(self) -> Running | None:
        """What the last launcher said of itself, be it alive or not."""
        try:
            return Running(**json.loads((self.run_dir / "instance.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def tell(self, running: Running) -> None:
        """Say what runs: ``running`` replaces what was said before."""
        write_private(self.run_dir / "instance.json", json.dumps(asdict(running)))

    def forget(self) -> None:
        """Nothing runs any more."""
        (self.run_dir / "instance.json").unlink(missing_ok=True)

    def processes(self, running: Running) -> dict[str, bool]:
        """Which of the processes live."""
        found = {name: psutil.pid_exists(pid) for name, pid in running.pids.items()}
        return found | {"postgres": embedded.running(self.postgres_dir / "pgdata") is not None}

    # --- secrets and addresses

    def secrets(self) -> dict[str, str]:
        """Passwords and keys, made at the first call and kept in ``secrets.json`` (0600)."""
        path = self.secrets_path
        known = json.loads(path.read_text()) if path.exists() else {}
        made = self.new_secrets()
        if made.keys() - known.keys():
            known = made | known
            path.parent.mkdir(parents=True, exist_ok=True)
            write_private(path, json.dumps(known, indent=2) + "\n")
        return known

    def new_secrets(self) -> dict[str, str]:
        """One of each that is needed, made at random."""
        return {
            **{role: secrets.token_urlsafe(24) for role in ROLES},
            "web_password": secrets.token_urlsafe(12),
            "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "jwt_secret": secrets.token_urlsafe(48),
            "api_secret_key": secrets.token_urlsafe(32),
        }

    def embedded_url(self, role: str, port: int) -> str:
        """URL of ``role`` on the embedded server."""
        database = "airflow" if role == "airflow" else "sluice"
        return f"postgresql://{role}:{quote(self.secrets()[role])}@{self.database_host}:{port}/{database}"

    def airflow_url(self, port: int) -> str:
        """SQLAlchemy's URL of Airflow's metadata, which always lives on the embedded server."""
        return self.embedded_url("airflow", port).replace("postgresql://", "postgresql+psycopg2://")

    def with_urls(self, port: int) -> Settings:
        """The settings with all three URLs filled in: the embedded server's at ``port``, or the user's own server's."""
        if self.settings.database_url:
            settings = self.settings
            return replace(settings, writer_url=settings.writer_dsn, reader_url=settings.reader_dsn)
        return replace(
            self.settings,
            database_url=self.embedded_url("sluice_owner", port),
            writer_url=self.embedded_url("sluice_writer", port),
            reader_url=self.embedded_url("sluice_reader", port),
        )

    def write_web_password(self) -> Path:
        """Hand Airflow's SimpleAuthManager the one user's password; return the file it reads."""
        path = self.airflow_home / "web_password.json"
        write_private(path, json.dumps({WEB_USER: self.secrets()["web_password"]}) + "\n")
        return path

    def environment(self, running: Running, environ: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of Airflow, and of what it starts: addresses and secrets of the roles, never the owner's."""
        environ = os.environ if environ is None else environ
        settings = self.with_urls(running.postgres_port)
        ours = {
            **processes.mark(self.home),
            **self._airflow_environment(running),
            "SLUICE_HOME": str(self.home),
            "SLUICE_WRITER_URL": settings.writer_dsn,
            "SLUICE_READER_URL": settings.reader_dsn,
            "AIRFLOW_CONN_SLUICE_WRITER": settings.writer_dsn,
            "AIRFLOW_CONN_SLUICE_READER": settings.reader_dsn,
            "AIRFLOW_CONN_FS_DEFAULT": "fs://",
            "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps({"conn_type": "spark", "host": settings.spark_master}),
            "PYTHONPATH": str(PROJECT),
            "PYTHONUNBUFFERED": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', os.defpath)}",
        }
        if settings.spark_master.startswith("local"):
            ours["SPARK_LOCAL_IP"] = "127.0.0.1"
        if home := java.home():
            ours["JAVA_HOME"] = str(home)
        kept = {key: value for key, value in environ.items() if key != "SLUICE_DATABASE_URL"}
        return _PREFERENCES | kept | ours

    def _airflow_environment(self, running: Running) -> dict[str, str]:
        known = self.secrets()
        database = self.airflow_url(running.postgres_port)
        return {
            "AIRFLOW_HOME": str(self.airflow_home),
            "AIRFLOW_CONFIG": str(self.airflow_home / "airflow.cfg"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "SLUICE_AIRFLOW_DATABASE_URL": database,
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__FERNET_KEY": known["fernet_key"],
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{WEB_USER}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.airflow_home / "web_password.json"),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{running.url}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(running.web_port),
            "AIRFLOW__API__BASE_URL": running.url,
            "AIRFLOW__API__SECRET_KEY": known["api_secret_key"],
            "AIRFLOW__API_AUTH__JWT_SECRET": known["jwt_secret"],
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.airflow_home / "logs"),
            # Airflow sets the modes of logs itself, whatever the umask.
            "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": oct(self.settings.folder_mode),
            "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": oct(self.settings.file_mode),
        }


# What Airflow does well enough with other values: the user's own environment comes first.
_PREFERENCES = {
    "AIRFLOW__API__WORKERS": "1",
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    # How soon tasks of a scheduler or worker that was killed run again: minutes with Airflow's own values.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "90",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    # A line for every heartbeat of every task would fill the disk.
    "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "http.access=WARNING",
    # Airflow imports a test client that warns about its own dependency.
    "PYTHONWARNINGS": "ignore:Using `httpx` with `starlette.testclient`",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` at once; only this user may read it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.touch(mode=0o600)
    temporary.write_text(text)
    temporary.replace(path)


def tail(path: Path, lines: int = 15) -> str:
    """The end of a log."""
    if not path.exists():
        return "(no log)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def rotate(path: Path, most: int = 50_000_000) -> None:
    """Keep a log that others append to from growing for ever: its old part moves to ``<name>.1``."""
    if path.exists() and path.stat().st_size > most:
        # Copied and emptied, not renamed: whoever writes it goes on appending to the same file.
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)


def now() -> float:
    """Seconds since 1970."""
    return time.time()
