"""The way back of a whole file: its rows leave events and the reports at once, and no other file loses any."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from sluice.base import database
from sluice.base.settings import PROJECT, Settings
from sluice.landing import mover
from sluice.loading.load_file import FileLoader
from sluice.loading.replay import replay
from sluice.loading.unload import UnloadError, unload_file
from sluice.loading.writer_session import WriterSession
from sluice.reports import definitions
from sluice.reports.refresh import NOT_REFRESHED
from sluice.running import status
from tests import reports
from tests.loading import Connection, change_contract, event, owners, paused_at, recount, rejects, state, table

WRONG = "a test feed by mistake"


def unload(settings: Settings, file_id: int) -> Any:
    return unload_file(settings, file_id, WRONG, by_whom="test")


def move(settings: Settings, connection: Connection, data: str) -> mover.MoveResult:
    """What the mover does with a file that landed a while ago."""
    path = settings.incoming_dir / "again.csv"
    path.write_text(data)
    os.utime(path, (time.time() - 60, time.time() - 60))
    return mover.move_landed(settings, connection)


def users(connection: Connection) -> dict[str, int]:
    return {row["user_id"]: row["events"] for row in connection.execute("SELECT user_id, events FROM report.users")}


def test_an_unloaded_file_has_no_rows_and_the_others_keep_theirs(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    first = load(table(event(1), event(2), event(3, kind="teleport"), event(2)))
    second = load(table(event(4)))
    left = unload(own_contracts, first)
    assert (left.rows_removed, left.rejects_withdrawn, left.duplicates_forgotten, left.given_back) == (2, 1, 1, {})
    assert owners(connection) == {4: (second, 1)}
    assert (state(connection, first), rejects(connection, first)[0]["state"]) == ("unloaded", "withdrawn")
    assert recount(connection) == {second: (1, 0, 0)}


def test_rows_that_another_file_had_as_well_come_back_from_it(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    first = load(table(event(1), event(2), event(3)))
    second = load(table(event(9), event(2), event(3), event(3)))
    third = load(table(event(3), event(1)))
    left = unload(own_contracts, first)
    assert left.given_back == {second: 2, third: 1}
    assert owners(connection) == {9: (second, 1), 2: (second, 2), 3: (second, 3), 1: (third, 2)}
    assert recount(connection) == {second: (3, 0, 1), third: (1, 0, 1)}
    rows = connection.execute("SELECT price::text, session_id FROM events").fetchall()
    assert {(row["price"], row["session_id"]) for row in rows} == {("9.9900", "s1")}


def test_every_copy_of_a_row_goes_only_with_the_last_file_that_had_it(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    files = [load(table(event(1), event(10 + number))) for number in range(3)]
    for file_id in files:
        assert 1 in owners(connection)
        unload(own_contracts, file_id)
        recount(connection)
    assert owners(connection) == {}


def test_a_row_comes_back_from_a_file_whose_archived_bytes_are_gone(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    first, second = load(table(event(1))), load(table(event(1), event(2)))
    connection.execute("UPDATE ledger.files SET sealed_at = now()")
    for path in own_contracts.archive_dir.rglob("*.csv"):
        path.unlink()
    unload(own_contracts, first)
    assert recount(connection) == {second: (2, 0, 0)}


def test_a_row_that_a_replay_found_there_already_comes_back_as_it_was_edited(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    first, second = load(table(event(1))), load(table(event(1, price="cheap")))
    connection.execute("""UPDATE ledger.rejects SET fields = fields || '{"price": "9.99"}'""")
    assert replay(own_contracts).duplicate == 1
    unload(own_contracts, first)
    assert connection.execute("SELECT file_id, price::text FROM events").fetchone() == {
        "file_id": second,
        "price": "9.9900",
    }
    assert (rejects(connection, second)[0]["state"], recount(connection)) == ("replayed", {second: (1, 0, 0)})


def test_a_conflict_with_the_unloaded_file_can_be_replayed(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    first, second = load(table(event(1))), load(table(event(1, price="5")))
    assert replay(own_contracts).loaded == 0
    unload(own_contracts, first)
    assert replay(own_contracts).loaded == 1
    assert recount(connection) == {second: (1, 0, 0)}


def test_the_same_bytes_load_again_after_an_unload(
    own_contracts: Settings, load: Any, connection: Connection, epoch: int
) -> None:
    data = table(event(1))
    unload(own_contracts, load(data))
    [second] = move(own_contracts, connection, data).moved
    loader = FileLoader(own_contracts, epoch)
    loader.load(second)
    loader.close()
    assert recount(connection) == {second: (1, 0, 0)}


@pytest.mark.parametrize(
    ("was", "says"), [("unloaded", "is unloaded"), ("rejected", "is rejected"), (None, "there is no file")]
)
def test_only_a_loaded_file_is_unloaded(
    own_contracts: Settings, load: Any, connection: Connection, was: str | None, says: str
) -> None:
    file_id = load(table(event(1))) if was else 77
    connection.execute("UPDATE ledger.files SET state = %s", [was or "loaded"])
    with pytest.raises(UnloadError, match=says):
        unload(own_contracts, file_id)
    assert connection.execute("SELECT count(*) AS n FROM ledger.audit").fetchone() == {"n": 0}


def test_an_unload_needs_a_reason(own_contracts: Settings, load: Any) -> None:
    with pytest.raises(UnloadError, match="says nothing"):
        unload_file(own_contracts, load(table(event(1))), " . ", by_whom="test")


def test_the_audit_keeps_who_when_why_and_how_many(own_contracts: Settings, load: Any, connection: Connection) -> None:
    first, second = load(table(event(1), event(2))), load(table(event(2)))
    unload_file(own_contracts, first, WRONG, by_whom="anna")
    [entry] = connection.execute("SELECT * FROM ledger.audit").fetchall()
    assert (entry["action"], entry["file_id"], entry["reason"], entry["by_whom"]) == ("unload", first, WRONG, "anna")
    assert (entry["details"]["rows_removed"], entry["details"]["given_back"]) == (1, {str(second): 1})


def test_what_the_audit_says_cannot_be_changed_by_the_pipeline(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    unload(own_contracts, load(table(event(1))))
    with database.connect(own_contracts.writer_dsn) as writer, pytest.raises(psycopg.errors.InsufficientPrivilege):
        writer.execute("UPDATE ledger.audit SET reason = 'another'")


def test_the_published_reports_change_with_events(own_contracts: Settings, load: Any, connection: Connection) -> None:
    first = load(table(event(1), event(2)))
    load(table(event(3).replace(",u1,", ",u2,"), event(2)))
    reports.refresh_as_the_reader(own_contracts)
    assert users(connection) == {"u1": 2, "u2": 1}
    assert unload(own_contracts, first).reports == "refreshed"
    assert users(connection) == {"u1": 1, "u2": 1}
    assert connection.execute("SELECT built_by, events FROM report.last_refresh").fetchone() == {
        "built_by": f"unload of file {first}",
        "events": 2,
    }


def test_an_unload_before_any_refresh_leaves_the_first_one_to_the_dag(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    first, second = load(table(event(1))), load(table(event(2)))
    assert unload(own_contracts, first).reports == "none yet"
    assert recount(connection) == {second: (1, 0, 0)}
    reports.refresh_as_the_reader(own_contracts)
    assert users(connection) == {"u1": 1}


def test_a_dry_run_leaves_the_reports_alone(own_contracts: Settings, load: Any, connection: Connection) -> None:
    first = load(table(event(1)))
    reports.refresh_as_the_reader(own_contracts)
    left = unload_file(own_contracts, first, "", by_whom="test", dry_run=True)
    assert left.reports == "dry run: nothing was changed"
    assert connection.execute("SELECT built_by FROM report.last_refresh").fetchone() == {"built_by": "scheduled"}
    assert connection.execute("SELECT FROM ledger.report_changes").fetchall() == []


def test_a_clock_that_was_set_back_does_not_stop_an_unload(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    first = load(table(event(1)))
    reports.refresh_as_the_reader(own_contracts)
    connection.execute("UPDATE report.last_refresh SET as_of = as_of + interval '1 day'")
    assert unload(own_contracts, first).reports == "refreshed"
    assert users(connection) == {}


def test_reports_that_must_be_counted_as_a_whole_are_left_to_the_dag(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    first = load(table(event(1)))
    load(table(event(2).replace(",u1,", ",u2,")))
    reports.refresh_as_the_reader(own_contracts)
    elsewhere = replace(own_contracts, shop_zone="Asia/Tokyo")
    said = unload(elsewhere, first).reports
    assert said.startswith(f"{NOT_REFRESHED} (abandoned_carts, bought_together, ")
    assert said.endswith("visits must be counted as a whole)")
    assert users(connection) == {"u1": 1, "u2": 1}
    reports.refresh_as_the_reader(elsewhere)
    assert users(connection) == {"u2": 1}


def test_a_feed_that_must_be_counted_as_a_whole_is_left_to_the_dag(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    first = load(table(event(1)))
    reports.refresh_as_the_reader(own_contracts)
    change_contract(own_contracts, reportCurrency="EUR")
    assert unload(own_contracts, first).reports == f"{NOT_REFRESHED} (events must be counted as a whole)"
    assert users(connection) == {"u1": 1}
    reports.refresh_as_the_reader(own_contracts)
    assert users(connection) == {}
    assert connection.execute("SELECT currency FROM report.feeds").fetchall() == [{"currency": "EUR"}]


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("check", "its check does not hold (events_add_up"),
        ("file", "visits.sql begins with"),
        ("zone", "SLUICE_SHOP_ZONE='Europe/Atlantis' is unknown to this PostgreSQL server"),
    ],
)
def test_reports_that_cannot_be_counted_do_not_hold_an_unload_up(
    own_contracts: Settings, load: Any, connection: Connection, monkeypatch: pytest.MonkeyPatch, broken: str, says: str
) -> None:
    file_id = load(table(event(1)))
    load(table(event(2)))
    reports.refresh_as_the_reader(own_contracts)
    read = definitions.read()
    if broken == "zone":
        own_contracts = replace(own_contracts, shop_zone="Europe/Atlantis")
    elif broken == "check":
        never = [replace(one, check="SELECT false AS events_add_up") if one.name == "visits" else one for one in read]
        monkeypatch.setattr(definitions, "read", lambda: never)
    else:
        monkeypatch.setattr(definitions, "read", lambda: definitions.parse("visits", "SELECT 1"))
    said = unload(own_contracts, file_id).reports
    assert said.startswith(NOT_REFRESHED)
    assert says in said
    assert len(owners(connection)) == 1


def test_an_error_of_the_reports_does_not_fail_an_unload_and_the_status_says_what_they_lack_until_the_next_run(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    first = load(table(event(1)))
    second = load(table(event(2).replace(",u1,", ",u2,")))
    reports.refresh_as_the_reader(own_contracts)
    connection.execute("ALTER TABLE report.last_refresh ADD CONSTRAINT broken CHECK (false) NOT VALID")
    left = unload(own_contracts, first)
    assert left.reports.startswith(f"{NOT_REFRESHED} (new row for relation")
    assert recount(connection) == {second: (1, 0, 0)}
    assert users(connection) == {"u1": 1, "u2": 1}
    assert _status(connection).endswith(", 1 changes since are counted by the next run of report_sales")
    connection.execute("ALTER TABLE report.last_refresh DROP CONSTRAINT broken")
    reports.refresh_as_the_reader(own_contracts)
    assert users(connection) == {"u2": 1}
    assert "changes since" not in _status(connection)


def test_an_unload_leaves_a_backlog_of_reports_to_the_next_run(
    own_contracts: Settings, load: Any, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(table(event(1)))
    reports.refresh_as_the_reader(own_contracts)
    load(table(event(2), event(3)), "waiting.csv")
    monkeypatch.setattr("sluice.reports.refresh._EVENTS_AWAITED", 1)
    left = unload(own_contracts, first)
    assert left.reports == f"{NOT_REFRESHED} (2 rows of files that came are to be counted)"
    reports.refresh_as_the_reader(own_contracts)
    left = unload(own_contracts, first + 1)
    assert left.reports == f"{NOT_REFRESHED} (2 events of days that changed are to be counted)"
    third = load(table(event(4)))
    monkeypatch.setattr("sluice.reports.refresh._EVENTS_AWAITED", 3)
    assert unload(own_contracts, third).reports == "refreshed"


def test_an_unload_is_done_before_the_reports_follow(
    own_contracts: Settings, load: Any, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a transaction of their own: whoever counts for long holds no row of the file."""
    first = load(table(event(1), event(2)))
    reports.refresh_as_the_reader(own_contracts)
    seen = []

    def follow(*_: Any) -> str:
        seen.append((state(connection, first), owners(connection)))
        second = load(table(event(1)), "meanwhile.csv")
        return f"file {second} came meanwhile"

    monkeypatch.setattr("sluice.reports.refresh.follow", follow)
    assert unload(own_contracts, first).reports == f"file {first + 1} came meanwhile"
    assert seen == [("unloaded", {})]


