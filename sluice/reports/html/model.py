"""What a page holds, made of a snapshot; include/pages/reports.html lays it out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sluice.reports.html.charts import Chart
from sluice.reports.html.figures import change, money, ratio, share, whole
from sluice.reports.html.reading import Refreshed, Snapshot
from sluice.reports.html.sections import SALES, SHOP, VISITS, Part
from sluice.reports.html.spans import Span
from sluice.reports.html.text import shortened, visible_lines

# A page for people has an end; what is beyond is in the CSV files.
MOST_FEEDS = 24
MOST_CURRENCIES = 3
_SPANS = {1: "Yesterday", 7: "Last 7 days", 28: "Last 28 days"}


@dataclass(frozen=True)
class Card:
    """A part with its picture, or with what there is to say in its place; ``currency`` where it is about money."""

    anchor: str
    part: Part
    currency: str
    chart: Chart | None
    sql: str
    error: str


@dataclass(frozen=True)
class Figure:
    """A span of days and what was sold in it."""

    name: str
    days: str
    revenue: str
    change: str
    direction: str
    before: str
    orders: str
    basket: str
    units: str


@dataclass(frozen=True)
class Totals:
    """The shop's own totals in one currency; ``silent_since`` is the last day with a sale when it is long ago."""

    currency: str
    figures: tuple[Figure, ...]
    silent_since: str
    card: Card


@dataclass(frozen=True)
class Feed:
    """A feed with its cards; ``until`` is the day at which its series end, when it is long ago."""

    anchor: str
    name: str
    is_of_shop: bool
    is_generated: bool
    counts_sales: bool
    has_currencies: bool
    until: str
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class CsvFile:
    """A CSV file that was written: how many rows, whether there are more in the table, or why it was not written."""

    name: str
    says: str
    rows: int
    is_cut: bool = False
    error: str = ""


@dataclass(frozen=True)
class Page:
    """All of it. ``day`` is the page's own, ``YYYY-MM-DD``; ``as_of`` is empty before the first refresh."""

    day: str
    as_of: str
    zone: str
    events: str
    sales: str
    totals: tuple[Totals, ...]
    totals_sql: str
    totals_error: str
    feeds: tuple[Feed, ...]
    feeds_error: str
    waiting: tuple[str, ...]
    are_more_feeds: bool
    csv_files: tuple[CsvFile, ...] = ()


def day_of(refreshed: Refreshed | None) -> str:
    """The day of the page: that of the refresh in the shop's zone; today (UTC) before the first one."""
    return f"{datetime.now(UTC) if refreshed is None else refreshed.as_of:%Y-%m-%d}"


def make(snapshot: Snapshot, refreshed: Refreshed | None) -> Page:
    """The page of what ``refreshed`` published, but for its CSV files."""
    if refreshed is None:
        return Page(day_of(None), "", "", "", "", (), "", "", (), "", (), False)
    spans = snapshot.ask("page.shop_spans")
    listed = snapshot.ask("page.feeds")
    known = listed.rows[:MOST_FEEDS]
    anchors = _anchors([row["feed"] for row in known])
    return Page(
        day=day_of(refreshed),
        as_of=f"{refreshed.as_of:%Y-%m-%d %H:%M:%S}",
        zone=refreshed.zone,
        events=whole(refreshed.events),
        sales=whole(refreshed.sales),
        totals=tuple(_totals(snapshot, refreshed, spans.rows)),
        totals_sql=visible_lines(spans.sql),
        totals_error=spans.error,
        feeds=tuple(
            _feed(snapshot, refreshed, row, anchor)
            for row, anchor in zip(known, anchors, strict=True)
            if row["has_events"]
        ),
        feeds_error=listed.error,
        waiting=tuple(shortened(row["feed"]) for row in known if not row["has_events"]),
        are_more_feeds=len(listed.rows) > MOST_FEEDS,
    )


def _totals(snapshot: Snapshot, refreshed: Refreshed, rows: list[dict[str, Any]]) -> Iterator[Totals]:
    currencies = list(dict.fromkeys(row["currency"] for row in rows))
    for place, currency in enumerate(currencies):
        own = [row for row in rows if row["currency"] == currency]
        last_day = own[0]["last_day"]
        span = Span.up_to(refreshed.as_of, refreshed.zone, last_day)
        yield Totals(
            currency=shortened(currency, 20),
            figures=tuple(map(_figure, own)),
            silent_since=last_day if span.is_old else "",
            card=_card(snapshot, SHOP, span, f"shop_{place}" if place else "shop", currency),
        )


def _figure(row: dict[str, Any]) -> Figure:
    more = change(row["revenue"], row["revenue_before"])
    days = row["first_day"] if row["days"] == 1 else f"{row['first_day']} to {row['final_day']}"
    return Figure(
        name=_SPANS[row["days"]],
        days=days,
        revenue=money(row["revenue"]),
        change="" if more is None else share(abs(more)),
        direction="" if not more else "more" if more > 0 else "less",
        before=money(row["revenue_before"]),
        orders=whole(row["orders"]),
        basket=money(ratio(row["revenue"], row["orders"])),
        units=whole(row["units"]),
    )


def _feed(snapshot: Snapshot, refreshed: Refreshed, row: dict[str, Any], anchor: str) -> Feed:
    span = Span.up_to(refreshed.as_of, refreshed.zone, row["last_day"])
    currencies = row["currencies"][:MOST_CURRENCIES] or [""]
    cards = [
        _card(snapshot, part, span, f"{anchor}_{place}" if place else anchor, currency, row["feed"])
        for place, currency in enumerate(currencies if row["counts_sales"] else [])
        for part in SALES
    ]
    currency = currencies[0] if len(currencies) == 1 else ""
    visits = [_card(snapshot, part, span, anchor, currency, row["feed"]) for part in VISITS]
    cards += [replace(card, currency="") for card in visits]
    return Feed(
        anchor=anchor,
        name=shortened(row["feed"]),
        is_of_shop=row["is_of_shop"],
        is_generated=row["is_generated"],
        counts_sales=row["counts_sales"],
        has_currencies=len(currencies) > 1,
        until=span.end.isoformat() if span.is_old else "",
        cards=tuple(cards),
    )


def _card(snapshot: Snapshot, part: Part, span: Span, anchor: str, currency: str, feed: str = "") -> Card:
    answer = snapshot.ask(part.query, feed=feed, currency=currency, **span.values())
    chart = part.draw(answer.rows, span, shortened(currency, 20))
    return Card(f"{anchor}-{part.name}", part, shortened(currency, 20), chart, visible_lines(answer.sql), answer.error)


def _anchors(names: Sequence[str]) -> list[str]:
    """A place on the page for each feed: its name, as far as an address can have it, and never one twice."""
    made: list[str] = []
    for number, name in enumerate(names, start=1):
        word = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
        anchor = f"feed-{word}"
        made.append(anchor if word and anchor not in made else f"{anchor}.{number}")
    return made
