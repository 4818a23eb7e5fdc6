"""No role makes another run what it has written: tried on a fresh database, an upgraded one, and one that is open.

Open is schema public as PostgreSQL 14 leaves it: everybody may create there. The attacker tries everything that could
make its code run under another name; then everybody does their work. Whatever ran has noted as whom in ``proof.ran``.
A control arm shows that the same attacks work where nothing stops them.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from sluice.base import database, queries
from sluice.base.settings import SQL, Settings
from sluice.ledger import migrate
from sluice.loading.replay import replay
from sluice.loading.unload import unload_file
from sluice.reports import tables
from sluice.running import embedded, status
from tests import reports
from tests.conftest import PASSWORD
from tests.loading import Connection, change_contract, event, recount, table

Land = Callable[..., int]
RELEASED = "0003"  # the last migration of the release in which the reader owned the reports
SCHEMAS = ("report", "report_cells", "public", "ledger", "sluice_writer", "sluice_owner", "sluice_reader")
VICTIMS = ("sluice_owner", "sluice_writer", "sluice_reader")

_PROOF = """
    CREATE SCHEMA proof;
    CREATE TABLE proof.ran (who name, what text);
    GRANT USAGE ON SCHEMA proof TO PUBLIC;
    GRANT SELECT, INSERT ON proof.ran TO PUBLIC;
"""
_NOTE = "INSERT INTO proof.ran VALUES (current_user, '{0}');"
_OLD_REPORTS = """
    CREATE TABLE report.last_refresh (
        built_by text PRIMARY KEY, as_of timestamptz NOT NULL, events bigint NOT NULL,
        events_of_sessions bigint NOT NULL, events_of_users bigint NOT NULL, events_of_products bigint NOT NULL,
        sales bigint NOT NULL, revenue numeric NOT NULL
    );
    CREATE TABLE report.products (product_id text PRIMARY KEY, revenue numeric NOT NULL);
    GRANT SELECT ON report.last_refresh, report.products TO PUBLIC;
    GRANT INSERT, DELETE ON report.last_refresh, report.products TO sluice_writer;
    CREATE TABLE report.sessions__next (x int);
"""
# What the reader could leave behind before the upgrade, under names that the upgrade needs.
_OLD_TRAPS = (
    "CREATE VIEW report.funnel AS SELECT 1 AS x",
    "CREATE MATERIALIZED VIEW report.sessions AS SELECT 1 AS x",
    "CREATE TYPE report.users AS ENUM ('a')",
    "CREATE DOMAIN report.top_products AS text",
    "CREATE SEQUENCE report.revenue_by_hour",
    "CREATE FUNCTION report.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT pg_catalog.now()'",
    "CREATE VIEW report.mine AS SELECT product_id FROM report.products",
    "CREATE VIEW report.mine_too AS SELECT count(*) AS products FROM report.mine",
)


@pytest.fixture(params=["fresh", "upgraded", "open"])
def database_url(request: pytest.FixtureRequest, postgres_server: embedded.Server) -> Iterator[str]:
    """URL (as sluice_owner) of a database that was made, or upgraded, or whose schema public is open to all."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 OWNER sluice_owner ENCODING 'UTF8'")
    with psycopg.connect(postgres_server.url(name), autocommit=True) as connection:
        connection.execute(_PROOF)
        connection.execute("ALTER SCHEMA public OWNER TO pg_database_owner")
        connection.execute(f"{'GRANT' if request.param == 'open' else 'REVOKE'} CREATE ON SCHEMA public "
                           f"{'TO' if request.param == 'open' else 'FROM'} PUBLIC")  # fmt: skip
    url = postgres_server.url(name, "sluice_owner", PASSWORD)
    if request.param == "upgraded":
        _as_released(url)
        with as_role(url, "sluice_reader") as reader:
            reader.execute(_OLD_REPORTS)
            attack(reader)
            for trap in _OLD_TRAPS:
                reader.execute(trap)  # type: ignore[call-overload]
    migrate.migrate(url)
    tables.make(url)
    yield url
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _as_released(url: str) -> None:
    """The schema and the grants of the release in which the reader owned the reports."""
    with psycopg.connect(url, autocommit=True) as owner:
        queries.run(owner, "migrations.create_history")
        for path in sorted((SQL / "migrations").glob("*.up.sql")):
            if path.name[:4] <= RELEASED:
                owner.execute(path.read_text())  # type: ignore[call-overload]
                name = path.name.removesuffix(".up.sql")
                owner.execute("INSERT INTO public.sluice_migrations (name) VALUES (%s)", [name])
        owner.execute(
            "GRANT USAGE, CREATE ON SCHEMA report TO sluice_reader; GRANT USAGE ON SCHEMA report TO sluice_writer"
        )


def as_role(url: str, role: str) -> psycopg.Connection[Any]:
    """A connection as an attacker makes it: nothing of ours is set."""
    return psycopg.connect(url.replace("sluice_owner", role, 1), autocommit=True)


