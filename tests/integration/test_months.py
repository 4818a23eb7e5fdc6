"""events in months: made before they are needed, each with ids of its own, and only those that matter are read."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from psycopg.rows import tuple_row

from sluice.base import database, queries
from sluice.base.settings import SettingError, Settings
from sluice.base.settings import load as settings_of
from sluice.ledger import receipts
from sluice.loading import merge, staging
from sluice.loading import months as months_of_events
from sluice.loading.load_file import FileLoader
from sluice.loading.months import FileMonths, Months
from sluice.loading.one_load import STAGED_BYTES_MAX
from sluice.loading.replay import replay
from sluice.loading.unload import unload_file
from sluice.loading.writer_session import WriterSession
from sluice.proof.reconcile import reconcile
from tests.loading import Connection, event, make_months, owners, recount, rejects, state, table

Load = Callable[..., int]
NOVEMBER, OCTOBER, MAY = "2026-11-22T10:00:00Z", "2026-10-03T09:00:00Z", "2024-05-31T23:59:59.999999Z"


def at(number: int, moment: str, **more: str) -> str:
    """``event`` at another moment."""
    return event(number, **more).replace(NOVEMBER, moment)


def months(connection: Connection) -> dict[str, int]:
    """Rows by partition, but those that have none."""
    rows = connection.execute(
        "SELECT tableoid::regclass::text AS month, count(*) AS n FROM events GROUP BY 1 ORDER BY 1"
    )
    return {row["month"]: row["n"] for row in rows}


def explained(session: WriterSession, query: str, values: Sequence[Any]) -> str:
    """How PostgreSQL runs the query; it is run."""
    with psycopg.RawCursor(session.connection, row_factory=tuple_row) as cursor:
        return "\n".join(row[0] for row in cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {query}", values))


@pytest.fixture
def session(settings: Settings) -> Iterator[WriterSession]:
    """One of the writer's."""
    opened = WriterSession(settings.writer_dsn, "sluice-test")
    yield opened
    opened.disconnect()


def test_each_row_goes_to_its_month_and_a_month_is_made_for_whatever_year(load: Load, connection: Connection) -> None:
    moments = (NOVEMBER, OCTOBER, MAY, "1999-12-31T23:59:59Z", "2000-01-01T00:00:00Z", "2099-12-31T00:00:00Z",
               "2100-01-01T00:00:00Z", "0001-01-02T00:00:00Z", "9999-12-30T00:00:00Z")  # fmt: skip
    load(table(*(at(number, moment) for number, moment in enumerate(moments, 1))))
    assert months(connection) == {
        "events_before_2000_01": 2, "events_2000_01": 1, "events_2024_05": 1, "events_2026_10": 1, "events_2026_11": 1,
        "events_2099_12": 1, "events_from_2100_01": 2,
    }  # fmt: skip
    assert recount(connection) == {1: (9, 0, 0)}


