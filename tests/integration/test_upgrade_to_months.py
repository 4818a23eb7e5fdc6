"""The upgrade of a table events that has rows to one by month: nothing is lost, whoever reads or loads meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from sluice.base import database, queries
from sluice.base.settings import PROJECT, SQL
from sluice.ledger import migrate
from sluice.loading.retry_rules import rule_for
from sluice.running import embedded
from tests.conftest import PASSWORD
from tests.loading import Connection

BEFORE = [path for path in sorted((SQL / "migrations").glob("*.up.sql")) if path.name < "0019"]
OLD_LOADER = """
    CREATE TEMPORARY TABLE staged_events (LIKE public.events);
    INSERT INTO public.events SELECT DISTINCT ON (event_id) * FROM staged_events ORDER BY event_id, record_number
    ON CONFLICT (event_id) DO NOTHING
"""


@pytest.fixture
def url(postgres_server: embedded.Server) -> Iterator[str]:
    """URL (as sluice_owner) of a database of the release before, with rows: 900 old ones, 2 to come, 2 duplicates."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER sluice_owner")
    made = postgres_server.url(name, "sluice_owner", PASSWORD)
    with database.connect(made) as connection:
        queries.run(connection, "migrations.create_history")
        for path in BEFORE:
            with connection.transaction():
                connection.execute(queries.script(path))
            queries.run(connection, "migrations.record_applied", name=path.name.removesuffix(".up.sql"))
        connection.execute("""
            INSERT INTO ledger.files (name, path, sha256, bytes, landed_at, state, contract, loaded_at,
                rows_read, rows_loaded, rows_rejected, rows_duplicate)
            VALUES ('a', '', repeat('1', 64), 1, now(), 'loaded', 'events', now(), 902, 902, 0, 0),
                ('b', '', repeat('2', 64), 1, now(), 'loaded', 'events', now(), 2, 0, 0, 2),
                ('c', '', repeat('3', 64), 1, now(), 'landed', NULL, NULL, NULL, NULL, NULL, NULL);
            INSERT INTO public.events (event_id, event_type, event_time, file_id, record_number)
            SELECT md5(n::text)::uuid, 'search', '2024-01-01Z'::timestamptz + n * interval '1 day', 1, n
            FROM generate_series(1, 900) AS n;
            INSERT INTO public.events (event_id, event_type, event_time, file_id, record_number)
            VALUES (md5('901')::uuid, 'search', '2088-02-29 12:00Z', 1, 901),
                (md5('902')::uuid, 'search', '2150-01-01Z', 1, 902);
            INSERT INTO ledger.duplicates VALUES (2, 1, md5('7')::uuid), (2, 2, md5('901')::uuid);
            UPDATE ledger.files SET receipt = ledger.digest(1), receipt_version = 1, receipt_at = now()
            WHERE file_id = 1;
        """)
    yield made
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def opened(url: str) -> Iterator[Connection]:
    """A connection to it."""
    with database.connect(url, search_path="public") as connection:
        yield connection


def one(connection: Connection, query: str) -> Any:
    """The one value of a query."""
    row = connection.execute(query).fetchone()  # type: ignore[call-overload]
    assert row is not None
    [value] = row.values()
    return value


def content(connection: Connection) -> list[dict[str, Any]]:
    """All events."""
    return connection.execute("SELECT * FROM public.events ORDER BY event_id").fetchall()


def is_upgraded(connection: Connection) -> bool:
    """Whether events is partitioned."""
    return bool(one(connection, "SELECT relkind = 'p' FROM pg_class WHERE oid = 'public.events'::regclass"))


def test_all_rows_stay_and_only_those_of_later_moments_are_moved(url: str, opened: Connection) -> None:
    before, file = content(opened), one(opened, "SELECT pg_relation_filenode('events')")
    migrate.migrate(url)
    assert content(opened) == before
    months = opened.execute("SELECT tableoid::regclass::text AS month, count(*) AS n FROM events GROUP BY 1 ORDER BY 1")
    old = one(opened, "SELECT month FROM ledger.months() WHERE begins = '-infinity'")
    assert [(row["month"], row["n"]) for row in months] == [
        ("events_2088_02", 1), (old, 900), ("events_from_2100_01", 1),
    ]  # fmt: skip
    assert one(opened, f"SELECT pg_relation_filenode('{old}')") == file, "the table itself was not copied"
    assert one(opened, "SELECT ledger.verify(1) -> 'holds'") is True
    times = "SELECT array_agg(event_time::text ORDER BY record_number) FROM ledger.duplicates"
    opened.execute("SET timezone = 'UTC'")
    assert one(opened, times) == ["2024-01-08 00:00:00+00", "2088-02-29 12:00:00+00"]
    merged = opened.execute("SELECT merged_at IS NOT NULL AS seen FROM ledger.files ORDER BY file_id").fetchall()
    assert [row["seen"] for row in merged] == [True, True, False]
    with pytest.raises(psycopg.errors.UniqueViolation):
        opened.execute("INSERT INTO events SELECT * FROM events WHERE record_number = 7")


