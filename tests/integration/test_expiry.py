"""Months that are older than the kept ones are dropped: the ledger accounts for their rows, and no late copy counts."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pyarrow as pa
import pytest

from sluice.base import database
from sluice.base.settings import SettingError, Settings
from sluice.base.settings import load as settings_of
from sluice.ledger import receipts
from sluice.loading import expiry, merge
from sluice.loading.load_file import FileLoader
from sluice.loading.one_load import FileLoad
from sluice.loading.replay import replay
from sluice.loading.stream_writer import LOCK_TIMEOUT
from sluice.loading.unload import unload_file
from sluice.proof.reconcile import reconcile
from tests.integration.test_months import at, months
from tests.loading import Connection, change_contract, event, recount, rejects, state, table

Load = Callable[..., int]
# The clock of the server says what the present month is; these are far enough from it.
OLD, OLDER, LONG_AGO = "2020-03-31T23:59:59.999999Z", "2020-02-01T00:00:00Z", "1999-05-05T00:00:00Z"
KEPT = 60
INSERT = """
    INSERT INTO public.events (event_id, event_type, event_time, file_id, record_number)
    SELECT gen_random_uuid(), 'search', %s, 999, 1
"""


@pytest.fixture(autouse=True)
def reports_follow(connection: Connection) -> None:
    """The reports have counted whatever changed: how a drop waits for them is in test_expiry_waits_for_reports."""
    connection.execute("ALTER TABLE ledger.files DISABLE TRIGGER rows_that_come_are_noted")


@pytest.fixture
def keeping(own_contracts: Settings) -> Settings:
    """Settings that keep five years."""
    return replace(own_contracts, keep_events_months=KEPT)


@pytest.fixture
def now(connection: Connection) -> str:
    """A moment of the present month, by the server's clock."""
    row = connection.execute("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM') AS month").fetchone()
    assert row is not None
    return f"{row['month']}-01T00:00:00Z"


def expired(connection: Connection) -> dict[int, int]:
    """Rows that expired, by file, where there are any."""
    rows = connection.execute("SELECT file_id, rows_expired FROM ledger.files WHERE rows_expired > 0 ORDER BY file_id")
    return {row["file_id"]: row["rows_expired"] for row in rows}


def in_the_way(connection: Connection) -> list[str]:
    """Who stands in the way of the session that drops months; the test has 60 s."""
    query = """
        SELECT blocker.application_name AS name
        FROM pg_stat_activity AS waiting
        CROSS JOIN unnest(pg_blocking_pids(waiting.pid)) AS by_pid
        JOIN pg_stat_activity AS blocker ON blocker.pid = by_pid
        WHERE waiting.application_name = 'sluice-expiry'
    """
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if found := [row["name"] for row in connection.execute(query)]:
            return found
        time.sleep(0.01)
    raise AssertionError("nobody stands in the way")


def test_old_months_are_dropped_and_the_ledger_accounts_for_their_rows(
    load: Load, keeping: Settings, connection: Connection, now: str
) -> None:
    load(table(at(1, OLD), at(2, OLDER), at(3, now), at(4, LONG_AGO), event(5, price="dear")))
    load(table(at(6, OLD), at(3, now), at(7, "2099-12-01T00:00:00Z")), "b.csv")
    receipts.make_pending(connection)
    done = expiry.expire(keeping)
    assert done is not None
    assert (done.months, done.rows, done.left) == (["events_before_2000_01", "events_2020_02", "events_2020_03"], 4, [])
    assert sum(months(connection).values()) == 2
    assert expired(connection) == {1: 3, 2: 1}
    assert recount(connection) == {1: (4, 1, 0), 2: (2, 0, 1)}
    verified = [receipts.verify(connection, file_id) for file_id in (1, 2)]
    assert [(each["holds"], each["rows_expired"], each["problems"]) for each in verified if each] == [
        (True, 3, []),
        (True, 1, []),
    ]
    found = reconcile(keeping, keeping.reader_dsn)
    assert found.holds, found.broken
    assert "6 loaded (4 of them expired) + 1 rejected + 1 duplicate: holds" in found.lines()[0]
    audit = connection.execute("SELECT file_id, details FROM ledger.audit WHERE action = 'expire' ORDER BY audit_id")
    assert [(row["file_id"], row["details"]["month"], row["details"]["rows_expired"]) for row in audit] == [
        (1, "events_before_2000_01", 1), (1, "events_2020_02", 1), (1, "events_2020_03", 1), (2, "events_2020_03", 1)
    ]  # fmt: skip
    kept = connection.execute("SELECT month, files, rows FROM ledger.expired_months ORDER BY begins").fetchall()
    assert [tuple(row.values()) for row in kept] == [
        ("events_before_2000_01", 1, 1), ("events_2020_02", 1, 1), ("events_2020_03", 2, 2)
    ]  # fmt: skip


