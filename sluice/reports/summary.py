"""The published reports in a few readable lines, for a task log or a terminal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg

from sluice.base import queries


def lines(connection: psycopg.Connection[Any]) -> list[str]:
    """What the last refresh published: totals, the funnel, three products, the latest six hours (UTC)."""
    said = [
        f"as of {as_of} UTC: {events:,} events, {sales:,} sales, revenue {revenue:,.2f}"
        for as_of, events, sales, revenue in queries.all(connection, "summary.refresh")
    ]
    said += [
        f"funnel: of {sessions:,} sessions {viewed:,} viewed, {carted:,} carted, {bought:,} bought; "
        f"view to cart {_share(to_cart)}, cart to buy {_share(to_buy)}, view to buy {_share(whole)}"
        for sessions, viewed, carted, bought, to_cart, to_buy, whole in queries.all(connection, "summary.funnel")
    ]
    said += [
        f"top product {product} ({category or 'no category'}): "
        f"revenue {revenue:,.2f}, {units:,} units, {buyers:,} buyers"
        for product, category, revenue, units, buyers in queries.all(connection, "summary.best_products")
    ]
    said += [
        f"hour {hour} UTC: {purchases:,} purchases, revenue {revenue:,.2f}"
        for hour, purchases, revenue in queries.all(connection, "summary.latest_hours")
    ]
    return said


def _share(value: Decimal | None) -> str:
    return "-" if value is None else f"{value:.1%}"
