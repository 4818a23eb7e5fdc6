"""A month that has expired is dropped once the reports have counted what changed in it, and not before."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

from sluice.base import database
from sluice.base.settings import Settings
from sluice.loading import expiry
from sluice.loading.unload import unload_file
from sluice.proof.reconcile import reconcile
from sluice.running import status
from tests.changed_days import counted
from tests.integration.test_expiry import KEPT, OLD, OLDER, expired, in_the_way
from tests.integration.test_months import at, months
from tests.loading import Connection, recount, table

Load = Callable[..., int]
MARCH, FEBRUARY = "events_2020_03", "events_2020_02"


@pytest.fixture
def keeping(own_contracts: Settings) -> Settings:
    """Settings that keep five years."""
    return replace(own_contracts, keep_events_months=KEPT)


def expire(settings: Settings) -> expiry.Expired:
    done = expiry.expire(settings)
    assert done is not None
    return done


def test_a_month_with_rows_that_no_refresh_has_counted_stays_whole_and_goes_once_one_has(
    load: Load, keeping: Settings, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    load(table(at(1, OLD), at(2, OLD)))
    done = expire(keeping)
    assert (MARCH in done.months, done.left) == (False, [MARCH])
    assert f"month {MARCH} is kept, it is dropped the next time: the reports have not counted 1 changes" in caplog.text
    assert (months(connection), expired(connection)) == ({MARCH: 2}, {})
    assert reconcile(keeping, keeping.reader_dsn).holds
    counted(connection)
    done = expire(keeping)
    assert (done.months, done.left, done.rows) == ([MARCH], [], 2)
    assert recount(connection) == {1: (2, 0, 0)}


def test_a_month_that_rows_have_left_uncounted_stays_too_and_other_months_go(
    load: Load, keeping: Settings, connection: Connection
) -> None:
    wrong = load(table(at(1, OLD)), "wrong.csv")
    load(table(at(2, OLD), at(3, OLDER)))
    counted(connection)
    unload_file(keeping, wrong, "a wrong file", by_whom="test")
    done = expire(keeping)
    assert (FEBRUARY in done.months, done.left) == (True, [MARCH])
    assert months(connection) == {MARCH: 1}
    counted(connection)
    assert expire(keeping).months == [MARCH]


def test_a_change_that_is_committed_while_the_drop_waits_for_the_month_is_waited_for(
    load: Load, keeping: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "_LOCK_TIMEOUT", "60s")
    load(table(at(1, OLD), at(2, OLD)))
    counted(connection)
    done = list[expiry.Expired]()
    with database.connect(keeping.writer_dsn, autocommit=False, application_name="open unload") as unloading:
        unloading.execute("DELETE FROM public.events WHERE record_number = 1")
        dropping = threading.Thread(target=lambda: done.append(expire(keeping)))
        dropping.start()
        assert in_the_way(connection) == ["open unload"]
        unloading.commit()
    dropping.join(60)
    assert [each.left for each in done] == [[MARCH]]
    assert months(connection) == {MARCH: 1}


def test_the_writer_may_not_drop_such_a_month_by_itself(load: Load, keeping: Settings, connection: Connection) -> None:
    load(table(at(1, OLD)))
    expire(keeping)
    with database.connect(keeping.writer_dsn) as writer, pytest.raises(psycopg.errors.ObjectInUse):
        writer.execute("SELECT ledger.drop_month(%s)", [MARCH])


def test_status_names_a_month_that_waits_until_a_refresh_has_counted_it(
    load: Load, keeping: Settings, connection: Connection
) -> None:
    load(table(at(1, OLD), at(2, "2026-11-22T10:00:00Z")))
    assert status.expiry_problems(connection) == [], "it has not expired"
    expire(keeping)
    [said] = status.expiry_problems(connection)
    assert said.startswith(f"month {MARCH} has expired and is not dropped before a refresh")
    assert said.endswith("has counted 1 changes of its rows")
    counted(connection)
    assert status.expiry_problems(connection) == []


@pytest.mark.parametrize(
    ("entry", "waits"),
    [
        ("(feed, day) VALUES ('events', '2020-02-29')", False),
        ("(feed, day) VALUES ('events', '2020-03-01')", True),
        ("(feed, day) VALUES ('events', '2020-03-31')", True),
        ("(feed, day) VALUES ('events', '2020-04-01')", False),
        ("(feed, day) VALUES ('events', 'infinity'), ('events', '-infinity')", False),
        ("(file_id) VALUES (1)", True),
        ("(file_id) VALUES (2)", False),
        ("(file_id) VALUES (999)", True),
    ],
)
def test_what_waits_for_a_month_are_changes_of_its_days_and_files_that_may_have_rows_in_it(
    load: Load, connection: Connection, entry: str, waits: bool
) -> None:
    """Of a file that nobody knows nothing is known."""
    load(table(at(1, OLD), at(2, "2021-01-01T00:00:00Z")))
    load(table(at(3, "2020-02-29T23:59:59.999999Z")), "before.csv")
    counted(connection)
    connection.execute(f"INSERT INTO ledger.report_changes {entry}")  # type: ignore[call-overload]
    row = connection.execute("SELECT ledger.changes_waiting('2020-03-01Z', '2020-04-01Z') > 0 AS waits").fetchone()
    assert row == {"waits": waits}


def test_the_partition_without_begin_has_the_day_without_one(connection: Connection) -> None:
    connection.execute("INSERT INTO ledger.report_changes (feed, day) VALUES ('a', 'infinity'), ('a', '-infinity')")
    row = connection.execute("SELECT ledger.changes_waiting('-infinity', '2000-01-01Z') AS n").fetchone()
    assert row == {"n": 1}
