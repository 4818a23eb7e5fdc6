"""Room Feeds: whether the files of each contract come when they should, and hold what they should."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter

from sluice.base.settings import SettingError, Settings
from sluice.duty import feeds, words
from sluice.duty.conditions import FINE, Condition
from sluice.watching.reader import Connection
from sluice_ui.answers import Answers

FRESH_SECONDS = 10.0
# Their times stand in columns of their own, in the viewer's zone.
_SAID_BY_TIMES = (FINE, feeds.LATE, feeds.MISSING)


def router(answers: Answers) -> APIRouter:
    """The endpoints."""
    room = APIRouter()
    calendar = answers.fresh(lambda connection: look(connection, answers.settings), FRESH_SECONDS)

    @room.get("/feeds")
    async def all_feeds() -> dict[str, Any]:
        return dict(await calendar.answer())

    return room


def look(connection: Connection, settings: Settings) -> dict[str, Any]:
    """Every feed, and what keeps the calendar from being looked at, for people."""
    try:
        found = feeds.conditions(connection, settings, datetime.now(UTC))
    except SettingError as error:
        return {"feeds": [], "trouble": str(error)}
    return {"feeds": [_told(one) for one in found], "trouble": None}


def _told(one: Condition) -> dict[str, Any]:
    says = "" if one.state in _SAID_BY_TIMES or "looking_since" in one.numbers else words.says(one)
    return asdict(one) | {
        "state_in_words": words.state(one),
        "says": says,
        "basis": words.basis(one),
        "remedy": words.remedy(one),
    }
