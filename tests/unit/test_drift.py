"""Drift: which names look like which, and which empty columns say something."""

from __future__ import annotations

import time

import pytest

from sluice.base.settings import PROJECT
from sluice.contracts.drift import emptied, likely_renames, of_header, says
from sluice.contracts.matching import Match, match
from sluice.contracts.model import HeaderError
from sluice.contracts.parse import parse_contract

SHIPPED = PROJECT / "include" / "contracts"
EVENTS = (
    "event_id,event_type,user_id,product_id,category,price,timestamp,session_id,ip_address,user_agent,search_query,"
    "search_results_count,quantity,total_amount,payment_method"
)
REES46 = "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"
RETAIL = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"


def matched(name: str, header: str) -> Match:
    path = SHIPPED / f"{name}.odcs.yaml"
    return Match(parse_contract(path.read_text(), path), tuple(header.split(",")))


@pytest.mark.parametrize(
    ("name", "header"),
    [("events", EVENTS), ("events", EVENTS.upper() + ","), ("rees46", REES46), ("online_retail", RETAIL)],
)
def test_the_feeds_of_the_shipped_contracts_have_not_drifted(name: str, header: str) -> None:
    assert matched(name, header).drift == {}


def test_a_header_says_what_is_missing_new_and_renamed() -> None:
    header = REES46.replace("brand,", "").replace("category_code", "CategoryCode") + ",coupon"
    found = matched("rees46", header)
    assert found.drift == {"missing": ["brand"], "new": ["coupon"], "renamed": {"category_code": "CategoryCode"}}
    assert says(found.drift) == (
        "CategoryCode looks like category_code: add a synonym; the header lacks brand; "
        "the contract does not know coupon"
    )
    assert "category" not in found.fillable, "a column that is not there is not empty, too"


def test_names_that_no_contract_can_describe_are_no_drift() -> None:
    assert matched("rees46", REES46 + ",,__index,record_number").drift == {}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("client_id", "clientId"), ("client_id", "ClientID"), ("client_id", "client id"), ("customer_id", "cust_id")],
)
def test_a_new_name_looks_like_the_missing_one_whatever_its_case_and_marks(ours: str, theirs: str) -> None:
    assert likely_renames({ours: (ours,)}, ["colour", theirs]) == {ours: theirs}


def test_a_synonym_is_a_name_to_look_like_and_each_name_is_taken_once() -> None:
    missing = {"user": ("user", "Kundennummer"), "kunden_id": ("kunden_id",)}
    assert likely_renames(missing, ["Kunden-Nummer"]) == {"user": "Kunden-Nummer"}
    assert likely_renames({"brand": ("brand",)}, ["coupon"]) == {}


def test_looking_for_likely_names_in_a_wide_header_is_quick() -> None:
    start = time.process_time()
    of_header({f"column_{i}": (f"column_{i}",) for i in range(15)}, [f"some other name {i}" for i in range(4000)])
    assert time.process_time() - start < 5


def test_a_file_that_lacks_a_needed_column_is_told_which_name_looks_like_it() -> None:
    found = matched("rees46", REES46)
    header = REES46.replace("user_id", "userId").split(",")
    with pytest.raises(HeaderError, match=r"also needs user_id \(userId looks like user_id: add a synonym\)"):
        match([(found.contract, header)])


@pytest.mark.parametrize(
    ("rows", "earlier", "is_empty"),
    [
        (100, [{"rows": 100, "x": 100}], True),
        (3, [{"rows": 5, "x": 5}], True),
        (0, [{"rows": 100, "x": 100}], False),
        (2, [{"rows": 1000, "x": 1000}], False),
        (100, [{"rows": 100, "x": 40}], False),
        (3, [{"rows": 100, "x": 70}], False),
        (100, [{"rows": 100, "x": 100}, {"rows": 100, "x": 0}], False),
        (100, [{"rows": 100, "x": 100}, {"rows": 0, "x": 0}], True),
        (100, [], False),
        (100, [{"rows": 100}], False),
    ],
    ids=[
        "always",
        "few rows",
        "no rows",
        "two rows",
        "seldom",
        "chance",
        "not in every file",
        "empty file",
        "first",
        "new",
    ],
)
def test_an_empty_column_is_drift_only_when_it_is_no_chance(
    rows: int, earlier: list[dict[str, int]], is_empty: bool
) -> None:
    assert emptied({"x": 0, "y": 1}, rows, earlier, []) == (["x"] if is_empty else [])


def test_what_was_said_to_be_empty_stays_so_until_a_file_fills_it() -> None:
    assert emptied({"x": 0}, 0, [], ["x"]) == ["x"]
    assert emptied({"x": 1}, 1, [], ["x"]) == []


def test_many_names_are_counted_rather_than_listed() -> None:
    assert says({"new": [f"c{i}" for i in range(25)]}).endswith("c19 and 5 more")
