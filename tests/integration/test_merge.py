"""The merge across months: what it sets aside, what waits and why, and what it leaves to the next one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.rows import tuple_row

from sluice.base import database, queries
from sluice.base.settings import Settings
from sluice.landing import folders
from sluice.loading import event_statistics, merge
from sluice.loading.load_file import FileLoader
from sluice.loading.replay import replay
from sluice.loading.unload import unload_file
from sluice.loading.writer_session import WriterSession
from sluice.proof.reconcile import reconcile
from sluice.running import status
from sluice.running.instance import Instance
from tests.changed_days import ChangedDays
from tests.integration.test_folders import unmounted
from tests.integration.test_months import MAY, NOVEMBER, OCTOBER, at
from tests.loading import Connection, event, make_months, recount, rejects, table
from tests.reports import everything, refresh, refresh_as_the_reader

Load = Callable[..., int]
STOCK = """
apiVersion: v3.2.0
kind: DataContract
id: shop.stock
name: stock
version: 1.0.0
status: active
schema:
  - name: stock
    logicalType: object
    properties:
      - {name: sku, physicalName: product_id, logicalType: string, required: true}
      - {name: count, physicalName: quantity, logicalType: integer, required: true}
      - {name: event_id, logicalType: string, transformLogic: "record_id(sku, 0)"}
      - {name: event_time, logicalType: timestamp, transformLogic: landed_at()}
      - {name: event_type, logicalType: string, transformLogic: "'stock'"}
