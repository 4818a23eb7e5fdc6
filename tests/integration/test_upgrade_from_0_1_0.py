"""A state folder that 0.1.0 has left, with rows in it: this release starts on it, and every row is accounted for.

``state_of_0_1_0`` was made by that release's own code. The server's files are made here, since those of PostgreSQL are
large; what 0.1.0 had in its database, roles and folders is what it wrote.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import psycopg
import pytest

from sluice.base import database
from sluice.base.settings import PROJECT, Settings
from sluice.ledger import leases, roles
from sluice.loading.load_file import FileLoader
from sluice.proof import reconcile
from sluice.running import embedded
from sluice.running.instance import Instance
from tests.integration.test_restore import OTHER_SERVER
from tests.loading import recount
from tests.reports import refresh_as_the_reader, rows

LEFT = Path(__file__).parent / "state_of_0_1_0"
pytestmark = pytest.mark.skipif(bool(OTHER_SERVER), reason="0.1.0 came with the embedded server")


@pytest.fixture
def home() -> Iterator[Path]:
    """The state folder as 0.1.0 left it, stopped."""
    made = Path(tempfile.mkdtemp(prefix="sluice-0-1-0-"))
    for folder in ("archive", "processing"):
        shutil.copytree(LEFT / folder, made / folder)
    server = embedded.Server(made / "postgres", embedded.binaries())
    made.chmod(0o755)
    try:
        server.start()
        (made / "postgres" / "port").unlink()  # 0.1.0 took any port
        with database.connect(server.url()) as superuser:
            roles.make_roles(superuser, Instance(Settings(home=str(made))).secrets())
        with psycopg.connect(server.url("sluice"), autocommit=True) as superuser:
            superuser.execute((LEFT / "database.sql").read_bytes())
        server.stop()
        yield made
    finally:
        embedded.stop_running(made / "postgres" / "pgdata")
        shutil.rmtree(made)


def sluice(home: Path, *arguments: str) -> str:
    """What a user's command prints on the stopped pipeline; it must end well."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SLUICE_", "AIRFLOW"))}
    blank = {f"SLUICE_{field.name.upper()}": "" for field in fields(Settings)}
    own = {"SLUICE_HOME": str(home), "SLUICE_WEB_PORT": "0", "SLUICE_BACKUP_FOLDER": str(home / "backups")}
    command = [sys.executable, "-m", "sluice", *arguments]
    done = subprocess.run(command, cwd=PROJECT, env=kept | blank | own, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_state_folder_of_0_1_0_goes_on_with_all_of_its_rows(home: Path) -> None:
    # Any command that needs the database upgrades it, as a start does.
    said = sluice(home, "backup")
    assert "migrations applied" in said
    drilled = json.loads(sluice(home, "restore-drill", "--json"))
    assert (drilled["holds"], drilled["files"], drilled["rows"], drilled["waiting"]) == (True, 2, 7, 1)
    assert drilled["migrations"] == 0, "the backup is of the upgraded database"

    instance = Instance(Settings(home=str(home)))
    server = embedded.Server(instance.postgres_dir, embedded.binaries())
    server.start()
    try:
        settings = instance.with_urls(server.port)
        with database.connect(settings.owner_dsn) as connection:
            assert recount(connection) == {1: (2, 1, 1), 2: (1, 1, 1)}
            load_what_waits(settings, connection)
            assert recount(connection) == {1: (2, 1, 1), 2: (1, 1, 1), 7: (1, 1, 0)}
            ids = connection.execute("SELECT event_id FROM public.events ORDER BY event_id").fetchall()
            assert [int(str(row["event_id"])[-2:]) for row in ids] == [1, 2, 4, 7]
            refresh_as_the_reader(settings)
            assert [row["events"] for row in rows(connection, "totals")] == [4]
        assert reconcile.reconcile(settings, settings.reader_dsn).broken == []
    finally:
        server.stop()


def load_what_waits(settings: Settings, connection: psycopg.Connection[dict[str, object]]) -> None:
    lease = leases.take(connection, submitted_by="test", seconds=60)
    assert lease is not None
    loader = FileLoader(settings, leases.begin(connection, token=lease.token, host="test", pid=1, seconds=60))
    assert loader.load(7).state == "loaded"
    loader.close()
