"""The shop in figures: what the reports say of a range of days, against the range before, each with its SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

import psycopg
from psycopg.rows import dict_row

from sluice.base import queries
from sluice.reports.html.figures import change, ratio
from sluice.watching.reader import Connection
from sluice.watching.shop_range import MOST_DAYS_OF_LISTS, Range, Span, chosen

Row = dict[str, Any]
Chart = Literal["sales", "hours", "funnel", "customers", "products", "searches"]
_BY_DAY = ("sales", "hours", "funnel", "customers")
SHOWN_PRODUCTS, SHOWN_TERMS = 20, 20
CSV_ROWS = 1000
_SALES = ("revenue", "orders", "ordered", "units", "purchases", "cancellations")
_FUNNEL = ("sessions", "viewed", "carted", "bought", "viewed_and_carted", "carted_and_bought", "viewed_and_bought")
_CUSTOMERS = ("new_customers", "returning_customers")
_SEARCHES = ("searches", "without_result")


class UnknownError(LookupError):
    """Nothing is known of what was asked for; the message says of what."""


@dataclass(frozen=True)
class Asked:
    """What somebody chose; no feed: those of the shop; no currency: that of most revenue."""

    span: Span = "28d"
    first: date | None = None
    last: date | None = None
    feed: str | None = None
    currency: str | None = None


@dataclass(frozen=True)
class Scope:
    """What the figures are of."""

    as_of: datetime
    zone: str
    today: date
    feeds: tuple[str, ...]
    currencies: tuple[Row, ...]
    currency: str
    days: Range

    def values(self, days: Range | None = None) -> Row:
        """For queries, by name."""
        days = days or self.days
        return {
            "feeds": list(self.feeds),
            "currency": self.currency,
            "zone": self.zone,
            "first": days.first,
            "last": days.last,
            "before": days.before.first,
        }

    @property
    def lists_are_bounded(self) -> bool:
        """Whether the range is short enough for lists."""
        return self.days.days <= MOST_DAYS_OF_LISTS

    def told(self) -> Row:
        """For people."""
        days = {"first": self.days.first, "last": self.days.last, "days": self.days.days}
        before = {"first": self.days.before.first, "last": self.days.before.last}
        return {
            "as_of": self.as_of,
            "zone": self.zone,
            "today": self.today,
            "feeds": list(self.feeds),
            "currency": self.currency,
            "currencies": [row["currency"] for row in self.currencies],
            "last_sale": next((r["last_day"] for r in self.currencies if r["currency"] == self.currency), None),
            "range": days | {"is_month": self.days.is_month},
            "before": before,
        }


def state(connection: Connection, *, generates: bool) -> Row:
    """Of when the reports are, what waits for the next refresh, and which feeds there are."""
    found = queries.one(connection, "watching/shop.refresh")
    if found is None:
        return {"as_of": None, "generates": generates} | queries.row(connection, "watching/shop.has_events")
    failed = queries.one(connection, "ledger/status.failed_refresh")
    return {
        **found,
        **queries.row(connection, "watching/shop.has_events"),
        "feeds": _feeds(connection),
        "failed_at": failed and failed["failed_at"],
        "generates": generates,
    }


def scope(connection: Connection, asked: Asked) -> Scope:
    """What figures are about to be of. Raises UnknownError before the first report, RangeError."""
    found = queries.one(connection, "watching/shop.refresh")
    if found is None:
        raise UnknownError("no report has been counted yet")
    known = _feeds(connection)
    feeds = [row["feed"] for row in known if (row["is_of_shop"] if asked.feed is None else row["feed"] == asked.feed)]
    if asked.feed is not None and not feeds:
        raise UnknownError("there is no such feed")
    currencies = queries.all(connection, "watching/shop.currencies", feeds=feeds, today=found["today"])
    currency = asked.currency if asked.currency is not None else currencies[0]["currency"] if currencies else ""
    return Scope(
        as_of=found["as_of"],
        zone=found["zone"],
        today=found["today"],
        feeds=tuple(feeds),
        currencies=tuple(currencies),
        currency=currency,
        days=chosen(asked.span, found["today"], asked.first, asked.last),
    )


def figures(connection: Connection, asked: Asked) -> Row:
    """Sales, funnel and customers of the range and of the one before, of one moment."""
    of = scope(connection, asked)
    sales, sales_before = _both(connection, of, "watching/shop.sales", _SALES)
    funnel, funnel_before = _both(connection, of, "watching/shop.funnel", _FUNNEL)
    hours = _table(connection, "watching/shop.hours", of.values()) if of.days.days == 1 else None
    return {
        **of.told(),
        "sales": sales
        | {"rows_before": sales_before["rows"]}
        | _against(sales, sales_before, _SALES)
        | _baskets(sales, sales_before),
        "hours": hours,
        "funnel": funnel | _against(funnel, funnel_before, _FUNNEL) | _conversions(funnel, funnel_before),
        "customers": _customers(connection, of),
    }


def active(connection: Connection, asked: Asked) -> Row:
    """How many sessions had an event in the half an hour before the refresh."""
    of = scope(connection, asked)
    return _table(connection, "watching/shop.active", of.values() | {"as_of": of.as_of})["rows"][0]


def products(connection: Connection, asked: Asked, most: int = SHOWN_PRODUCTS) -> Row:
    """The products of most revenue in the range."""
    of = scope(connection, asked)
    return of.told() | _list(connection, of, "watching/shop.products", most=most)


def searches(connection: Connection, asked: Asked) -> Row:
    """How often something was looked for, and how often in vain, by days of UTC."""
    of = scope(connection, asked)
    if not of.lists_are_bounded:
        return of.told() | _too_long()
    found, before = _both(connection, of, "watching/shop.searches", _SEARCHES)
    return of.told() | found | _against(found, before, _SEARCHES)


def terms(connection: Connection, asked: Asked, most: int = SHOWN_TERMS) -> Row:
    """What was most looked for in vain. It may name a person."""
    of = scope(connection, asked)
    return of.told() | _list(connection, of, "watching/shop.terms", most=most)


def product(connection: Connection, asked: Asked, product: str) -> Row:
    """The days on which one product was sold."""
    of = scope(connection, asked)
    return of.told() | _list(connection, of, "watching/shop.product", product=product)


def term(connection: Connection, asked: Asked, term: str) -> Row:
    """The days of UTC on which something was looked for. It may name a person."""
    of = scope(connection, asked)
    return of.told() | _list(connection, of, "watching/shop.term", term=term)


def chart_rows(
    connection: Connection, asked: Asked, chart: Chart | Literal["product", "terms", "term"], **more: str
) -> tuple[Scope, list[Row]]:
    """The rows of a chart, for a file; of lists more than the page shows. ``more`` names the one product or term."""
    of = scope(connection, asked)
    if not of.lists_are_bounded and chart not in _BY_DAY:
        return of, []
    return of, _ask(connection, f"watching/shop.{chart}", of.values() | {"most": CSV_ROWS} | more)[0]


def _feeds(connection: Connection) -> list[Row]:
    """The shop's own first."""
    known = queries.all(connection, "report_feeds.known")
    return sorted(known, key=lambda row: (not row["is_of_shop"], row["feed"]))


