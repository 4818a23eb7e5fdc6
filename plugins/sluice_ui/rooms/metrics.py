"""What a monitor is told: Prometheus scrapes it."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response

from sluice.duty import metrics
from sluice_ui.answers import Answers
from sluice_ui.desk import Desk, Fresh
from sluice_ui.rights import MonitorToken


def router(answers: Answers) -> APIRouter:
    """The one endpoint."""
    room = APIRouter()
    settings = answers.settings
    # Two monitors, and one that asks too often, cost as much as one; and no viewer of the page is in their way.
    fresh = Fresh(Desk(threads=1), lambda: metrics.exposition(settings, answers.reader))

    @room.get("/metrics", dependencies=[Depends(MonitorToken(settings.metrics_token))])
    async def tell() -> Response:
        return Response(await fresh.answer(), media_type=metrics.CONTENT_TYPE)

    return room
