"""What is looked at: a real ledger in each state that an alert has a name for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sluice.base import disks
from sluice.base.settings import Settings
from sluice.duty import changes, health, looking
from sluice.duty.conditions import FINE, Condition
from sluice.ledger import contract_waits
from tests.loading import Connection, event, table

Land = Callable[..., int]


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is left of this machine's disks."""
    monkeypatch.setattr(disks, "look", lambda _: [disks.Disk("the state folder", Path("/"), 10**12)])


def seen(connection: Connection, settings: Settings) -> dict[str, Condition]:
    found, _ = health.conditions(connection, settings, datetime.now(UTC))
    assert len({(one.kind, one.name) for one in found}) == len(found)
    return {one.kind: one for one in found}


def state(connection: Connection, settings: Settings, kind: str) -> str:
    return seen(connection, settings)[kind].state


def test_an_empty_ledger_is_fine(settings: Settings, writer: Connection) -> None:
    found = seen(writer, settings)
    kinds = {"stream", "backlog", "proof", "disk", "reports", "refused", "archive"}
    assert {kind: one.state for kind, one in found.items()} == dict.fromkeys(kinds, FINE)
    assert looking.look_and_note(writer, settings, datetime.now(UTC)) == []


def test_a_stream_that_lapsed_is_down_when_files_wait_for_it_and_nothing_else_is_said_of_the_backlog(
    settings: Settings, connection: Connection, writer: Connection, epoch: int, land: Land
) -> None:
    connection.execute("UPDATE ledger.streams SET lease_until = now() - interval '1 hour', lease_from = '2026-01-01'")
    assert state(writer, settings, "stream") == FINE, "nothing waits: the next one comes with the next file"
    land("x")
    connection.execute("UPDATE ledger.files SET landed_at = now() - interval '20 minutes'")
    found = seen(writer, settings)
    down = found["stream"]
    assert (down.state, down.numbers["files_waiting"], down.numbers["ended_how"]) == ("down", 1, "lease_lapsed")
    assert down.since is not None
    assert abs(datetime.now(UTC) - timedelta(hours=1) - down.since) < timedelta(minutes=1)
    assert "backlog" not in found


def test_a_stream_that_tries_again_by_itself_is_fine(
    settings: Settings, connection: Connection, writer: Connection, epoch: int
) -> None:
    connection.execute("UPDATE ledger.streams SET state = 'waiting', last_error = 'the disk is full'")
    assert state(writer, settings, "stream") == FINE


def test_files_that_wait_while_none_is_loaded_are_stuck(
    settings: Settings, connection: Connection, writer: Connection, epoch: int, land: Land
) -> None:
    land("x")
    assert state(writer, settings, "backlog") == FINE
    connection.execute("UPDATE ledger.files SET landed_at = now() - interval '11 minutes', moved_at = now()")
    stuck = seen(writer, settings)["backlog"]
    assert (stuck.state, stuck.numbers["files_waiting"]) == ("stuck", 1)


def test_files_that_come_faster_than_they_are_loaded_are_a_backlog(
    settings: Settings, connection: Connection, writer: Connection, epoch: int, load: Land, land: Land
) -> None:
    load(table(event(1)))
    for number in range(20):
        land(f"{number}")
    connection.execute(
        "UPDATE ledger.files SET landed_at = now() - interval '2 minutes', moved_at = now() WHERE state = 'landed'"
    )
    assert state(writer, settings, "backlog") == "behind"


def test_a_recount_that_did_not_hold_is_said_until_one_holds(
    settings: Settings, connection: Connection, writer: Connection
) -> None:
    note = "INSERT INTO ledger.recounts (begun_at, files, rows, holds, problems) VALUES (now(), 3, 9, %s, %s)"
    connection.execute(note, [False, 2])
    broken = seen(writer, settings)["proof"]
    assert (broken.state, broken.numbers) == ("broken", {"places": 2, "files": 3, "rows": 9})
    connection.execute(note, [True, 0])
    assert state(writer, settings, "proof") == FINE


@pytest.mark.parametrize(
    ("free", "holds_files", "says"),
    [(6 * 10**9, True, FINE), (4 * 10**9, True, "low"), (10**6, True, "full"), (10**12, False, "full")],
)
def test_a_disk_is_nearly_full_before_it_is_full(
    settings: Settings,
    writer: Connection,
    monkeypatch: pytest.MonkeyPatch,
    free: int,
    holds_files: bool,
    says: str,
) -> None:
    found = [disks.Disk("the archive", Path("/"), free, holds_files)]
    monkeypatch.setattr(disks, "look", lambda _: found)
    one = seen(writer, settings)["disk"]
    assert (one.name, one.state, one.numbers) == ("the archive", says, {"free_bytes": free})