"""


def merged(settings: Settings) -> merge.Merged:
    """What a merge found."""
    found = merge.merge(settings)
    assert found is not None
    return found


def is_merged(connection: Connection, file_id: int) -> bool:
    """Whether a merge has seen the file."""
    row = connection.execute("SELECT merged_at FROM ledger.files WHERE file_id = %s", [file_id]).fetchone()
    assert row is not None
    return row["merged_at"] is not None


# What a replay brings


def test_a_replay_that_meets_ids_in_other_months_and_in_its_own_judges_both(
    load: Load, own_contracts: Settings, connection: Connection
) -> None:
    load(table(at(1, OCTOBER), event(2)))
    load(table(at(1, NOVEMBER), event(2, price="1"), event(3)), "b.csv")
    merge.merge(own_contracts)
    assert recount(connection) == {1: (2, 0, 0), 2: (1, 2, 0)}
    tally = replay(own_contracts)
    assert (tally.not_judged, tally.considered, tally.still_rejected) == ([], 2, 2)
    unload_file(own_contracts, 1, "it was the wrong one", by_whom="test")
    assert replay(own_contracts).loaded == 2
    assert recount(connection) == {2: (3, 0, 0)}


def test_a_row_that_a_replay_had_brought_goes_back_to_its_reject_and_needs_no_bytes(
    land: Load, own_contracts: Settings, epoch: int, connection: Connection
) -> None:
    first, second = land(table(at(1, OCTOBER))), land(table(at(1, NOVEMBER, kind="teleport"), event(2)), "b.csv")
    loader = FileLoader(own_contracts, epoch)
    loader.load(second)
    connection.execute("UPDATE ledger.rejects SET fields = jsonb_set(fields, '{event_type}', '\"search\"')")
    assert replay(own_contracts).loaded == 1
    loader.load(first)
    loader.close()
    for path in own_contracts.archive_dir.rglob("*b.csv"):
        path.unlink()
    assert merged(own_contracts).conflicts == 1
    assert recount(connection) == {first: (1, 0, 0), second: (1, 1, 0)}
    [reject] = rejects(connection, second)
    assert (reject["state"], reject["rules"], reject["replayed_at"]) == ("quarantined", ["event_id.conflict"], None)
    assert bytes(reject["raw"]).decode() == at(1, NOVEMBER, kind="teleport")


# What is left to the next merge


def test_of_three_rows_of_an_id_one_stays_though_the_first_leaves_during_the_merge(
    load: Load, own_contracts: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, moment in enumerate((MAY, OCTOBER, NOVEMBER), 1):
        load(table(at(1, moment), event(10 + number)), f"{number}.csv")
    _before_it_sets_aside(monkeypatch, lambda: unload_file(own_contracts, 1, "the wrong one", by_whom="test"))
    found = merged(own_contracts)
    assert (found.left, found.conflicts, found.is_whole) == ([2, 3], 0, False)
    assert recount(connection) == {2: (2, 0, 0), 3: (2, 0, 0)}
    found = merged(own_contracts)
    assert (found.left, found.conflicts) == ([], 1)
    assert recount(connection) == {2: (2, 0, 0), 3: (1, 1, 0)}
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds


def test_a_duplicate_that_came_while_bytes_were_read_is_not_set_aside_without_its_own(
    load: Load, own_contracts: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(table(at(1, OCTOBER)))
    load(table(at(1, NOVEMBER), event(2)), "b.csv")
    _before_it_sets_aside(monkeypatch, lambda: load(table(event(3), at(1, NOVEMBER)), "c.csv"))
    assert merged(own_contracts).left == [2]
    assert recount(connection) == {1: (1, 0, 0), 2: (2, 0, 0), 3: (1, 0, 1)}
    assert merged(own_contracts).conflicts == 2
    assert recount(connection) == {1: (1, 0, 0), 2: (1, 1, 0), 3: (1, 1, 0)}
    assert bytes(rejects(connection, 3)[0]["raw"]).decode() == at(1, NOVEMBER)


def _before_it_sets_aside(monkeypatch: pytest.MonkeyPatch, what: Callable[[], object]) -> None:
    """Once the merge has read what it needs, before it holds anything, ``what`` happens, once."""
    read_again = merge._Merge._read_again
    done: list[object] = []

    def then(self: Any, file_id: int) -> None:
        read_again(self, file_id)
        if not done:
            done.append(what())

    monkeypatch.setattr(merge._Merge, "_read_again", then)


# What waits


@pytest.fixture
def twins(load: Load, own_contracts: Settings, connection: Connection) -> Settings:
    """File 1 has an event of October, file 2 its id in November, both in marked folders."""
    load(table(at(1, OCTOBER)))
    load(table(at(1, NOVEMBER), event(2)), "b.csv")
    folders.check(own_contracts, connection)
    return own_contracts


def test_a_later_row_waits_while_the_archive_is_away(twins: Settings, connection: Connection) -> None:
    with unmounted(twins.archive_dir), pytest.raises(folders.FoldersError, match="archive lacks the pipeline's marker"):
        merge.merge(twins)
    assert recount(connection) == {1: (1, 0, 0), 2: (2, 0, 0)}
    assert not is_merged(connection, 2)
    assert merged(twins).conflicts == 1
    assert bytes(rejects(connection, 2)[0]["raw"]).decode() == at(1, NOVEMBER)
    assert reconcile(twins, twins.reader_dsn).holds


def test_a_later_row_whose_bytes_are_gone_waits_and_status_says_why(
    twins: Settings, connection: Connection, running: Instance
) -> None:
    [path] = twins.archive_dir.rglob("*b.csv")
    data = path.read_bytes()
    path.unlink()
    found = merged(twins)
    assert (list(found.waiting), found.conflicts, found.is_whole) == ([2], 0, False)
    assert recount(connection) == {1: (1, 0, 0), 2: (2, 0, 0)}
    assert not is_merged(connection, 2)
    [said] = [problem for problem in status.report(running)["problems"] if "b.csv" in problem]
    assert said.startswith("later rows of file 2 (b.csv) stay in events until a merge can set them aside: file 2 ")
    assert said.endswith("put it back there, or unload it, then `make merge`")
    path.write_bytes(data)
    assert merged(twins).is_whole
    assert recount(connection) == {1: (1, 0, 0), 2: (1, 1, 0)}
    assert status.merge_problems(connection) == []


@pytest.mark.parametrize("changed", [b"", b"other bytes\n"])
def test_bytes_that_are_not_those_that_were_registered_are_not_taken_for_a_rows(
    twins: Settings, connection: Connection, changed: bytes
) -> None:
    [path] = twins.archive_dir.rglob("*b.csv")
    path.write_bytes(changed)
    assert list(merged(twins).waiting) == [2]
    assert recount(connection) == {1: (1, 0, 0), 2: (2, 0, 0)}


def test_a_contract_that_cannot_be_used_any_more_is_read_as_it_was_and_one_that_is_gone_is_waited_for(
    twins: Settings, connection: Connection
) -> None:
    [contract] = twins.contracts_dir.iterdir()
    text = contract.read_text()
    contract.unlink()
    [why] = merged(twins).waiting.values()
    assert why == f"file 2 (b.csv): contract events is not in {twins.contracts_dir}: put it back"
    with database.connect(twins.writer_dsn) as writer:
        queries.run(writer, "ledger/contracts.note_usable", file=contract.name, usable=text, digest="")
    contract.write_text("broken: [")
    assert merged(twins).conflicts == 1


def test_a_row_whose_bytes_housekeeping_has_deleted_is_not_the_later_one(
    twins: Settings, connection: Connection
) -> None:
    connection.execute("UPDATE ledger.files SET sealed_at = now() WHERE file_id = 2")
    assert merged(twins).conflicts == 1
    assert recount(connection) == {1: (0, 1, 0), 2: (2, 0, 0)}
    assert bytes(rejects(connection, 1)[0]["raw"]).decode() == at(1, OCTOBER)


def test_where_all_bytes_are_deleted_the_rows_stay_and_it_is_said_what_to_do(
    twins: Settings, connection: Connection
) -> None:
    connection.execute("UPDATE ledger.files SET sealed_at = now()")
    assert merged(twins).waiting == {2: "the bytes of file 2 (b.csv) were deleted by housekeeping: unload it"}
    assert recount(connection) == {1: (1, 0, 0), 2: (2, 0, 0)}


# Feeds that are timed by arrival


@pytest.fixture
def arrive(land: Load, own_contracts: Settings, epoch: int, connection: Connection) -> Load:
    """Loads so many of A, B, C and D that arrived at a moment; the file's number."""
    for path in own_contracts.contracts_dir.iterdir():
        path.unlink()
    (own_contracts.contracts_dir / "stock.odcs.yaml").write_text(STOCK)

    def load_it(moment: str, *counts: int) -> int:
        lines = [f"{sku},{count}" for sku, count in zip("ABCD", counts, strict=False)]
        file_id = land("\n".join(["sku,count", *lines]) + "\n", f"{moment[:10]}.csv")
        connection.execute("UPDATE ledger.files SET landed_at = %s WHERE file_id = %s", [moment, file_id])
        loader = FileLoader(own_contracts, epoch)
        loader.load(file_id)
        loader.close()
        return file_id

    return load_it


