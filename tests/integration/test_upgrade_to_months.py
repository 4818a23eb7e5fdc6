"""The upgrade of a table events that has rows to one by month: nothing is lost, whoever reads or loads meanwhile."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from sluice.base import database, queries
from sluice.base.settings import PROJECT, SQL
from sluice.ledger import leases, migrate
from sluice.ledger.leases import StreamFenced
from sluice.ledger.migrate import MigrationError
from sluice.loading.retry_rules import rule_for
from sluice.running import embedded
from tests.conftest import PASSWORD
from tests.loading import Connection

BEFORE = [path for path in sorted((SQL / "migrations").glob("*.up.sql")) if path.name < "0019"]
OLD_INSERT = """
    CREATE TEMPORARY TABLE staged_events (LIKE public.events);
    INSERT INTO public.events SELECT DISTINCT ON (event_id) * FROM staged_events ORDER BY event_id, record_number
    ON CONFLICT (event_id) DO NOTHING
"""
OLD_LEASE = "INSERT INTO ledger.streams (submitted_by, lease_from, lease_until) VALUES ('test', now(), 'infinity')"


class OldWriter:
    """A stream of the release before, over one connection: what it says to PostgreSQL for a big file, in its order."""

    def __init__(self, url: str, epoch: int) -> None:
        self.session = psycopg.connect(url, application_name=f"sluice-stream-{epoch}")
        self.session.execute("SET lock_timeout = '1s'")
        self.session.commit()
        self.epoch = epoch

    def begin(self, file_id: int) -> None:
        """Hold the stream's row and the file's. Raises StreamFenced."""
        held = self.session.execute(
            "SELECT (SELECT ledger_id::text FROM ledger.identity) FROM ledger.streams "
            "WHERE epoch = %s AND ended_at IS NULL FOR KEY SHARE",
            [self.epoch],
        )
        if held.fetchone() is None:
            self.session.rollback()
            raise StreamFenced(f"stream {self.epoch}")
        self.session.execute("SELECT FROM ledger.files WHERE file_id = %s FOR NO KEY UPDATE", [file_id])

    def copy(self, file_id: int, *moments: str) -> None:
        """A row of each moment."""
        columns = "event_id, event_type, event_time, file_id, record_number"
        with self.session.cursor().copy(f"COPY public.events ({columns}) FROM STDIN") as copy:
            for number, moment in enumerate(moments, 1):
                copy.write_row((uuid.uuid4(), "search", moment, file_id, number))

    def commit(self, file_id: int, rows: int) -> None:
        """A duplicate, the tally, and a line of the audit."""
        self.session.execute("INSERT INTO ledger.duplicates VALUES (%s, %s, md5('7')::uuid)", [file_id, rows + 1])
        self.session.execute(
            "UPDATE ledger.files SET state = 'loaded', contract = 'events', loaded_at = now(), rows_read = %s + 1, "
            "rows_loaded = %s, rows_rejected = 0, rows_duplicate = 1 WHERE file_id = %s",
            [rows, rows, file_id],
        )
        self.session.execute(
            "INSERT INTO ledger.audit (action, file_id, reason, by_whom, details) "
            "VALUES ('receipt', %s, 'test', 'test', '{}')",
            [file_id],
        )
        self.session.commit()

    def load(self, file_id: int, *moments: str) -> None:
        """All of it; a row that breaks a CHECK, and one without a partition looks like that, rejects the file."""
        self.begin(file_id)
        try:
            self.copy(file_id, *moments)
        except psycopg.errors.CheckViolation:
            self.session.rollback()
            self.begin(file_id)
            self.session.execute("UPDATE ledger.files SET state = 'rejected' WHERE file_id = %s", [file_id])
            self.session.commit()
        else:
            self.commit(file_id, len(moments))


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
def superuser(url: str, postgres_server: embedded.Server) -> str:
    """URL of it, as the superuser."""
    return postgres_server.url(url.rpartition("/")[2])


@pytest.fixture
def opened(url: str) -> Iterator[Connection]:
    """A connection to it."""
    with database.connect(url, search_path="public") as connection:
        yield connection


@pytest.fixture
def old_writer(url: str, opened: Connection) -> Iterator[Callable[[], OldWriter]]:
    """Makes writers of the one stream that runs, which are closed at the end."""
    opened.execute(OLD_LEASE)
    made: list[OldWriter] = []

    def make() -> OldWriter:
        made.append(OldWriter(url, 1))
        return made[-1]

    yield make
    for writer in made:
        writer.session.close()


@pytest.fixture
def upgrading(url: str) -> Iterator[Callable[[], Future[list[str]]]]:
    """Begins the upgrade, which then goes on beside the test."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda: pool.submit(migrate.migrate, url)


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


