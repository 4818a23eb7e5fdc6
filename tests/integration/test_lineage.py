"""Lineage: what became of files and reports is told to a backend, with the same ids, and never in a load's way."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sluice.base import database
from sluice.base.settings import PROJECT, SettingError, Settings
from sluice.duty import lineage, lineage_backend
from sluice.ledger import news
from sluice.loading import replay
from sluice.loading.unload import unload_file
from sluice.reports import refresh
from tests import openlineage_schema
from tests.integration.conftest import Land
from tests.loading import Connection, event, table

Events = list[dict[str, Any]]


@dataclass
class Receiver:
    """A backend on this machine: what it was told; ``answers`` are statuses to answer first, one a request."""

    url: str = ""
    events: Events = field(default_factory=list)
    keys: set[str | None] = field(default_factory=set)
    answers: list[int] = field(default_factory=list)
    silent: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def ends(self) -> Events:
        """The last event of each run."""
        return [each for each in self.events if each["eventType"] != "START"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """It answers 201, unless told otherwise; while ``silent`` is set it answers nobody."""
    made = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if made.silent.is_set():
                made.released.wait(60)
                return
            made.keys.add(self.headers.get("Authorization"))
            status = made.answers.pop(0) if made.answers else 201
            if status == 201:
                made.events.append(body)
            self.send_response(status if self.path == "/api/v1/lineage" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing on the terminal."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield made
        made.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def told(own_contracts: Settings, receiver: Receiver) -> Settings:
    """Settings under which lineage is told to the receiver, from now on."""
    made = replace(own_contracts, lineage=receiver.url, lineage_key="secret")
    assert lineage.tell(made) == lineage.Told()
    return made


def facets(dataset: dict[str, Any]) -> dict[str, Any]:
    """All of a dataset's facets."""
    return {**dataset.get("facets", {}), **dataset.get("inputFacets", {}), **dataset.get("outputFacets", {})}


def test_a_loaded_file_is_told_with_its_rows_its_rules_and_its_columns(
    told: Settings, receiver: Receiver, load: Land, connection: Connection, database_url: str
) -> None:
    connection.execute("UPDATE ledger.streams SET run_id = 'scheduled__2026-11-30T15:00:00+00:00'")
    load(table(event(1), event(2, price="dear"), event(3)), "monday.csv")
    assert lineage.tell(told) == lineage.Told(told=1)
    assert receiver.keys == {"Bearer secret"}

    start, end = receiver.events
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == end["run"]["runId"]
    assert start["eventTime"] < end["eventTime"]
    assert (end["job"]["namespace"], end["job"]["name"]) == ("sluice", "load.events")
    parent = end["run"]["facets"]["parent"]
    assert (parent["job"]["namespace"], parent["job"]["name"]) == ("sluice", "ingest_events")
    milliseconds = uuid.UUID(parent["run"]["runId"]).int >> 80
    assert milliseconds == datetime(2026, 11, 30, 15, tzinfo=UTC).timestamp() * 1000, "the instant of the DAG's run"

    [source], [target] = end["inputs"], end["outputs"]
    assert (source["namespace"], source["name"]) == ("file", str(told.incoming_dir / "monday.csv"))
    sha256 = connection.execute("SELECT sha256 FROM ledger.files").fetchone()
    assert sha256 is not None
    assert facets(source)["version"]["datasetVersion"] == f"sha256:{sha256['sha256']}"
    assert facets(source)["inputStatistics"]["rowCount"] == 3
    assert facets(source)["schema"]["fields"][6] == {
        "name": "timestamp",
        "type": "timestamp",
        "ordinal_position": 7,
        "fields": [],
    }
    asserted = {each["name"]: each for each in facets(source)["dataQualityAssertions"]["assertions"]}
    assert {name for name, each in asserted.items() if not each["success"]} == {"price.type"}
    assert asserted["price.type"]["actual"] == "1"
    assert asserted["event_type.required"]["assertion"] == "not_null"
    assert asserted["event_type.required"]["column"] == "event_type"
    of_columns = {each["column"] for each in asserted.values() if each.get("column")}
    assert of_columns <= {each["name"] for each in facets(source)["schema"]["fields"]}
    assert asserted["cancellation.sign"].get("column") is None

    about = psycopg.conninfo.conninfo_to_dict(database_url)
    assert target["namespace"] == f"postgres://{about['host']}:{about['port']}"
    assert target["name"] == f"{about['dbname']}.public.events"
    assert facets(target)["outputStatistics"]["rowCount"] == 2
    [moment] = facets(target)["columnLineage"]["fields"]["event_time"]["inputFields"]
    assert (moment["name"], moment["field"]) == (source["name"], "timestamp")
    assert moment["transformations"][0]["subtype"] == "TRANSFORMATION"


