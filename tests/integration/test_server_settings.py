"""What the server is set to: as advised where we start it, told where we do not, and durable in our sessions anyhow."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
import yaml

from sluice.base import database, machine, queries
from sluice.base.settings import PROJECT
from sluice.ledger import server_settings
from sluice.running import embedded
from tests.loading import make_months

Connection = psycopg.Connection[dict[str, Any]]
DISK = 20 * server_settings.GB


def named(connection: Connection) -> dict[str, str]:
    """What should be another: its value by name. The tests' own server saves itself fsync, and must be told so."""
    found = {one.advice.name: one.now for one in server_settings.compare(connection, machine.memory(), DISK)}
    assert found.pop("fsync") == "off"
    return found


def test_the_embedded_server_has_the_settings_that_are_advised(postgres_server: embedded.Server) -> None:
    with database.connect(postgres_server.url()) as superuser:
        assert named(superuser) == {}


@pytest.mark.parametrize(("name", "value"), [("wal_compression", "on"), ("synchronous_commit", "off")])
def test_a_setting_that_costs_time_or_rows_is_named(postgres_server: embedded.Server, name: str, value: str) -> None:
    with database.connect(postgres_server.url()) as superuser:
        superuser.execute(f"SET {name} = {value}")
        shown = superuser.execute(f"SHOW {name}").fetchone()  # from 15 on, on is pglz
        assert named(superuser) == shown != {}


def test_a_session_of_ours_commits_durably_where_the_database_says_otherwise(
    postgres_server: embedded.Server, connection: Connection
) -> None:
    with database.connect(postgres_server.url()) as superuser:
        superuser.execute(f"ALTER DATABASE {connection.info.dbname} SET synchronous_commit = off")
    url = postgres_server.url(connection.info.dbname)
    with psycopg.connect(url) as bare, database.connect(url) as ours:
        assert bare.execute("SHOW synchronous_commit").fetchone() == ("off",)
        assert ours.execute("SHOW synchronous_commit").fetchone() == {"synchronous_commit": "on"}


def test_months_that_the_server_has_no_room_to_lock_are_named(
    postgres_server: embedded.Server, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_months(connection, *(f"{year}-01-01" for year in range(2000, 2020)))
    monkeypatch.setattr(server_settings, "_READERS", 10_000)
    with database.connect(postgres_server.url(connection.info.dbname)) as superuser:
        row = superuser.execute(
            "SELECT count(*) AS n FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname LIKE 'events%'"
        ).fetchone()
        place = queries.row(superuser, "server_settings.place")
        assert row == {"n": place["relations"]}
        assert named(superuser) == {"max_locks_per_transaction": "256"}


@pytest.mark.parametrize(
    ("months", "connections", "expected"),
    [(24, 100, 64), (160, 100, 64), (161, 100, 128), (1200, 100, 512), (1200, 200, 256)],
)
def test_ten_readers_of_all_months_find_room_for_their_locks(months: int, connections: int, expected: int) -> None:
    assert server_settings.max_locks(4 * months, connections) == expected
    assert expected * connections >= 10 * 4 * months


def test_the_container_of_postgres_sets_all_that_is_not_a_default() -> None:
    compose = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())
    started = (PROJECT / "docker" / "start-postgres.sh").read_text()
    given = " ".join(compose["services"]["postgres"]["command"]) + started
    advised = {one.name for one in server_settings.advised(1, 1) if not one.is_default}
    assert {name for name in advised if f"-c{name}=" not in given} == set()


@pytest.mark.parametrize(("memory_gb", "expected_mb"), [(0.5, 128), (8, 1024), (23.5, 3008), (512, 4096)])
def test_shared_buffers_are_an_eighth_of_the_memory_within_bounds(memory_gb: float, expected_mb: int) -> None:
    memory = int(memory_gb * server_settings.GB)
    assert server_settings.shared_buffers(memory) == expected_mb * server_settings.MB