def wait_until_it_waits(connection: Connection, has_ended: Callable[[], object]) -> None:
    """Until the upgrade of this database waits for a lock."""
    waits = (
        "SELECT count(*) FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE NOT granted "
        "AND application_name = 'sluice-migrate' AND datname = current_database()"
    )
    while not one(connection, waits):
        assert not has_ended()


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


def test_views_see_the_whole_table_and_keep_grants_options_and_what_stands_on_them(
    url: str, opened: Connection
) -> None:
    opened.execute("CREATE SCHEMA mine")
    opened.execute(
        "CREATE VIEW mine.kinds WITH (security_barrier = true) AS "
        "SELECT event_type, count(*) AS n FROM events GROUP BY 1"
    )
    opened.execute("CREATE VIEW mine.total AS SELECT sum(n) AS n FROM mine.kinds")
    opened.execute("CREATE MATERIALIZED VIEW mine.kept AS SELECT n FROM mine.total")
    opened.execute("GRANT USAGE ON SCHEMA mine TO sluice_reader")
    opened.execute("GRANT SELECT ON mine.total TO sluice_reader")
    migrate.migrate(url)
    opened.execute("DELETE FROM public.events WHERE event_time > '2080-01-01'")
    with database.connect(url.replace("sluice_owner", "sluice_reader")) as reader:
        assert one(reader, "SELECT n FROM mine.total") == 900
    assert one(opened, "SELECT reloptions FROM pg_class WHERE relname = 'kinds'") == ["security_barrier=true"]
    assert one(opened, "SELECT n FROM mine.kept") == 902
    opened.execute("REFRESH MATERIALIZED VIEW mine.kept")
    assert one(opened, "SELECT n FROM mine.kept") == 900


TRIGGER = """
    CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER t BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION f()
"""
RULE = "CREATE TABLE others (x int); CREATE RULE r AS ON INSERT TO others DO ALSO DELETE FROM events"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (TRIGGER, r"trigger t on table public\.events"),
        ("CREATE POLICY p ON events USING (true)", r"policy p on table public\.events"),
        ("ALTER TABLE events ENABLE ROW LEVEL SECURITY", "row level security"),
        ("CREATE TABLE theirs (event_id uuid REFERENCES events)", r"theirs_event_id_fkey on table public\.theirs"),
        ("ALTER TABLE events ADD CONSTRAINT c FOREIGN KEY (file_id) REFERENCES ledger.files", "constraint c on table"),
        ("CREATE RULE r AS ON INSERT TO events DO ALSO NOTHING", r"rule r on table public\.events"),
        (RULE, r"rule r on table public\.others"),
        ("CREATE FUNCTION f(e events) RETURNS int LANGUAGE sql AS 'SELECT 1'", r"function public\.f\(public\.events\)"),
        ("CREATE FUNCTION f(e events[]) RETURNS int LANGUAGE sql AS 'SELECT 1'", r"public\.f\(public\.events\[\]\)"),
        ("CREATE FUNCTION f() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM events; END", r"function public\.f\(\)"),
        ("CREATE TABLE kept (e events)", r"column e of table public\.kept"),
        ("CREATE TABLE child () INHERITS (events)", r"table public\.child"),
        ("CREATE MATERIALIZED VIEW m AS SELECT price FROM events", r"materialized view public\.m"),
        ("CREATE VIEW v AS SELECT e FROM events AS e", r"column e of view public\.v"),
        ("CREATE VIEW v AS SELECT event_id, price FROM events GROUP BY event_id", r"view public\.v"),
        ("CREATE VIEW v AS SELECT ledger.row_digest(e) AS d FROM events AS e", r"view public\.v"),
        ("CREATE UNIQUE INDEX i ON events (file_id, record_number)", r"index public\.i"),
        ("CREATE STATISTICS s ON event_type, category FROM events", r"statistics object public\.s"),
        ("GRANT SELECT (price) ON events TO sluice_reader", "privileges on column price"),
        ("CREATE PUBLICATION p FOR TABLE events", r"publication of table public\.events in publication p"),
        ("CREATE PUBLICATION p FOR ALL TABLES", "publication p, which would publish each month under its own name"),
    ],
)  # fmt: skip
def test_what_would_stay_on_the_old_rows_without_a_word_is_named_and_stops_the_upgrade(
    url: str, superuser: str, opened: Connection, make: str, says: str
) -> None:
    if "FOR ALL" in make:
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute(make)  # type: ignore[call-overload]
    else:
        opened.execute(make)  # type: ignore[call-overload]
    with pytest.raises(MigrationError, match=f"changed nothing: .*: [^:]*{says}.*Keep its text.*drop it, upgrade"):
        migrate.migrate(url)
    assert not is_upgraded(opened)