def test_each_kind_of_event_keeps_the_schema(
    told: Settings, receiver: Receiver, load: Land, connection: Connection
) -> None:
    everything(told, load)
    kinds = Counter(each["job"]["name"] for each in receiver_of(told, receiver).ends())
    assert kinds.keys() == {
        "load.events", "load.unknown", "correct.events", "withdraw.events", "refresh_reports"
    }  # fmt: skip
    assert [openlineage_schema.errors(each) for each in receiver.events] == [[]] * len(receiver.events)


def everything(settings: Settings, load: Land) -> None:
    """A file of each fate, and a refresh of the reports."""
    first = load(table(event(1), event(2, price="dear")), "one.csv")
    load("no,table,of,ours\n1,2,3,4\n", "strange.csv")
    with database.connect(settings.writer_dsn) as writer:
        writer.execute(
            "UPDATE ledger.rejects SET fields = jsonb_set(fields, '{price}', '\"5\"') WHERE file_id = %s", [first]
        )
        replay.replay(settings)
        unload_file(settings, first, "a test", by_whom="me")
    with database.connect(settings.reader_dsn, autocommit=False) as reader:
        refresh.refresh(reader, settings, "manual__2026-11-30T15:00:00+00:00")


def receiver_of(settings: Settings, receiver: Receiver) -> Receiver:
    """The receiver, after all that is new was told to it."""
    while lineage.tell(settings).more:
        pass
    return receiver


def test_what_is_no_event_breaks_the_schema(told: Settings, receiver: Receiver, load: Land) -> None:
    load(table(event(1)))
    lineage.tell(told)
    good = json.dumps(receiver.events[1])
    for wrong in (
        good.replace('"rowCount": 1', '"rowCount": "one"'),
        good.replace('"eventType": "COMPLETE"', '"eventType": "DONE"'),
        good.replace('"fileCount"', '"filesCount"'),
        good.replace("InputStatisticsInputDatasetFacet.json#", "AnotherFacet.json#"),
        good.replace('"datasetVersion"', '"hash"'),
    ):
        assert wrong != good
        assert openlineage_schema.errors(json.loads(wrong)) != []


def test_a_rejected_file_is_a_run_that_failed(told: Settings, receiver: Receiver, load: Land) -> None:
    load("no,table,of,ours\n1,2,3,4\n", "strange.csv")
    lineage.tell(told)
    [end] = receiver.ends()
    assert end["eventType"] == "FAIL"
    assert "header" in end["run"]["facets"]["errorMessage"]["message"]
    assert facets(end["outputs"][0])["outputStatistics"]["rowCount"] == 0


def test_a_replay_and_an_unload_are_runs_of_their_own(told: Settings, receiver: Receiver, load: Land) -> None:
    everything(told, load)
    lineage.tell(told)
    rows = [
        (each["job"]["name"], facets(each["outputs"][0])["outputStatistics"]["rowCount"])
        for each in receiver.ends()
        if each["job"]["name"].endswith(".events")
    ]
    assert rows == [("load.events", 1), ("correct.events", 1), ("withdraw.events", 0)]
    assert len({each["run"]["runId"] for each in receiver.ends()}) == len(receiver.ends())


def test_a_refresh_is_told_from_events_to_each_report(told: Settings, receiver: Receiver, load: Land) -> None:
    everything(told, load)
    lineage.tell(told)
    [end] = [each for each in receiver.ends() if each["job"]["name"] == "refresh_reports"]
    assert [each["name"].partition(".")[2] for each in end["inputs"]] == ["public.events"]
    names = {each["name"].rpartition(".")[2] for each in end["outputs"]}
    assert {"totals", "users", "sales_by_day"} <= names
    assert "visits" not in names, "cells are nobody's report"
    assert end["run"]["facets"]["parent"]["job"]["name"] == "report_sales"


def test_what_was_told_and_not_noted_is_told_again_under_the_same_run(
    told: Settings, receiver: Receiver, load: Land, connection: Connection
) -> None:
    load(table(event(1)))
    connection.execute("CREATE TABLE kept AS SELECT * FROM ledger.untold")
    lineage.tell(told)
    connection.execute("INSERT INTO ledger.untold OVERRIDING SYSTEM VALUE SELECT * FROM kept")  # as after a kill
    lineage.tell(told)
    first, again = receiver.ends()
    assert first == again


