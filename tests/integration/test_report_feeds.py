"""What a feed is to the reports: said by its contract and by the settings, kept in report.feeds, cheap to find out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import yaml

from sluice.base import database, queries
from sluice.base.settings import SettingError, Settings
from sluice.cli import main as cli
from sluice.loading.unload import unload_file
from sluice.reports.feeds import Feed, feeds, refuse_unknown_zone, write
from sluice.running.instance import Instance
from tests.loading import Connection, event, table

Land = Callable[..., int]
_FILES = """
    INSERT INTO ledger.files (
        name, path, sha256, bytes, state, contract, rows_read, rows_loaded, rows_rejected, rows_duplicate, landed_at,
        loaded_at
    )
    SELECT
        %(feed)s || '-' || one || '.csv', '', encode(sha256(convert_to(%(feed)s || one, 'UTF8')), 'hex'), 1, 'loaded',
        %(feed)s, 1, 1, 0, 0, now(), now()
    FROM generate_series(1, %(files)s) AS one
"""


def save(settings: Settings, name: str, **custom: Any) -> None:
    """A contract whose files have the columns id, at and one that is named like the feed."""
    columns = [
        {"name": "event_id", "transformLogic": "record_id(file_sha256, record_number)"},
        {"name": "event_type", "transformLogic": "'purchase'"},
        {"name": "at", "physicalName": "event_time", "logicalType": "timestamp", "required": True},
        {"name": f"{name} no", "required": True},
    ]
    document = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": name,
        "name": name,
        "version": "1.0.0",
        "status": "active",
        "customProperties": [{"property": key, "value": value} for key, value in custom.items()],
        "schema": [{"name": name, "properties": [{"logicalType": "string"} | column for column in columns]}],
    }
    (settings.contracts_dir / f"{name}.odcs.yaml").write_text(yaml.safe_dump(document))


def file_of(feed: str) -> str:
    """A file with one row of the feed."""
    return f"at,{feed} no\n2026-11-22T10:00:00Z,1\n"


def loaded(connection: Connection, feed: str, files: int = 1) -> None:
    """Files of the feed that the ledger says are loaded."""
    connection.execute(_FILES, {"feed": feed, "files": files})


@pytest.fixture
def reader(settings: Settings) -> Iterator[Connection]:
    """A connection as the role that refreshes the reports."""
    with database.connect(settings.reader_dsn) as opened:
        yield opened


def refreshed(settings: Settings, connection: psycopg.Connection[Any]) -> set[str]:
    """As a refresh begins: in one transaction; the feeds that must be counted anew."""
    with connection.transaction():
        return write(connection, feeds(settings, connection))


def kept(connection: Connection) -> dict[str, Feed]:
    """What report.feeds says, by feed."""
    return {row["feed"]: Feed(**row) for row in connection.execute("TABLE report.feeds")}


def test_a_feed_is_in_the_reports_when_a_file_of_it_is_loaded_with_what_its_contract_says(
    own_contracts: Settings, load: Land, reader: Connection
) -> None:
    save(own_contracts, "orders", reportCurrency="EUR")
    save(own_contracts, "clicks", sales=False)
    save(own_contracts, "returns", reportCurrency="CHF")
    load(file_of("orders"))
    load(file_of("clicks"))
    assert feeds(own_contracts, reader) == [Feed("clicks", counts_sales=False), Feed("orders", "EUR")]
    assert refreshed(own_contracts, reader) == set()
    assert kept(reader) == {"clicks": Feed("clicks", counts_sales=False), "orders": Feed("orders", "EUR")}


def test_a_feed_whose_currency_or_sales_changed_is_to_be_counted_anew_and_no_other(
    own_contracts: Settings, connection: Connection, reader: Connection
) -> None:
    for name in ("orders", "clicks", "returns"):
        save(own_contracts, name)
        loaded(connection, name)
    assert refreshed(own_contracts, reader) == set(), "of new feeds nothing was counted"
    assert refreshed(own_contracts, reader) == set()
    save(own_contracts, "orders", reportCurrency="EUR")
    save(own_contracts, "clicks", sales=False)
    assert refreshed(own_contracts, reader) == {"orders", "clicks"}
    assert refreshed(own_contracts, reader) == set()
    save(own_contracts, "clicks")
    loaded(connection, "wholesale")
    assert refreshed(own_contracts, reader) == {"clicks"}
    assert kept(reader)["clicks"].counts_sales


def test_whose_total_a_feed_is_in_counts_nothing_anew(
    own_contracts: Settings, connection: Connection, reader: Connection
) -> None:
    loaded(connection, "events")
    loaded(connection, "orders")
    refreshed(own_contracts, reader)
    assert not kept(reader)["events"].is_of_shop
    assert refreshed(replace(own_contracts, shop_feeds="events"), reader) == set()
    assert kept(reader)["events"].is_of_shop
    assert not kept(reader)["orders"].is_of_shop


@pytest.mark.parametrize("text", ["{", None, "twin"], ids=["broken", "gone", "of one name with another"])
def test_a_feed_without_a_contract_that_can_be_read_stays_as_it_was(
    own_contracts: Settings, connection: Connection, reader: Connection, text: str | None
) -> None:
    save(own_contracts, "orders", reportCurrency="EUR", sales=False)
    loaded(connection, "orders")
    refreshed(own_contracts, reader)
    path = own_contracts.contracts_dir / "orders.odcs.yaml"
    if text == "twin":
        save(own_contracts, "orders", reportCurrency="USD")
        (own_contracts.contracts_dir / "twin.odcs.yaml").write_text(path.read_text())
    elif text is None:
        path.unlink()
    else:
        path.write_text(text)
    assert refreshed(own_contracts, reader) == set()
    assert kept(reader)["orders"] == Feed("orders", "EUR", counts_sales=False)


def test_a_feed_that_no_contract_ever_told_of_counts_in_no_currency(
    own_contracts: Settings, connection: Connection, reader: Connection
) -> None:
    loaded(connection, "long gone")
    assert feeds(own_contracts, reader) == [Feed("long gone")]


def test_the_generator_s_feed_is_the_shop_s_until_another_one_has_a_loaded_file(
    own_contracts: Settings, connection: Connection, load: Land, reader: Connection
) -> None:
    load(table(event(1)))
    [generated] = feeds(own_contracts, reader)
    assert generated == Feed("events", is_generated=True, is_of_shop=True)
    save(own_contracts, "orders")
    assert feeds(own_contracts, reader) == [generated], "a contract alone is no feed"
    file_id = load(file_of("orders"))
    refreshed(own_contracts, reader)
    assert {name: feed.is_of_shop for name, feed in kept(reader).items()} == {"events": False, "orders": True}
    unload_file(own_contracts, file_id, "a try", by_whom="test")
    refreshed(own_contracts, reader)
    assert kept(reader)["events"].is_of_shop, "what was unloaded is no feed of the shop's any more"


def test_the_shop_s_feeds_are_those_that_the_user_names(
    own_contracts: Settings, connection: Connection, reader: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("events", "orders", "clicks"):
        loaded(connection, name)
    named = replace(own_contracts, shop_feeds="orders, events, ordres")
    assert [feed.feed for feed in feeds(named, reader) if feed.is_of_shop] == ["events", "orders"]
    assert [record.message for record in caplog.records] == [
        "SLUICE_SHOP_FEEDS names 'ordres', which is no contract: the shop's totals lack it"
    ]


def test_feeds_are_read_and_written_over_any_connection_by_whoever_refreshes(
    own_contracts: Settings, connection: Connection
) -> None:
    """Airflow's hook gives rows as tuples; an unload refreshes as the writer."""
    loaded(connection, "orders")
    with psycopg.connect(own_contracts.writer_dsn) as writer:
        assert refreshed(own_contracts, writer) == set()
    with psycopg.connect(own_contracts.reader_dsn) as reader:
        save(own_contracts, "orders", reportCurrency="EUR")
        assert refreshed(own_contracts, reader) == {"orders"}
    assert kept(connection) == {"orders": Feed("orders", "EUR")}


