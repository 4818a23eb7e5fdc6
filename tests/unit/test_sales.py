"""What counts as a sale is a contract's to say; of two that may bring the same sales, the doubtful one is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice.base.settings import PROJECT
from sluice.contracts.check import check
from sluice.contracts.draft import draft
from sluice.contracts.folder import read_contracts
from sluice.contracts.parse import parse_contract
from sluice.contracts.sales import doubts

ID = {"name": "event_id", "transformLogic": "record_id(file_sha256, record_number)"}
PRICE = {"name": "price", "logicalType": "number"}
TOTAL = {"name": "total", "physicalName": "total_amount", "logicalType": "number"}
CLICKS = {"view": "product_view", "order": "purchase"}
ORDERS = {"Kauf": "purchase", "Storno": "cancellation"}


def document(name: str, *columns: dict[str, Any], kind: dict[str, Any], **custom: Any) -> dict[str, Any]:
    """A contract whose event_type is as ``kind`` says, with ``columns`` and these custom properties."""
    when = {"name": f"{name} at", "physicalName": "event_time", "logicalType": "timestamp", "required": True}
    properties = [ID, {"name": "event_type"} | kind, when, *columns]
    return {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": name,
        "name": name,
        "version": "1.0.0",
        "status": "active",
        "customProperties": [{"property": key, "value": value} for key, value in custom.items()],
        "schema": [{"name": name, "properties": [{"logicalType": "string"} | column for column in properties]}],
    }


def mapped(words: dict[str, str]) -> dict[str, Any]:
    """A column of these words, each of which is a type of events."""
    return {
        "name": "action",
        "physicalName": "event_type",
        "enum": [{"value": word} for word in words],
        "customProperties": [{"property": "valueMap", "value": words}],
    }


def doubted(*documents: dict[str, Any]) -> dict[str, str]:
    """By name of contract: what is said of it."""
    contracts = [parse_contract(yaml.safe_dump(each), Path(f"{each['name']}.odcs.yaml")) for each in documents]
    return {contract.name: text for contract, text in doubts(contracts)}


orders = document("orders", TOTAL, kind=mapped(ORDERS))


def test_purchases_without_any_amount_beside_those_of_another_feed_are_told_of() -> None:
    found = doubted(document("clicks", kind=mapped(CLICKS)), orders)
    assert list(found) == ["clicks"]
    assert (
        "count as sales of 0 (nothing fills price or total_amount) in reports, and so do those of orders"
        in found["clicks"]
    )
    assert "write {property: sales, value: false} under customProperties" in found["clicks"]


def test_purchases_among_visits_beside_a_feed_of_sales_alone_are_told_of() -> None:
    found = doubted(
        document("clicks", PRICE, kind=mapped(CLICKS)), orders, document("shop_2", PRICE, kind=mapped(CLICKS))
    )
    assert list(found) == ["clicks", "shop_2"]
    assert "count as sales in reports, and so do those of orders:" in found["clicks"]


@pytest.mark.parametrize("says", [True, False])
def test_a_contract_that_says_what_its_sales_are_is_in_no_doubt(says: bool) -> None:
    assert doubted(document("clicks", kind=mapped(CLICKS), sales=says), orders) == {}


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([], id="none"),
        pytest.param([document("orders", TOTAL, kind=mapped(ORDERS), sales=False)], id="whose sales do not count"),
        pytest.param([document("orders", kind=mapped(ORDERS), sales=True)], id="whose sales have no amount"),
        pytest.param([document("stock", TOTAL, kind=mapped({"in": "stock"}))], id="without sales"),
        pytest.param([document("stock", TOTAL, kind={"transformLogic": "'stock'"})], id="of a type that is no sale"),
    ],
)
def test_beside_no_feed_whose_sales_it_may_bring_again_nothing_is_told(others: list[dict[str, Any]]) -> None:
    assert doubted(document("clicks", kind=mapped(CLICKS)), *others) == {}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(mapped({"view": "product_view"}), id="visits alone"),
        pytest.param({}, id="any text"),
        pytest.param({"transformLogic": "'scan'"}, id="a type of its own"),
    ],
)
def test_a_contract_that_names_no_purchase_is_in_no_doubt(kind: dict[str, Any]) -> None:
    assert doubted(document("clicks", kind=kind), orders) == {}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param({"enum": [{"value": "purchase"}]}, id="a list of values"),
        pytest.param(
            {"customProperties": [{"property": "valueMap", "value": {"order": "purchase"}}]}, id="a value map"
        ),
        pytest.param({"transformLogic": "CASE WHEN true THEN 'purchase' ELSE 'x' END"}, id="an expression"),
    ],
)
def test_a_purchase_is_named_wherever_a_contract_can_name_it(kind: dict[str, Any]) -> None:
    assert list(doubted(document("clicks", kind=kind), orders)) == ["clicks"]


@pytest.mark.parametrize(
    "kind", [pytest.param({}, id="any text"), pytest.param({"transformLogic": "'purchase'"}, id="an expression")]
)
def test_another_feed_may_sell_when_nothing_says_that_it_does_not(kind: dict[str, Any]) -> None:
    assert list(doubted(document("clicks", kind=mapped(CLICKS)), document("till", PRICE, kind=kind))) == ["clicks"]


def test_two_feeds_of_sales_alone_or_of_visits_and_sales_alike_are_two_shops() -> None:
    assert doubted(orders, document("till", PRICE, kind=mapped(ORDERS))) == {}
    assert doubted(document("web", PRICE, kind=mapped(CLICKS)), document("app", PRICE, kind=mapped(CLICKS))) == {}


def test_the_contracts_of_the_project_are_in_no_doubt() -> None:
    assert list(doubts(read_contracts(PROJECT / "include" / "contracts").usable)) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of contracts with one of orders."""
    made = tmp_path / "contracts"
    made.mkdir()
    (made / "orders.odcs.yaml").write_text(yaml.safe_dump(orders))
    return made


