"""Migrations: down is the way back, their sum is schema.sql, and a database of the first release comes along."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.types.json import Jsonb

from sluice.base import database, queries
from sluice.base.settings import SQL, Settings
from sluice.landing import folders
from sluice.ledger import catalogue, file_names, migrate
from sluice.proof.reconcile import reconcile
from sluice.reports import tables
from sluice.running import embedded, schema_file
from tests.conftest import PASSWORD
from tests.loading import HEADER, Connection, event, event_id, recount, state, table

FIRST_RELEASE = ("0001_ledger_and_events", "0002_the_way_back", "0003_files_to_seal")
NAMES = sorted(path.name.removesuffix(".up.sql") for path in (SQL / "migrations").glob("*.up.sql"))


@pytest.fixture
def empty_url(postgres_server: embedded.Server) -> Iterator[str]:
    """URL (as sluice_owner) of a database that no migration has seen."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER sluice_owner")
    yield postgres_server.url(name, "sluice_owner", PASSWORD)
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def empty(empty_url: str) -> Iterator[Connection]:
    """A connection to it, with the table of what was applied."""
    with database.connect(empty_url) as opened:
        queries.run(opened, "migrations.create_history")
        yield opened


def go(connection: Connection, name: str, way: str) -> None:
    """Apply one migration, or take it back."""
    with connection.transaction():
        connection.execute(queries.script(SQL / "migrations" / f"{name}.{way}.sql"))


def test_each_migration_has_its_way_back_and_a_number_of_its_own() -> None:
    assert sorted(path.name.removesuffix(".down.sql") for path in (SQL / "migrations").glob("*.down.sql")) == NAMES
    assert len({name[:4] for name in NAMES}) == len(NAMES)


def test_all_up_all_down_all_up_again_is_the_same_schema(empty: Connection) -> None:
    nothing, steps = catalogue.text(empty), []
    for name in NAMES:
        steps.append(_structure(empty))
        go(empty, name, "up")
    whole = catalogue.text(empty)
    for name in reversed(NAMES):
        go(empty, name, "down")
        assert _structure(empty) == steps.pop(), name
    assert catalogue.text(empty) == nothing
    for name in NAMES:
        go(empty, name, "up")
    assert catalogue.text(empty) == whole


def _structure(connection: Connection) -> dict[str, list[str]]:
    """All but the grants, which each release gives anew; a rule that older rows may break counts as the rule."""
    parts = catalogue.statements(connection)
    parts.pop("Grants", None)
    return {title: [line.replace(" NOT VALID", "") for line in lines] for title, lines in parts.items()}


def test_the_reports_of_before_and_after_make_room_for_each_other(empty_url: str, empty: Connection) -> None:
    """With what the files of the reports have made, and views that somebody built on them, whose text is kept."""
    reports_by_unit = "0024_reports_by_unit"
    for name in NAMES:
        if name < reports_by_unit:
            go(empty, name, "up")
    before = _structure(empty)
    empty.execute("CREATE SCHEMA bi")
    empty.execute("CREATE VIEW bi.of_before AS SELECT events_of_users FROM report.last_refresh")
    empty.execute("CREATE TABLE report_staging.users__next (x int)")
    go(empty, reports_by_unit, "up")
    made = tables.make(empty_url)
    assert {"users", "products", "revenue_by_hour", "visits"} <= set(made)
    empty.execute("CREATE VIEW bi.of_after AS SELECT sum(orders) AS orders FROM report.shop_by_day, report.users")
    empty.execute("INSERT INTO report_cells.built SELECT name, '', 'UTC' FROM unnest(%s::text[]) AS name", [made])
    go(empty, reports_by_unit, "down")
    assert _structure(empty) == before
    views = empty.execute("SELECT schema_name, view_name FROM ledger.dropped_views ORDER BY 2").fetchall()
    assert [tuple(view.values()) for view in views] == [("bi", "of_after"), ("bi", "of_before")]
    go(empty, reports_by_unit, "up")
    assert tables.make(empty_url) == made


def test_the_committed_schema_is_the_sum_of_the_migrations(empty_url: str, empty: Connection) -> None:
    migrate.migrate(empty_url)
    assert schema_file.FILE.read_text() == schema_file.text(empty)


