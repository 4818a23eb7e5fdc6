"""Columns that a contract does not know, or that have no name: kept when they have a value, and harmless when not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sluice.base.settings import Settings
from sluice.loading.load_file import FileLoader
from sluice.loading.replay import replay
from tests.loading import HEADER, Connection, change_contract, event, recount, write_contract

Land = Callable[..., int]
REES46 = "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"
VIEW = "2019-10-01 00:00:00 UTC,view,44600062,2103807459595387724,,{brand},35.79,541312140,72d76fde"
RETAIL = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
LINE = "536365,85123A,{brand},6,2010-12-01 08:26:00,2.55,17850,United Kingdom"


@pytest.fixture
def loader(settings: Settings, epoch: int) -> Iterator[FileLoader]:
    """A loader under the contracts that the project ships."""
    made = FileLoader(settings, epoch)
    yield made
    made.close()


def extras(connection: Connection) -> list[dict[str, Any] | None]:
    return [row["extra"] for row in connection.execute("SELECT extra FROM events ORDER BY file_id, record_number")]


@pytest.mark.parametrize(
    ("header", "line", "name"), [(REES46, VIEW, "brand"), (RETAIL, LINE, "Description")], ids=["rees46", "retail"]
)
@pytest.mark.parametrize(
    ("more", "values", "kept"),
    [
        (",coupon", [",ten", ","], [{"coupon": "ten"}, {}]),
        (",", [",", ",", ",x"], [{}, {}, {"unnamed": "x"}]),
        (",coupon,", [",,", ",ten,"], [{}, {"coupon": "ten"}]),
        (",coupon,,voucher", [",,,", ',"",,two'], [{}, {"coupon": "", "voucher": "two"}]),
    ],
    ids=["unknown", "unnamed", "unknown and unnamed", "several"],
)
def test_an_unknown_or_unnamed_column_may_be_empty_in_any_row(
    loader: FileLoader,
    land: Land,
    connection: Connection,
    header: str,
    line: str,
    name: str,
    more: str,
    values: list[str],
    kept: list[dict[str, str]],
) -> None:
    lines = [line.format(brand=brand) + value for brand in ("brand", "") for value in values]
    tally = loader.load(land("\n".join([header + more, *lines]) + "\n"))
    assert (tally.state, tally.rows_loaded) == ("loaded", 2 * len(values))
    unnamed = f"column_{header.count(',') + 2}"
    expected = [{(unnamed if key == "unnamed" else key): text for key, text in row.items()} for row in kept]
    always = ("category_id", "CustomerID", "Country")
    found = [{key: value for key, value in (row or {}).items() if key not in always} for row in extras(connection)]
    assert found == [{name: "brand"} | row for row in expected] + expected


def test_a_file_whose_header_and_rows_end_in_a_separator_loads_and_has_nothing_extra(
    loader: FileLoader, land: Land, connection: Connection
) -> None:
    tally = loader.load(land("\n".join([HEADER + ",", event(1) + ",", event(2) + ","]) + "\n"))
    assert (tally.state, tally.rows_loaded) == ("loaded", 2)
    assert extras(connection) == [None, None]


def test_a_replayed_row_whose_unknown_columns_are_empty_is_loaded(
    own_contracts: Settings, load: Land, connection: Connection
) -> None:
    document = change_contract(own_contracts)
    document["schema"][0]["properties"].append({"name": "shop", "logicalType": "string"})
    write_contract(own_contracts, document)
    lines = [event(1, kind="teleport") + ",berlin,,", event(2, kind="teleport") + ",berlin,ten,"]
    file_id = load("\n".join([HEADER + ",shop,coupon,", *lines]) + "\n")
    types = next(p for p in document["schema"][0]["properties"] if p["name"] == "event_type")
    types["enum"].append({"value": "teleport"})
    write_contract(own_contracts, document)
    assert replay(own_contracts).loaded == 2
    assert recount(connection) == {file_id: (2, 0, 0)}
    assert extras(connection) == [{"shop": "berlin"}, {"shop": "berlin", "coupon": "ten"}]
