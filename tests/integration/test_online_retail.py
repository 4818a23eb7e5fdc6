"""Online Retail, 40 days of a real shop, under the contract of that name: every line is accounted for."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from sluice.base.settings import PROJECT, Settings
from sluice.loading.load_file import FileLoader
from tests.loading import Connection, recount
from tests.public_data import PUBLIC_DATA, needs

DATA = PUBLIC_DATA / "online_retail"
pytestmark = needs("online_retail")


@pytest.fixture
def shipped(own_contracts: Settings) -> Settings:
    """Settings with the contracts that the project ships."""
    return replace(own_contracts, contracts=str(PROJECT / "include" / "contracts"))


def test_forty_days_load_and_every_line_is_what_it_was(
    shipped: Settings, epoch: int, land: Callable[..., int], connection: Connection
) -> None:
    loader = FileLoader(shipped, epoch)
    try:
        files = sorted((DATA / "by-day").glob("*.csv"))
        tallies = [loader.load(land(path.read_bytes(), path.name)) for path in files]
    finally:
        loader.close()
    assert len(files) == 40
    assert sum(tally.rows_read for tally in tallies) == 72_814
    counted = recount(connection)
    assert [sum(column) for column in zip(*counted.values(), strict=True)] == [72_814, 0, 0]
    kinds = connection.execute(
        "SELECT event_type, count(*) AS rows, sum(quantity) AS quantity, max(quantity) AS largest, "
        "max(total_amount) AS highest FROM events GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert [(kind["event_type"], kind["rows"]) for kind in kinds] == [
        ("adjustment", 113),
        ("cancellation", 1259),
        ("purchase", 71_442),
    ]
    assert all(kind["largest"] < 0 for kind in kinds[:2])
    assert kinds[1]["highest"] < 0
    amounts = connection.execute(
        "SELECT count(*) AS rows FROM events WHERE total_amount IS DISTINCT FROM quantity * price"
    ).fetchone()
    assert amounts == {"rows": 0}
    warned = connection.execute("SELECT sum(rows_warned) AS rows FROM ledger.files").fetchone()
    assert warned == {"rows": 231}
    drifted = connection.execute("SELECT name, drift FROM ledger.files WHERE drift IS NOT NULL").fetchall()
    assert drifted == []


def test_customers_are_cleaned_and_their_text_is_kept(
    shipped: Settings, epoch: int, land: Callable[..., int], connection: Connection
) -> None:
    day = DATA / "by-day" / "2010-12-01.csv"
    loader = FileLoader(shipped, epoch)
    loader.load(land(day.read_bytes(), day.name))
    loader.close()
    first = connection.execute("SELECT * FROM events WHERE record_number = 1").fetchone()
    assert first is not None
    assert (first["user_id"], first["session_id"], first["product_id"]) == ("17850", "536365", "85123A")
    assert (first["quantity"], first["price"], first["total_amount"]) == (6, Decimal("2.55"), Decimal("15.30"))
    assert first["event_time"].isoformat() == "2010-12-01T08:26:00+00:00"
    assert first["extra"] == {
        "Description": "WHITE HANGING HEART T-LIGHT HOLDER",
        "CustomerID": "17850.0",
        "Country": "United Kingdom",
    }
    padded = connection.execute(
        "SELECT count(*) FILTER (WHERE extra->>'Description' LIKE '% ') AS padded, "
        "count(*) FILTER (WHERE user_id IS NULL AND NOT extra ? 'CustomerID') AS nobody FROM events"
    ).fetchone()
    lines = list(csv.DictReader(day.read_text().splitlines()))
    assert padded == {
        "padded": sum(line["Description"].endswith(" ") for line in lines),
        "nobody": sum(not line["CustomerID"] for line in lines),
    }


def test_the_other_export_with_mark_crlf_and_american_dates_loads_under_the_same_contract(
    shipped: Settings, epoch: int, land: Callable[..., int], connection: Connection
) -> None:
    loader = FileLoader(shipped, epoch)
    tally = loader.load(land((DATA / "sample_bom_crlf.csv").read_bytes(), "sample.csv"))
    loader.close()
    assert (tally.rows_read, tally.rows_loaded) == (9_999, 9_999)
    first = connection.execute("SELECT event_time, user_id, extra FROM events WHERE record_number = 1").fetchone()
    assert first is not None
    assert first["event_time"].isoformat() == "2010-12-01T08:26:00+00:00"
    assert (first["user_id"], first["extra"]["Country"]) == ("17850", "United Kingdom")