@pytest.mark.parametrize("mode", ["SHARE ROW EXCLUSIVE", "ACCESS EXCLUSIVE"])
def test_reports_that_another_session_holds_are_waited_for_a_moment_and_then_left_to_the_next_run(
    own_contracts: Settings, load: Any, connection: Connection, mode: str
) -> None:
    first = load(table(event(1)))
    reports.refresh_as_the_reader(own_contracts)
    with database.connect(own_contracts.reader_dsn) as holder, holder.transaction():
        holder.execute(f"LOCK TABLE report.last_refresh IN {mode} MODE")  # type: ignore[call-overload]
        left = unload(replace(own_contracts, unload_patience_seconds=3.0), first)
    assert left.reports == f"{NOT_REFRESHED} (canceling statement due to lock timeout)"
    assert recount(connection) == {}
    assert "1 changes since" in _status(connection)


@pytest.mark.parametrize(
    "statement",
    [
        "LOCK TABLE report.last_refresh IN ACCESS EXCLUSIVE MODE",
        "INSERT INTO report.last_refresh VALUES ('x', 'infinity', 'UTC', 0, 0, false, 0, 0, 0)",
    ],
)
def test_what_a_role_does_to_the_reports_hides_nothing_else_of_the_status(
    own_contracts: Settings, load: Any, connection: Connection, statement: str
) -> None:
    load(table(event(1)))
    reports.refresh_as_the_reader(own_contracts)
    with database.connect(own_contracts.reader_dsn, autocommit=False) as reader:
        reader.execute("DELETE FROM report.last_refresh")
        if not statement.startswith("LOCK"):
            connection.execute(
                "INSERT INTO ledger.audit (action, file_id, reason, by_whom, details) "
                "VALUES ('unload', 1, 'a test', 'test', '{}')"
            )
        reader.execute(statement)  # type: ignore[call-overload]
        if not statement.startswith("LOCK"):
            reader.commit()
        found = status.ledger_report(connection)
    assert found["files"] == {"loaded": 1}
    assert status.reports_word(found["reports"]).startswith("cannot be read: ")


