"""A pipeline as commands see it, wherever it runs: addresses, secrets, and the environment of its processes."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

import psycopg

from sluice.base.settings import PROJECT, Settings
from sluice.ledger import lanes
from sluice.running import java, processes
from sluice.running.credentials import write_private

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


class Pipeline(ABC):
    """The pipeline of ``settings``; making one touches nothing."""

    database_host: str

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = settings.home_dir
        self.run_dir = self.home / "run"
        self.log_dir = self.home / "logs"
        self.launcher_log = self.log_dir / "launcher.log"
        self.airflow_home = self.home / "airflow"

    @abstractmethod
    def running(self) -> Running | None:
        """What it says of itself while it runs; None when it does not, or has not said anything yet."""

    @abstractmethod
    def lives(self) -> bool:
        """Whether it starts, runs or stops now."""

    @abstractmethod
    def processes(self, running: Running) -> dict[str, bool]:
        """Which of its processes live."""

    @abstractmethod
    def secrets(self) -> dict[str, str]:
        """Passwords and keys."""

    def role_url(self, role: str, port: int, database: str | None = None) -> str:
        """URL of ``role`` on the pipeline's own server, for ``database`` (default: the one that the role works in)."""
        database = database or ("airflow" if role == "airflow" else "sluice")
        return f"postgresql://{role}:{quote(self.secrets()[role])}@{self.database_host}:{port}/{database}"

    def airflow_url(self, port: int) -> str:
        """SQLAlchemy's URL of Airflow's metadata, which always lives on the pipeline's own server."""
        return self.role_url("airflow", port).replace("postgresql://", "postgresql+psycopg2://")

    def with_urls(self, port: int) -> Settings:
        """The settings with all three URLs: of the pipeline's own server at ``port``, or of the user's server."""
        if self.settings.database_url:
            settings = self.settings
            return replace(settings, writer_url=settings.writer_dsn, reader_url=settings.reader_dsn)
        return replace(
            self.settings,
            database_url=self.role_url("sluice_owner", port),
            writer_url=self.role_url("sluice_writer", port),
            reader_url=self.role_url("sluice_reader", port),
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
        master = settings.spark_master or lanes.local_master(settings)
        ours = {
            **processes.mark(self.home),
            **self._airflow_environment(running),
            "SLUICE_HOME": str(self.home),
            "SLUICE_WRITER_URL": settings.writer_dsn,
            "SLUICE_READER_URL": settings.reader_dsn,
            "AIRFLOW_CONN_SLUICE_WRITER": settings.writer_dsn,
            "AIRFLOW_CONN_SLUICE_READER": settings.reader_dsn,
            "AIRFLOW_CONN_FS_DEFAULT": "fs://",
            "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps({"conn_type": "spark", "host": master}),
            "PYTHONPATH": str(PROJECT),
            "PYTHONUNBUFFERED": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', os.defpath)}",
        }
        if master.startswith("local"):
            ours["SPARK_LOCAL_IP"] = "127.0.0.1"
        if home := java.home():
            ours["JAVA_HOME"] = str(home)
        kept = {key: value for key, value in environ.items() if key != "SLUICE_DATABASE_URL"}
        if kept.get("PYTHONDONTWRITEBYTECODE") and not _packages_are_compiled():
            # Nothing is to be written beside the sources. Without any bytecode each task, and each worker of Spark,
            # compiles for a second or two what it imports.
            del kept["PYTHONDONTWRITEBYTECODE"]
            ours["PYTHONPYCACHEPREFIX"] = kept.get("PYTHONPYCACHEPREFIX") or str(self.run_dir / "bytecode")
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


def _packages_are_compiled() -> bool:
    """Whether they were when they were installed, as the Makefile and the Dockerfile do it."""
    return Path(importlib.util.cache_from_source(psycopg.__file__)).exists()


# What Airflow does well enough with other values: the user's own environment comes first.
_PREFERENCES = {
    "AIRFLOW__API__WORKERS": "1",
    "AIRFLOW__CORE__PARALLELISM": "8",
    # How soon tasks of a scheduler or worker that was killed run again: minutes with Airflow's own values.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "90",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
    # Of a file that has not changed; one that has is read at the next refresh.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    # A line for every heartbeat of every task would fill the disk.
    "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "http.access=WARNING",
    # Airflow imports a test client that warns about its own dependency.
    "PYTHONWARNINGS": "ignore:Using `httpx` with `starlette.testclient`",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}
