"""What arrived in events is given out once a micro-batch, whatever dies, for Airflow's asset of events."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sluice.base import queries
from sluice.base.settings import Settings
from sluice.duty import asset_events
from sluice.duty.asset_events import Arrivals
from sluice.ledger import news
from tests.integration.conftest import Land
from tests.loading import Connection, event, table

Batch = Callable[..., int]
# Of Airflow's metadata, what is asked of it.
_TABLES = """
    CREATE TABLE public.asset (id serial PRIMARY KEY, name text);
    CREATE TABLE public.asset_event (asset_id int, extra json NOT NULL, timestamp timestamptz NOT NULL DEFAULT now());
    INSERT INTO public.asset (name) VALUES ('another'), ('events');
"""


@pytest.fixture
def asset(own_contracts: Settings, connection: Connection, database_url: str) -> Settings:
    """Settings of a pipeline whose asset somebody looks at, from now on."""
    connection.execute(_TABLES)
    made = replace(own_contracts, airflow_database_url=database_url)
    first = Arrivals(made)
    assert first.look() == []
    first.close()
    return made


@pytest.fixture
def looking(asset: Settings) -> Iterator[Arrivals]:
    """Who looks."""
    made = Arrivals(asset)
    yield made
    made.close()


@pytest.fixture
def batch(load: Land, epoch: int, connection: Connection) -> Batch:
    """Loads files as one micro-batch; returns its number."""
    numbers = itertools.count()

    def load_batch(*files: str, lane: str = "small") -> int:
        number = next(numbers)
        file_ids = [load(data, f"{number}-{place}.csv") for place, data in enumerate(files)]
        connection.execute("UPDATE ledger.files SET lane = %s WHERE file_id = ANY(%s)", [lane, file_ids])
        queries.run(connection, "ledger/claims.note_batch", epoch=epoch, lane=lane, batch=number, file_ids=file_ids)
        return number

    return load_batch


def keep(connection: Connection, payload: dict[str, Any]) -> None:
    """As Airflow does with an event of a trigger."""
    connection.execute(
        "INSERT INTO asset_event (asset_id, extra) VALUES (2, %s)",
        [json.dumps({"from_trigger": True, "payload": payload})],
    )


def left(connection: Connection) -> int:
    found = connection.execute("SELECT count(*) AS n FROM ledger.untold").fetchone()
    assert found is not None
    return int(found["n"])


def test_each_micro_batch_is_given_out_once_with_its_files_and_rows(
    looking: Arrivals, batch: Batch, connection: Connection
) -> None:
    batch(table(event(1), event(2, price="dear")), table(event(3)))
    batch(table(event(4)))
    one, other = looking.look()
    assert [file["name"] for file in one["files"]] == ["0-0.csv", "0-1.csv"]
    assert (one["batch"], one["batches"], len(one["file_ids"])) == (0, 1, 2)
    assert one["rows"] == {"read": 3, "loaded": 2, "rejected": 1, "duplicate": 0}
    assert one["files"][0]["contract"] == "events"
    assert one["first_event_time"] == one["last_event_time"] == "2026-11-22T10:00:00+00:00"
    assert (other["batch"], other["rows"]["loaded"]) == (1, 1)
    assert json.loads(json.dumps([one, other])) == [one, other]
    assert looking.look() == []
    for payload in (one, other):
        keep(connection, payload)
    assert looking.look() == []
    assert left(connection) == 0, "forgotten when Airflow has them"


def test_who_begins_anew_gives_out_what_airflow_has_not_and_nothing_else(
    asset: Settings, batch: Batch, connection: Connection
) -> None:
    batch(table(event(1)))
    batch(table(event(2)))
    killed = Arrivals(asset)
    one, other = killed.look()
    keep(connection, one)
    killed.close()  # before it knew

    again = Arrivals(asset)
    assert again.look() == [other]
    keep(connection, other)
    assert again.look() == []
    again.close()
    assert left(connection) == 0


def test_an_event_of_another_asset_is_no_event_of_this_one(
    asset: Settings, looking: Arrivals, batch: Batch, connection: Connection
) -> None:
    batch(table(event(1)))
    [payload] = looking.look()
    keep(connection, payload)
    connection.execute("UPDATE asset_event SET asset_id = 1")
    looking.close()
    again = Arrivals(asset)
    assert again.look() == [payload]
    again.close()


def test_one_looks_at_a_time(asset: Settings, looking: Arrivals, batch: Batch) -> None:
    looking.look()
    batch(table(event(1)))
    other = Arrivals(asset)
    assert other.look() == []
    looking.close()
    assert [payload["batch"] for payload in other.look()] == [0]
    other.close()


def test_a_micro_batch_that_brought_nothing_is_none(looking: Arrivals, batch: Batch, connection: Connection) -> None:
    batch("no,table,of,ours\n1,2,3,4\n")
    assert looking.look() == []
    assert left(connection) == 0


def test_lanes_do_not_mix(looking: Arrivals, batch: Batch, load: Land, connection: Connection) -> None:
    connection.execute("ALTER TABLE ledger.files ALTER lane SET DEFAULT 'big'")
    load(table(event(1)), "big.csv")
    connection.execute("ALTER TABLE ledger.files ALTER lane SET DEFAULT 'small'")
    batch(table(event(2)))
    [payload] = looking.look()
    assert [file["name"] for file in payload["files"]] == ["0-0.csv"]


def test_files_of_a_stream_that_was_killed_before_it_noted_the_batch_are_given_out_when_it_has_ended(
    looking: Arrivals, load: Land, connection: Connection
) -> None:
    load(table(event(1)), "lost.csv")
    assert looking.look() == [], "its micro-batch may be noted yet"
    connection.execute("UPDATE ledger.streams SET ended_at = now(), ended_how = 'spark_died', state = 'ended'")
    [payload] = looking.look()
    assert ([file["name"] for file in payload["files"]], payload["batch"]) == (["lost.csv"], None)


def test_after_a_pause_what_waits_comes_as_few_events_and_no_row_is_lost(
    asset: Settings, looking: Arrivals, batch: Batch, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asset_events, "SINGLY", 2)
    for number in range(5):
        batch(table(event(number)))
    folded, *singly = looking.look()
    assert (folded["batches"], len(folded["file_ids"]), folded["files"]) == (3, 3, [])
    assert folded["rows"]["loaded"] == 3
    assert [payload["batch"] for payload in singly] == [3, 4]
    looking.close()
    batch(table(event(9)))

    again = Arrivals(asset)
    one, *rest = again.look()  # nothing of it has come to Airflow: as it was, and the new one with the others
    assert (one["batches"], one["rows"]["loaded"]) == (4, 4)
    assert [payload["batch"] for payload in rest] == [4, 5]
    for payload in (one, *rest):
        keep(connection, payload)
    assert again.look() == []
    again.close()
    assert left(connection) == 0


def test_who_does_not_look_any_more_is_forgotten_after_long(
    asset: Settings, batch: Batch, writer: Connection, connection: Connection
) -> None:
    batch(table(event(1)))
    assert left(connection) == 2
    now = connection.execute("SELECT clock_timestamp() AS at").fetchone()
    assert now is not None
    news.trim(asset, writer, now=now["at"] + timedelta(days=8))
    assert left(connection) == 0
    batch(table(event(2)))
    assert left(connection) == 0, "nothing is noted for it"


def test_the_days_of_files_are_those_of_their_events(asset: Settings, load: Land) -> None:
    late = event(3).replace("2026-11-22T10:00:00Z", "2026-11-20T23:59:59Z")
    of_one_day = load(table(event(1)), "one.csv")
    of_two_days = load(table(event(2), late), "two.csv")
    of_none = load(table(event(4, price="dear")), "none.csv")
    assert asset_events.days(asset, [of_one_day, of_none]) == ["2026-11-22"]
    assert asset_events.days(asset, [of_one_day, of_two_days]) == ["2026-11-20", "2026-11-22"]
    assert asset_events.days(asset, []) == []