def attack(attacker: psycopg.Connection[Any]) -> list[str]:
    """Try everything; what succeeded."""
    return [statement for statement in _attacks(attacker) if _succeeds(attacker, statement)]


def _succeeds(attacker: psycopg.Connection[Any], statement: str) -> bool:
    with contextlib.suppress(psycopg.Error):
        attacker.execute(statement)  # type: ignore[call-overload]
        return True
    return False


def _attacks(attacker: psycopg.Connection[Any]) -> list[str]:
    me = attacker.info.user
    tables = [
        f"{schema}.{name}"
        for schema, name in attacker.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN "
            "('public', 'ledger', 'report', 'report_cells')"
        ).fetchall()
    ]
    found = [f"CREATE SCHEMA {name}" for name in ("sluice_writer", "sluice_owner", "evil")]
    for home in SCHEMAS:
        found += _functions(home)
        found += _on_tables(home, tables)
        found += [f"CREATE TABLE {home}.{name} (LIKE public.events)" for name in ("staged_events", "withdrawn_events")]
    for victim in VICTIMS:
        found += [
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {victim} GRANT ALL ON TABLES TO {me}",
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {victim} GRANT ALL ON SCHEMAS TO {me}",
            f"ALTER ROLE {victim} SET search_path = sluice_writer, public",
            f"GRANT {victim} TO {me}",
        ]
    return [
        *found,
        f"ALTER DATABASE {attacker.info.dbname} SET search_path = sluice_writer, public",
        f"ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {me}",
        "CREATE EVENT TRIGGER evil ON ddl_command_start EXECUTE FUNCTION public.event_payload()",
        "CREATE OR REPLACE FUNCTION ledger.note_edit() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$BEGIN {_NOTE.format('note_edit')} RETURN NEW; END$$",
    ]


def _functions(home: str) -> list[str]:
    """Functions and operators under names that our SQL uses, with parameters that fit better than PostgreSQL's own."""
    body = "LANGUAGE plpgsql AS $$BEGIN " + _NOTE.format(f"{home} function")
    return [
        f"CREATE FUNCTION {home}.payload() RETURNS trigger {body} RETURN coalesce(NEW, OLD); END$$",
        f"CREATE FUNCTION {home}.event_payload() RETURNS event_trigger {body} END$$",
        f"CREATE FUNCTION {home}.lets_all() RETURNS boolean {body} RETURN true; END$$",
        f"CREATE FUNCTION {home}.hashtextextended(text, integer) RETURNS bigint {body} RETURN 0; END$$",
        f"CREATE FUNCTION {home}.rest(bigint, integer) RETURNS bigint {body} RETURN mod($1, $2::bigint); END$$",
        f"CREATE OPERATOR {home}.% (LEFTARG = bigint, RIGHTARG = integer, FUNCTION = {home}.rest)",
        f"CREATE FUNCTION {home}.cut(text, integer) RETURNS text {body} RETURN $1; END$$",
        f"CREATE CAST (bigint AS text) WITH FUNCTION {home}.cut(text, integer) AS IMPLICIT",
    ]


def _on_tables(home: str, tables: list[str]) -> list[str]:
    return [
        statement.format(table)
        for table in tables
        for statement in (
            "CREATE TRIGGER evil BEFORE INSERT OR UPDATE OR DELETE ON {0} FOR EACH ROW "
            f"EXECUTE FUNCTION {home}.payload()",
            "CREATE RULE evil AS ON INSERT TO {0} DO ALSO " + _NOTE.format("rule").rstrip(";"),
            "ALTER TABLE {0} ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY evil ON {0} " + f"USING ({home}.lets_all())",
            "ALTER TABLE {0} ADD COLUMN evil boolean DEFAULT " + f"{home}.lets_all()",
            "ALTER TABLE {0} OWNER TO CURRENT_USER",
            "GRANT TRIGGER ON {0} TO PUBLIC",
        )
    ]


def ran_as(connection: Connection) -> set[str]:
    return {row["who"] for row in connection.execute("SELECT DISTINCT who FROM proof.ran")}


def everybody_works(settings: Settings, connection: Connection, load: Land) -> None:
    """What each role does in a day, with rows that meet each other, so that no part is left out."""
    change_contract(settings, revision="replace")
    load(table(event(1), event(2), event(3, kind="teleport")))
    load(table(event(1), event(4)), "b.csv")
    load(table(event(2, price="5"), event(5)))
    publish(settings)
    first = load(table(event(6), event(1)), "c.csv")
    replay(settings)
    assert unload_file(settings, first, "a test", by_whom="test").reports == "refreshed"
    publish(settings)
    connection.execute(
        "UPDATE ledger.rejects SET fields = fields || '{\"user_id\": \"u2\"}' WHERE state = 'quarantined'"
    )
    assert migrate.migrate(settings.owner_dsn) == []
    with database.connect(settings.owner_dsn) as owner:
        assert status.ledger_report(owner)["reports"]["changes_waiting"] == 0
    assert recount(connection)


