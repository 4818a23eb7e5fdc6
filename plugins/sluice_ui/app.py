"""The page's JSON app: one router a room, all behind Airflow's login, and what is true of every answer.

Beside them the endpoint of monitors, behind a token of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

from sluice.base.settings import SettingError, Settings, load
from sluice.watching.reader import AwayError, SlowError
from sluice.watching.unknown import UnknownError
from sluice_ui import rights
from sluice_ui.answers import Answers
from sluice_ui.desk import BusyError
from sluice_ui.rooms import feeds, files, land, metrics, now, quarantine, shop

_log = logging.getLogger(__name__)
STATIC = Path(__file__).parent / "static"
RETRY_SECONDS = "2"
# An answer is data: whoever opens it by itself gets nothing that runs, and no page may hold it in a frame.
_OF_DATA = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
# Scripts belong to one version of the program: a browser asks whether its copy is the present one.
_OF_SCRIPTS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}


class Scripts(StaticFiles):
    """The page's scripts, open to all: they hold nothing but the program."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """One file."""
        answer = await super().get_response(path, scope)
        answer.headers.update(_OF_SCRIPTS)
        return answer


def build(settings: Settings | None = None) -> FastAPI:
    """The app; Airflow mounts it. It has no pages of documentation, which would be open to all.

    The scripts are there whatever the settings are: without them Airflow shows an error on each of its pages.
    """
    app = FastAPI(title="Sluice", docs_url=None, redoc_url=None, openapi_url=None)
    _include_rooms(app, settings)
    app.mount("/static", Scripts(directory=STATIC), name="static")
    app.middleware("http")(_with_headers)
    app.exception_handler(BusyError)(_busy)
    app.exception_handler(AwayError)(_away)
    app.exception_handler(SlowError)(_slow)
    app.exception_handler(SettingError)(_set_wrongly)
    app.exception_handler(UnknownError)(_unknown)
    return app


def _include_rooms(app: FastAPI, settings: Settings | None) -> None:
    behind_login: dict[str, Any] = {"prefix": "/api", "dependencies": [rights.LOOK]}
    try:
        answers = Answers(settings or load())
    except SettingError as error:
        _log.error("the page Sluice has no answers: %s", error)
        app.include_router(_room_without_settings(), **behind_login)
        return
    for room in (now, feeds, files, quarantine, land, shop):
        app.include_router(room.router(answers), **behind_login)
    app.include_router(metrics.router(answers))


def _room_without_settings() -> APIRouter:
    room = APIRouter()

    @room.api_route("/{path:path}", methods=["GET", "POST", "DELETE"])
    async def answer(path: str) -> None:
        raise SettingError(path)

    return room


async def _with_headers(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
    answer = await call(request)
    for name, value in _OF_DATA.items():
        answer.headers.setdefault(name, value)
    return answer


async def _busy(_: Request, error: Exception) -> JSONResponse:
    return _later("busy", str(error))


async def _away(_: Request, error: Exception) -> JSONResponse:
    since = error.since.isoformat() if isinstance(error, AwayError) else None
    return _later("away", str(error), since=since)


async def _slow(_: Request, error: Exception) -> JSONResponse:
    return _later("slow", str(error))


async def _set_wrongly(_: Request, __: Exception) -> JSONResponse:
    # What is wrong with which one is for who may read the server's log: it may be a secret in the wrong place.
    return _later("setting", "a setting of Sluice cannot be used: the log of Airflow's web server says which")


async def _unknown(_: Request, error: Exception) -> JSONResponse:
    code = error.code if isinstance(error, UnknownError) else "unknown"
    return JSONResponse({"code": code, "detail": str(error)}, 404)


def _later(code: str, detail: str, **more: str | None) -> JSONResponse:
    return JSONResponse({"code": code, "detail": detail, **more}, 503, {"Retry-After": RETRY_SECONDS})
