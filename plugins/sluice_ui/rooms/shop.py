"""Room Shop: from its revenue down to the bytes of an event."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query, Response
from fastapi import Path as PathParam

from sluice.reports.html import spreadsheets
from sluice.watching import record, shop, shop_events
from sluice.watching.shop_range import FIRST, LAST, RangeError, Span
from sluice_ui import rights
from sluice_ui.answers import Answers
from sluice_ui.desk import Desk

_NO_NUL = r"^[^\x00]*$"
Text = Annotated[str | None, Query(max_length=200, pattern=_NO_NUL)]
Sought = Annotated[str, Query(min_length=1, max_length=200, pattern=_NO_NUL)]
Day = Annotated[date, Query(ge=FIRST, le=LAST)]
Number = Annotated[int, PathParam(ge=1, le=2**63 - 1)]


def _asked(
    span: Span = "28d",
    first: Annotated[date | None, Query()] = None,
    last: Annotated[date | None, Query()] = None,
    feed: Text = None,
    currency: Text = None,
) -> shop.Asked:
    return shop.Asked(span, first, last, feed, _currency(currency))


def _currency(asked: str | None) -> str | None:
    """An address says ``-`` for the amounts that name no currency."""
    return "" if asked == "-" else asked


Asked = Annotated[shop.Asked, Depends(_asked)]


def router(answers: Answers) -> APIRouter:
    """The endpoints."""
    room = APIRouter(prefix="/shop")
    reads = Desk()  # of files, which may take seconds: questions to the database do not wait for them
    generates = answers.settings.generator
    state = answers.fresh(lambda connection: shop.state(connection, generates=generates))

    async def ask(question: Callable[..., Any], *asked: Any, **named: Any) -> Any:
        try:
            return await answers.ask(question, *asked, **named)
        except shop.UnknownError as error:
            raise HTTPException(404, str(error)) from error
        except RangeError as error:
            raise HTTPException(422, str(error)) from error

    @room.get("")
    async def look() -> dict[str, Any]:
        return await state.answer()

    @room.get("/figures")
    async def figures(asked: Asked) -> dict[str, Any]:
        return await ask(shop.figures, asked)

    @room.get("/active")
    async def active(asked: Asked) -> dict[str, Any]:
        return await ask(shop.active, asked)

    @room.get("/products")
    async def products(asked: Asked) -> dict[str, Any]:
        return await ask(shop.products, asked)

    @room.get("/product")
    async def product(asked: Asked, product: Sought) -> dict[str, Any]:
        return await ask(shop.product, asked, product)

    @room.get("/searches")
    async def searches(asked: Asked) -> dict[str, Any]:
        return await ask(shop.searches, asked)

    @room.get("/csv/{chart}")
    async def csv(asked: Asked, chart: shop.Chart) -> Response:
        return _csv(chart, *await ask(shop.chart_rows, asked, chart))

    @room.get("/csv-of-product")
    async def csv_of_product(asked: Asked, product: Sought) -> Response:
        return _csv("product", *await ask(shop.chart_rows, asked, "product", product=product))

    # What may name a person.

    @room.get("/terms", dependencies=[rights.SEE_ROWS])
    async def terms(asked: Asked) -> dict[str, Any]:
        return await ask(shop.terms, asked)

    @room.get("/term", dependencies=[rights.SEE_ROWS])
    async def term(asked: Asked, term: Sought) -> dict[str, Any]:
        return await ask(shop.term, asked, term)

    @room.get("/csv-of-terms", dependencies=[rights.SEE_ROWS])
    async def csv_of_terms(asked: Asked) -> Response:
        return _csv("terms", *await ask(shop.chart_rows, asked, "terms"))

    @room.get("/csv-of-term", dependencies=[rights.SEE_ROWS])
    async def csv_of_term(asked: Asked, term: Sought) -> Response:
        return _csv("term", *await ask(shop.chart_rows, asked, "term", term=term))

    @room.get("/events", dependencies=[rights.SEE_ROWS])
    async def events(wanted: Annotated[shop_events.Wanted, Depends(_wanted)]) -> dict[str, Any]:
        return await ask(shop_events.page, wanted)

    @room.get("/events/{file_id}/{record_number}", dependencies=[rights.SEE_ROWS])
    async def event(file_id: Number, record_number: Number) -> dict[str, Any]:
        found = await ask(shop_events.one, file_id, record_number)
        read = await reads.ask(record.read, answers.settings, found["file"], record_number)
        kept = ("file_id", "name", "state", "contract", "contract_version", "loaded_at", "sealed_at", "bytes")
        return {**found, "file": {name: found["file"][name] for name in kept}, "read": read}

    return room


def _wanted(
    day: Day,
    hour: datetime | None = None,
    clock: Literal["shop", "utc"] = "shop",
    kind: Annotated[shop_events.Kind, Query(alias="type")] = "all",
    feed: Text = None,
    currency: Text = None,
    product: Text = None,
    term: Text = None,
    until: datetime | None = None,
    until_id: UUID | None = None,
) -> shop_events.Wanted:
    if hour is not None and not (hour.tzinfo and FIRST <= hour.date() <= LAST):
        raise HTTPException(422, f"an hour is a moment with its zone, from {FIRST} to {LAST}")
    if (until is None) is not (until_id is None) or (until and not until.tzinfo):
        raise HTTPException(422, "what was shown last has a moment with its zone, and an id")
    return shop_events.Wanted(
        day, hour, clock == "utc", kind, feed, _currency(currency), product or None, term or None, until, until_id
    )


def _csv(chart: str, of: shop.Scope, rows: list[dict[str, Any]]) -> Response:
    file = io.BytesIO()
    names = list(rows[0]) if rows else ["day"]
    spreadsheets.write(file, [names, *([_cell(row[name]) for name in names] for row in rows)], shop.CSV_ROWS)
    name = f"shop-{chart}-{of.days.first}-{of.days.last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(file.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _cell(value: Any) -> spreadsheets.Value:
    return value.isoformat() if isinstance(value, datetime) else value
