"""From the rows of a query to a table, each row with a bar. As in ``pictures``, None when there is nothing to show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sluice.reports.html.charts import Chart, Item, Table, bars
from sluice.reports.html.figures import money, whole
from sluice.reports.html.pictures import Rows
from sluice.reports.html.spans import Span
from sluice.reports.html.text import shortened

# Told apart from a text of a feed by how they are set.
NO_NAME = "none given"
EMPTY = "empty"


def products(rows: Rows, span: Span, currency: str) -> Chart | None:
    """Products with their category, revenue, units and buyers."""
    return _table(
        rows,
        ("product", "revenue", "units", "buyers"),
        lambda row: (named(row["product_id"], beside=row["category"] or ""),),
        lambda row: (money(row["revenue"]), whole(row["units"]), whole(row["buyers"])),
        "revenue",
    )


def categories(rows: Rows, span: Span, currency: str) -> Chart | None:
    """Categories, and all others as one."""
    return _table(
        rows,
        ("category", "revenue", "units", "purchases"),
        lambda row: (_or_others(row, row["category"]),),
        lambda row: (money(row["revenue"]), whole(row["units"]), whole(row["purchases"])),
        "revenue",
    )


def payment_methods(rows: Rows, span: Span, currency: str) -> Chart | None:
    """Ways to pay, and all others as one."""
    return _table(
        rows,
        ("payment method", "revenue", "purchases"),
        lambda row: (_or_others(row, row["payment_method"]),),
        lambda row: (money(row["revenue"]), whole(row["purchases"])),
        "revenue",
    )


def bought_together(rows: Rows, span: Span, currency: str) -> Chart | None:
    """Pairs of products."""
    return _table(
        rows,
        ("product", "and", "orders"),
        lambda row: (named(row["product_id"]), named(row["other_product_id"])),
        lambda row: (whole(row["orders"]),),
        "orders",
    )


def searches(rows: Rows, span: Span, currency: str) -> Chart | None:
    """Queries, how often nothing was found, and how many sessions then put something in a cart, or bought."""
    return _table(
        rows,
        ("query", "searches", "none found", "in cart", "bought"),
        lambda row: (named(row["query"]),),
        lambda row: tuple(whole(row[column]) for column in ("searches", "without_result", "carted", "bought")),
        "searches",
    )


def searches_without_result(rows: Rows, span: Span, currency: str) -> Chart | None:
    """Queries that found nothing."""
    return _table(
        rows,
        ("query", "searches", "users", "last"),
        lambda row: (named(row["search_query"]),),
        lambda row: (whole(row["searches"]), whole(row["users"]), row["last_day"] or ""),
        "searches",
    )


def named(text: str | None, beside: str = "") -> Item:
    """A text of a feed, or a word of ours where there is none."""
    if not text:
        return Item(NO_NAME if text is None else EMPTY, shortened(beside), is_ours=True)
    return Item(shortened(text), shortened(beside))


def _or_others(row: dict[str, Any], text: str | None) -> Item:
    return Item(f"{int(text or 0):,} others", is_ours=True) if row["others"] else named(text)


def _table(
    rows: Rows,
    heads: tuple[str, ...],
    items: Callable[[dict[str, Any]], tuple[Item, ...]],
    numbers: Callable[[dict[str, Any]], tuple[str, ...]],
    measure: str,
) -> Table | None:
    if not rows:
        return None
    measured = bars([row[measure] for row in rows])
    made = []
    for row, bar in zip(rows, measured, strict=True):
        first, *others = items(row)
        made.append(((replace(first, bar=bar), *others), numbers(row)))
    return Table(heads, tuple(made))