def test_of_a_feed_timed_by_arrival_equal_content_is_a_duplicate_whenever_it_comes(
    arrive: Load, own_contracts: Settings, connection: Connection
) -> None:
    days = ChangedDays(connection)
    first = arrive(OCTOBER, 3, 5)
    second = arrive(NOVEMBER, 3, 6, 7)
    third = arrive("2026-11-23T10:00:00Z", 3, 6, 7, 8)
    assert days.look() == {("stock", "2026-10-03"), ("stock", "2026-11-22"), ("stock", "2026-11-23")}
    assert recount(connection) == {first: (2, 0, 0), second: (3, 0, 0), third: (1, 0, 3)}
    found = merged(own_contracts)
    assert days.look() == {("stock", "2026-11-22")}
    assert recount(connection) == {first: (2, 0, 0), second: (1, 1, 1), third: (1, 1, 2)}
    assert (found.conflicts, found.duplicates) == (2, 2)
    moments = connection.execute(
        "SELECT DISTINCT duplicates.event_time FROM ledger.duplicates JOIN events USING (event_id) "
        "WHERE product_id = 'A'"
    ).fetchall()
    assert [row["event_time"].isoformat() for row in moments] == ["2026-10-03T09:00:00+00:00"]
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds
    left = unload_file(own_contracts, first, "a wrong file", by_whom="test")
    assert left.given_back == {second: 1}
    assert days.look() == {("stock", "2026-10-03"), ("stock", "2026-11-22")}
    assert replay(own_contracts).loaded == 1
    assert ("stock", "2026-11-22") in days.look()
    assert recount(connection) == {second: (3, 0, 0), third: (1, 0, 3)}


