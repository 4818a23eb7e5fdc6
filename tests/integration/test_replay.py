"""The way back of single rows: what was fixed, in the contract or by hand, is loaded once; the rest says why not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from sluice.base import database
from sluice.base.settings import PROJECT, Settings
from sluice.contracts.judge import Judge
from sluice.loading.replay import replay
from sluice.loading.unload import unload_file
from tests.loading import Connection, change_contract, event, event_id, owners, recount, rejects, table, write_contract

LATIN = {"encoding": "latin-1"}


def edit(connection: Connection, file_id: int, record: int, **fields: Any) -> None:
    connection.execute(
        "UPDATE ledger.rejects SET fields = fields || %s WHERE file_id = %s AND record_number = %s",
        [Jsonb(fields), file_id, record],
    )


def allow(settings: Settings, kind: str, version: str = "1.1.0") -> None:
    """The contract allows one more event_type."""
    document = change_contract(settings)
    document["version"] = version
    [types] = [p for p in document["schema"][0]["properties"] if p["name"] == "event_type"]
    types["enum"].append({"value": kind})
    write_contract(settings, document)


def test_what_todays_contract_allows_is_loaded_and_keeps_its_place(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    file_id = load(table(event(1), event(2, kind="teleport"), event(3, kind="vanish")))
    allow(own_contracts, "teleport")
    tally = replay(own_contracts)
    assert (tally.considered, tally.loaded, tally.duplicate, tally.still_rejected) == (2, 1, 0, 1)
    assert tally.still_rejected_by_rule == {"event_type.enum": 1}
    assert owners(connection)[2] == (file_id, 2)
    assert recount(connection) == {file_id: (2, 1, 0)}
    replayed, still = rejects(connection, file_id)
    assert (replayed["state"], replayed["replayed_at"] is not None) == ("replayed", True)
    assert (still["state"], still["contract_version"]) == ("quarantined", "1.1.0")


def test_a_second_replay_adds_nothing(own_contracts: Settings, load: Any, connection: Connection) -> None:
    load(table(event(1, kind="teleport")))
    allow(own_contracts, "teleport")
    replay(own_contracts)
    assert replay(own_contracts).considered == 0
    assert len(owners(connection)) == 1


def test_an_edited_reject_is_judged_by_its_fields(own_contracts: Settings, load: Any, connection: Connection) -> None:
    file_id = load(table(event(1, price="cheap"), event(2, price="dear")))
    edit(connection, file_id, 1, price="12.50")
    edit(connection, file_id, 2, price=7)
    assert replay(own_contracts).loaded == 2
    prices = connection.execute("SELECT price::text FROM events ORDER BY record_number").fetchall()
    assert [row["price"] for row in prices] == ["12.5000", "7.0000"]
    assert recount(connection) == {file_id: (2, 0, 0)}


def test_an_edit_that_comes_while_a_reject_is_judged_is_not_lost(
    own_contracts: Settings, load: Any, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = load(table(event(1, kind="teleport"), event(2, kind="teleport"), event(3, kind="teleport")))
    allow(own_contracts, "teleport")
    judge = Judge.judge

    def edit_meanwhile(self: Judge, *arguments: Any, **named: Any) -> Any:
        edit(connection, file_id, 2, user_id="corrected")
        edit(connection, file_id, 3, event_type="vanish")
        monkeypatch.setattr(Judge, "judge", judge)
        return judge(self, *arguments, **named)

    monkeypatch.setattr(Judge, "judge", edit_meanwhile)
    tally = replay(own_contracts)
    assert (tally.considered, tally.loaded, tally.still_rejected) == (1, 1, 0)
    assert "2 of them were edited" in tally.not_judged[0]
    assert [reject["state"] for reject in rejects(connection, file_id)] == ["replayed", "quarantined", "quarantined"]
    assert recount(connection) == {file_id: (1, 2, 0)}
    tally = replay(own_contracts)
    assert (tally.loaded, tally.still_rejected_by_rule) == (1, {"event_type.enum": 1})
    assert connection.execute("SELECT user_id FROM events WHERE record_number = 2").fetchone() == {
        "user_id": "corrected"
    }


def test_an_edit_that_comes_after_the_decision_is_refused(
    own_contracts: Settings, load: Any, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = load(table(event(1, kind="teleport")))
    allow(own_contracts, "teleport")
    refused: list[psycopg.Error] = []

    def edit_too_late() -> None:
        with database.connect(own_contracts.database_url, application_name="too-late") as opened:
            try:
                edit(opened, file_id, 1, user_id="corrected")
            except psycopg.Error as error:
                refused.append(error)

    editing = threading.Thread(target=edit_too_late)

    def begin_to_edit(point: str) -> None:
        if point == "replay.after_insert":
            editing.start()
            waits = "SELECT FROM pg_stat_activity WHERE application_name = 'too-late' AND wait_event_type = 'Lock'"
            while connection.execute(waits).fetchone() is None:
                assert editing.is_alive()

    monkeypatch.setattr("sluice.loading.replay.crash_point", begin_to_edit)
    assert replay(own_contracts).loaded == 1
    editing.join()
    assert "reject 1 of file 1 is replayed: its fields are edited only while it is quarantined" in str(refused[0])
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="unload the file"):
        edit(connection, file_id, 1, user_id="corrected")


def test_an_edit_that_is_still_wrong_stays_with_its_new_reason(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    file_id = load(table(event(1, price="cheap")))
    edit(connection, file_id, 1, price="-1")
    assert replay(own_contracts).still_rejected_by_rule == {"price.minimum": 1}
    [still] = rejects(connection, file_id)
    assert (still["rules"], still["error_class"], still["fields"]["price"]) == (["price.minimum"], "rule", "-1")


def test_a_record_that_cannot_be_read_fails_again_until_its_fields_are_whole(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    file_id = load(table(event(1), f"{event_id(2)},search,u1"))
    assert replay(own_contracts).still_rejected_by_rule == {"record.too_few_fields": 1}
    edit(connection, file_id, 2, user_id="u2")
    assert replay(own_contracts).still_rejected_by_rule == {"record.too_few_fields": 1}
    [header] = connection.execute("SELECT header FROM ledger.files").fetchall()
    whole: dict[str, Any] = dict.fromkeys(header["header"])
    edit(connection, file_id, 2, **whole | {"event_id": event_id(2), "event_type": "search", "timestamp": "2026-11-22"})
    assert replay(own_contracts).loaded == 1
    assert recount(connection) == {file_id: (2, 0, 0)}


SHIFTED = event(2).replace("10.0.0.1,,,", '10.0.0.1"Mozilla, 5.0",,')


def test_a_row_with_a_stray_quote_is_loaded_as_it_stands_when_todays_contract_only_warns(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    file_id = load(table(event(1), SHIFTED))
    assert replay(own_contracts).still_rejected_by_rule == {"record.stray_quote": 1}
    change_contract(own_contracts, csv={"strayQuote": "warn"})
    assert replay(own_contracts).loaded == 1
    assert recount(connection) == {file_id: (2, 0, 0)}
    [row] = connection.execute("SELECT user_agent, user_id FROM events WHERE record_number = 2").fetchall()
    assert row == {"user_agent": ' 5.0"', "user_id": "u1"}


def test_a_row_with_a_stray_quote_is_loaded_when_its_fields_are_corrected(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    file_id = load(table(event(1), SHIFTED))
    edit(connection, file_id, 2, ip_address="10.0.0.1", user_agent="Mozilla, 5.0")
    assert replay(own_contracts).loaded == 1
    assert recount(connection) == {file_id: (2, 0, 0)}
    [row] = connection.execute("SELECT user_agent, search_query FROM events WHERE record_number = 2").fetchall()
    assert row == {"user_agent": "Mozilla, 5.0", "search_query": None}


def test_fields_that_the_header_does_not_name_are_no_part_of_the_record(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    file_id = load(table(event(1, price="cheap")))
    edit(connection, file_id, 1, price="1", colour="red")
    assert replay(own_contracts).still_rejected_by_rule == {"record.too_many_fields": 1}


def test_a_corrected_dialect_reads_the_raw_bytes_again(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    file_id = load(table(event(1), event(2, note="café")).encode("latin-1"))
    assert rejects(connection, file_id)[0]["rules"] == ["record.invalid_bytes"]
    change_contract(own_contracts, csv=LATIN)
    assert replay(own_contracts).loaded == 1
    assert connection.execute("SELECT user_agent FROM events WHERE record_number = 2").fetchone() == {
        "user_agent": "café"
    }


def test_what_the_contract_now_calls_null_is_null(own_contracts: Settings, load: Any, connection: Connection) -> None:
    load(table(event(1, price="n/a")))
    change_contract(own_contracts, csv={"nulls": ["", "n/a"]})
    assert replay(own_contracts).loaded == 1
    assert connection.execute("SELECT price FROM events").fetchone() == {"price": None}


def test_utf16_that_a_mark_announced_is_read_again_as_utf16(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    load(table(event(1, kind="teleport", note="naïve ☂")).encode("utf-16"))
    allow(own_contracts, "teleport")
    assert replay(own_contracts).loaded == 1
    assert connection.execute("SELECT user_agent FROM events").fetchone() == {"user_agent": "naïve ☂"}


def test_a_record_of_which_only_the_beginning_is_kept_is_never_read_from_it(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    file_id = load(table(event(1, kind="teleport")))
    connection.execute("UPDATE ledger.rejects SET rules = '{record.too_long}', error_class = 'parse'")
    allow(own_contracts, "teleport")
    assert replay(own_contracts).still_rejected_by_rule == {"record.too_long": 1}
    assert recount(connection) == {file_id: (0, 1, 0)}


def test_equal_content_is_a_duplicate_and_other_content_stays_a_conflict(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    first = load(table(event(1), event(2)))
    second = load(table(event(1, price="5"), event(2, price="5")))
    edit(connection, second, 1, price="9.99")
    tally = replay(own_contracts)
    assert (tally.loaded, tally.duplicate, tally.still_rejected_by_rule) == (0, 1, {"event_id.conflict": 1})
    assert [row["state"] for row in rejects(connection, second)] == ["duplicate", "quarantined"]
    assert recount(connection) == {first: (2, 0, 0), second: (0, 1, 1)}


def test_of_two_rejects_with_one_id_one_is_loaded(own_contracts: Settings, load: Any, connection: Connection) -> None:
    file_id = load(table(event(1, kind="teleport"), event(1, kind="teleport"), event(1, kind="teleport", price="5")))
    allow(own_contracts, "teleport")
    tally = replay(own_contracts)
    assert (tally.loaded, tally.duplicate, tally.still_rejected) == (1, 1, 1)
    assert recount(connection) == {file_id: (1, 1, 1)}


@pytest.mark.parametrize(
    ("wanted", "loaded"),
    [
        ({}, 2),
        ({"contract": "events"}, 2),
        ({"contract": "other"}, 0),
        ({"rule": "event_type.enum"}, 2),
        ({"rule": "price.type"}, 0),
        ({"file_id": 1}, 1),
    ],
)
def test_a_replay_takes_only_what_was_asked_for(
    own_contracts: Settings, load: Any, wanted: dict[str, Any], loaded: int
) -> None:
    load(table(event(1, kind="teleport")), "a.csv")
    load(table(event(2, kind="teleport")), "b.csv")
    allow(own_contracts, "teleport")
    assert replay(own_contracts, **wanted).loaded == loaded


def test_rejects_of_an_unloaded_file_are_not_replayed(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    unload_file(own_contracts, load(table(event(1, kind="teleport"))), "a wrong file", by_whom="test")
    allow(own_contracts, "teleport")
    assert replay(own_contracts).considered == 0
    assert owners(connection) == {}


def test_a_file_whose_header_no_longer_fits_its_contract_stays_and_is_named(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    file_id = load(table(event(1, kind="teleport")))
    document = change_contract(own_contracts)
    document["schema"][0]["properties"].append({"name": "shop", "logicalType": "string", "required": True})
    write_contract(own_contracts, document)
    tally = replay(own_contracts)
    assert tally.considered == 0
    assert "shop" in tally.not_judged[0]
    assert rejects(connection, file_id)[0]["contract_version"] == "1.0.0"


def test_the_derived_id_of_a_feed_without_ids_is_the_one_that_the_load_would_have_given(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    rees46 = (PROJECT / "include/contracts/rees46.odcs.yaml").read_text()
    (own_contracts.contracts_dir / "rees46.odcs.yaml").write_text(rees46)
    header = "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"
    rows = [f"2019-10-01 00:00:00 UTC,{kind},1,2,,brand,{{price}},3,s" for kind in ("view", "cart")]
    whole, broken = ("\n".join([header, rows[0].format(price=1), rows[1].format(price=p)]) for p in ("2", "x"))
    first, second = load(whole, "whole.csv"), load(broken, "broken.csv")
    sha256 = connection.execute("SELECT sha256 FROM ledger.files WHERE file_id = %s", [first]).fetchone()
    edit(connection, second, 2, price="2")
    # As if both had landed with the same bytes: then the replayed row is the other's very event.
    connection.execute("UPDATE ledger.files SET state = 'unloaded' WHERE file_id = %s", [first])
    connection.execute("UPDATE ledger.files SET sha256 = %s WHERE file_id = %s", [sha256["sha256"], second])  # type: ignore[index]
    assert replay(own_contracts).duplicate == 1


def test_a_replay_runs_while_a_file_with_the_same_events_loads(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    file_id = load(table(*(event(number, kind="teleport") for number in range(200))))
    allow(own_contracts, "teleport")
    loading = threading.Thread(
        target=load, args=[table(*(event(n, kind="teleport") for n in reversed(range(200)))), "b"]
    )
    loading.start()
    replay(own_contracts, file_id=file_id)
    loading.join()
    assert len(owners(connection)) == 200
    assert sum(loaded for loaded, _, _ in recount(connection).values()) == 200


@pytest.mark.parametrize("point", ["replay.after_insert", "replay.before_commit", "replay.after_commit"])
def test_a_replay_killed_anywhere_loads_everything_once(
    own_contracts: Settings, load: Any, connection: Connection, tmp_path: Path, point: str
) -> None:
    file_id = load(table(event(1), event(2, kind="teleport"), event(1, kind="teleport")))
    allow(own_contracts, "teleport")
    environment = os.environ | {"SLUICE_CRASH_AT": point, "SLUICE_CRASH_ONCE": str(tmp_path / "once")}
    program = "from sluice.base import settings; from sluice.loading.replay import replay; replay(settings.load())"
    codes = [
        subprocess.run([sys.executable, "-c", program], env=environment, cwd=PROJECT, timeout=120).returncode
        for _ in range(2)
    ]
    assert codes == [-signal.SIGKILL, 0]
    assert recount(connection) == {file_id: (2, 1, 0)}
