"""The published reports in a few readable lines, for a task log or a terminal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import dict_row

from sluice.base import queries


def lines(connection: psycopg.Connection[Any]) -> list[str]:
    """What the last refresh published: by feed totals, funnel and three products, and the shop's latest three days."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return [
            *(
                f"as of {row['as_of']} UTC: {row['events']:,} events, {row['sales']:,} sales; days of {row['zone']}"
                for row in queries.all(cursor, "summary.refresh")
            ),
            *(_feed(row) for row in queries.all(cursor, "summary.feeds")),
            *(_funnel(row) for row in queries.all(cursor, "summary.funnel")),
            *(
                f"{row['feed']}: top product {row['product_id']} ({row['category'] or 'no category'}): "
                f"revenue {row['revenue']:,.2f}, {row['units']:,} units, {row['buyers']:,} buyers"
                for row in queries.all(cursor, "summary.best_products")
            ),
            *(
                f"the shop on {row['day']}: {row['orders']:,} orders, {row['purchases']:,} purchases, "
                f"revenue {row['revenue']:,.2f} {row['currency']}".rstrip()
                for row in queries.all(cursor, "summary.latest_days")
            ),
        ]


def _feed(row: dict[str, Any]) -> str:
    said = (
        f"{row['feed']}: {row['events']:,} events, {row['purchases']:,} purchases, "
        f"{row['cancellations']:,} cancellations, revenue {row['revenue']:,.2f} {row['currency']}".rstrip()
    )
    said += ", made up by the generator" if row["is_generated"] else ""
    return said if row["is_of_shop"] else f"{said}, not in the shop's totals"


def _funnel(row: dict[str, Any]) -> str:
    return (
        f"{row['feed']}: of {row['sessions']:,} sessions {row['viewed']:,} viewed, {row['carted']:,} carted, "
        f"{row['bought']:,} bought; view to cart {_share(row['view_to_cart'])}, "
        f"cart to buy {_share(row['cart_to_buy'])}, view to buy {_share(row['view_to_buy'])}"
    )


def _share(value: Decimal | None) -> str:
    return "-" if value is None else f"{value:.1%}"
