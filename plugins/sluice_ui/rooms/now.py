"""Room Now: whether it is well, and what it does; the same in one line, for the strip and the card."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from sluice.duty import shown
from sluice.watching import now, waits
from sluice_ui.answers import Answers
from sluice_ui.desk import Fresh

# What costs more is asked more seldom.
LANDING_SECONDS = 3.0
SLOW_SECONDS = 5.0


def router(answers: Answers) -> APIRouter:
    """The endpoints."""
    room = APIRouter()
    settings = answers.settings
    snapshot = answers.fresh(now.snapshot)
    landing = Fresh(answers.desk, lambda: now.landing(settings), LANDING_SECONDS)
    held = answers.fresh(lambda connection: waits.waits(connection, settings), SLOW_SECONDS)
    on_duty = answers.fresh(shown.wrong, SLOW_SECONDS)
    today = answers.fresh(lambda connection: now.today(connection, settings), SLOW_SECONDS)
    lags = {name: _lag(answers, hours) for name, hours in now.RANGES.items()}

    @room.get("/now")
    async def look() -> dict[str, Any]:
        return now.look(await snapshot.answer(), await landing.answer())

    @room.get("/now/line")
    async def line() -> dict[str, Any]:
        return now.line(now.look(await snapshot.answer(), await landing.answer()))

    @room.get("/now/lag")
    async def lag(asked: Annotated[Literal["1h", "24h", "7d"], Query(alias="range")] = "1h") -> dict[str, Any]:
        return dict(await lags[asked].answer())

    @room.get("/now/today")
    async def tally() -> dict[str, Any]:
        return dict(await today.answer())

    @room.get("/now/duty")
    async def what_is_wrong() -> dict[str, Any]:
        return dict(await on_duty.answer())

    @room.get("/now/waits")
    async def what_waits() -> list[dict[str, Any]]:
        return [*await held.answer(), *waits.refused(await landing.answer())]

    return room


def _lag(answers: Answers, hours: float) -> Fresh:
    return answers.fresh(lambda connection: now.lag(connection, hours), SLOW_SECONDS)