def test_make_contracts_tells_of_it_and_passes(folder: Path) -> None:
    (folder / "clicks.odcs.yaml").write_text(yaml.safe_dump(document("clicks", kind=mapped(CLICKS))))
    lines, is_well = check(folder)
    assert is_well
    assert [line for line in lines if line.startswith("clicks.odcs.yaml: warning: its purchases count as sales of 0")]


def test_make_contracts_tells_of_a_feed_of_the_shop_s_that_no_contract_is(folder: Path) -> None:
    lines, is_well = check(folder, ["orders", "ordres"])
    assert is_well
    [said] = [line for line in lines if "SHOP_FEEDS" in line]
    assert said.startswith("warning: SLUICE_SHOP_FEEDS names 'ordres', and no contract is named so: correct it")


def about_sales(tmp_path: Path, header: str, row: str, contracts: Path | None) -> list[tuple[str, bool]]:
    """What a draft of such a file says of sales, and whether it asks."""
    path = tmp_path / "feed.csv"
    path.write_text(f"{header}\n{row}\n")
    drafted = draft(path, contracts=contracts)
    return [(str(finding), finding.question) for finding in drafted.findings if "count as sales" in str(finding)]


def test_a_draft_of_purchases_says_that_they_count(tmp_path: Path) -> None:
    [(text, is_question)] = about_sales(tmp_path, "time,action,price", "2026-01-31Z,purchase,9.50", None)
    assert text == (
        "action: purchases and cancellations count as sales in reports; otherwise: "
        "{property: sales, value: false} under the contract's customProperties"
    )
    assert not is_question
    [(text, _)] = about_sales(tmp_path, "time,action,sku", "2026-01-31Z,cancellation,P1", None)
    assert "count as sales of 0 in reports" in text


def test_a_draft_of_purchases_beside_other_sales_asks_whether_they_are_the_same(tmp_path: Path, folder: Path) -> None:
    [(text, is_question)] = about_sales(tmp_path, "time,action,price", "2026-01-31Z,purchase,9.50", folder)
    assert "count as sales in reports, and so do those of orders: the same ones would count twice; otherwise:" in text
    assert is_question


def test_a_draft_without_purchases_says_nothing_of_sales(tmp_path: Path, folder: Path) -> None:
    assert about_sales(tmp_path, "time,action,price", "2026-01-31Z,view,9.50", folder) == []