def test_which_feeds_are_loaded_costs_the_same_however_many_files_there_are(
    own_contracts: Settings, connection: Connection, reader: Connection
) -> None:
    for feed, files in (("clicks", 20_000), ("events", 20_000), ("orders", 1)):
        loaded(connection, feed, files)
    connection.execute("VACUUM ANALYZE ledger.files")
    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {queries.text('report_feeds.loaded')}"
    row = reader.execute(explain).fetchone()  # type: ignore[call-overload]
    plan = row["QUERY PLAN"][0]["Plan"]
    assert "Seq Scan" not in json.dumps([one for one in _nodes(plan) if one.get("Relation Name") == "files"])
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 50, plan
    assert [feed.feed for feed in feeds(own_contracts, reader)] == ["clicks", "events", "orders"]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)


def test_a_zone_that_the_server_does_not_know_is_told_and_the_transaction_goes_on(
    settings: Settings, reader: Connection
) -> None:
    unheard = replace(settings, shop_zone="Europe/Atlantis")
    with reader.transaction():
        refuse_unknown_zone(settings, reader)
        with pytest.raises(
            SettingError, match="SLUICE_SHOP_ZONE='Europe/Atlantis' is unknown to this PostgreSQL server"
        ):
            refuse_unknown_zone(unheard, reader)
        assert feeds(settings, reader) == []


def test_doctor_tells_of_it(
    running: Instance, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sluice.base.settings.is_zone", lambda name: True)
    monkeypatch.setenv("SLUICE_SHOP_ZONE", "Europe/Atlantis")
    assert cli.main(["doctor"]) == 1
    assert "SLUICE_SHOP_ZONE='Europe/Atlantis' is unknown to this PostgreSQL server" in capsys.readouterr().out