def test_equal_rows_of_such_a_feed_need_no_bytes(arrive: Load, own_contracts: Settings, connection: Connection) -> None:
    first, second = arrive(OCTOBER, 3), arrive(NOVEMBER, 3, 4)
    connection.execute("UPDATE ledger.files SET sealed_at = now()")
    assert merged(own_contracts).is_whole
    assert recount(connection) == {first: (1, 0, 0), second: (1, 0, 1)}


# What others know of it


def test_the_reports_count_the_days_of_a_merge_again(twins: Settings, connection: Connection) -> None:
    refresh_as_the_reader(twins)
    merge.merge(twins)
    said = status.reports_word(status.ledger_report(connection)["reports"])
    assert "changes since are counted by the next run of report_sales" in said
    refresh_as_the_reader(twins)
    assert "changes since" not in status.reports_word(status.ledger_report(connection)["reports"])
    kept_up = everything(connection)
    with database.connect(twins.reader_dsn) as reader:
        refresh(reader, twins, anew=True)
    assert everything(connection) == kept_up


def test_the_row_that_stays_is_looked_up_in_its_month_alone(settings: Settings, connection: Connection) -> None:
    make_months(connection, *(f"2025-{month:02}-15" for month in range(1, 13)))
    connection.execute(
        "INSERT INTO events (event_id, event_type, event_time, file_id, record_number) "
        "SELECT md5((n % 5000)::text)::uuid, 'search', timestamptz '2025-05-10Z' + n / 5000 * interval '31 days', "
        "n / 5000, n FROM generate_series(1, 9999) AS n"
    )
    connection.execute("ANALYZE events")
    session = WriterSession(settings.writer_dsn, "sluice-test")
    for name in ("make_twins", "make_late"):
        session.run(f"load/merge.{name}")
    session.run("load/withdraw.make_withdrawn")
    run = session.connection.execute
    run(
        "INSERT INTO late_rows SELECT one.event_id, one.event_time, 1, one.record_number, "
        "'2025-06-01Z', '2025-07-01Z', kept.event_time, 0, kept.record_number, false "
        "FROM public.events AS one JOIN public.events AS kept USING (event_id) "
        "WHERE one.file_id = 1 AND kept.file_id = 0"
    )
    run("ANALYZE late_rows")
    with psycopg.RawCursor(session.connection, row_factory=tuple_row) as cursor:
        query = f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {queries.text('load/merge.take_out')}"
        plan = [row[0] for row in cursor.execute(query, [1, "2025-06-01Z", "2025-07-01Z"])]
    session.disconnect()
    read = {line.split(" on ")[1].split()[0] for line in plan if "Scan" in line and "never executed" not in line}
    assert {name for name in read if name.startswith("events")} == {"events_2025_05", "events_2025_06"}, plan


def test_the_whole_table_is_analysed_when_a_fifth_of_its_rows_came(settings: Settings, connection: Connection) -> None:
    def add(month: int) -> None:
        make_months(connection, f"2025-{month:02}-15")
        connection.execute(
            "INSERT INTO events (event_id, event_type, event_time, file_id, record_number) "
            "SELECT gen_random_uuid(), 'search', make_timestamptz(2025, %s, 15, 0, 0, 0, 'UTC'), 1, n "
            "FROM generate_series(1, 3000) AS n",
            [month],
        )
        connection.execute(f"ANALYZE events_2025_{month:02}")  # type: ignore[call-overload]

    def known() -> float:
        row = connection.execute("SELECT reltuples FROM pg_class WHERE oid = 'public.events'::regclass").fetchone()
        assert row is not None
        return float(row["reltuples"])

    add(5)
    assert event_statistics.analyze_when_due(settings)
    assert known() == 3000
    columns = connection.execute("SELECT attname FROM pg_stats WHERE tablename = 'events' AND inherited").fetchall()
    assert {"event_time", "event_type"} <= {row["attname"] for row in columns}
    while connection.execute(
        "SELECT FROM pg_stat_all_tables WHERE relid = 'public.events'::regclass AND last_analyze IS NULL"
    ).fetchall():
        pass  # PostgreSQL 14 tells it a moment later
    assert not event_statistics.analyze_when_due(settings)
    add(6)
    assert event_statistics.analyze_when_due(settings)
    assert known() == 6000