def test_a_backend_that_is_away_slows_no_load_and_is_told_later(
    told: Settings, receiver: Receiver, load: Land, connection: Connection
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        away = replace(told, lineage=f"http://127.0.0.1:{nobody.getsockname()[1]}")
        for number in (1, 2):
            load(table(event(number)), f"{number}.csv")
            assert "does not take events" in lineage.tell(away).away
    assert connection.execute("SELECT count(*) AS n FROM events").fetchone() == {"n": 2}
    assert lineage.tell(told) == lineage.Told(told=2)
    assert [Path(each["inputs"][0]["name"]).name for each in receiver.ends()] == ["1.csv", "2.csv"]


def test_loads_go_on_while_a_backend_says_nothing(
    told: Settings, receiver: Receiver, load: Land, connection: Connection
) -> None:
    load(table(event(1)), "1.csv")
    receiver.silent.set()
    found: list[lineage.Told] = []
    silent = lineage_backend.HttpBackend(receiver.url, timeout=3)
    thread = threading.Thread(target=lambda: found.append(lineage.tell(told, backend=silent)))
    begun = time.monotonic()
    thread.start()
    load(table(event(2)), "2.csv")
    assert thread.is_alive(), "it was loaded while the backend was waited for"
    thread.join()
    assert time.monotonic() - begun < 10
    assert "ReadTimeout" in found[0].away
    receiver.silent.clear()
    assert lineage.tell(told).told == 2


def test_a_backend_in_trouble_is_asked_again_and_one_that_refuses_an_event_is_not(
    told: Settings, receiver: Receiver, load: Land
) -> None:
    load(table(event(1)), "1.csv")
    receiver.answers = [503]
    assert "503" in lineage.tell(told).away
    receiver.answers = [422]
    assert lineage.tell(told) == lineage.Told(refused=1)
    load(table(event(2)), "2.csv")
    assert lineage.tell(told) == lineage.Told(told=1)


def test_a_file_is_told_by_a_line_an_event(own_contracts: Settings, load: Land) -> None:
    settings = replace(own_contracts, lineage="lineage.jsonl")
    lineage.tell(settings)
    load(table(event(1)))
    lineage.tell(settings)
    path = settings.home_dir / "lineage.jsonl"
    assert [json.loads(line)["eventType"] for line in path.read_text().splitlines()] == ["START", "COMPLETE"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_is_noted_until_somebody_asks_and_what_came_before_is_not_told(
    own_contracts: Settings, receiver: Receiver, load: Land, connection: Connection
) -> None:
    load(table(event(1)), "1.csv")
    assert connection.execute("SELECT count(*) AS n FROM ledger.untold").fetchone() == {"n": 0}
    assert lineage.tell(replace(own_contracts, lineage=receiver.url)) == lineage.Told()
    load(table(event(2)), "2.csv")
    assert connection.execute("SELECT count(*) AS n FROM ledger.untold").fetchone() == {"n": 1}


def test_what_came_while_it_was_off_is_told_when_it_is_on_again_and_forgotten_after_long(
    told: Settings, receiver: Receiver, load: Land, writer: Connection, connection: Connection
) -> None:
    load(table(event(1)), "1.csv")
    news.trim(told, writer)
    assert lineage.tell(told).told == 1

    load(table(event(2)), "2.csv")
    later = connection.execute("SELECT clock_timestamp() AS at").fetchone()
    assert later is not None
    assert news.trim(told, writer, now=later["at"] + timedelta(days=8)) == 1
    load(table(event(3)), "3.csv")
    assert connection.execute("SELECT count(*) AS n FROM ledger.untold").fetchone() == {"n": 0}


def test_a_load_that_is_rolled_back_is_no_news(told: Settings, connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute(
            "INSERT INTO ledger.files (name, path, sha256, bytes, landed_at, state) "
            "VALUES ('x', '', repeat('0', 64), 0, now(), 'rejected')"
        )
        assert connection.execute("SELECT count(*) AS n FROM ledger.untold").fetchone() == {"n": 1}
    assert connection.execute("SELECT count(*) AS n FROM ledger.untold").fetchone() == {"n": 0}


@pytest.mark.parametrize("where", ["", "http://", "kafka://somewhere"])
def test_who_is_told_is_a_url_or_a_file(where: str) -> None:
    with pytest.raises(SettingError, match="SLUICE_LINEAGE"):
        lineage_backend.backend(Settings(lineage=where))


def test_columns_that_are_derived_come_of_the_columns_they_are_made_of(
    told: Settings, receiver: Receiver, load: Land, tmp_path: Path
) -> None:
    shipped = PROJECT / "include" / "contracts" / "rees46.odcs.yaml"
    (told.contracts_dir / shipped.name).write_text(shipped.read_text())
    load(
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
        "2019-10-01 00:00:00 UTC,view,1,2,shoes,acme,5.00,7,s\n",
        "october.csv",
    )
    lineage.tell(told)
    [end] = receiver.ends()
    [source] = end["inputs"]
    asserted = {each["name"]: each for each in facets(source)["dataQualityAssertions"]["assertions"]}
    assert asserted["event_id.type"].get("column") is None
    assert asserted["event_time.type"]["column"] == "event_time"
    fields = facets(end["outputs"][0])["columnLineage"]["fields"]
    assert [each["field"] for each in fields["session_id"]["inputFields"]] == ["user_session"]
    assert [each["field"] for each in fields["extra"]["inputFields"]] == ["category_id", "brand"]
    assert fields["event_id"]["inputFields"] == [], "made of the file and the number of the record"
    assert "view" in fields["event_type"]["inputFields"][0]["transformations"][0]["description"]
