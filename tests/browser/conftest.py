"""A real browser before a real api-server, over the database of a shop that has been running for a while."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from sluice.base.settings import Settings
from sluice.running import embedded
from tests import airflow_server
from tests.airflow_server import Server
from tests.browser import stage
from tests.conftest import PASSWORD, TEMPLATE

Open = Callable[..., Page]
# Airflow's own scripts take seconds to come where much else runs.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="session")
def shop(postgres_server: embedded.Server) -> Iterator[Settings]:
    """The settings of a pipeline that has loaded for a while."""
    name = f"shop_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER sluice_owner")
    urls = {
        f"{field}_url": postgres_server.url(name, f"sluice_{role}", PASSWORD)
        for field, role in (("database", "owner"), ("writer", "writer"), ("reader", "reader"))
    }
    with tempfile.TemporaryDirectory(prefix="sluice-shop-") as home:
        settings = Settings(home=home, **urls)
        settings.home_dir.mkdir(exist_ok=True)
        (settings.home_dir / "epoch").write_text(str(stage.lived_in(settings)))
        yield settings
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def epoch(shop: Settings) -> int:
    """The epoch of the shop's stream, under which a test may load."""
    return int((shop.home_dir / "epoch").read_text())


@pytest.fixture(scope="session")
def server(shop: Settings) -> Iterator[Server]:
    """Airflow's web server with the page."""
    with (
        tempfile.TemporaryDirectory(prefix="sluice-web-") as folder,
        airflow_server.running(shop, Path(folder)) as running,
    ):
        yield running


@pytest.fixture
def context_of(browser: Browser, server: Server) -> Iterator[Callable[..., BrowserContext]]:
    """Makes a browser's session of a login: ``context_of("viewer", color_scheme="dark")``."""
    made: list[BrowserContext] = []

    def make(login: str = "user", **options: object) -> BrowserContext:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})  # type: ignore[arg-type]
        context.add_cookies([{"name": "_token", "value": server.token(login), "url": server.url}])
        made.append(context)
        return context

    yield make
    for context in made:
        context.close()


@pytest.fixture
def open_room(context_of: Callable[..., BrowserContext], server: Server) -> Open:
    """Opens a room: ``open_room("files?state=loaded", login="viewer")``. An error of a script fails the test."""

    def opening(room: str = "", login: str = "user", **options: object) -> Page:
        page = context_of(login, **options).new_page()
        page.on("pageerror", lambda error: pytest.fail(f"a script failed: {error}"))
        page.goto(f"{server.url}/plugin/sluice/{room}".rstrip("/"))
        page.locator("[data-sluice=page]").wait_for()
        return page

    return opening