def test_the_committed_schema_says_all_that_the_migrations_make(empty: Connection) -> None:
    """Run on an empty database it makes the same: nothing that a statement needs is left out."""
    empty.execute("DROP TABLE public.sluice_migrations")
    empty.execute(queries.script(schema_file.FILE))
    assert schema_file.text(empty) == schema_file.FILE.read_text()


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE ledger.files ADD COLUMN more text",
        "ALTER TABLE ledger.files ALTER COLUMN bytes TYPE numeric",
        "ALTER TABLE ledger.files ALTER COLUMN name DROP NOT NULL",
        "ALTER TABLE ledger.files ALTER COLUMN state SET DEFAULT 'loaded'",
        "ALTER TABLE ledger.files DROP CONSTRAINT rows_are_conserved",
        "DROP INDEX ledger.the_same_bytes_load_once",
        "ALTER TABLE ledger.rejects DROP CONSTRAINT rejects_file_id_fkey",
        "DROP TRIGGER an_edit_is_noted ON ledger.rejects",
        "CREATE OR REPLACE FUNCTION ledger.note_edit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
        "GRANT DELETE ON ledger.audit TO sluice_writer",
        "REVOKE SELECT ON public.events FROM sluice_reader",
        "GRANT EXECUTE ON FUNCTION ledger.verify(bigint) TO PUBLIC",
        "COMMENT ON TABLE report.totals IS 'something else'",
        "COMMENT ON COLUMN report.totals.events IS 'something'",
        "COMMENT ON COLUMN report.users.user_id IS 'something'",
        "CREATE VIEW report.mine AS SELECT 1 AS one",
        "CREATE OR REPLACE VIEW report.users AS SELECT users.*, 1 AS one FROM report.users",
        "DROP TABLE report_cells.comparisons",
        "CREATE SCHEMA report_staging",
    ],
)
def test_a_change_of_the_schema_shows(connection: Connection, change: str) -> None:
    before = catalogue.text(connection)
    connection.execute(change)  # type: ignore[call-overload]
    assert catalogue.text(connection) != before


BAD = event(3, price="much")
# As the first release left them: file_id, name, state, lines, and read, loaded, rejected, duplicate rows.
FILES = [
    (1, "a.csv", "loaded", [event(1), event(2), BAD], (3, 2, 1, 0)),
    (2, "b.csv", "loaded", [event(2), event(4)], (2, 1, 0, 1)),
    (3, "daily.csv", "replaced", [event(5), event(6)], (2, 2, 0, 0)),
    (4, "daily.csv", "loaded", [event(5)], (1, 1, 0, 0)),
    (5, "c.csv", "unloaded", [event(7), BAD], (2, 1, 1, 0)),
    (6, "d.csv", "rejected", ["no,event"], (None, None, None, None)),
    (7, "e.csv", "duplicate", [event(1), event(2), BAD], (None, None, None, None)),
    (8, "f.csv", "landed", [event(8)], (None, None, None, None)),
    (9, "g.csv", "duplicate", [event(7), BAD], (None, None, None, None)),
]
# The file and the record of each event; the file and the record that repeats one; the reject of each file.
EVENTS = {1: (1, 1), 2: (1, 2), 4: (2, 2), 5: (4, 1)}
DUPLICATES = {2: (2, 1)}
REJECTS = {1: (3, "quarantined"), 5: (2, "withdrawn")}
DUPLICATE_OF = {7: 1, 9: 5}


@pytest.fixture
def first_release(empty_url: str, settings: Settings) -> Settings:
    """A pipeline of the first release: its database with rows in it, and its folders, which carried no marker."""
    with database.connect(empty_url) as connection:
        queries.run(connection, "migrations.create_history")
        for name in FIRST_RELEASE:
            go(connection, name, "up")
            queries.run(connection, "migrations.record_applied", name=name)
        connection.execute("INSERT INTO ledger.streams (submitted_by, lease_until, started_at, ended_at, state) "
                           "VALUES ('test', now(), now(), now(), 'ended')")  # fmt: skip
        for file in FILES:
            _enter(connection, settings.home_dir, *file)
        for number, (file_id, record) in EVENTS.items():
            connection.execute(
                "INSERT INTO public.events (event_id, event_type, event_time, user_id, product_id, category, price, "
                "session_id, ip_address, file_id, record_number) VALUES (%s, 'product_view', "
                "'2026-11-22T10:00:00Z', 'u1', 'p1', 'shoes', 9.99, 's1', '10.0.0.1', %s, %s)",
                [event_id(number), file_id, record],
            )
        for number, (file_id, record) in DUPLICATES.items():
            connection.execute("INSERT INTO ledger.duplicates VALUES (%s, %s, %s)", [file_id, record, event_id(number)])
        for file_id, (record, kept) in REJECTS.items():
            connection.execute(
                "INSERT INTO ledger.rejects (file_id, record_number, line_number, raw, fields, rules, error_class, "
                "contract, contract_version, state) VALUES (%s, %s, %s, %s, %s, '{price.number}', 'type', 'events', "
                "'1.0.0', %s)",
                [file_id, record, record + 1, BAD.encode(), Jsonb({"price": "much"}), kept],
            )
        connection.execute(
            "INSERT INTO ledger.audit (action, file_id, reason, by_whom, details) "
            "VALUES ('unload', 5, 'a test', 'nobody', '{}'), ('replace', 3, 'replaced by file 4', 'nobody', '{}')"
        )
    for folder in (settings.processing_dir, settings.archive_dir):
        (folder / folders.MARKER).unlink()
    return replace(settings, database_url=empty_url, writer_url=empty_url, reader_url=empty_url)