def test_a_contract_is_broken_until_it_was_judged_again(
    own_contracts: Settings, connection: Connection, writer: Connection
) -> None:
    (file,) = contract_waits.texts(own_contracts.contracts_dir)
    digest = contract_waits.digest(contract_waits.texts(own_contracts.contracts_dir))
    note = "INSERT INTO ledger.contracts (file, problem, seen_under) VALUES (%s, %s, %s)"
    connection.execute(note, [file, "line 3: no column", digest])
    broken = seen(writer, own_contracts)["contract"]
    assert (broken.name, broken.state, broken.numbers) == (file, "broken", {"why": "line 3: no column"})
    now = datetime.now(UTC)
    (change,) = looking.look_and_note(writer, own_contracts, now)
    assert (change.kind, change.was, change.state) == ("contract", None, "broken")
    path = own_contracts.contracts_dir / file
    path.write_text(path.read_text() + "\n# corrected\n")
    assert looking.look_and_note(writer, own_contracts, now) == [], "the stream has not judged it yet"
    digest = contract_waits.digest(contract_waits.texts(own_contracts.contracts_dir))
    connection.execute("UPDATE ledger.contracts SET problem = NULL, usable = 'x', seen_under = %s", [digest])
    (change,) = looking.look_and_note(writer, own_contracts, now)
    assert change.is_recovery


def test_a_contract_that_was_deleted_is_gone(own_contracts: Settings, writer: Connection) -> None:
    now = datetime.now(UTC)
    changes.note(writer, [Condition("contract", "old.odcs.yaml", "broken")], now)
    assert looking.look_and_note(writer, own_contracts, now) == [], "the folder as it is now was not judged yet"
    for path in own_contracts.contracts_dir.iterdir():
        path.unlink()
    (change,) = looking.look_and_note(writer, own_contracts, now)
    assert (change.name, change.state) == ("old.odcs.yaml", changes.GONE)


def test_reports_that_fail_differ_or_grow_old_have_a_state_each(
    settings: Settings, connection: Connection, writer: Connection
) -> None:
    published = (
        "INSERT INTO report.last_refresh (built_by, as_of, zone, changes, seconds, is_whole, events, sales, revenue) "
        "VALUES ('test', now() - %s * interval '1 minute', 'UTC', 0, %s, false, 0, 0, 0)"
    )
    connection.execute(published, [61, 1])
    assert state(writer, settings, "reports") == FINE, "nothing has changed since"
    connection.execute("DELETE FROM report.last_refresh")
    connection.execute("INSERT INTO ledger.report_changes (feed, day) VALUES ('events', '2026-11-01')")
    connection.execute(published, [59, 1])
    assert state(writer, settings, "reports") == FINE
    connection.execute("DELETE FROM report.last_refresh")
    connection.execute(published, [61, 1])
    assert state(writer, settings, "reports") == "stale"
    assert state(writer, replace(settings, report_every_seconds=3600.0), "reports") == FINE
    connection.execute("DELETE FROM report.last_refresh")
    connection.execute(published, [61, 100])
    assert state(writer, settings, "reports") == FINE, "it takes 100 s, so its share of the time is over in 2,000 s"
    connection.execute(
        "INSERT INTO ledger.failed_refresh (failed_at, report, error) VALUES (now(), 'sales', 'no such column')"
    )
    failed = seen(writer, settings)["reports"]
    assert failed.state == "failed"
    assert failed.since is not None
    connection.execute(
        "INSERT INTO report_cells.comparisons (compared_at, feed, unit, report, differences) "
        "VALUES (now(), 'events', '2026-11-01', 'sales', '{\"sales\": 2}')"
    )
    assert state(writer, settings, "reports") == "differ"


def test_what_is_never_taken_from_incoming_is_named(settings: Settings, writer: Connection) -> None:
    (settings.incoming_dir / "sheet\n.xlsx").write_text("no")
    refused = seen(writer, settings)["refused"]
    assert (refused.state, refused.numbers["files"]) == ("refused", 1)
    looking.look_and_note(writer, settings, datetime.now(UTC))
    (settings.incoming_dir / "sheet\n.xlsx").unlink()
    (change,) = looking.look_and_note(writer, settings, datetime.now(UTC))
    assert change.is_recovery


def test_archived_files_that_are_old_enough_and_not_sealed_are_counted(
    own_contracts: Settings, connection: Connection, writer: Connection, load: Land
) -> None:
    load(table(event(1)))
    connection.execute("UPDATE ledger.files SET merged_at = now(), loaded_at = now() - interval '30.5 days'")
    assert state(writer, own_contracts, "archive") == FINE, "housekeeping has a day"
    connection.execute("UPDATE ledger.files SET loaded_at = now() - interval '31.5 days'")
    found = seen(writer, own_contracts)["archive"]
    assert (found.state, found.numbers["files"]) == ("unsealed", 1)
    connection.execute("UPDATE ledger.files SET sealed_at = now()")
    assert state(writer, own_contracts, "archive") == FINE
