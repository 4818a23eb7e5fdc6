"""Drift of feeds: what the ledger keeps of each file, what is said once, what status shows, what a contract rejects."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sluice.base import database
from sluice.base.settings import SQL, Settings
from sluice.generator.files import write_file
from sluice.generator.records import Shares
from sluice.ledger import migrate
from sluice.loading.load_file import FileLoader
from sluice.running import status
from tests.loading import HEADER, Connection, change_contract, event, event_id, state, table

Load = Callable[..., int]


def renamed(number: int) -> str:
    return table(event(number)).replace("user_id", "userId")


def without_users(*numbers: int) -> str:
    return table(*(event(number).replace(",u1,", ",,") for number in numbers))


def drift(connection: Connection, file_id: int) -> Any:
    row = connection.execute("SELECT drift FROM ledger.files WHERE file_id = %s", [file_id]).fetchone()
    assert row is not None
    return row["drift"]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [r.getMessage() for r in caplog.records if r.name == "sluice.loading.one_load"]
    return [line for line in lines if "contract events" in line and " is loaded under " not in line]


def test_a_renamed_column_is_kept_said_once_and_shown_until_the_feed_is_as_before(
    load: Load, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    assert drift(connection, load(table(event(1)))) is None
    assert status.ledger_report(connection)["drift"] == []
    first, second = load(renamed(2), "a.csv"), load(renamed(3), "b.csv")
    assert drift(connection, first) == drift(connection, second) == {"renamed": {"user_id": "userId"}}
    [line] = said(caplog)
    assert f"file {first} (a.csv)" in line
    assert "userId looks like user_id: add a synonym" in line
    [shown] = status.ledger_report(connection)["drift"]
    since = connection.execute("SELECT since FROM ledger.feeds WHERE since_file = %s", [first]).fetchone()
    assert since is not None
    assert (shown["contract"], shown["file_id"], shown["since"]) == ("events", second, since["since"])
    [text] = [line for line in status.text(_running(connection)).splitlines() if line.startswith("drift ")]
    assert text.endswith(f"userId looks like user_id: add a synonym (newest file {second}, b.csv)")
    load(table(event(4)))
    assert [line for line in said(caplog) if "looks again" in line]
    assert status.ledger_report(connection)["drift"] == []


def _running(connection: Connection) -> dict[str, Any]:
    ledger = status.ledger_report(connection)
    return {
        "running": False,
        "problems": [],
        "backlog": {"incoming": 0, "landed": 0, "waiting_for_contract": 0},
        **ledger,
    }


def test_drift_is_no_failure_of_the_pipeline(load: Load, connection: Connection) -> None:
    load(renamed(1))
    assert status.exit_code(_running(connection) | {"running": True}) == status.HEALTHY


def test_a_column_that_a_file_leaves_empty_though_earlier_files_had_it_is_drift(
    load: Load, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    load(table(*(event(number) for number in range(1, 11))))
    empty = load(without_users(*range(11, 21)))
    assert drift(connection, empty) == {"empty": ["user_id"]}
    assert "empty in all rows, though earlier files had values: user_id" in said(caplog)[0]
    assert drift(connection, load(table())) == {"empty": ["user_id"]}, "a file without rows says nothing new"
    assert drift(connection, load(table(event(21)))) is None
    assert len(said(caplog)) == 2


def test_a_tiny_or_empty_file_is_no_drift(load: Load, connection: Connection) -> None:
    load(table(event(1), event(2)))
    assert drift(connection, load(without_users(3))) is None
    assert drift(connection, load(table())) is None


def test_what_a_later_file_said_is_not_undone_by_an_earlier_one(
    own_contracts: Settings, epoch: int, land: Load, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    loader = FileLoader(own_contracts, epoch)
    earlier, later = land(renamed(1)), land(table(event(2)))
    loader.load(later)
    loader.load(earlier)
    loader.close()
    assert drift(connection, earlier) == {"renamed": {"user_id": "userId"}}
    assert said(caplog) == []
    assert status.ledger_report(connection)["drift"] == []


def test_files_of_a_feed_that_goes_on_as_it_did_do_not_wait_for_each_other(
    load: Load, settings: Settings, connection: Connection
) -> None:
    load(renamed(1))
    with database.connect(settings.database_url) as other, other.transaction():
        other.execute("SELECT FROM ledger.feeds WHERE contract = 'events' FOR UPDATE")
        loading = threading.Thread(target=load, args=[renamed(2)])
        loading.start()
        loading.join(60)
        waits = loading.is_alive()
    loading.join(60)
    assert not waits
    assert connection.execute("SELECT count(*) AS n FROM ledger.files WHERE state = 'loaded'").fetchone() == {"n": 2}


def test_two_files_that_change_a_feed_at_once_say_it_once(
    own_contracts: Settings, epoch: int, land: Load, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    loaders = [FileLoader(own_contracts, epoch) for _ in range(2)]
    files = [land(renamed(1)), land(renamed(2))]
    threads = [threading.Thread(target=loader.load, args=[file]) for loader, file in zip(loaders, files, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for loader in loaders:
        loader.close()
    assert [state(connection, file) for file in files] == ["loaded", "loaded"]
    assert len(said(caplog)) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (renamed(11), "userId looks like user_id: add a synonym"),
        (table(event(11)).replace(",payment_method", ",payment_method,coupon").replace(",,,,,", ",,,,,,x"), "coupon"),
        ("\n".join([HEADER.removesuffix(",payment_method"), event(11)[:-1]]), "the header lacks payment_method"),
        (without_users(*range(11, 21)), "empty in all rows, though earlier files had values: user_id"),
    ],
    ids=["renamed", "new", "missing", "empty"],
)
def test_a_contract_may_reject_a_file_that_has_drifted(
    own_contracts: Settings, load: Load, connection: Connection, text: str, words: str
) -> None:
    change_contract(own_contracts, drift="reject")
    assert state(connection, load(table(*(event(number) for number in range(1, 11))))) == "loaded"
    file_id = load(text)
    row = connection.execute("SELECT state, contract, error FROM ledger.files WHERE file_id = %s", [file_id]).fetchone()
    assert row is not None
    assert (row["state"], row["contract"]) == ("rejected", "events")
    assert words in row["error"]
    assert "let drift be warn" in row["error"]
    assert connection.execute("SELECT count(*) AS n FROM events WHERE event_id = %s", [event_id(11)]).fetchone() == {
        "n": 0
    }


def test_the_generators_own_files_have_not_drifted_however_small_they_are(
    own_contracts: Settings, epoch: int, land: Load, connection: Connection, tmp_path: Path
) -> None:
    loader = FileLoader(own_contracts, epoch)
    for number in range(24):
        now = datetime(2026, 11, 22, tzinfo=UTC) + timedelta(minutes=number)
        rows = (3, 8, 20, 50)[number % 4]
        made = write_file(tmp_path / f"{number}.csv", rows=rows, shares=Shares(dirty=0.05), seed=str(number), now=now)
        loader.load(land(made.path.read_bytes(), made.path.name))
    loader.close()
    found = connection.execute("SELECT count(*) AS files, count(drift) AS drifted FROM ledger.files").fetchone()
    assert found == {"files": 24, "drifted": 0}


def test_the_schema_goes_back_and_forth(settings: Settings, load: Load, connection: Connection) -> None:
    load(renamed(1))
    names = ["0004_drift", "0026_files_to_look_through"]  # the later one replaces an index of the first
    for name in reversed(names):
        connection.execute((SQL / "migrations" / f"{name}.down.sql").read_bytes())
    connection.execute("DELETE FROM sluice_migrations WHERE name = ANY(%s)", [names])
    assert migrate.migrate(settings.database_url) == names
    assert drift(connection, load(renamed(2))) == {"renamed": {"user_id": "userId"}}


def test_a_nul_in_a_new_name_is_written_so_that_jsonb_can_hold_it(load: Load, connection: Connection) -> None:
    lines = [HEADER + ",a\0b", event(1) + ",x"]
    assert drift(connection, load("\n".join(lines) + "\n")) == {"new": ["a\\0b"]}