def test_a_publication_of_all_tables_goes_on_under_the_name_of_the_table(
    url: str, superuser: str, opened: Connection
) -> None:
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("CREATE PUBLICATION p FOR ALL TABLES WITH (publish_via_partition_root = true)")
    migrate.migrate(url)
    published = opened.execute("SELECT tablename FROM pg_publication_tables WHERE schemaname = 'public'").fetchall()
    assert {row["tablename"] for row in published} == {"events", "sluice_migrations"}


def test_a_view_of_another_owner_stops_the_upgrade_but_not_that_by_a_superuser(
    url: str, superuser: str, opened: Connection
) -> None:
    opened.execute("CREATE SCHEMA theirs")
    opened.execute("GRANT ALL ON SCHEMA theirs TO sluice_reader")
    opened.execute("GRANT SELECT ON events TO sluice_reader")
    with database.connect(url.replace("sluice_owner", "sluice_reader")) as reader:
        reader.execute("CREATE VIEW theirs.seen AS SELECT * FROM public.events")
        with pytest.raises(MigrationError, match=r"theirs\.seen of role sluice_reader.*or upgrade as a superuser"):
            migrate.migrate(url)
        assert not is_upgraded(opened)
        migrate.migrate(superuser)
        assert one(reader, "SELECT count(*) FROM theirs.seen") == 902
    assert one(opened, "SELECT relowner::regrole::text FROM pg_class WHERE relname = 'seen'") == "sluice_reader"


def test_what_a_superuser_upgrades_stays_the_owners(url: str, superuser: str, opened: Connection) -> None:
    migrate.migrate(superuser)
    with database.connect(url.replace("sluice_owner", "sluice_writer")) as writer:
        writer.execute("SELECT ledger.make_month('2031-01-01')")
    tables = (
        "SELECT relname AS name FROM pg_class WHERE relkind IN ('r', 'p') AND relowner <> 'sluice_owner'::regrole "
        "AND (relnamespace = 'ledger'::regnamespace OR relname LIKE 'events%')"
    )
    functions = (
        "SELECT proname AS name FROM pg_proc WHERE pronamespace = 'ledger'::regnamespace "
        "AND proowner <> 'sluice_owner'::regrole"
    )
    assert [row["name"] for row in opened.execute(f"{tables} UNION ALL {functions}")] == []
    assert one(opened, "SELECT to_regclass('public.events_2031_01') IS NOT NULL")


def test_who_may_grant_may_still_grant(url: str, opened: Connection) -> None:
    opened.execute("GRANT SELECT ON events TO sluice_reader WITH GRANT OPTION")
    migrate.migrate(url)
    assert one(opened, "SELECT has_table_privilege('sluice_reader', 'public.events', 'SELECT WITH GRANT OPTION')")


@pytest.mark.parametrize(
    "holding",
    ["LOCK TABLE ledger.streams IN SHARE MODE", "LOCK TABLE public.events IN SHARE MODE",
     "SELECT pg_advisory_xact_lock(7215482306)"],
    ids=["at the beginning", "while it holds the ledger", "when the table has its new name and later rows are out"],
)  # fmt: skip
def test_an_upgrade_that_is_killed_leaves_all_as_it_was_and_is_run_again(
    url: str, opened: Connection, holding: str
) -> None:
    """It is killed where it waits. The last one is for the lock under which months are made."""
    before = content(opened)
    code = f"from sluice.ledger.migrate import migrate; migrate({url!r})"
    with psycopg.connect(url) as held:
        held.execute(holding)  # type: ignore[call-overload]
        process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(PROJECT)})
        wait_until_it_waits(opened, lambda: process.poll() is not None)
        process.send_signal(signal.SIGKILL)
        process.wait()
        held.rollback()
    migrate.migrate(url)
    assert is_upgraded(opened)
    assert content(opened) == before


def test_a_load_that_has_begun_goes_on_to_its_end_and_the_upgrade_has_its_rows(
    opened: Connection, old_writer: Callable[[], OldWriter], upgrading: Callable[[], Future[list[str]]]
) -> None:
    """The upgrade holds nothing that a load has yet to take."""
    writer = old_writer()
    writer.begin(3)
    upgrade = upgrading()
    wait_until_it_waits(opened, upgrade.done)
    writer.copy(3, "2026-11-01Z", "2031-05-01Z")
    writer.commit(3, 2)
    upgrade.result()
    assert is_upgraded(opened)
    assert one(opened, "SELECT count(*) FROM events") == 904
    assert one(opened, "SELECT event_time = '2024-01-08Z' FROM ledger.duplicates WHERE file_id = 3")