def _enter(
    connection: Connection,
    home: Path,
    file_id: int,
    name: str,
    how: str,
    lines: list[str],
    rows: tuple[int | None, ...],
) -> None:
    """The file's row in the ledger, and its bytes where that says."""
    data = table(*lines).encode() if how != "rejected" else "\n".join(lines).encode()
    sha256 = hashlib.sha256(data).hexdigest()
    folder = "processing" if how == "landed" else f"archive/{how}/2026-11-22"
    path = f"{folder}/{file_names.make(file_id, sha256, name)}"
    (home / path).parent.mkdir(parents=True, exist_ok=True)
    (home / path).write_bytes(data)
    was_read = rows[0] is not None
    connection.execute(
        "INSERT INTO ledger.files (file_id, name, path, sha256, bytes, state, rows_read, rows_loaded, rows_rejected, "
        "rows_duplicate, landed_at, loaded_at, contract, contract_version, header, duplicate_of) OVERRIDING SYSTEM "
        "VALUE VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, now(), %s, %s, %s, %s, %s)",
        [
            file_id, name, path, sha256, len(data), how, *rows, "2026-11-22" if was_read else None,
            "events" if was_read else None, "1.0.0" if was_read else None,
            Jsonb(HEADER.split(",")) if was_read else None, DUPLICATE_OF.get(file_id),
        ],
    )  # fmt: skip
    connection.execute("SELECT setval(pg_get_serial_sequence('ledger.files', 'file_id'), %s)", [file_id])


def test_a_database_of_the_first_release_is_upgraded_and_its_rows_reconcile(first_release: Settings) -> None:
    with database.connect(first_release.database_url) as connection:
        before = connection.execute("TABLE public.events").fetchall()
        assert migrate.migrate(first_release.database_url) == [name for name in NAMES if name not in FIRST_RELEASE]
        folders.check(first_release, connection)
        assert connection.execute("TABLE public.events").fetchall() == before
        assert recount(connection) == {1: (2, 1, 0), 2: (1, 0, 1), 4: (1, 0, 0)}
        # The original of file 9 was unloaded, and nobody had its rows: now it waits to be loaded in its place.
        assert {file_id: state(connection, file_id) for file_id, *_ in FILES} == {
            file_id: "landed" if file_id == 9 else how for file_id, _, how, _, _ in FILES
        }
    found = reconcile(first_release, first_release.database_url)
    assert found.holds, found.lines()
    assert found.waiting == 2
    assert found.contracts["events"].rows_read == 6


def test_the_upgrade_notes_no_change_of_what_is_there_and_then_each_one(first_release: Settings) -> None:
    migrate.migrate(first_release.database_url)
    with database.connect(first_release.database_url) as connection:
        entries = "SELECT file_id, feed, day::text FROM ledger.report_changes"
        assert connection.execute(entries).fetchall() == []
        [of_before] = connection.execute(
            "SELECT tableoid::regclass::text AS name FROM public.events GROUP BY 1"
        ).fetchall()
        connection.execute(f"DELETE FROM {of_before['name']} WHERE file_id = 4")  # type: ignore[call-overload]
        noted = {"file_id": None, "feed": "events", "day": "2026-11-22"}
        assert connection.execute(entries).fetchall() == [noted]
        connection.execute("DELETE FROM public.events WHERE file_id = 2")
        assert connection.execute(entries).fetchall() == [noted, noted]


def test_a_row_that_the_upgrade_would_lose_is_missed(first_release: Settings) -> None:
    migrate.migrate(first_release.database_url)
    with database.connect(first_release.database_url) as connection:
        folders.check(first_release, connection)
        connection.execute("DELETE FROM public.events WHERE record_number = 2 AND file_id = 1")
    assert not reconcile(first_release, first_release.database_url).holds
