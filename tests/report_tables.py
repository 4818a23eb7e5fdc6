"""What the reports publish, by name and columns, as plain tables that a test may fill with anything."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[dict[str, Any]]

_SOLD = "purchases bigint, cancellations bigint, units numeric, buyers bigint"
_VIEWED = "events bigint, views bigint, carts bigint, purchases bigint"
PUBLISHED = {
    "feeds": "feed text, currency text, counts_sales boolean, is_generated boolean, is_of_shop boolean",
    "last_refresh": "built_by text, as_of timestamptz, zone text, events bigint, sales bigint, revenue numeric, "
    "seconds numeric, changes bigint",
    "shop_days": "currency text, day date, purchases bigint, units numeric, orders bigint, buyers bigint, "
    "revenue numeric",
    "revenue_by_hour": f"feed text, currency text, hour timestamptz, {_SOLD}, revenue numeric",
    "revenue_by_day": f"feed text, currency text, day date, {_SOLD}, orders bigint, revenue numeric",
    "hour_of_week": "feed text, currency text, weekday integer, hour integer, purchases bigint, revenue numeric",
    "categories": "feed text, currency text, category text, purchases bigint, units numeric, revenue numeric",
    "payment_methods": "feed text, currency text, payment_method text, purchases bigint, revenue numeric",
    "products": "feed text, currency text, product_id text, category text, lowest_price numeric, "
    f"highest_price numeric, first_seen timestamptz, last_seen timestamptz, {_VIEWED}, "
    "units numeric, buyers bigint, revenue numeric",
    "top_products": "feed text, currency text, product_id text, category text, revenue numeric, units numeric, "
    "buyers bigint, rank_by_revenue bigint, rank_by_units bigint, rank_by_buyers bigint",
    "funnel_by_day": "feed text, day date, sessions bigint, viewed bigint, carted bigint, bought bigint, "
    "viewed_and_carted bigint, carted_and_bought bigint, viewed_and_bought bigint",
    "funnel": "feed text, sessions bigint, viewed bigint, carted bigint, bought bigint, view_to_cart numeric, "
    "cart_to_buy numeric, view_to_buy numeric",
    "orders_by_day": "feed text, currency text, day date, orders bigint, items bigint, units numeric, revenue numeric",
    "customers_by_day": "feed text, day date, new_customers bigint, returning_customers bigint",
    "cohorts": "feed text, cohort date, month date, customers bigint",
    "bought_together": "feed text, product_id text, other_product_id text, orders bigint",
    "abandoned_carts": "feed text, day date, carts bigint, abandoned bigint, value numeric",
    "searches": "feed text, query text, searches bigint, without_result bigint, sessions bigint, carted bigint, "
    "bought bigint",
    "searches_without_result": "feed text, search_query text, searches bigint, users bigint, "
    "last_searched_at timestamptz",
}


def make(connection: Connection) -> None:
    """In place of what schema ``report`` holds, empty tables that everybody may read. ``connection``: the owner's."""
    with connection.transaction():
        connection.execute("DROP SCHEMA report CASCADE")
        connection.execute("CREATE SCHEMA report")
        connection.execute("GRANT USAGE ON SCHEMA report TO PUBLIC")
        for name, columns in PUBLISHED.items():
            connection.execute(f"CREATE TABLE report.{name} ({columns})".encode())
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA report TO PUBLIC")


def add(connection: Connection, name: str, **values: object) -> None:
    """A row of ``report.<name>``; what is not given is NULL."""
    connection.execute(
        sql.SQL("INSERT INTO report.{} ({}) VALUES ({})").format(
            sql.Identifier(name),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(map(sql.Placeholder, values)),
        ),
        values,
    )