def _customers(connection: Connection, of: Scope) -> Row:
    """By day; the range as a whole only where the reports know each customer once: a day, a month."""
    found, before = _both(connection, of, "watching/shop.customers", _CUSTOMERS)
    if of.days.is_month:
        month = _table(connection, "watching/shop.customers_of_month", of.values())
        earlier = _table(connection, "watching/shop.customers_of_month", of.values(of.days.before))
        found = found | {"sums": month["rows"][0], "sums_sql": month["sql"]}
        before = {"sums": earlier["rows"][0]}
    return found | _against(found, before, _CUSTOMERS) | {"are_distinct": of.days.is_month or of.days.days == 1}


def _both(connection: Connection, of: Scope, query: str, names: Sequence[str]) -> tuple[Row, Row]:
    """The range, by day and as a whole, and the range before: read at once, shown apart."""
    rows, _ = _ask(connection, query, of.values() | {"first": of.days.before.first})
    begins = of.days.first.isoformat()
    parts = [row for row in rows if row["day"] >= begins], [row for row in rows if row["day"] < begins]
    now, then = ({"rows": plain(part), "sums": _sums(part, names)} for part in parts)
    return now | {"sql": _text(psycopg.ClientCursor(connection), query, of.values())}, then


def _sums(rows: Iterable[Row], names: Iterable[str]) -> Row:
    rows = list(rows)
    return {name: sum((row[name] for row in rows), 0) for name in names}


def _against(found: Row, before: Row, names: Sequence[str]) -> Row:
    now, then = found["sums"], before["sums"]
    return {
        "sums": plain([now])[0],
        "sums_before": plain([then])[0],
        "changes": {name: _share(change(now[name], then[name])) for name in names},
    }


def _baskets(found: Row, before: Row) -> Row:
    """What an order was worth; cancellations are not of it."""
    now, then = (ratio(each["sums"]["ordered"], each["sums"]["orders"]) for each in (found, before))
    return {
        "basket": _value(now),
        "basket_before": _value(then),
        "basket_change": None if now is None or then is None else _share(change(now, then)),
    }


def _conversions(found: Row, before: Row) -> Row:
    """Of the sessions of one step the share that also took the other."""
    steps = {"view_to_cart": ("viewed_and_carted", "viewed"), "cart_to_buy": ("carted_and_bought", "carted")}
    steps["view_to_buy"] = ("viewed_and_bought", "viewed")
    return {
        called: {name: _share(ratio(each["sums"][part], each["sums"][whole])) for name, (part, whole) in steps.items()}
        for called, each in (("conversions", found), ("conversions_before", before))
    }


def _list(connection: Connection, of: Scope, query: str, **more: Any) -> Row:
    return _table(connection, query, of.values() | more) if of.lists_are_bounded else _too_long()


def _too_long() -> Row:
    return {"rows": [], "sql": "", "most_days": MOST_DAYS_OF_LISTS}


def _table(connection: Connection, query: str, values: Row) -> Row:
    rows, sql = _ask(connection, query, values)
    return {"rows": plain(rows), "sql": sql}


def _ask(connection: Connection, query: str, values: Row) -> tuple[list[Row], str]:
    """The rows, and what was run."""
    cursor = psycopg.ClientCursor(connection, row_factory=dict_row)
    statement = _text(cursor, query, values)
    return cursor.execute(statement.encode()).fetchall(), statement


def _text(cursor: psycopg.ClientCursor[Any], query: str, values: Row) -> str:
    """The query with its values in it, as anybody may run it again."""
    return f"{cursor.mogrify(queries.text(query), values)};"


def plain(rows: Iterable[Row]) -> list[Row]:
    """The rows as JSON takes them."""
    return [{name: _value(value) for name, value in row.items()} for row in rows]


def _value(value: Any) -> Any:
    """JSON has no decimals: amounts leave as text, with all of their digits."""
    return format(value, "f") if isinstance(value, Decimal) else value


def _share(part: Decimal | None) -> float | None:
    return None if part is None else float(part)
