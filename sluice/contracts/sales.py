"""Which contracts bring sales, and which of them may bring the sales of another one a second time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sluice.contracts.model import Column, Contract
from sluice.contracts.rules.column_rules import listed_texts

# Types of events: those that reports count as sales, and what else visitors of a shop do.
SALES = frozenset({"purchase", "cancellation"})
VISITS = frozenset({"product_view", "search", "wishlist_add", "add_to_cart", "remove_from_cart"})
# The columns of events of which either makes a sale's amount.
AMOUNTS = frozenset({"price", "total_amount"})


def counting(contracts: Sequence[Contract]) -> list[Contract]:
    """The contracts that may bring sales with an amount, which reports count."""
    return [
        contract for contract in contracts if contract.counts_sales and _may_sell(contract) and _has_amount(contract)
    ]


def doubts(contracts: Sequence[Contract]) -> Iterator[tuple[Contract, str]]:
    """Those of ``contracts`` that should say whether their sales count, each with reason and remedy."""
    for contract in contracts:
        if others := _sold_by(contract, counting(contracts)):
            amount = "" if _has_amount(contract) else " of 0 (nothing fills price or total_amount)"
            text = (
                f"its purchases count as sales{amount} in reports, and so do those of {names(others)}: if they are the "
                "same, write {property: sales, value: false} under customProperties; if they are not, value: true"
            )
            yield contract, text


def names(contracts: Sequence[Contract], most: int = 5) -> str:
    """The contracts' names for people, of many the first ones."""
    more = f" and {len(contracts) - most} more" if len(contracts) > most else ""
    return f"{', '.join(contract.name for contract in contracts[:most])}{more}"


def _sold_by(contract: Contract, others: Sequence[Contract]) -> list[Contract]:
    """Those of ``others`` whose sales ``contract`` may bring again; none when it says itself what they are.

    It may when its sales stand among visits, as in a stream of clicks, and another feed has sales without visits; or
    when its sales have no amount, and another feed's have one.
    """
    types = _types(contract)
    if contract.sales is not None or not types & SALES:
        return []
    others = [other for other in others if other is not contract]
    if not _has_amount(contract):
        return others
    return [other for other in others if types & VISITS and not _types(other) & VISITS]


def _has_amount(contract: Contract) -> bool:
    return any(column.target in AMOUNTS for column in contract.columns)


def _may_sell(contract: Contract) -> bool:
    kind = _kind(contract)
    may_be_any = kind.transform is None and listed_texts(kind) is None
    return may_be_any or bool(_types(contract) & SALES)


def _types(contract: Contract) -> set[str | None]:
    """The types of events that the contract names: in its list of values, or where it makes them."""
    kind = _kind(contract)
    if kind.transform is not None:
        return {name for name in SALES | VISITS if f"'{name}'" in kind.transform}
    listed = listed_texts(kind)
    return {*kind.value_map.values()} if listed is None else {kind.value_map.get(text, text) for text in listed}


def _kind(contract: Contract) -> Column:
    return next(column for column in contract.columns if column.target == "event_type")
