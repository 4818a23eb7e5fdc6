"""What each role may not do, tried on a real server: one statement each that must be refused."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from sluice.base import database
from sluice.base.settings import Settings
from sluice.ledger import migrate, roles
from sluice.reports import comparison, refresh, tables
from sluice.running import embedded

PASSWORD = "only-for-tests"

FORBIDDEN = {
    # The owner owns the schema, not the server.
    "sluice_owner": [
        "CREATE ROLE another",
        "CREATE DATABASE another",
        "ALTER SYSTEM SET fsync = off",
        "COPY ledger.files TO PROGRAM 'cat'",
        "SELECT pg_read_file('/etc/passwd')",
        "SET ROLE postgres",
    ],
    # The writer adds rows and takes them back; it changes none, and no history.
    "sluice_writer": [
        "DROP TABLE public.events",
        "TRUNCATE public.events",
        "UPDATE public.events SET price = 0",
        "ALTER TABLE public.events ADD COLUMN another text",
        "CREATE TABLE public.another (x int)",
        "CREATE TABLE report.another (x int)",
        "CREATE TABLE report_cells.another (x int)",
        "CREATE SCHEMA report_staging",
        "UPDATE report.last_refresh SET events = 0",
        "TRUNCATE report_cells.visits",
        "DELETE FROM ledger.files",
        "DELETE FROM ledger.streams",
        "DELETE FROM ledger.rejects",
        "TRUNCATE ledger.files",
        "UPDATE ledger.audit SET reason = ''",
        "DELETE FROM ledger.audit",
        "INSERT INTO ledger.failed_refresh (failed_at, error) VALUES (now(), '')",
        "INSERT INTO ledger.report_changes (file_id) VALUES (1)",
        "TRUNCATE ledger.report_changes",
        "INSERT INTO ledger.recounts (begun_at, files, rows, holds, problems) VALUES (now(), 0, 0, true, 0)",
        "ALTER TABLE public.events DISABLE TRIGGER rows_that_leave_are_noted",
        "CREATE ROLE another",
        "COPY public.events TO PROGRAM 'cat'",
        "COPY public.events TO '/tmp/stolen'",
        "SELECT pg_read_file('/etc/passwd')",
        "SET ROLE sluice_owner",
    ],
    # The reader counts into the owner's tables, and makes none but those of its session.
    "sluice_reader": [
        "INSERT INTO public.events (event_id) VALUES (gen_random_uuid())",
        "DELETE FROM public.events",
        "UPDATE public.events SET price = 0",
        "UPDATE ledger.files SET state = 'loaded'",
        "DELETE FROM ledger.rejects",
        "INSERT INTO ledger.streams (submitted_by, lease_until) VALUES ('me', now())",
        "UPDATE ledger.rejects SET state = 'replayed'",
        "CREATE TABLE public.another (x int)",
        "CREATE TABLE ledger.another (x int)",
        "CREATE TABLE report.another (x int)",
        "UPDATE report.last_refresh SET events = 0",
        "UPDATE report_cells.built SET digest = ''",
        "TRUNCATE report.totals",
        "TRUNCATE report_cells.visits",
        "TRUNCATE ledger.failed_refresh",
        "INSERT INTO ledger.report_changes (file_id) VALUES (1)",
        "UPDATE ledger.report_changes SET file_id = 2",
        "UPDATE ledger.recounts SET holds = true, problems = 0",
        "DELETE FROM ledger.recounts",
        "TRUNCATE ledger.report_changes",
        "CREATE TABLE report_cells.another (x int)",
        "DROP VIEW report.users",
        "CREATE OR REPLACE VIEW report.users AS SELECT 1 AS feed",
        "DROP TABLE report.totals",
        "DROP TABLE report_cells.visits",
        "ALTER TABLE report.totals ADD COLUMN another text",
        "CREATE INDEX ON report_cells.visits (feed)",
        "CREATE TRIGGER another BEFORE INSERT ON report.totals FOR EACH ROW EXECUTE FUNCTION ledger.note_edit()",
        "CREATE TRIGGER another BEFORE INSERT ON report_cells.visits FOR EACH ROW EXECUTE FUNCTION ledger.note_edit()",
        "CREATE RULE another AS ON INSERT TO report.totals DO NOTHING",
        "CREATE SCHEMA another",
        "CREATE SCHEMA report_staging",
        "DROP TABLE ledger.audit",
        "COPY public.events TO PROGRAM 'cat'",
        "SELECT pg_advisory_lock(7215, 1)",
        "SELECT pg_try_advisory_xact_lock_shared(7215482302)",
        "SET ROLE sluice_owner",
        "SET ROLE sluice_writer",
    ],
    # Airflow's role lives in its own database.
    "airflow": ["CREATE ROLE another", "CREATE DATABASE another", "COPY (SELECT 1) TO PROGRAM 'cat'"],
}


@pytest.fixture(scope="module")
def server(postgres_server: embedded.Server) -> Iterator[embedded.Server]:
    """The server as init and the launcher leave it."""
    with database.connect(postgres_server.url()) as connection:
        roles.make_roles(connection, dict.fromkeys(roles.ROLES, PASSWORD))
        migrate.migrate(postgres_server.url("sluice", "sluice_owner", PASSWORD))
        tables.make(postgres_server.url("sluice", "sluice_owner", PASSWORD))
        yield postgres_server
        for name in roles.DATABASES:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        connection.execute("DROP ROLE airflow")


def connect(server: embedded.Server, role: str, name: str | None = None) -> psycopg.Connection[dict[str, object]]:
    home = "airflow" if role == "airflow" else "sluice"
    return database.connect(server.url(name or home, role, PASSWORD))


@pytest.mark.parametrize(("role", "statement"), [(role, one) for role, many in FORBIDDEN.items() for one in many])
def test_a_role_may_not(server: embedded.Server, role: str, statement: str) -> None:
    with connect(server, role) as connection, pytest.raises(InsufficientPrivilege):
        connection.execute(statement)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("role", "name"),
    [("airflow", "sluice"), *((role, "airflow") for role in roles.ROLES if role.startswith("sluice_"))],
)
def test_a_role_enters_only_its_own_database(server: embedded.Server, role: str, name: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect(server, role, name)


@pytest.mark.parametrize("path", ["/etc/x", "../x", "secrets.json", "archive/../secrets.json", "archive/..", "run/x"])
def test_the_ledger_leads_nobody_out_of_the_pipelines_folders(server: embedded.Server, path: str) -> None:
    """The pipeline's user moves and deletes files where the ledger says they are."""
    query = (
        "INSERT INTO ledger.files (name, path, sha256, bytes, landed_at) VALUES ('x', %s, repeat('0', 64), 1, now())"
    )
    with connect(server, "sluice_writer") as writer, writer.transaction(force_rollback=True):
        writer.execute(query, ["archive/loaded/2026-01-01/1-0123456789ab-..odd..\nname"])
        with pytest.raises(psycopg.errors.CheckViolation, match="a_file_lies_in_one_of_our_folders"):
            writer.execute(query, [path])