def test_by_default_all_is_kept(load: Load, own_contracts: Settings, connection: Connection) -> None:
    load(table(at(1, OLD), at(2, LONG_AGO)))
    assert expiry.expire(own_contracts) is None
    assert sum(months(connection).values()) == 2
    load(table(at(3, LONG_AGO)), "b.csv")
    assert recount(connection) == {1: (2, 0, 0), 2: (1, 0, 0)}


def test_the_last_whole_months_and_the_present_one_are_kept(
    load: Load, own_contracts: Settings, connection: Connection
) -> None:
    row = connection.execute(
        "SELECT to_char(m - interval '2 months', 'YYYY-MM-DD') AS kept, "
        "to_char(m - interval '3 months', 'YYYY-MM-DD') AS old "
        "FROM date_trunc('month', now() AT TIME ZONE 'UTC') AS m"
    ).fetchone()
    assert row is not None
    load(table(at(1, f"{row['kept']}T00:00:00Z"), at(2, f"{row['old']}T00:00:00Z")))
    expiry.expire(replace(own_contracts, keep_events_months=2))
    assert list(months(connection)) == [f"events_{row['kept'][:7].replace('-', '_')}"]


def test_a_partition_is_dropped_only_when_all_of_it_has_expired(
    own_contracts: Settings, epoch: int, land: Load, connection: Connection, now: str
) -> None:
    loader = FileLoader(replace(own_contracts, events_partition="year"), epoch)
    loader.load(land(table(at(1, OLD))))
    until_december = (int(now[:4]) - 2020) * 12 + int(now[5:7]) - 12
    expiry.expire(replace(own_contracts, keep_events_months=until_december))
    loader.load(land(table(at(2, OLD), at(3, "2020-12-01T00:00:00Z")), "late.csv"))
    assert months(connection) == {"events_2020_01_01_to_2021_01_01": 2}
    expiry.expire(replace(own_contracts, keep_events_months=until_december - 1))
    loader.close()
    assert months(connection) == {}
    assert recount(connection) == {1: (1, 0, 0), 2: (1, 1, 0)}


@pytest.mark.parametrize("copied", [False, True])
def test_a_row_older_than_the_kept_months_is_rejected_and_the_rest_of_its_file_loads(
    own_contracts: Settings,
    keeping: Settings,
    epoch: int,
    land: Load,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    now: str,
    copied: bool,
) -> None:
    if copied:
        monkeypatch.setattr("sluice.loading.one_load.STAGED_BYTES_MAX", 0)
    loader = FileLoader(own_contracts, epoch)
    loader.load(land(table(at(1, OLD), at(2, now))))
    expiry.expire(keeping)
    change_contract(own_contracts, errorBudget={"rows": 0})
    late = land(table(at(2, now) if not copied else at(8, now), at(1, OLD), at(9, LONG_AGO), at(3, now)), "late.csv")
    loader.load(late)
    loader.close()
    assert [(row["record_number"], row["rules"], bytes(row["raw"]).decode()) for row in rejects(connection, late)] == [
        (2, ["event_time.expired"], at(1, OLD)), (3, ["event_time.expired"], at(9, LONG_AGO))
    ]  # fmt: skip
    assert recount(connection) == {1: (2, 0, 0), 2: (1, 2, 1) if not copied else (2, 2, 0)}
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds


def test_a_replay_leaves_expired_rows_where_they_are(
    load: Load, keeping: Settings, connection: Connection, now: str
) -> None:
    load(table(at(1, OLD, price="dear"), at(2, now)))
    expiry.expire(keeping)
    connection.execute('UPDATE ledger.rejects SET fields = fields || \'{"price": "1.5"}\', edited_at = now()')
    tally = replay(keeping)
    assert (tally.loaded, tally.still_rejected_by_rule) == (0, {"event_time.expired": 1})
    assert recount(connection) == {1: (1, 1, 0)}


def test_the_same_bytes_are_a_duplicate_of_a_file_that_has_expired_and_its_twins_stay_duplicates(
    load: Load, keeping: Settings, connection: Connection, now: str
) -> None:
    load(table(at(1, OLD), at(2, now)))
    load(table(at(1, OLD), at(3, now)), "b.csv")
    expiry.expire(keeping)
    assert recount(connection) == {1: (2, 0, 0), 2: (1, 0, 1)}
    found = reconcile(keeping, keeping.reader_dsn)
    assert found.holds, found.broken