def test_indexes_and_grants_of_others_are_on_the_whole_table(url: str, opened: Connection) -> None:
    opened.execute("CREATE INDEX by_user ON events (user_id)")
    opened.execute("GRANT SELECT ON events TO sluice_reader, PUBLIC")
    migrate.migrate(url)
    indexed = "SELECT count(*) FROM pg_indexes WHERE tablename LIKE 'events%' AND indexdef LIKE '%btree (user_id)%'"
    assert one(opened, indexed) == one(opened, "SELECT 1 + count(*) FROM ledger.months()")
    assert one(
        opened,
        "SELECT 'events'::regclass::text || relacl::text LIKE '%=r/%' FROM pg_class WHERE oid = 'events'::regclass",
    )
    opened.execute("SELECT ledger.make_month('2090-06-01')")
    reader = url.replace("sluice_owner", "sluice_reader")
    with database.connect(reader) as connection:
        assert one(connection, "SELECT count(*) FROM public.events_2090_06") == 0


def test_views_see_the_whole_table_and_keep_grants_and_options(url: str, opened: Connection) -> None:
    opened.execute("CREATE SCHEMA mine")
    opened.execute(
        "CREATE VIEW mine.kinds WITH (security_barrier = true) AS "
        "SELECT event_type, count(*) AS n FROM events GROUP BY 1"
    )
    opened.execute("CREATE VIEW mine.total AS SELECT sum(n) AS n FROM mine.kinds")
    opened.execute("GRANT USAGE ON SCHEMA mine TO sluice_reader")
    opened.execute("GRANT SELECT ON mine.total TO sluice_reader")
    opened.execute("CREATE MATERIALIZED VIEW mine.kept AS SELECT count(*) AS n FROM events")
    opened.execute("CREATE VIEW mine.above AS SELECT n + 1 AS n FROM mine.kept")
    migrate.migrate(url)
    with database.connect(url.replace("sluice_owner", "sluice_reader")) as reader:
        assert one(reader, "SELECT n FROM mine.total") == 902
    assert one(opened, "SELECT reloptions FROM pg_class WHERE relname = 'kinds'") == ["security_barrier=true"]
    dropped = opened.execute("SELECT view_name, kind FROM ledger.dropped_views ORDER BY view_name").fetchall()
    assert [(row["view_name"], row["kind"]) for row in dropped] == [("above", "VIEW"), ("kept", "MATERIALIZED VIEW")]
    opened.execute(one(opened, "SELECT format('CREATE %s mine.kept AS %s', kind, definition) FROM ledger.dropped_views "
                               "WHERE view_name = 'kept'"))  # fmt: skip
    assert one(opened, "SELECT n FROM mine.kept") == 902


@pytest.mark.parametrize(
    ("make", "says"),
    [
        ("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
         "CREATE TRIGGER t BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION f()", "triggers"),
        ("CREATE POLICY p ON events USING (true)", "policies"),
        ("CREATE TABLE theirs (event_id uuid REFERENCES events)", "references"),
    ],
)  # fmt: skip
def test_what_would_stay_on_the_old_rows_without_a_word_stops_the_upgrade(
    url: str, opened: Connection, make: str, says: str
) -> None:
    opened.execute(make)  # type: ignore[call-overload]
    with pytest.raises(psycopg.errors.ObjectInUse, match=says):
        migrate.migrate(url)
    assert not is_upgraded(opened)


def test_a_view_of_another_owner_stops_the_upgrade_and_is_named(url: str, opened: Connection) -> None:
    opened.execute("CREATE SCHEMA theirs")
    opened.execute("GRANT ALL ON SCHEMA theirs TO sluice_reader")
    opened.execute("GRANT SELECT ON events TO sluice_reader")
    with database.connect(url.replace("sluice_owner", "sluice_reader")) as reader:
        reader.execute("CREATE VIEW theirs.view AS SELECT * FROM public.events")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=r"theirs\.view of role sluice_reader"):
        migrate.migrate(url)
    assert not is_upgraded(opened)


@pytest.mark.parametrize("table", ["ledger.files", "ledger.audit", "ledger.streams"])
def test_an_upgrade_that_is_killed_leaves_all_as_it_was_and_is_run_again(
    url: str, opened: Connection, table: str
) -> None:
    """It is killed where it waits for a table, in the middle of its transaction."""
    before = content(opened)
    code = f"from sluice.ledger.migrate import migrate; migrate({url!r})"
    with psycopg.connect(url) as holding:
        holding.execute(f"LOCK TABLE {table} IN SHARE MODE")
        process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(PROJECT)})
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
        while True:
            row = opened.execute(waiting, [table]).fetchone()
            if row == {"count": 1}:
                break
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        holding.rollback()
    migrate.migrate(url)
    assert is_upgraded(opened)
    assert content(opened) == before


def test_it_waits_for_an_open_load_and_has_its_rows(url: str, opened: Connection) -> None:
    migrated = threading.Thread(target=migrate.migrate, args=[url])
    with psycopg.connect(url) as loading:
        loading.execute(
            "INSERT INTO public.events (event_id, event_type, event_time, file_id, record_number) "
            "VALUES (md5('x')::uuid, 'search', '2026-11-01', 3, 1)"
        )
        migrated.start()
        while not one(opened, "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"):
            pass
        loading.commit()
    migrated.join()
    assert is_upgraded(opened)
    assert one(opened, "SELECT count(*) FROM events") == 903


def test_a_stream_of_the_release_before_is_asked_to_stop_and_cannot_load(url: str, opened: Connection) -> None:
    opened.execute("INSERT INTO ledger.streams (submitted_by, lease_until) VALUES ('test', now() + interval '1 hour')")
    migrate.migrate(url)
    assert one(opened, "SELECT stop_requested IS NOT NULL FROM ledger.streams") is True
    with pytest.raises(psycopg.Error) as refused:
        opened.execute(OLD_LOADER)
    assert rule_for(refused.value).action == "stop"
    with suppress(psycopg.Error):
        opened.rollback()
