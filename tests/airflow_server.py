"""Airflow's api-server with the plugins of this checkout, over a database of a test's own: the web UI and no more.

No scheduler, no DAG processor: DAGs are there as they were parsed once; a run that is triggered stays queued.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sluice.base.settings import PROJECT, Settings
from sluice.running import processes, web

# One login a role of Airflow's.
ROLES = ("admin", "op", "user", "viewer")
MONITOR_TOKEN = "only-for-tests-and-monitors"
START_SECONDS = 180


@dataclass(frozen=True)
class Answer:
    """What the server answered: status, headers, and the body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """A running api-server at ``url``; each login's name is its password too."""

    url: str
    log: Path

    def token(self, login: str) -> str:
        """What proves the login to the API."""
        asked = self.ask("POST", "auth/token", body={"username": login, "password": login})
        return str(asked.json["access_token"])

    def ask(
        self, method: str, path: str, *, token: str = "", body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request; ``body`` is bytes, or anything that JSON can say."""
        given = dict(headers or {})
        if token:
            given["Authorization"] = f"Bearer {token}"
        if body is not None and not isinstance(body, bytes):
            body, given["Content-Type"] = json.dumps(body).encode(), "application/json"
        request = urllib.request.Request(f"{self.url}/{path}", data=body, method=method, headers=given)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())


@contextlib.contextmanager
def running(settings: Settings, folder: Path, **changes: str) -> Iterator[Server]:
    """The server while the block runs; its files are in ``folder``, its page reads ``settings``' database."""
    port = web.port_to_use(0)
    environment = _environment(settings, folder, port) | changes
    for command in (["db", "migrate"], ["dags", "reserialize"]):
        subprocess.run([sys.executable, "-m", "airflow", *command], env=environment, check=True, capture_output=True)
    log = folder / "api-server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "api-server"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_healthy(url, process, log)
        yield Server(url, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not web.health(url)["api-server"]:
        assert process.poll() is None, log.read_text()[-4000:]
        assert time.monotonic() < deadline, log.read_text()[-4000:]
        time.sleep(0.2)


def _environment(settings: Settings, folder: Path, port: int) -> dict[str, str]:
    home = folder / "airflow"
    home.mkdir(mode=0o700, parents=True)
    (home / "passwords.json").write_text(json.dumps({role: role for role in ROLES}))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLUICE_", "AIRFLOW"))}
    return kept | {
        **processes.mark(settings.home_dir),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{role}:{role}" for role in ROLES),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__SECRET_KEY": "only-for-tests-" * 5,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-tests-" * 5,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "SLUICE_HOME": str(settings.home_dir),
        "SLUICE_METRICS_TOKEN": MONITOR_TOKEN,
        "SLUICE_READER_URL": settings.reader_dsn,
        "SLUICE_WRITER_URL": settings.writer_dsn,
        "AIRFLOW_CONN_SLUICE_READER": settings.reader_dsn,
        "AIRFLOW_CONN_SLUICE_WRITER": settings.writer_dsn,
        "PYTHONPATH": str(PROJECT),
        "PYTHONWARNINGS": "ignore:Using `httpx` with `starlette.testclient`",
    }