def test_an_unload_takes_out_what_is_left_and_says_so(
    load: Load, keeping: Settings, connection: Connection, now: str
) -> None:
    load(table(at(1, OLD), at(2, now), at(3, now)))
    load(table(at(1, OLD), at(3, now)), "b.csv")
    receipts.make_pending(connection)
    expiry.expire(keeping)
    left = unload_file(keeping, 1, "it was the wrong one", by_whom="test")
    assert (left.rows_taken_out, left.rows_removed, left.rows_expired, left.given_back) == (2, 1, 1, {2: 1})
    row = connection.execute("SELECT details FROM ledger.audit WHERE action = 'unload'").fetchone()
    assert row is not None
    assert row["details"]["rows_expired"] == 1
    assert recount(connection) == {2: (1, 0, 1)}
    assert expired(connection) == {}
    files = connection.execute("SELECT receipt FROM ledger.files WHERE file_id = 1").fetchone()
    assert files == {"receipt": "0" * 32}
    found = reconcile(keeping, keeping.reader_dsn)
    assert found.holds, found.broken


def test_a_receipt_that_is_made_while_the_rows_are_counted_is_made_anew(
    load: Load, keeping: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch, now: str
) -> None:
    load(table(at(1, LONG_AGO), at(2, now)))

    def make(point: str) -> None:
        if point == "expiry.after_count":
            receipts.make_pending(connection)

    monkeypatch.setattr(expiry, "crash_point", make)
    expiry.expire(keeping)
    row = connection.execute("SELECT receipt, receipt_version, receipt_at FROM ledger.files").fetchone()
    assert row == {"receipt": None, "receipt_version": None, "receipt_at": None}
    receipts.make_pending(connection)
    assert reconcile(keeping, keeping.reader_dsn).holds


def load_beside(settings: Settings, moment: str) -> None:
    """A row of the present month, as a load brings it: it waits for nobody longer than a second."""
    with database.connect(settings.writer_dsn, lock_timeout=LOCK_TIMEOUT) as loading:
        loading.execute(INSERT, [moment])


def test_a_drop_gives_up_beside_an_open_load_tries_again_and_no_load_waits_for_it_longer_than_a_second(
    load: Load, keeping: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch, now: str
) -> None:
    monkeypatch.setattr(expiry, "_ATTEMPTS", 1000)
    load(table(at(1, OLD), at(2, now)))
    gave_up, done = threading.Event(), list[expiry.Expired | None]()

    def pause(seconds: float) -> None:
        gave_up.set()
        time.sleep(0.2)

    monkeypatch.setattr(expiry, "time", SimpleNamespace(sleep=pause))
    with database.connect(keeping.writer_dsn, autocommit=False, application_name="open load") as loading:
        loading.execute(INSERT, [now])
        dropping = threading.Thread(target=lambda: done.append(expiry.expire(keeping)))
        dropping.start()
        for _ in range(3):
            assert in_the_way(connection) == ["open load"]
            load_beside(keeping, now)
        assert gave_up.wait(60)
        assert not done
        assert expired(connection) == {}
        loading.commit()
    dropping.join(60)
    assert [each and (each.rows, each.left) for each in done] == [(1, [])]
    assert months(connection) == {f"events_{now[:7].replace('-', '_')}": 5}
    connection.execute("DELETE FROM events WHERE file_id = 999")
    assert recount(connection) == {1: (2, 0, 0)}


def test_while_the_rows_are_counted_nobody_who_loads_or_reads_waits(
    load: Load, keeping: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch, now: str
) -> None:
    load(table(at(1, OLD), at(2, now)))
    counted = []

    def look(point: str) -> None:
        if point == "expiry.after_count":
            load_beside(keeping, now)
            with database.connect(keeping.reader_dsn, lock_timeout="1ms") as reading:
                counted.append(reading.execute("SELECT count(*) AS n FROM public.events").fetchone())

    monkeypatch.setattr(expiry, "crash_point", look)
    expiry.expire(keeping)
    assert counted == [{"n": 3}, {"n": 4}]


def test_a_month_that_others_use_for_long_is_left_whole_for_the_next_time(
    load: Load, keeping: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch, now: str
) -> None:
    monkeypatch.setattr(expiry, "_ATTEMPTS", 2)
    load(table(at(1, OLD), at(2, now)))
    with database.connect(keeping.reader_dsn, autocommit=False) as reading:
        reading.execute("SELECT count(*) FROM public.events")
        done = expiry.expire(keeping)
        assert done is not None
        assert (done.months, done.left) == ([], ["events_before_2000_01", "events_2020_03"])
        assert expired(connection) == {}
        assert reconcile(keeping, keeping.reader_dsn).holds
        reading.rollback()
    done = expiry.expire(keeping)
    assert done is not None
    assert done.rows == 1
    assert recount(connection) == {1: (2, 0, 0)}


def test_a_month_with_a_file_that_somebody_holds_is_left_whole_for_the_next_time(
    load: Load, keeping: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "_ATTEMPTS", 1)
    load(table(at(1, OLD)))
    with connection.transaction():
        connection.execute("SELECT FROM ledger.files WHERE file_id = 1 FOR UPDATE")
        done = expiry.expire(keeping)
    assert done is not None
    assert "events_2020_03" in done.left
    assert expired(connection) == {}


