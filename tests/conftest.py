"""What every test may ask for: a real PostgreSQL server, a fresh migrated database, settings that name it.

SLUICE_TEST_POSTGRES_BIN names the bin folder of another PostgreSQL (14 and later) to run the suite against.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from sluice.base import database
from sluice.base.settings import PROJECT, Settings
from sluice.landing import folders
from sluice.ledger import leases, migrate
from sluice.reports import tables
from sluice.running import embedded
from tests import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Airflow makes its home and reads its settings while it is imported: both are the test session's own.
AIRFLOW_HOME = tempfile.mkdtemp(prefix="sluice-airflow-")
os.environ |= {"AIRFLOW_HOME": AIRFLOW_HOME, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}

PASSWORD = "only-for-tests"
TEMPLATE = "sluice_template"
_ROLES = f"""
    CREATE ROLE sluice_owner LOGIN PASSWORD '{PASSWORD}';
    CREATE ROLE sluice_writer LOGIN PASSWORD '{PASSWORD}';
    CREATE ROLE sluice_reader LOGIN PASSWORD '{PASSWORD}';
    CREATE DATABASE {TEMPLATE} OWNER sluice_owner;
"""


def pytest_configure(config: pytest.Config) -> None:
    """SIGTERM ends a run as Ctrl-C does, so that fixtures end their servers."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.path.append(str(PROJECT / "plugins"))  # as Airflow does


def pytest_unconfigure(config: pytest.Config) -> None:
    """Airflow's home ends with the session."""
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


def _guard(server: embedded.Server) -> subprocess.Popen[bytes]:
    """A process that ends the server when this one ends in whatever way: its standard input closes then."""
    assert server.process is not None
    script = """
        read _
        running="$2/pgdata/postmaster.pid"
        [ -e "$running" ] && kill -INT "$1"
        while [ -e "$running" ]; do sleep 0.1; done
        rm -rf "$2" "$3"
    """
    arguments = [str(server.process.pid), str(server.folder), AIRFLOW_HOME]
    return subprocess.Popen(
        ["sh", "-c", script, "guard", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[embedded.Server]:
    """A server with the three roles and a migrated template database; it ends with the test session."""
    # Not under pytest's own folder: that one is 0700, and as root the server runs as another user.
    folder = Path(tempfile.mkdtemp(prefix="sluice-tests-"))
    server = embedded.Server(folder, embedded.binaries(os.environ.get("SLUICE_TEST_POSTGRES_BIN", "")))
    guard = None
    try:
        server.start()
        guard = _guard(server)
        with psycopg.connect(server.url(), autocommit=True) as connection:
            for statement in ["ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()", *_ROLES.strip().split("\n")]:
                connection.execute(statement)
        with psycopg.connect(server.url(TEMPLATE), autocommit=True) as connection:
            # What PostgreSQL 15 and later ship; docs/security.md tells users of 14 to do the same.
            connection.execute("ALTER SCHEMA public OWNER TO pg_database_owner")
            connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        migrate.migrate(server.url(TEMPLATE, "sluice_owner", PASSWORD))
        tables.make(server.url(TEMPLATE, "sluice_owner", PASSWORD))
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
        if guard is not None:
            guard.communicate()


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """Each test begins with the umask of most machines, whatever a command that ran in this process has set."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def database_url(postgres_server: embedded.Server) -> Iterator[str]:
    """URL (as sluice_owner) of a fresh migrated database, dropped after the test whoever is still connected."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER sluice_owner")
    yield postgres_server.url(name, "sluice_owner", PASSWORD)
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def settings(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a state folder of the test's own and ``database_url``, each role on its own login.

    They are exported too, so that a subprocess (with PYTHONPATH set to the project) reads the same.
    """
    made = Settings(
        home=str(tmp_path / "home"),
        database_url=database_url,
        writer_url=database_url.replace("sluice_owner", "sluice_writer"),
        reader_url=database_url.replace("sluice_owner", "sluice_reader"),
    )
    for name in [name for name in os.environ if name.startswith("SLUICE_") and not name.startswith("SLUICE_TEST_")]:
        monkeypatch.delenv(name)
    for field in ("home", "database_url", "writer_url", "reader_url"):
        monkeypatch.setenv(f"SLUICE_{field.upper()}", getattr(made, field))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    for folder in (made.incoming_dir, made.processing_dir, made.archive_dir):
        folder.mkdir(parents=True)
    with database.connect(database_url) as opened:
        folders.check(made, opened)
    return made


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """An autocommit connection, as the owner, to ``database_url``; rows are dicts."""
    with database.connect(database_url, application_name="sluice-test", search_path="public") as opened:
        yield opened


@pytest.fixture
def epoch(connection: psycopg.Connection[dict[str, Any]]) -> int:
    """The epoch of a living stream."""
    lease = leases.take(connection, submitted_by="test", seconds=600)
    assert lease is not None
    return leases.begin(connection, token=lease.token, host="test", pid=1, seconds=600)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, one for all tests: Playwright runs once in a process."""
    from playwright.sync_api import expect, sync_playwright  # most tests need none

    expect.set_options(timeout=30_000)  # Airflow's own scripts take seconds to come where much else runs
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium.browser(), args=list(chromium.FLAGS))
        yield opened
        opened.close()
