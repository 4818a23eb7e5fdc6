"""Room Now: whether it is well, and what it does."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from sluice.watching import now
from sluice_ui.answers import Answers


def router(answers: Answers) -> APIRouter:
    """The endpoints."""
    room = APIRouter()
    snapshot = answers.fresh(lambda connection: now.snapshot(connection, answers.settings))

    @room.get("/now")
    async def look() -> dict[str, Any]:
        return await snapshot.answer()

    return room