def test_loads_of_the_release_before_end_whole_or_not_at_all(
    opened: Connection, old_writer: Callable[[], OldWriter], upgrading: Callable[[], Future[list[str]]]
) -> None:
    """Three of them load big files of the past, the present and the future, until they are fenced."""
    moments = ("2025-03-01Z", "2026-11-01Z", "2031-05-01Z", "2077-07-07Z")
    some_are_loaded, stop = threading.Event(), threading.Event()
    enter = (
        "INSERT INTO ledger.files (name, path, sha256, bytes, landed_at) "
        "VALUES ('x', '', encode(sha256(gen_random_uuid()::text::bytea), 'hex'), 1, now()) RETURNING file_id"
    )

    def work(writer: OldWriter) -> int:
        loaded = 0
        while not stop.is_set():
            try:
                [file_id] = writer.session.execute(enter).fetchone() or [0]
                writer.session.commit()
                writer.load(file_id, *moments)
            except psycopg.errors.LockNotAvailable:
                writer.session.rollback()
            except StreamFenced:
                return loaded
            else:
                loaded += 1
                if loaded == 20:
                    some_are_loaded.set()
        raise AssertionError("nobody has fenced it")

    with ThreadPoolExecutor(3) as pool:
        working = [pool.submit(work, old_writer()) for _ in range(3)]
        try:
            while not some_are_loaded.wait(0.1):
                assert not any(each.done() for each in working), [each.exception() for each in working if each.done()]
            upgrading().result()
        except BaseException:
            stop.set()
            raise
        loaded = sum(each.result() for each in working)
    assert one(opened, "SELECT count(*) FROM events") == 902 + loaded * len(moments)
    states = {
        row["state"]: row["n"]
        for row in opened.execute("SELECT state, count(*) AS n FROM ledger.files WHERE file_id > 3 GROUP BY state")
    }
    assert states.pop("loaded") == loaded
    assert states.keys() == {"landed"}
    assert one(opened, "SELECT count(*) FROM events JOIN ledger.files USING (file_id) WHERE state <> 'loaded'") == 0


def test_a_big_file_is_not_set_aside_because_the_release_before_finds_no_month_for_a_row(
    url: str, opened: Connection, old_writer: Callable[[], OldWriter]
) -> None:
    writer = old_writer()
    migrate.migrate(url)
    with pytest.raises(StreamFenced):
        writer.load(3, "2030-01-01Z")
    assert one(opened, "SELECT state FROM ledger.files WHERE file_id = 3") == "landed"
    assert one(opened, "SELECT format('%s, %s', state, ended_how) FROM ledger.streams") == "fenced, fenced"


def test_a_program_of_the_release_before_gets_no_stream_any_more(url: str, opened: Connection) -> None:
    migrate.migrate(url)
    with pytest.raises(psycopg.errors.CheckViolation, match="a_stream_knows_the_months"):
        opened.execute(OLD_LEASE)
    assert leases.take(opened, submitted_by="the release after", seconds=60) is not None
    with pytest.raises(psycopg.Error) as refused:
        opened.execute(OLD_INSERT)
    assert rule_for(refused.value).action == "stop"


def test_an_upgrade_that_meets_a_reader_which_goes_the_other_way_is_tried_again(
    superuser: str,
    opened: Connection,
    upgrading: Callable[[], Future[list[str]]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(migrate, "_PAUSE", 0.0)
    caplog.set_level(logging.WARNING)
    with psycopg.connect(superuser) as reader:
        reader.execute("SET deadlock_timeout = '10min'")  # so that it is the upgrade that gives way
        reader.execute("SELECT FROM public.events LIMIT 1")
        upgrade = upgrading()
        wait_until_it_waits(opened, upgrade.done)
        reader.execute("SELECT FROM ledger.files LIMIT 1")
        reader.commit()
        upgrade.result()
    assert is_upgraded(opened)
    assert "attempt 1: others use its tables" in caplog.text


def test_an_upgrade_does_not_wait_for_ever_and_says_for_whom(
    url: str,
    opened: Connection,
    old_writer: Callable[[], OldWriter],
    upgrading: Callable[[], Future[list[str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("_ATTEMPTS", 2), ("_LOCK_TIMEOUT", "50ms"), ("_PAUSE", 0.0)):
        monkeypatch.setattr(migrate, name, value)
    old_writer()
    with psycopg.connect(url, application_name="somebody") as holding:
        holding.execute("LOCK TABLE public.events IN SHARE MODE")
        who = rf"session {holding.info.backend_pid} \('somebody' of role 'sluice_owner'\)"
        with pytest.raises(MigrationError, match=f"in 2 attempts .* Now they are {who}: stop what reads and loads"):
            upgrading().result(timeout=60)
    assert not is_upgraded(opened)
    assert one(opened, "SELECT ended_at IS NULL FROM ledger.streams")
