"""From the rows of a query to the picture of it. None: there is nothing to draw, and the page says what to do.

Each takes the rows of the query of its name in include/sql/page.sql, the days that are shown, and the currency ("" when
the feed names none).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any, TypeAlias

from sluice.reports.html.charts import Cell, Chart, Funnel, Grid, Heat, Series, Step, heat_step, plot, tick_along
from sluice.reports.html.figures import NONE, Number, counted, money, ratio, share, whole
from sluice.reports.html.spans import DAYS, WEEKDAYS, Span, day_title, day_word

Rows: TypeAlias = list[dict[str, Any]]

_COHORT_MONTHS = 12
# Heights of a step of the funnel, and of a line below it.
_STEP, _SAID = 42, 18


def shop_by_day(rows: Rows, span: Span, currency: str) -> Chart | None:
    """Revenue of each day as a column; that of 28 days before as a line, which begins with the first day of any."""
    if not rows:
        return None
    found = {row["day"]: row for row in rows}
    days = [(day.isoformat(), (day - timedelta(DAYS)).isoformat()) for day in span.days]
    revenue = [_of(found, day, "revenue") for day, _ in days]
    before = [_of(found, day, "revenue") if day >= min(found) else None for _, day in days]
    titles = [
        f"{day_title(day)}: {_amount(now, currency)}, {counted(_of(found, day.isoformat(), 'orders'), 'order')}; "
        f"28 days before: {_amount(then, currency)}"
        for day, now, then in zip(span.days, revenue, before, strict=True)
    ]
    lines = [Series("28 days before", "second", before)]
    return _daily("Revenue of each day", titles, span, [Series("revenue", "first", revenue)], lines)


def revenue_by_hour(rows: Rows, span: Span, currency: str) -> Chart | None:
    """48 columns; the two hours of a clock that was set back are one."""
    if not rows:
        return None
    revenue: dict[str, Decimal] = {}
    purchases: dict[str, int] = {}
    for row in rows:
        revenue[row["hour"]] = revenue.get(row["hour"], Decimal(0)) + (row["revenue"] or 0)
        purchases[row["hour"]] = purchases.get(row["hour"], 0) + (row["purchases"] or 0)
    hours = [(hour, f"{hour:%Y-%m-%d %H}") for hour in span.hours]
    titles = [
        f"{day_title(hour.date())}, {hour:%H}:00: {_amount(revenue.get(key, 0), currency)}, "
        f"{counted(purchases.get(key, 0), 'purchase')}"
        for hour, key in hours
    ]
    along = [
        (place, day_word(hour.date()) if hour.hour == 0 else "12:00")
        for place, (hour, _) in enumerate(hours)
        if hour.hour in (0, 12)
    ]
    stack = [Series("", "first", [revenue.get(key, 0) for _, key in hours])]
    return plot("Revenue of each hour", titles, along, stack=stack, is_open=not span.is_old)


def hour_of_week(rows: Rows, span: Span, currency: str) -> Chart | None:
    """A row a weekday, a cell an hour; the more was bought, the darker."""
    found = {(int(row["weekday"]), int(row["hour"])): row for row in rows}
    most = max([row["purchases"] for row in rows if row["purchases"]], default=0)
    if not most:
        return None
    return Heat(
        label="Purchases by weekday and hour",
        rows=tuple(
            (name, tuple(_hour_cell(name, hour, found.get((day, hour)), most, currency) for hour in range(24)))
            for day, name in enumerate(WEEKDAYS, start=1)
        ),
        along=tuple(tick_along(hour * 100 / 24, f"{hour}:00") for hour in (0, 6, 12, 18)),
        least="0",
        most=whole(most),
    )


def orders_by_day(rows: Rows, span: Span, currency: str) -> Chart | None:
    """Orders of each day."""
    if not rows:
        return None
    found = {row["day"]: row for row in rows}
    orders = [_of(found, day.isoformat(), "orders") for day in span.days]
    titles = [
        f"{day_title(day)}: {counted(number, 'order')}, {counted(_of(found, day.isoformat(), 'products'), 'product')}"
        for day, number in zip(span.days, orders, strict=True)
    ]
    return _daily("Orders of each day", titles, span, [Series("", "first", orders)], whole=True)


def baskets(rows: Rows, span: Span, currency: str) -> Chart | None:
    """What an order of each day was worth on average."""
    found = {row["day"]: row["basket"] for row in rows if row["basket"] is not None}
    if not found:
        return None
    worth = [found.get(day.isoformat()) for day in span.days]
    titles = [
        f"{day_title(day)}: {'no order' if basket is None else _amount(basket, currency) + ' an order'}"
        for day, basket in zip(span.days, worth, strict=True)
    ]
    return _daily("What an order was worth", titles, span, lines=[Series("", "first", worth)])


def customers_by_day(rows: Rows, span: Span, currency: str) -> Chart | None:
    """New customers of each day, and on top of them those who had bought before."""
    if not rows:
        return None
    found = {row["day"]: row for row in rows}
    new = [_of(found, day.isoformat(), "new_customers") for day in span.days]
    known = [_of(found, day.isoformat(), "returning_customers") for day in span.days]
    titles = [
        f"{day_title(day)}: {whole(one)} new, {whole(other)} returning"
        for day, one, other in zip(span.days, new, known, strict=True)
    ]
    stack = [Series("new", "first", new), Series("returning", "second", known)]
    return _daily("Customers of each day", titles, span, stack, whole=True)


def abandoned_carts(rows: Rows, span: Span, currency: str) -> Chart | None:
    """Sessions of each day that put something in a cart: those that bought, and on top those that did not."""
    if not rows:
        return None
    found = {row["day"]: row for row in rows}
    days = [day.isoformat() for day in span.days]
    carts, left, worth = (
        [_of(found, day, column) for day in days] for column in ("carts", "abandoned", "abandoned_value")
    )
    bought = [max(begun - abandoned, 0) for begun, abandoned in zip(carts, left, strict=True)]
    titles = [
        f"{day_title(day)}: {counted(begun, 'cart')}, {whole(abandoned)} abandoned "
        f"({share(ratio(abandoned, begun))}), worth {_amount(value, currency)}"
        for day, begun, abandoned, value in zip(span.days, carts, left, worth, strict=True)
    ]
    stack = [Series("bought", "first", bought), Series("abandoned", "second", left)]
    return _daily("Carts of each day", titles, span, stack, whole=True)


def funnel(rows: Rows, span: Span, currency: str) -> Chart | None:
    """All sessions, and those that took each step."""
    if not rows or not rows[0]["sessions"]:
        return None
    row = rows[0]
    then = [
        "",
        _said(row["view_to_cart"], "of these also put something in a cart"),
        _said(row["cart_to_buy"], "of these also bought"),
        _said(row["view_to_buy"], "of those that viewed a product"),
    ]
    tops = list(accumulate((_STEP + bool(said) * _SAID for said in then), initial=0))
    names = {"sessions": "Sessions", "viewed": "Viewed a product", "carted": "Put it in a cart", "bought": "Bought"}
    steps = [
        Step(
            name=name,
            count=whole(row[step]),
            share="" if step == "sessions" else f"{share(ratio(row[step], row['sessions']))} of all",
            width=_per_cent(row[step], row["sessions"]),
            then=said,
            y=top,
        )
        for (step, name), said, top in zip(names.items(), then, tops[:-1], strict=True)
    ]
    return Funnel("Sessions by step", tops[-1], tuple(steps))


def cohorts(rows: Rows, span: Span, currency: str) -> Chart | None:
    """A row a month of first purchases, a cell a month since: the share of them that bought in it."""
    if not rows:
        return None
    found = {(row["cohort"], row["months_later"]): row for row in rows}
    names = sorted({row["cohort"] for row in rows})
    later = range(min(_COHORT_MONTHS, max(row["months_later"] for row in rows) + 1))
    sizes = {row["cohort"]: row["size"] for row in rows}
    return Grid(
        heads=("first bought", "customers", *(f"+{months}" for months in later)),
        rows=tuple(
            (name, whole(sizes[name]), tuple(_cohort_cell(found.get((name, months))) for months in later))
            for name in names
        ),
    )


def _cohort_cell(row: dict[str, Any] | None) -> Cell | None:
    if row is None:
        return None
    part = ratio(row["customers"], row["size"])
    said = f"{row['cohort']} +{row['months_later']}: {whole(row['customers'])} of {whole(row['size'])} customers"
    return Cell(heat_step(part, 1), said, share(part, 0))


def _hour_cell(name: str, hour: int, row: dict[str, Any] | None, most: Number, currency: str) -> Cell:
    purchases = row["purchases"] if row else 0
    revenue = row["revenue"] if row else 0
    said = f"{name} {hour}:00 to {hour + 1}:00: {counted(purchases, 'purchase')}, {_amount(revenue, currency)}"
    return Cell(heat_step(purchases, most), said)


def _daily(
    label: str,
    titles: Sequence[str],
    span: Span,
    stack: Sequence[Series] = (),
    lines: Sequence[Series] = (),
    whole: bool = False,
) -> Chart:
    along = [(place, day_word(span.days[place])) for place in range(0, DAYS + 1, 7)]
    return plot(label, titles, along, stack=stack, lines=lines, whole=whole, is_open=not span.is_old)


def _of(found: dict[str, dict[str, Any]], key: str, column: str) -> Number:
    number = found[key][column] if key in found else 0
    return 0 if number is None else number


def _said(part: Decimal | None, of_what: str) -> str:
    return "" if part is None else f"{share(part)} {of_what}"


def _amount(number: Number | None, currency: str) -> str:
    return NONE if number is None else f"{money(number)} {currency}".rstrip()


def _per_cent(part: Number, all_of_it: Number) -> float:
    quotient = ratio(part, all_of_it)
    return 0.0 if quotient is None else round(float(min(max(quotient, Decimal(0)), Decimal(1))) * 100, 2)
