"""The events under a figure of the shop, a page at a time, and one event by its place in its file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from sluice.base import queries
from sluice.watching import shop
from sluice.watching.reader import Connection

Row = dict[str, Any]
# "sale" is what revenue is made of; "search_in_vain" is a search that found nothing.
Kind = Literal[
    "all",
    "sale",
    "purchase",
    "cancellation",
    "product_view",
    "add_to_cart",
    "remove_from_cart",
    "wishlist_add",
    "search",
    "search_in_vain",
]
PAGE = 100
_SALES = ("purchase", "cancellation")


@dataclass(frozen=True)
class Wanted:
    """The events of a day, or of an hour that begins then. ``in_utc``: the day is one of UTC, not of the shop's zone.

    ``until`` and ``until_id`` are those of the last event that was shown. ``currency`` is of sales only.
    """

    day: date
    hour: datetime | None = None
    in_utc: bool = False
    kind: Kind = "all"
    feed: str | None = None
    currency: str | None = None
    product: str | None = None
    term: str | None = None
    until: datetime | None = None
    until_id: UUID | None = None


def page(connection: Connection, wanted: Wanted, most: int = PAGE) -> Row:
    """The newest events first. Raises shop.UnknownError."""
    asked = shop.Asked("own", wanted.day, wanted.day, wanted.feed, wanted.currency)
    of = shop.scope(connection, asked)
    bounds = _bounds(connection, wanted, of.zone)
    of_sales = wanted.kind in ("sale", *_SALES)
    found = _ask(
        connection,
        **bounds,
        types=_types(wanted.kind),
        in_vain=wanted.kind == "search_in_vain",
        of_sales=of_sales,
        feeds=list(of.feeds),
        currency=of.currency,
        product=wanted.product,
        term=wanted.term,
        until=wanted.until,
        until_id=wanted.until_id,
        most=most + 1,
    )
    rows = shop.plain(found[:most])
    return {
        "zone": "UTC" if wanted.in_utc else of.zone,
        "feeds": list(of.feeds),
        "currency": of.currency if of_sales else None,
        **bounds,
        "rows": rows,
        "next": {name: rows[-1][name] for name in ("event_time", "event_id")} if len(found) > most else None,
    }


def one(connection: Connection, file_id: int, record_number: int) -> Row:
    """What the tables have of a record: its file, and its event, if it is one. Raises shop.UnknownError."""
    place = {"file_id": file_id, "record_number": record_number}
    file = queries.one(connection, "watching/shop_events.file", file_id=file_id)
    if file is None:
        raise shop.UnknownError("there is no such file")
    event = queries.one(connection, "watching/shop_events.event", **place)
    return {
        **place,
        "file": file,
        "event": event and shop.plain([event])[0],
        **queries.row(connection, "watching/shop_events.elsewhere", **place),
    }


def _bounds(connection: Connection, wanted: Wanted, zone: str) -> Row:
    if wanted.hour is not None:
        return {"begins": wanted.hour, "ends": wanted.hour + timedelta(hours=1)}
    return queries.row(connection, "watching/shop_events.bounds", day=wanted.day, zone="UTC" if wanted.in_utc else zone)


def _types(kind: Kind) -> list[str] | None:
    if kind == "all":
        return None
    return {"sale": [*_SALES], "search_in_vain": ["search"]}.get(kind, [kind])


def _ask(connection: Connection, **values: Any) -> list[Row]:
    # With its values in it the server leaves out other months before it looks.
    cursor = psycopg.ClientCursor(connection, row_factory=dict_row)
    return queries.all(cursor, "watching/shop_events.page", **values)