def test_the_writer_cannot_end_sessions_of_other_roles(server: embedded.Server) -> None:
    with connect(server, "sluice_owner") as owner, connect(server, "sluice_writer") as writer:
        with pytest.raises(InsufficientPrivilege):
            writer.execute("SELECT pg_terminate_backend(%s)", [owner.info.backend_pid])
        assert owner.execute("SELECT 1 AS one").fetchone() == {"one": 1}


def test_only_who_works_may_take_the_locks_that_loads_wait_for(server: embedded.Server) -> None:
    """Also after the second start, and in the database that a restore fills."""
    with database.connect(server.url()) as connection:
        roles.make_roles(connection, dict.fromkeys(roles.ROLES, PASSWORD))
        roles.make_database(connection, "sluice_restoring", roles.OWNER)
    try:
        for name in ("sluice", "sluice_restoring"):
            with database.connect(server.url(name)) as connection:
                found = connection.execute("""
                    SELECT role, count(*) AS functions, count(*) FILTER (WHERE may) AS allowed
                    FROM unnest(ARRAY['sluice_owner', 'sluice_writer', 'sluice_reader']) AS role
                    CROSS JOIN LATERAL (
                        SELECT has_function_privilege(role, oid, 'EXECUTE') AS may
                        FROM pg_proc
                        WHERE proname ~ 'advisory' AND proname !~ 'unlock'
                    ) AS locks
                    GROUP BY role
                """).fetchall()
            allowed = {str(row["role"]): row["allowed"] for row in found}
            assert {row["functions"] for row in found} == {16}
            assert allowed == {"sluice_owner": 16, "sluice_writer": 16, "sluice_reader": 0}
    finally:
        with database.connect(server.url()) as connection:
            connection.execute("DROP DATABASE sluice_restoring WITH (FORCE)")
    with connect(server, "sluice_writer") as writer:
        writer.execute("SELECT pg_advisory_lock(7215, 1), pg_advisory_unlock(7215, 1)")


@pytest.mark.parametrize("role", ["sluice_reader", "sluice_writer"])
def test_the_reader_and_who_unloads_may_refresh_the_reports(
    server: embedded.Server, settings: Settings, role: str
) -> None:
    with connect(server, role) as connection:
        done = [refresh.refresh(connection, settings, role, anew=anew) for anew in (True, False)]
        assert [len(each.whole) > 0 for each in done] == [True, False]
        assert connection.execute("SELECT built_by FROM report.last_refresh").fetchall() == [{"built_by": role}]
        assert comparison.compare(connection, settings, role) is None


@pytest.mark.parametrize("role", ["sluice_writer", "sluice_reader"])
def test_whoever_refreshes_the_reports_may_take_what_it_has_counted(server: embedded.Server, role: str) -> None:
    with connect(server, "sluice_owner") as owner, connect(server, role) as connection:
        owner.execute("INSERT INTO ledger.report_changes (feed, day) VALUES ('events', '2026-11-22')")
        taken = connection.execute("DELETE FROM ledger.report_changes RETURNING feed, day::text").fetchall()
        assert taken == [{"feed": "events", "day": "2026-11-22"}]