def _status(connection: Connection) -> str:
    with connection.transaction():
        connection.execute("SET LOCAL search_path = pg_catalog")
        return status.reports_word(status.ledger_report(connection)["reports"])


def test_a_row_is_not_lost_when_a_file_that_has_it_too_loads_meanwhile(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    first = load(table(*map(event, range(300))))
    second: list[int] = []
    loading = threading.Thread(target=lambda: second.append(load(table(*map(event, reversed(range(300)))), "b.csv")))
    loading.start()
    unload(own_contracts, first)
    loading.join()
    assert recount(connection) == {second[0]: (300, 0, 0)}


def test_an_unload_waits_for_a_load_that_counts_on_its_rows(
    own_contracts: Settings, load: Any, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load has found the event in the other file and not committed yet: the unload must see its duplicate."""
    first = load(table(event(1)))
    with ThreadPoolExecutor() as pool, paused_at(monkeypatch, "load.before_commit") as loading:
        second = pool.submit(load, table(event(2), event(1)), "b.csv")
        assert loading.reached.wait(60)
        unloading = pool.submit(unload, own_contracts, first)
        _until_it_waits_for_a_lock(own_contracts, "sluice-unload")
        loading.go_on.set()
        assert unloading.result().given_back == {second.result(): 1}
    assert owners(connection) == {1: (second.result(), 2), 2: (second.result(), 1)}
    assert recount(connection) == {second.result(): (2, 0, 0)}


def test_an_unload_does_not_wait_for_a_load_that_has_none_of_its_rows(
    own_contracts: Settings, load: Any, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(table(event(1)))
    with ThreadPoolExecutor() as pool, paused_at(monkeypatch, "load.before_commit") as loading:
        second = pool.submit(load, table(event(2), event(3)), "b.csv")
        assert loading.reached.wait(60)
        assert unload(own_contracts, first).rows_removed == 1
        assert not second.done()
    assert recount(connection) == {second.result(): (2, 0, 0)}


def test_a_load_does_not_wait_for_an_unload_that_has_none_of_its_rows(
    own_contracts: Settings, load: Any, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = load(table(event(1))), load(table(event(2)))
    with ThreadPoolExecutor() as pool, paused_at(monkeypatch, "unload.before_commit", "sluice.loading.unload") as pause:
        unloading = pool.submit(unload, own_contracts, first)
        assert pause.reached.wait(60)
        second = load(table(event(2), event(3)), "b.csv")
        assert not unloading.done()
    assert recount(connection) == {other: (1, 0, 0), second: (1, 0, 1)}


def test_a_load_that_has_rows_of_a_file_which_leaves_is_put_off_and_holds_up_no_other(
    own_contracts: Settings,
    load: Any,
    land: Any,
    epoch: int,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = load(table(event(1)))
    second, third = land(table(event(1), event(2)), "b.csv"), land(table(event(1), event(3)), "c.csv")
    loader = FileLoader(own_contracts, epoch)
    with ThreadPoolExecutor() as pool, paused_at(monkeypatch, "unload.before_commit", "sluice.loading.unload") as pause:
        pool.submit(unload, own_contracts, first)
        assert pause.reached.wait(60)
        begun = time.monotonic()
        assert loader.load(second).state == "landed"
        assert 1.0 <= time.monotonic() - begun < 3.0
        begun = time.monotonic()
        assert [loader.load(file_id).state for file_id in (second, third)] == ["landed", "landed"]
        assert time.monotonic() - begun < 2.0  # each of the two would have waited for a second
    assert [loader.load(file_id).state for file_id in (second, third)] == ["loaded", "loaded"]
    loader.close()
    assert recount(connection) == {second: (2, 0, 0), third: (1, 0, 1)}


def test_a_file_whose_rows_left_while_they_were_compared_is_loaded_with_them(
    own_contracts: Settings, load: Any, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load has found its event in the other file, and the unload is done before the load holds that file."""
    first = load(table(event(1)))
    run = WriterSession.run

    def unload_first(session: WriterSession, name: str, *parameters: Any) -> Any:
        if name == "load/load.hold_originals" and state(connection, first) == "loaded":
            unload(own_contracts, first)
        return run(session, name, *parameters)

    monkeypatch.setattr(WriterSession, "run", unload_first)
    second = load(table(event(1), event(2)), "b.csv")
    assert state(connection, first) == "unloaded"
    assert recount(connection) == {second: (2, 0, 0)}


def test_an_unload_comes_through_while_files_that_have_its_rows_load_without_a_break(
    own_contracts: Settings, load: Any, land: Any, connection: Connection, epoch: int
) -> None:
    first = load(table(*map(event, range(500))))
    over = threading.Event()

    def load_on(start: int) -> list[int]:
        loader, done = FileLoader(own_contracts, epoch), []
        for number in itertools.count(start, 2):
            file_id = land(table(*map(event, range(500)), event(1000 + number)), f"{number}.csv")
            while loader.load(file_id).state == "landed":
                pass
            done.append(file_id)
            if over.is_set():
                break
        loader.close()
        return done

    with ThreadPoolExecutor() as pool:
        streams = [pool.submit(load_on, start) for start in range(2)]
        _until(connection, "SELECT FROM ledger.duplicates")
        begun = time.monotonic()
        unload(own_contracts, first)
        print(f"the unload took {time.monotonic() - begun:.2f} s")
        over.set()
        assert sum(len(each.result()) for each in streams) > 2
    recount(connection)


def test_an_unload_gives_up_and_names_who_holds_the_file(
    own_contracts: Settings, load: Any, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(table(event(1)))
    with ThreadPoolExecutor() as pool, paused_at(monkeypatch, "load.before_commit") as loading:
        second = pool.submit(load, table(event(2), event(1)), "b.csv")
        assert loading.reached.wait(60)
        with pytest.raises(UnloadError, match=r"pid \d+ \(sluice-stream-\d+, idle in transaction, for \d+ s\)"):
            unload(replace(own_contracts, unload_patience_seconds=1.0), first)
    assert recount(connection) == {first: (1, 0, 0), second.result(): (1, 0, 1)}


def test_a_client_that_is_frozen_in_a_transaction_is_ended_by_the_server(
    own_contracts: Settings, load: Any, connection: Connection, tmp_path: Path
) -> None:
    """On any server: our own sessions ask for it. Here after 2 s, which the URL says; otherwise after a minute."""
    first = load(table(event(1)))
    url = f"{own_contracts.writer_dsn}?options=-cidle_in_transaction_session_timeout%3D2s"
    frozen = subprocess.Popen([sys.executable, "-c", _HOLD, url, str(first)], cwd=PROJECT, stdout=subprocess.PIPE)
    try:
        assert frozen.stdout is not None
        assert frozen.stdout.readline() == b"held\n"
        frozen.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        unload(own_contracts, first)
        assert time.monotonic() - begun < 10
    finally:
        frozen.kill()
        frozen.communicate()
    assert recount(connection) == {}


_HOLD = """
import sys, time
from sluice.loading.writer_session import WriterSession
from sluice.reports import definitions
from sluice.reports.refresh import NOT_REFRESHED
session = WriterSession(sys.argv[1], "frozen")
session.run("load/withdraw.hold_file", int(sys.argv[2]))
print("held", flush=True)
time.sleep(60)
"""


def test_every_session_of_ours_asks_the_server_to_notice_a_frozen_client(own_contracts: Settings) -> None:
    asked = "SELECT current_setting('idle_in_transaction_session_timeout') AS idle"
    with database.connect(own_contracts.writer_dsn) as writer:
        assert writer.execute(asked).fetchone() == {"idle": "1min"}
    session = WriterSession(own_contracts.writer_dsn, "sluice-test")
    try:
        assert session.connection.execute(asked).fetchone() == {"idle": "1min"}
    finally:
        session.disconnect()


def _until_it_waits_for_a_lock(settings: Settings, name: str) -> None:
    waits = "SELECT FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
    with database.connect(settings.writer_dsn) as writer:
        _until(writer, waits, [name])


def _until(connection: Connection, query: LiteralString, parameters: list[Any] | None = None) -> None:
    deadline = time.monotonic() + 60
    while connection.execute(query, parameters).fetchone() is None:
        assert time.monotonic() < deadline, query
        time.sleep(0.01)


def test_two_unloads_and_a_replay_at_once_agree(own_contracts: Settings, load: Any, connection: Connection) -> None:
    files = [load(table(event(1), event(2), event(3, price=price)), f"{price}.csv") for price in ("1", "2", "3")]
    doing = [threading.Thread(target=unload, args=[own_contracts, file_id]) for file_id in files[:2]]
    doing.append(threading.Thread(target=replay, args=[own_contracts]))
    for each in doing:
        each.start()
    for each in doing:
        each.join()
    replay(own_contracts)
    assert recount(connection) == {files[2]: (3, 0, 0)}


@pytest.mark.parametrize("point", ["unload.after_withdraw", "unload.before_commit", "unload.after_commit"])
def test_an_unload_killed_anywhere_is_done_or_not_begun(
    own_contracts: Settings, load: Any, connection: Connection, tmp_path: Path, point: str
) -> None:
    first, second = load(table(event(1), event(2))), load(table(event(2)))
    environment = os.environ | {"SLUICE_CRASH_AT": point, "SLUICE_CRASH_ONCE": str(tmp_path / "once")}
    program = (
        "from sluice.base import settings; from sluice.loading import unload\n"
        f"unload.unload_file(settings.load(), {first}, 'a wrong file', by_whom='test')"
    )
    ended = subprocess.run([sys.executable, "-c", program], env=environment, cwd=PROJECT, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    done = point == "unload.after_commit"
    assert recount(connection) == ({second: (1, 0, 0)} if done else {first: (2, 0, 0), second: (0, 0, 1)})
    assert connection.execute("SELECT count(*) AS n FROM ledger.audit").fetchone() == {"n": int(done)}


def test_a_dry_run_says_which_days_the_reports_would_count_anew(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    file_id = load(table(event(1), event(2), event(3, kind="teleport")))
    dry = unload_file(own_contracts, file_id, "", by_whom="test", dry_run=True)
    assert dry.days_changed == {"events": {"days": 1, "first": "2026-11-22", "last": "2026-11-22"}}
    assert unload(own_contracts, file_id).as_dict()["days_changed"] == dry.days_changed
    [line] = connection.execute("SELECT details FROM ledger.audit WHERE action = 'unload'").fetchall()
    assert "days_changed" not in line["details"]
