"""The pipeline as a process inside one of its containers sees it: addresses, and the secrets that its part was dealt.

A container knows the secrets of its own part only: that of Spark's workers neither the owner's password nor Airflow's
keys. They are read from files and travel in the environment of processes, never in that of the container.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sluice.base.settings import PROJECT, Settings
from sluice.running import credentials, web
from sluice.running.credentials import write_private
from sluice.running.pipeline import InstanceError, Pipeline, Running

SECRETS = Path("/run/sluice/secrets.json")
DEALT = Path("/run/secrets-of")
# What each part is told; the service init alone knows everything.
PARTS = {
    "airflow": (
        *("sluice_writer", "sluice_reader", "airflow", "spark_secret"),
        *("web_password", "fernet_key", "jwt_secret", "api_secret_key"),
    ),
    "spark": ("sluice_writer", "sluice_reader", "spark_secret"),
}
SUPERUSER = "postgres"
PORT = 5432  # of service postgres
API = "http://api-server:8080"
MASTER = "spark-master"


def inside() -> bool:
    """Whether this process runs in one of the containers."""
    return SECRETS.exists()


class Containers(Pipeline):
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
        reader, writer = (self.role_url(f"sluice_{who}", PORT) for who in ("reader", "writer"))
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

    def running(self) -> Running:
        """What a launcher would say; it runs as long as this container does."""
        since = Path("/proc/1").stat().st_ctime
        web_port = self.settings.web_port
        return Running(pid=1, started_at=since, postgres_port=PORT, web_port=web_port, ready=True, pids=self.children)

    def lives(self) -> bool:
        """Whoever asks inside a container, the pipeline lives."""
        return True

    def processes(self, running: Running) -> dict[str, bool]:
        """What the api-server says of Airflow's jobs; `docker compose ps` knows the containers."""
        return web.health(API)

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
        # The superuser's password, and what Spark's parts tell one another apart by.
        extra = {name: secrets.token_urlsafe(32) for name in (SUPERUSER, "spark_secret")}
        return credentials.kept(self.secrets_path, credentials.new() | extra)

    def server_url(self, database: str) -> str:
        """The superuser's URL of ``database``."""
        return self.role_url(SUPERUSER, PORT, database)

    def owner_url(self, database: str = "sluice") -> str:
        """The owner's URL of ``database``."""
        return self.role_url("sluice_owner", PORT, database)

    def deal(self) -> None:
        """Write each part its own; raises OSError when a volume cannot be written."""
        known = self.secrets()
        for part, names in PARTS.items():
            dealt = {name: known[name] for name in names}
            write_private(self.root / part / "secrets.json", json.dumps(dealt, indent=2) + "\n")
        write_private(self.root / "postgres" / "password", known[SUPERUSER])
