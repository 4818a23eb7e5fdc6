"""Who may ask what: every endpoint of the page, as the app itself tells which there are, against a real api-server."""

from __future__ import annotations

import types
import typing
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, Literal, Union

import pytest
from fastapi import APIRouter, FastAPI, Header, Query
from fastapi.routing import APIRoute
from sluice_ui import app, rights
from starlette.routing import BaseRoute, Mount

from sluice.base.settings import Settings
from tests.airflow_server import MONITOR_TOKEN, Answer, Server

NEEDS_MORE = {"SEE_ROWS": rights.SEE_ROWS, "LAND": rights.LAND}
# What a value of a type looks like; a parameter of a name has another one when the rooms agree on it.
_BY_TYPE: dict[Any, str] = {
    int: "1",
    float: "1",
    bool: "true",
    str: "shop",
    uuid.UUID: str(uuid.UUID(int=1)),
    datetime: "2026-11-30T00:00:00Z",
    date: "2026-11-30",
}


@dataclass(frozen=True)
class Endpoint:
    """One method of one path."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    takes_more: bool
    has_own_token: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def endpoints() -> list[Endpoint]:
    """All of them, but the scripts, which are open to everybody."""
    return list(_of(app.build(Settings()).routes, "sluice"))


def _of(routes: list[BaseRoute], prefix: str) -> Iterator[Endpoint]:
    for route in routes:
        if isinstance(route, Mount):
            yield from _of(list(route.routes), prefix + route.path)
        elif isinstance(route, APIRoute):
            takes_more = any(
                call is right.dependency for call in _calls(route.dependant) for right in NEEDS_MORE.values()
            )
            has_own_token = any(isinstance(call, rights.MonitorToken) for call in _calls(route.dependant))
            place = {one.alias: value(one.field_info.annotation) for one in route.dependant.path_params}
            query, headers = (
                {one.alias: value(one.field_info.annotation) for one in ones if one.field_info.is_required()}
                for ones in (route.dependant.query_params, route.dependant.header_params)
            )
            for method in sorted(route.methods):
                yield Endpoint(
                    method, prefix + route.path_format.format(**place), query, headers, takes_more, has_own_token
                )
        else:
            raise AssertionError(f"{route!r} is no endpoint that this test knows how to ask")


def _calls(dependant: Any) -> Iterator[Any]:
    yield dependant.call
    for below in dependant.dependencies:
        yield from _calls(below)


def value(kind: Any) -> str:
    """A plausible value of a parameter of this type."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated or origin in (list, tuple, set):
        return value(parts[0])
    if origin in (Union, types.UnionType):
        return value(next(part for part in parts if part is not type(None)))
    if origin is Literal:
        return str(parts[0])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return str(next(iter(kind)).value)
    return _BY_TYPE[kind]


ALL = endpoints()
every = pytest.mark.parametrize("endpoint", ALL, ids=str)


def ask(server: Server, endpoint: Endpoint, token: str = "") -> Answer:
    query = "&".join(f"{name}={given}" for name, given in endpoint.query.items())
    body = None if endpoint.method in ("GET", "HEAD", "DELETE") else b"{}"
    headers = endpoint.headers | ({"Content-Type": "application/json"} if body else {})
    return server.ask(endpoint.method, f"{endpoint.path}?{query}", token=token, body=body, headers=headers)


@pytest.fixture(scope="module")
def tokens(server: Server) -> dict[str, str]:
    """By login."""
    return {login: server.token(login) for login in ("viewer", "user")}


def test_the_app_tells_its_endpoints() -> None:
    assert "GET sluice/api/now" in map(str, ALL)


def test_the_values_that_are_made_up_are_of_their_types() -> None:
    assert [value(kind) for kind in (int | None, Literal["a", "b"], Annotated[str, "x"], list[int])] == [
        "1",
        "a",
        "shop",
        "1",
    ]


def test_an_endpoint_that_another_room_adds_is_found_with_what_it_takes() -> None:
    room = APIRouter()

    @room.post("/of/{file_id}/{part}", dependencies=[rights.SEE_ROWS])
    def one(
        file_id: int,
        part: Literal["head", "tail"],
        since: datetime,
        x_sluice: Annotated[str, Header()],
        most: Annotated[int, Query(ge=1)] = 5,
    ) -> None:
        """Never called."""

    made = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    made.include_router(room, prefix="/api", dependencies=[rights.LOOK])
    assert list(_of(made.routes, "sluice")) == [
        Endpoint("POST", "sluice/api/of/1/head", {"since": "2026-11-30T00:00:00Z"}, {"x-sluice": "shop"}, True)
    ]


@every
def test_nobody_is_answered_without_a_login(server: Server, endpoint: Endpoint) -> None:
    assert ask(server, endpoint).status == 401


@every
def test_a_token_that_airflow_did_not_give_opens_nothing(server: Server, endpoint: Endpoint) -> None:
    assert ask(server, endpoint, "not.a.token").status in (401, 403)


@every
def test_a_viewer_sees_states_and_sums_and_nothing_that_may_name_a_person(
    server: Server, endpoint: Endpoint, tokens: dict[str, str]
) -> None:
    status = ask(server, endpoint, tokens["viewer"]).status
    if endpoint.has_own_token:
        assert status == 401
    elif endpoint.takes_more:
        assert status == 403
    else:
        assert status not in (401, 403)
        assert status < 500


@every
def test_a_user_may_ask_everything_and_nothing_fails(
    server: Server, endpoint: Endpoint, tokens: dict[str, str]
) -> None:
    answer = ask(server, endpoint, MONITOR_TOKEN if endpoint.has_own_token else tokens["user"])
    assert answer.status not in (401, 403)
    assert answer.status < 500, answer.body
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_scripts_are_open_and_nothing_else_is_served_beside_them(server: Server) -> None:
    assert server.ask("GET", "sluice/static/sluice.js").status == 200
    assert server.ask("GET", "sluice/static/../app.py").status in (401, 404)
    assert server.ask("GET", "sluice/static/%2e%2e/app.py").status in (401, 404)