def publish(settings: Settings) -> None:
    """What DAG report_sales does, as its role and as Airflow connects."""
    with psycopg.connect(settings.reader_dsn, autocommit=True) as reader:
        reports.refresh(reader, settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("attacker", ["sluice_reader", "sluice_writer"])
def test_what_a_role_has_written_runs_as_nobody_else(
    own_contracts: Settings, connection: Connection, load: Land, attacker: str
) -> None:
    with as_role(own_contracts.owner_dsn, attacker) as other:
        attack(other)
    everybody_works(own_contracts, connection, load)
    may_run_as = {attacker, "sluice_reader"} if _is_open(connection) else {attacker}
    assert ran_as(connection) <= may_run_as


def _is_open(connection: Connection) -> bool:
    row = connection.execute("SELECT has_schema_privilege('sluice_reader', 'public', 'CREATE') AS is_open").fetchone()
    return bool(row and row["is_open"])


def test_the_reports_belong_to_the_owner_and_the_reader_has_only_what_it_needs(connection: Connection) -> None:
    owners = connection.execute(
        "SELECT DISTINCT relowner::regrole::text AS who FROM pg_class "
        "WHERE relnamespace IN ('report'::regnamespace, 'report_cells'::regnamespace)"
    ).fetchall()
    assert owners == [{"who": "sluice_owner"}]
    more = connection.execute("""
        SELECT role, relname, privilege
        FROM pg_class,
            unnest(ARRAY['sluice_reader', 'sluice_writer']) AS role,
            unnest(ARRAY['TRIGGER', 'REFERENCES', 'TRUNCATE']) AS privilege
        WHERE relnamespace IN (
                'report'::regnamespace, 'report_cells'::regnamespace, 'ledger'::regnamespace, 'public'::regnamespace
            )
            AND relkind IN ('r', 'v')
            AND has_table_privilege(role, pg_class.oid, privilege)
        UNION ALL
        SELECT 'sluice_reader', nspname, 'CREATE' FROM pg_namespace
        WHERE nspname IN ('report', 'report_cells', 'ledger') AND has_schema_privilege('sluice_reader', oid, 'CREATE')
    """).fetchall()
    assert more == []


@pytest.mark.parametrize("database_url", ["fresh"], indirect=True)
def test_one_login_for_everything_does_the_work_of_all(
    own_contracts: Settings, connection: Connection, load: Land
) -> None:
    everybody_works(replace(own_contracts, writer_url="", reader_url=""), connection, load)


@pytest.mark.parametrize("database_url", ["upgraded"], indirect=True)
def test_an_upgrade_keeps_the_text_of_the_views_that_stood_on_the_old_reports(
    own_contracts: Settings, connection: Connection, load: Land
) -> None:
    kept = connection.execute("SELECT * FROM ledger.dropped_views ORDER BY view_name").fetchall()
    assert [(row["schema_name"], row["view_name"], row["owner"], row["kind"]) for row in kept] == [
        ("report", "funnel", "sluice_reader", "VIEW"),
        ("report", "mine", "sluice_reader", "VIEW"),
        ("report", "mine_too", "sluice_reader", "VIEW"),
        ("report", "sessions", "sluice_reader", "MATERIALIZED VIEW"),
    ]
    load(table(event(1)))
    publish(own_contracts)
    connection.execute("CREATE SCHEMA bi")
    definition = kept[1]["definition"]
    connection.execute(f"CREATE VIEW bi.mine AS {definition}")  # type: ignore[call-overload]
    assert connection.execute("SELECT * FROM bi.mine").fetchall() == [{"product_id": "p1"}]


def test_the_attacks_work_where_nothing_stops_them(postgres_server: embedded.Server) -> None:
    """The control: before the owner owned the reports, and without a search_path of our own, they ran as the writer."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.url(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 OWNER sluice_owner ENCODING 'UTF8'")
    with psycopg.connect(postgres_server.url(name), autocommit=True) as admin:
        admin.execute(_PROOF)
        admin.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        url = postgres_server.url(name, "sluice_owner", PASSWORD)
        _as_released(url)
        with as_role(url, "sluice_reader") as reader:
            reader.execute(_OLD_REPORTS)
            attack(reader)
        with as_role(url, "sluice_writer") as writer:
            writer.execute("DELETE FROM report.last_refresh")
            writer.execute("INSERT INTO report.last_refresh VALUES ('x', now(), 0, 0, 0, 0, 0, 0)")
            writer.execute("SELECT hashtextextended('a'::text, 0), 7::bigint % 512")
        ran = admin.execute("SELECT DISTINCT who, what FROM proof.ran").fetchall()
    assert {
        ("sluice_writer", "report function"),
        ("sluice_writer", "rule"),
        ("sluice_writer", "public function"),
    } <= set(ran)
    with psycopg.connect(postgres_server.url(), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