@pytest.mark.parametrize("knows_the_month", [True, False])
def test_a_load_that_began_before_the_cut_begins_again_and_rejects_what_expired_meanwhile(
    own_contracts: Settings,
    keeping: Settings,
    epoch: int,
    land: Load,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    now: str,
    knows_the_month: bool,
) -> None:
    loader = FileLoader(own_contracts, epoch)
    loader.load(land(table(at(1, OLD))))
    late = land(table(at(1, OLD), at(2, now)), "late.csv")
    ingest = FileLoad._ingest

    def expire_first(self: FileLoad, good: pa.Table, is_staged: bool) -> None:
        monkeypatch.setattr(FileLoad, "_ingest", ingest)
        done = expiry.expire(keeping)
        assert done is not None
        assert "events_2020_03" in done.months
        if not knows_the_month:
            loader._writer.months.forget()
        ingest(self, good, is_staged)

    monkeypatch.setattr(FileLoad, "_ingest", expire_first)
    assert loader.load(late).state == "loaded"
    loader.close()
    assert [row["rules"] for row in rejects(connection, late)] == [["event_time.expired"]]
    assert recount(connection) == {1: (1, 0, 0), 2: (1, 1, 0)}
    assert sum(months(connection).values()) == 1


def test_a_view_that_stands_on_a_month_is_told_and_the_other_months_go(
    load: Load, keeping: Settings, connection: Connection
) -> None:
    load(table(at(1, OLD), at(2, OLDER)))
    connection.execute("CREATE VIEW of_march AS SELECT event_id FROM events_2020_03")
    with pytest.raises(
        expiry.ExpiryError, match=r"events_2020_03 cannot be dropped: view public.of_march .*: drop what stands"
    ):
        expiry.expire(keeping)
    assert months(connection) == {"events_2020_03": 1}
    assert expired(connection) == {1: 1}
    connection.execute("DROP VIEW of_march")
    expiry.expire(keeping)
    assert expired(connection) == {1: 2}


def test_the_writer_may_drop_no_month_that_is_kept(load: Load, keeping: Settings, now: str) -> None:
    load(table(at(1, now)))
    expiry.expire(keeping)
    with (
        database.connect(keeping.writer_dsn) as writer,
        pytest.raises(psycopg.errors.UndefinedTable, match="no partition of events whose rows have all expired"),
    ):
        writer.execute("SELECT ledger.drop_month(%s)", [f"events_{now[:7].replace('-', '_')}"])


def test_nothing_is_dropped_while_a_merge_reads_the_months(
    load: Load, keeping: Settings, connection: Connection
) -> None:
    load(table(at(1, OLD)))
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(7215482305)")
        assert expiry.expire(keeping) is None
    assert sum(months(connection).values()) == 1
    assert merge.merge(keeping) is not None


@pytest.mark.parametrize(
    ("point", "rows"),
    [("expiry.after_count", 0), ("expiry.after_settle", 0), ("expiry.before_commit", 0), ("expiry.after_commit", 1)],
)
def test_a_drop_that_is_killed_leaves_all_of_a_month_or_nothing(
    load: Load,
    keeping: Settings,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    point: str,
    rows: int,
    now: str,
) -> None:
    load(table(at(1, LONG_AGO), at(2, OLD), at(3, now)))
    receipts.make_pending(connection)
    monkeypatch.setenv("SLUICE_KEEP_EVENTS_MONTHS", str(KEPT))
    monkeypatch.setenv("SLUICE_CRASH_AT", point)
    monkeypatch.setenv("SLUICE_CRASH_ONCE", str(tmp_path / "died"))
    code = "from sluice.base.settings import load; from sluice.loading.expiry import expire; expire(load())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    monkeypatch.delenv("SLUICE_CRASH_AT")
    recount(connection)
    found = reconcile(keeping, keeping.reader_dsn)
    assert found.holds, found.broken
    assert sum(expired(connection).values()) == rows
    while expiry.expire(keeping) is None:
        time.sleep(0.05)  # the server ends the killed session by itself
    assert expired(connection) == {1: 2}
    assert recount(connection) == {1: (3, 0, 0)}
    assert state(connection, 1) == "loaded"
    assert reconcile(keeping, keeping.reader_dsn).holds


def test_a_number_of_months_that_is_none_is_refused() -> None:
    for value in ("-1", "1201", "two"):
        with pytest.raises(SettingError, match="SLUICE_KEEP_EVENTS_MONTHS"):
            settings_of({"SLUICE_KEEP_EVENTS_MONTHS": value})
    assert settings_of({"SLUICE_KEEP_EVENTS_MONTHS": "24"}).keep_events_months == 24