def test_a_direct_copy_goes_to_the_months_too(
    own_contracts: Settings, epoch: int, land: Load, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.loading.one_load.STAGED_BYTES_MAX", 0)
    loader = FileLoader(own_contracts, epoch)
    loader.load(land(table(at(1, NOVEMBER), at(1, OCTOBER), at(2, MAY))))
    loader.close()
    assert months(connection) == {"events_2024_05": 1, "events_2026_10": 1, "events_2026_11": 1}
    assert recount(connection) == {1: (3, 0, 0)}


def test_a_file_with_an_id_in_two_months_ends_alike_staged_or_copied(
    load: Load, connection: Connection, own_contracts: Settings
) -> None:
    load(table(at(1, NOVEMBER), at(1, OCTOBER), at(1, OCTOBER)))
    assert recount(connection) == {1: (2, 0, 1)}
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds


@pytest.mark.parametrize("copied", [False, True])
def test_a_month_that_went_while_a_load_knew_it_is_made_again_and_never_a_reason_to_reject(
    own_contracts: Settings,
    epoch: int,
    land: Load,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    copied: bool,
) -> None:
    if copied:
        monkeypatch.setattr("sluice.loading.one_load.STAGED_BYTES_MAX", 0)
    loader = FileLoader(own_contracts, epoch)
    loader.load(land(table(at(1, OCTOBER))))
    connection.execute("DROP TABLE events_2026_10")
    assert loader.load(land(table(at(2, OCTOBER)), "b.csv")).state == "loaded"
    loader.close()
    assert months(connection) == {"events_2026_10": 1}


def test_a_row_that_breaks_a_check_still_rejects_its_file(load: Load, connection: Connection) -> None:
    connection.execute("ALTER TABLE events ADD CONSTRAINT not_too_dear CHECK (price < 100)")
    assert state(connection, load(table(event(1, price="100")))) == "rejected"


def test_a_month_is_made_while_loads_are_open_and_none_waits_for_it(
    settings: Settings, connection: Connection, session: WriterSession
) -> None:
    make_months(connection, "2026-11-22")
    with database.connect(settings.writer_dsn, autocommit=False) as loading:
        loading.execute(
            "INSERT INTO public.events (event_id, event_type, event_time, file_id, record_number) "
            "VALUES (gen_random_uuid(), 'search', '2026-11-22', 1, 1)"
        )
        found = Months(settings.writer_dsn, "month").of(session.run, np.array([0], np.int64))
        assert [month.name for month in found] == ["events_before_2000_01"]
        micros = np.array([1_600_000_000_000_000], np.int64)
        assert [m.name for m in Months(settings.writer_dsn, "month").of(session.run, micros)] == ["events_2020_09"]
        loading.execute(
            "INSERT INTO public.events (event_id, event_type, event_time, file_id, record_number) "
            "VALUES (gen_random_uuid(), 'search', '2020-09-13 12:26:40Z', 1, 2)"
        )
        loading.commit()
    assert months(connection) == {"events_2020_09": 1, "events_2026_11": 1}


def test_many_who_need_a_month_at_once_make_it_once(settings: Settings, connection: Connection) -> None:
    def make() -> None:
        with database.connect(settings.writer_dsn) as writer:
            make_months(writer, "2031-01-15", "2031-02-15")

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = connection.execute(
        "SELECT month FROM ledger.months() WHERE begins > '2030-01-01' AND isfinite(ends)"
    ).fetchall()
    assert [row["month"] for row in rows] == ["events_2031_01", "events_2031_02"]


@pytest.mark.parametrize(
    ("size", "name"),
    [
        ("day", "events_2026_11_22_to_2026_11_23"),
        ("week", "events_2026_11_16_to_2026_11_23"),
        ("month", "events_2026_11"),
        ("quarter", "events_2026_10_01_to_2027_01_01"),
        ("year", "events_2026_01_01_to_2027_01_01"),
    ],
)
def test_a_partition_is_as_large_as_the_setting_says(
    own_contracts: Settings, epoch: int, land: Load, connection: Connection, size: str, name: str
) -> None:
    loader = FileLoader(replace(own_contracts, events_partition=size), epoch)
    loader.load(land(table(event(1))))
    loader.close()
    assert months(connection) == {name: 1}


def test_after_a_change_of_the_setting_a_partition_fills_the_gap_between_its_neighbours(connection: Connection) -> None:
    for day, size in (("2026-11-20", "day"), ("2026-11-22", "day"), ("2026-11-21", "month"), ("2026-11-01", "month")):
        connection.execute("SELECT ledger.make_month(%s::date, %s)", [day, size])
    names = connection.execute("SELECT month FROM ledger.months() WHERE begins > '2026-01-01'").fetchall()
    assert [row["month"] for row in names][:4] == [
        "events_2026_11_01_to_2026_11_20", "events_2026_11_20_to_2026_11_21", "events_2026_11_21_to_2026_11_22",
        "events_2026_11_22_to_2026_11_23",
    ]  # fmt: skip


def test_a_detached_month_keeps_its_name_and_a_new_one_gets_another(connection: Connection) -> None:
    make_months(connection, "2026-11-22")
    connection.execute("ALTER TABLE events DETACH PARTITION events_2026_11")
    make_months(connection, "2026-11-22")
    row = connection.execute("SELECT month FROM ledger.make_month('2026-11-30')").fetchone()
    assert row == {"month": "events_2026_11_"}


def test_a_month_is_asked_for_once_however_many_of_its_days_are_missing_and_the_load_says_that_it_lives(
    settings: Settings, session: WriterSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    answer = queries.all

    def counted(on: Any, name: str, *values: Any, **named: Any) -> list[Any]:
        asked.append(name)
        return answer(on, name, *values, **named)

    monkeypatch.setattr(queries, "all", counted)
    two_years = np.arange(11_323, 11_323 + 730)
    before_1970 = np.arange(-3_000, -2_900)
    found = Months(settings.writer_dsn, "month").of(session.run, np.append(before_1970, two_years) * 86_400_000_000)
    assert [month.name for month in found[:2]] == ["events_before_2000_01", "events_2001_01"]
    assert len(found) == 1 + 24
    assert (asked.count("load/months.make"), asked.count("load/load.say_alive")) == (24, 24)


@pytest.mark.parametrize(
    ("day", "size", "name", "begins", "ends"),
    [
        ("1999-12-31", "month", "events_before_2000_01", "-infinity", "2000-01-01 00:00:00+00"),
        ("0001-01-01", "day", "events_before_2000_01", "-infinity", "2000-01-01 00:00:00+00"),
        ("2000-01-01", "week", "events_2000_01_01_to_2000_01_03", "2000-01-01 00:00:00+00", "2000-01-03 00:00:00+00"),
        ("2099-12-31", "week", "events_2099_12_28_to_2100_01_01", "2099-12-28 00:00:00+00", "2100-01-01 00:00:00+00"),
        ("2100-01-01", "month", "events_from_2100_01", "2100-01-01 00:00:00+00", "infinity"),
        ("9999-12-31", "year", "events_from_2100_01", "2100-01-01 00:00:00+00", "infinity"),
    ],
)
def test_what_is_before_2000_or_from_2100_on_has_an_open_partition_also_when_that_went(
    connection: Connection, day: str, size: str, name: str, begins: str, ends: str
) -> None:
    connection.execute("DROP TABLE events_before_2000_01, events_from_2100_01")
    connection.execute("SET timezone = 'UTC'")
    row = connection.execute(
        "SELECT month, begins::text, ends::text FROM ledger.make_month(%s::date, %s)", [day, size]
    ).fetchone()
    assert row == {"month": name, "begins": begins, "ends": ends}


def test_a_month_that_expired_while_its_making_waited_is_not_made(settings: Settings, connection: Connection) -> None:
    """Unless somebody wants it although it has, and then goes on to drop it."""
    waits = "SELECT count(*) AS n FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
    with database.connect(settings.writer_dsn) as writer, ThreadPoolExecutor(1) as pool:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(7215482306)")
            made = pool.submit(months_of_events.make, writer, [11_500], "month")
            while connection.execute(waits).fetchone() == {"n": 0}:
                assert not made.done()
            connection.execute("INSERT INTO ledger.retentions VALUES ('2001-07-01Z')")
        made.result()
        there = "SELECT to_regclass('public.events_2001_06') IS NOT NULL AS made"
        assert connection.execute(there).fetchone() == {"made": False}
        months_of_events.make(writer, [11_500], "month", although_expired=True)
        assert connection.execute(there).fetchone() == {"made": True}


def test_a_partition_that_holds_more_than_what_has_expired_is_made(connection: Connection) -> None:
    connection.execute("INSERT INTO ledger.retentions VALUES ('2001-07-01Z')")
    rows = connection.execute(
        "SELECT size, (SELECT month FROM ledger.make_month('2001-01-15', size)) "
        "FROM unnest('{day,month,quarter,year}'::text[]) AS size"
    ).fetchall()
    assert [row["month"] for row in rows] == [None, None, None, "events_2001_01_01_to_2002_01_01"]


@pytest.mark.parametrize(
    "arguments", ["NULL", "'2026-11-22', 'decade'", "'2026-11-22', NULL", "'2026-11-22', $$x'; DROP TABLE events$$"]
)
def test_what_is_no_size_or_day_is_refused(settings: Settings, arguments: str) -> None:
    with database.connect(settings.writer_dsn) as writer, pytest.raises(psycopg.errors.InvalidParameterValue):
        writer.execute(f"SELECT ledger.make_month({arguments})")  # type: ignore[call-overload]


def test_the_reader_may_not_make_a_month_nor_the_writer_change_one(settings: Settings, connection: Connection) -> None:
    make_months(connection, "2026-11-22")
    with database.connect(settings.reader_dsn) as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
        make_months(reader, "2026-11-22")
    for statement in ("DELETE FROM public.events_2026_11", "DROP TABLE public.events_2026_11",
                      "ALTER TABLE public.events DETACH PARTITION public.events_2026_11"):  # fmt: skip
        with database.connect(settings.writer_dsn) as writer, pytest.raises(psycopg.errors.InsufficientPrivilege):
            writer.execute(statement)


def test_what_is_no_size_of_a_partition_is_no_setting() -> None:
    with pytest.raises(SettingError, match="SLUICE_EVENTS_PARTITION='decade'"):
        settings_of({"SLUICE_EVENTS_PARTITION": "decade"})


def test_rows_that_are_there_are_looked_for_in_their_month_alone(
    session: WriterSession, settings: Settings, connection: Connection
) -> None:
    """The plan reads no other partition, and of this one no row that is not asked for."""
    make_months(connection, *(f"2025-{month:02}-15" for month in range(1, 13)))
    connection.execute(
        "INSERT INTO events (event_id, event_type, event_time, file_id, record_number) "
        "SELECT md5(n::text)::uuid, 'search', timestamptz '2025-01-01Z' + n * interval '5 minutes', 1, n "
        "FROM generate_series(1, 100000) AS n"
    )
    connection.execute("ANALYZE events")
    for number in "12":
        connection.execute(
            "INSERT INTO ledger.files (name, path, sha256, bytes, landed_at) "
            "VALUES ('a', '', repeat(%s, 64), 1, now())",
            [number],
        )
    staging.make(session)
    run = session.connection.execute
    run("INSERT INTO staged_events SELECT * FROM public.events_2025_06")
    run("UPDATE staged_events SET file_id = 2")
    [june] = [
        month for month in Months(settings.writer_dsn, "month").all(session.run) if month.name == "events_2025_06"
    ]
    for name in ("find_repeated", "find_originals", "count_held", "sort_repeated"):
        text = queries.text(f"load/load.{name}").replace("{same_content}", "true")
        plan = explained(session, text, june.bounds)
        assert "events_2025_06_pkey" in plan, plan
        assert "events_2025_05" not in plan, plan
        assert "events_2025_07" not in plan, plan
        assert "Seq Scan on events_2025_06" not in plan, plan


def test_a_file_keeps_its_least_and_greatest_moment_and_is_unloaded_from_its_months_alone(
    load: Load, own_contracts: Settings, connection: Connection, session: WriterSession
) -> None:
    file_id = load(table(at(1, OCTOBER), at(2, NOVEMBER)))
    load(table(at(3, MAY)), "b.csv")
    row = connection.execute("SELECT first_event_time, last_event_time FROM ledger.files WHERE file_id = 1").fetchone()
    assert row is not None
    assert [row[name].isoformat() for name in ("first_event_time", "last_event_time")] == [
        "2026-10-03T09:00:00+00:00", "2026-11-22T10:00:00+00:00",
    ]  # fmt: skip
    [(_, _, since, until, _)] = session.run("load/withdraw.lock_file", file_id)
    session.run("load/withdraw.make_withdrawn")
    plan = explained(session, queries.text("load/withdraw.take_out"), [file_id, since, until])
    session.rollback()
    assert "events_2026_10" in plan, plan
    assert "events_2024_05" not in plan, plan
    for query in ("SELECT * FROM ledger.rows_of(1)", "SELECT ledger.digest(1)"):
        rows = connection.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {query}")  # type: ignore[call-overload]
        if "rows_of" in query:
            plan = "\n".join(row["QUERY PLAN"] for row in rows)
            assert "events_2024_05" not in plan or "never executed" in plan, plan
    assert unload_file(own_contracts, file_id, "a test", by_whom="test").rows_removed == 2
    assert set(owners(connection)) == {3}


def test_where_the_moments_of_a_file_are_not_known_all_months_are_looked_in(
    load: Load, own_contracts: Settings, connection: Connection
) -> None:
    file_id = load(table(at(1, OCTOBER), at(2, NOVEMBER)))
    connection.execute("UPDATE ledger.files SET first_event_time = NULL, last_event_time = NULL")
    row = connection.execute("SELECT ledger.verify(1) -> 'problems' AS problems").fetchone()
    assert row == {"problems": []}
    assert unload_file(own_contracts, file_id, "a test", by_whom="test").rows_removed == 2


def test_an_heir_of_one_month_does_not_get_the_row_of_another(
    load: Load, own_contracts: Settings, connection: Connection
) -> None:
    october = load(table(at(1, OCTOBER, price="1")))
    november = load(table(at(1, NOVEMBER, price="2")), "b.csv")
    heir = load(table(at(1, NOVEMBER, price="2"), event(9)), "c.csv")
    assert recount(connection) == {october: (1, 0, 0), november: (1, 0, 0), heir: (1, 0, 1)}
    assert unload_file(own_contracts, october, "a test", by_whom="test").given_back == {}
    assert unload_file(own_contracts, november, "a test", by_whom="test").given_back == {heir: 1}
    assert recount(connection) == {heir: (2, 0, 0)}
    row = connection.execute(
        "SELECT first_event_time = last_event_time AS same FROM ledger.files WHERE file_id = 3"
    ).fetchone()
    assert row == {"same": True}


# The merge


@pytest.mark.parametrize("swapped", [False, True])
def test_the_later_row_of_an_id_in_two_months_is_set_aside_with_tally_receipt_and_audit(
    load: Load, own_contracts: Settings, connection: Connection, swapped: bool
) -> None:
    """Later is what landed later, whichever month it is of."""
    one, other = (NOVEMBER, OCTOBER) if swapped else (OCTOBER, NOVEMBER)
    first = load(table(at(1, one), event(2)))
    second = load(table(event(3), at(1, other, price="7.50")), "b.csv")
    for file_id in (first, second):
        receipts.make(connection, file_id)
    assert recount(connection) == {first: (2, 0, 0), second: (2, 0, 0)}, "until the merge both count"
    merged = merge.merge(own_contracts)
    assert merged is not None
    assert (merged.files, merged.rows, merged.conflicts, merged.left) == (2, 4, 1, [])
    assert recount(connection) == {first: (2, 0, 0), second: (1, 1, 0)}
    [reject] = rejects(connection, second)
    assert (reject["rules"], reject["error_class"], reject["line_number"]) == (["event_id.conflict"], "conflict", 3)
    assert bytes(reject["raw"]).decode() == at(1, other, price="7.50")
    assert reject["fields"]["price"] == "7.50"
    actions = connection.execute("SELECT action, file_id, details FROM ledger.audit ORDER BY audit_id").fetchall()
    assert [(row["action"], row["file_id"]) for row in actions] == [("receipt", second), ("merge", second)]
    assert actions[1]["details"] == {"loaded": 1, "duplicates": 0, "conflicts": 1, "because_of": second}
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds
    again = merge.merge(own_contracts)
    assert again is not None
    assert again.conflicts == 0


def test_of_three_rows_in_three_months_the_first_stays(
    load: Load, own_contracts: Settings, connection: Connection
) -> None:
    files = [
        load(table(at(1, moment), event(n)), f"{n}.csv") for n, moment in ((11, MAY), (12, NOVEMBER), (13, OCTOBER))
    ]
    merge.merge(own_contracts)
    assert recount(connection) == {files[0]: (2, 0, 0), files[1]: (1, 1, 0), files[2]: (1, 1, 0)}


def test_an_id_twice_in_one_file_in_two_months_is_found_too(
    load: Load, own_contracts: Settings, connection: Connection
) -> None:
    load(table(at(1, OCTOBER), at(1, NOVEMBER), event(2)))
    merge.merge(own_contracts)
    assert recount(connection) == {1: (2, 1, 0)}
    assert [reject["record_number"] for reject in rejects(connection, 1)] == [2]


def test_duplicates_of_a_row_that_is_set_aside_become_conflicts(
    load: Load, own_contracts: Settings, connection: Connection
) -> None:
    load(table(at(1, OCTOBER)))
    load(table(at(1, NOVEMBER), event(2)), "b.csv")
    load(table(event(3), at(1, NOVEMBER)), "c.csv")
    assert recount(connection) == {1: (1, 0, 0), 2: (2, 0, 0), 3: (1, 0, 1)}
    merge.merge(own_contracts)
    assert recount(connection) == {1: (1, 0, 0), 2: (1, 1, 0), 3: (1, 1, 0)}
    [reject] = rejects(connection, 3)
    assert (bytes(reject["raw"]).decode(), reject["record_number"]) == (at(1, NOVEMBER), 2)
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds


def test_a_replay_looks_in_all_months_so_that_no_row_comes_back_each_day(
    load: Load, own_contracts: Settings, connection: Connection
) -> None:
    load(table(at(1, OCTOBER)))
    load(table(at(1, NOVEMBER), event(2)), "b.csv")
    merge.merge(own_contracts)
    tally = replay(own_contracts)
    assert (tally.considered, tally.loaded, tally.still_rejected) == (1, 0, 1)
    assert recount(connection) == {1: (1, 0, 0), 2: (1, 1, 0)}
    unload_file(own_contracts, 1, "it was the wrong one", by_whom="test")
    assert replay(own_contracts).loaded == 1
    assert recount(connection) == {2: (2, 0, 0)}
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds


def test_a_row_that_left_meanwhile_is_passed_over(
    load: Load, own_contracts: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(table(at(1, OCTOBER)))
    load(table(at(1, NOVEMBER), event(2)), "b.csv")
    read_again = merge._Merge._read_again

    def unload_first(self: Any, file_id: int) -> None:
        read_again(self, file_id)
        unload_file(own_contracts, 1, "it was the wrong one", by_whom="test")

    monkeypatch.setattr(merge._Merge, "_read_again", unload_first)
    merged = merge.merge(own_contracts)
    assert merged is not None
    assert merged.conflicts == 0
    assert recount(connection) == {2: (2, 0, 0)}


def test_a_file_that_somebody_holds_is_left_for_the_next_merge_and_the_others_are_done(
    load: Load, own_contracts: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "_ATTEMPTS", 1)
    load(table(at(1, OCTOBER), at(2, OCTOBER)))
    load(table(at(1, NOVEMBER), event(8)), "b.csv")
    load(table(at(2, NOVEMBER), event(9)), "c.csv")
    with connection.transaction():
        connection.execute("SELECT FROM ledger.files WHERE file_id = 2 FOR UPDATE")
        merged = merge.merge(own_contracts)
    assert merged is not None
    assert (merged.left, merged.conflicts) == ([2], 1)
    merged = merge.merge(own_contracts)
    assert merged is not None
    assert (merged.left, merged.conflicts) == ([], 1)
    assert recount(connection) == {1: (2, 0, 0), 2: (1, 1, 0), 3: (1, 1, 0)}


def test_a_file_that_changed_while_it_was_compared_is_compared_again(
    load: Load, own_contracts: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(table(at(1, OCTOBER)))
    find = merge._Merge._find

    def change_then(self: Any) -> None:
        find(self)
        connection.execute("UPDATE ledger.files SET merged_at = NULL")

    monkeypatch.setattr(merge._Merge, "_find", change_then)
    merge.merge(own_contracts)
    assert connection.execute("SELECT merged_at FROM ledger.files").fetchone() == {"merged_at": None}
    monkeypatch.setattr(merge._Merge, "_find", find)
    merge.merge(own_contracts)
    row = connection.execute("SELECT merged_at IS NULL AS is_new FROM ledger.files").fetchone()
    assert row == {"is_new": False}


def test_one_merge_at_a_time_and_not_before_it_is_due(
    load: Load, own_contracts: Settings, connection: Connection
) -> None:
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(7215482305)")
        assert merge.merge(own_contracts) is None
    assert merge.merge(own_contracts, when_due=True) is not None
    assert merge.merge(own_contracts, when_due=True) is None
    connection.execute("UPDATE ledger.merges SET begun_at = begun_at - interval '25 hours'")
    assert merge.merge(own_contracts, when_due=True) is not None


def test_only_files_that_no_merge_has_seen_are_read(load: Load, own_contracts: Settings) -> None:
    load(table(at(1, OCTOBER), at(2, NOVEMBER)))
    merge.merge(own_contracts)
    load(table(at(3, OCTOBER)), "b.csv")
    merged = merge.merge(own_contracts)
    assert merged is not None
    assert (merged.files, merged.rows) == (1, 1)


@pytest.mark.parametrize("point", ["merge.after_take_out", "merge.before_commit", "merge.after_commit"])
def test_a_merge_that_is_killed_is_simply_run_again(
    load: Load,
    own_contracts: Settings,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    point: str,
) -> None:
    load(table(at(1, OCTOBER), at(2, OCTOBER)))
    load(table(at(1, NOVEMBER), event(8)), "b.csv")
    load(table(at(2, NOVEMBER), event(9)), "c.csv")
    monkeypatch.setenv("SLUICE_CRASH_AT", point)
    monkeypatch.setenv("SLUICE_CRASH_ONCE", str(tmp_path / "died"))
    code = "from sluice.base.settings import load; from sluice.loading.merge import merge; merge(load())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    monkeypatch.delenv("SLUICE_CRASH_AT")
    recount(connection)
    while merge.merge(own_contracts) is None:
        time.sleep(0.05)  # the server ends the killed session by itself
    assert recount(connection) == {1: (2, 0, 0), 2: (1, 1, 0), 3: (1, 1, 0)}
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds


def test_the_months_of_rows_within_one_month_are_told_by_their_ends(session: WriterSession, settings: Settings) -> None:
    held = FileMonths(Months(settings.writer_dsn, "month"))
    day = 86_400_000_000
    moments = pa.array([20_000 * day, 20_001 * day, 20_100 * day], pa.timestamp("us", "UTC"))
    held.add(session.run, pa.table({"event_time": moments}))
    assert [month.name for month in held.all] == ["events_2024_10", "events_2025_01"]
    assert held.first is not None
    assert held.last is not None
    assert (held.last - held.first).days == 100
    assert STAGED_BYTES_MAX > 0
