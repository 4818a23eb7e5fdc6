"""What room Now asks: of a real ledger, in each state that it has a word for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sluice.base import database
from sluice.base.settings import Settings
from sluice.ledger import leases
from sluice.proof.reconcile import reconcile
from sluice.watching import now, waits
from sluice.watching.reader import Reader
from tests.loading import Connection, event, table

Land = Callable[..., int]


def look(settings: Settings) -> dict[str, Any]:
    """As the page asks: the reader, read only, each statement for 250 ms at most."""
    reader = Reader(settings)
    try:
        with reader.asking() as connection:
            said = now.snapshot(connection)
    finally:
        reader.close()
    return now.look(said, now.landing(settings))


def test_an_empty_ledger_is_quiet_and_says_what_comes_next(settings: Settings) -> None:
    shown = look(settings)
    assert shown["health"]["worst"]["level"] == "quiet"
    assert "ingest_events submits one when a file lands" in shown["health"]["judged"][0]["reason"]
    assert (shown["stream"], shown["flow"]["pace"], shown["batches"], shown["outcomes"]) == (None, "idle", [], [])


def test_it_shows_the_stream_its_run_and_its_lease(settings: Settings, connection: Connection) -> None:
    lease = leases.take(connection, submitted_by="manual__1 on here", run_id="manual__1", seconds=600)
    assert lease is not None
    leases.begin(connection, token=lease.token, host="here", pid=1, seconds=600)
    shown = look(settings)
    assert shown["health"]["worst"] == {"of": "load", "level": "good", "reason": "the stream is alive"}
    stream = shown["stream"]
    assert (stream["epoch"], stream["run_id"], stream["living"]) == (lease.epoch, "manual__1", True)
    assert 590 < stream["lease_seconds_left"] <= 600


def test_it_shows_what_was_loaded_and_how_files_ended(own_contracts: Settings, load: Land) -> None:
    loaded = load(table(event(1), event(2, kind="teleport"), event(1)), "a.csv")
    rejected = load("a,b\n1,2\n", "b.csv")
    shown = look(own_contracts)
    assert {(one["file_id"], one["state"]) for one in shown["outcomes"]} == {(loaded, "loaded"), (rejected, "rejected")}
    assert shown["rows_in_per_second"] == pytest.approx(3 / 60)
    assert shown["rows_out_per_second"] == pytest.approx(1 / 60)
    assert (shown["flow"]["arrived"], shown["flow"]["finished"]) == (2, 2)
    assert shown["flow"]["pace"] == "keeping up"
    with database.connect(own_contracts.reader_dsn) as connection:
        for hours in now.RANGES.values():
            assert now.lag(connection, hours)["files"] == 1
        today = now.today(connection, own_contracts)
    assert (today["rows_loaded"], today["rows_rejected"], today["rows_duplicate"], today["files"]) == (1, 1, 1, 1)


def test_the_lag_over_too_many_files_is_that_of_a_sample_and_says_so(
    settings: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.execute(
        "INSERT INTO ledger.files (name, path, sha256, bytes, state, contract, rows_read, rows_loaded, rows_rejected, "
        "rows_duplicate, landed_at, loaded_at) SELECT 'x.csv', '', encode(sha256(one::text::bytea), 'hex'), 1, "
        "'loaded', 'events', 0, 0, 0, 0, now() - one * interval '1 second', now() FROM generate_series(0, 100) AS one"
    )
    connection.execute("ANALYZE ledger.files")
    exact = {"files": 101, "p50": 50.0, "p95": 95.0, "is_sample": False}
    assert now.lag(connection, 1) == exact
    monkeypatch.setattr(now, "_MOST_LAGS", 60)
    assert now.lag(connection, 1) == exact | {"is_sample": True}, "the sample of a short ledger is all of it"


def test_today_is_the_day_of_the_shops_zone(own_contracts: Settings, load: Land, connection: Connection) -> None:
    load(table(event(1)))
    for zone, hours in (("UTC", 0), ("Pacific/Kiritimati", 14)):
        connection.execute(
            "UPDATE ledger.files SET loaded_at = date_trunc('day', now() AT TIME ZONE 'UTC' + %s * interval '1 hour') "
            "AT TIME ZONE 'UTC' - %s * interval '1 hour' - interval '1 second'",
            [hours, hours],
        )
        shown = now.today(connection, replace(own_contracts, shop_zone=zone))
        assert (shown["files"], shown["rows_loaded"], shown["zone"]) == (0, 0, zone)
        connection.execute("UPDATE ledger.files SET loaded_at = loaded_at + interval '1 second'")
        assert now.today(connection, replace(own_contracts, shop_zone=zone))["rows_loaded"] == 1


def test_the_backlog_is_what_is_registered_and_what_lies_in_incoming(settings: Settings, land: Land) -> None:
    land(table(event(1)), "a.csv")
    (settings.incoming_dir / "b.csv").write_text("12345")
    (settings.incoming_dir / "c.xlsx").write_text("no")
    backlog = look(settings)["backlog"]
    assert (backlog["files"], backlog["landed"], backlog["incoming"], backlog["is_more"]) == (2, 1, 1, False)
    assert backlog["bytes"] == len(table(event(1))) + 5
    assert backlog["oldest"]["name"] == "a.csv"


def test_of_a_full_folder_only_a_part_is_looked_at(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(now, "_MOST_ENTRIES", 3)
    for number in range(4):
        (settings.incoming_dir / f"{number}.csv").write_text("1")
    assert look(settings)["backlog"]["is_more"]
    (settings.incoming_dir / "0.csv").unlink()
    backlog = look(settings)["backlog"]
    assert (backlog["files"], backlog["is_more"]) == (3, False)


def test_a_storm_of_files_is_told_from_those_that_are_counted(
    settings: Settings, land: Land, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        land(table(event(number)), f"{number}.csv")
    connection.execute("UPDATE ledger.files SET moved_at = now() - interval '30 seconds'")
    monkeypatch.setattr(now, "_MOST_ARRIVALS", 4)
    arrived = look(settings)["flow"]["arrived"]
    assert 36 <= arrived <= 40, "4 files in 30 s are 40 in 300 s"


def test_a_file_that_stands_is_a_failure_and_one_that_has_only_landed_is_none(
    settings: Settings, land: Land, connection: Connection, epoch: int
) -> None:
    land(table(event(1)))
    assert look(settings)["health"]["worst"]["level"] == "good"
    connection.execute("UPDATE ledger.files SET landed_at = now() - interval '20 minutes'")
    assert look(settings)["health"]["worst"] == {
        "of": "freshness",
        "level": "bad",
        "reason": "a file has waited for 20 min, and none is loaded",
    }


def test_the_phases_of_a_batch_are_sparks_measures_by_what_they_are_to_people(
    settings: Settings, connection: Connection, epoch: int
) -> None:
    durations = '{"latestOffset": 5, "getBatch": 1, "queryPlanning": 4, "addBatch": 90, "walCommit": 7}'
    connection.execute(
        "INSERT INTO ledger.batches (epoch, batch, durations) VALUES (%s, 1, %s), (%s, 2, NULL)",
        [epoch, durations, epoch],
    )
    batches = {batch["batch"]: batch["phases"] for batch in look(settings)["batches"]}
    assert batches[1] == {"look": 6, "plan": 4, "load": 90, "checkpoint": 7}
    assert batches[2] == {"look": 0, "plan": 0, "load": 0, "checkpoint": 0}


# --- what waits


def waiting(settings: Settings) -> dict[str, dict[str, Any]]:
    with database.connect(settings.reader_dsn) as connection:
        found = waits.waits(connection, settings)
    return {one["kind"]: one for one in [*found, *waits.refused(now.landing(settings))]}


def test_nothing_waits_when_all_is_well(own_contracts: Settings, load: Land) -> None:
    load(table(event(1)))
    assert waiting(own_contracts) == {}


def test_it_names_what_waits_why_and_the_remedy(own_contracts: Settings, land: Land, connection: Connection) -> None:
    file_id = land(table(event(1)), "a.csv")
    connection.execute(
        "UPDATE ledger.files SET waits_for = 'contract', waits_under = 'x', error = 'net: a rule cannot be read'"
    )
    merged = land(table(event(2)), "b.csv")
    connection.execute(
        "UPDATE ledger.files SET state = 'loaded', contract = 'events', rows_read = 0, rows_loaded = 0, "
        "rows_rejected = 0, rows_duplicate = 0, loaded_at = now() WHERE file_id = %s",
        [merged],
    )
    connection.execute(
        "INSERT INTO ledger.merges (begun_at, files, rows, conflicts, duplicates, waiting) "
        "VALUES (now(), 1, 1, 0, 0, jsonb_build_object(%s::text, 'its bytes are gone: put them back'))",
        [merged],
    )
    (own_contracts.incoming_dir / "sheet.xlsx").write_text("no")
    found = waiting(own_contracts)
    assert set(found) == {"file", "merge", "refused"}
    assert found["file"]["examples"] == [{"file_id": file_id, "name": "a.csv", "why": "net: a rule cannot be read"}]
    assert found["merge"]["examples"][0]["why"] == "its bytes are gone: put them back"
    assert "make merge" in found["merge"]["remedy"]
    assert found["refused"]["examples"] == [
        {"name": "sheet.xlsx", "why": "it is a workbook: save each sheet as CSV and land that"}
    ]


def test_files_that_wait_for_a_contract_are_a_warning(own_contracts: Settings, land: Land, epoch: int) -> None:
    land(table(event(1)))
    with database.connect(own_contracts.writer_dsn) as writer:
        writer.execute("UPDATE ledger.files SET waits_for = 'contract', waits_under = 'x'")
    assert look(own_contracts)["health"]["judged"][0] == {
        "of": "load",
        "level": "warning",
        "reason": "1 file waits for a contract that can be used",
    }


# --- proof


def test_a_recount_that_holds_and_one_that_does_not_are_shown(
    own_contracts: Settings, load: Land, connection: Connection
) -> None:
    load(table(event(1)))
    reconcile(own_contracts, own_contracts.reader_dsn)
    shown = look(own_contracts)
    assert (shown["proof"]["holds"], shown["proof"]["files"], shown["proof"]["rows"]) == (True, 1, 1)
    connection.execute("DELETE FROM events")
    reconcile(own_contracts, own_contracts.reader_dsn)
    worst = look(own_contracts)["health"]["worst"]
    assert (worst["of"], worst["level"]) == ("proof", "bad")
    assert worst["reason"].startswith("the last recount found rows unaccounted for, in 1 place")


def test_the_line_is_of_the_same_look(settings: Settings, epoch: int) -> None:
    shown = look(settings)
    line = now.line(shown)
    assert line["health"] == shown["health"]["worst"]
    assert line["stream"]["epoch"] == epoch
    assert line["backlog"] == {"files": 0, "bytes": 0, "is_more": False}
