"""A real browser before a real api-server, over the database of a shop that has been running for a while."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

from sluice.base.settings import Settings
from sluice.running import embedded
from tests import airflow_server
from tests.airflow_server import Server
from tests.browser import stage
from tests.conftest import PASSWORD, TEMPLATE

Open = Callable[..., Page]
Context = Callable[..., BrowserContext]
WIDE: ViewportSize = {"width": 1440, "height": 900}
REST, NO_ROOM = "rest", "There is no such room."
# What a link within Airflow's UI does.
GO = """(path) => {
    history.pushState(null, "", path);
    dispatchEvent(new PopStateEvent("popstate"));
}"""


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


def session(browser: Browser, server: Server, login: str, options: dict[str, object]) -> BrowserContext:
    """A browser's session of a login."""
    context = browser.new_context(**{"viewport": WIDE, **options})  # type: ignore[arg-type]
    context.add_cookies([{"name": "_token", "value": server.token(login), "url": server.url}])
    return context


@pytest.fixture
def context_of(browser: Browser, server: Server) -> Iterator[Context]:
    """Makes a session of the test's own, ``context_of("viewer")``: for what a page leaves to others, as its clock."""
    made: list[BrowserContext] = []

    def make(login: str = "user", **options: object) -> BrowserContext:
        made.append(session(browser, server, login, options))
        return made[-1]

    yield make
    for context in made:
        context.close()


@pytest.fixture(scope="session")
def shared_context(browser: Browser, server: Server) -> Iterator[Context]:
    """One session for all tests that want the same: Airflow's scripts, of 8 MB, come to it once."""
    made: dict[str, BrowserContext] = {}

    def make(login: str, **options: object) -> BrowserContext:
        wanted = repr((login, sorted(options.items())))
        if wanted not in made:
            made[wanted] = session(browser, server, login, options)
        return made[wanted]

    yield make
    for context in made.values():
        context.close()


@pytest.fixture
def open_link(shared_context: Context, server: Server) -> Iterator[Open]:
    """Opens a room by its address, in a page of its own: ``open_link("files?state=loaded", login="viewer")``."""
    opened: list[Page] = []

    def opening(room: str = "", login: str = "user", **options: object) -> Page:
        opened.append(fresh_page(shared_context(login, **options), server, room))
        return opened[-1]

    yield opening
    for page in opened:
        page.close()


@pytest.fixture(scope="session")
def at_rest() -> dict[str, list[Page]]:
    """Pages in which Airflow runs already, by their session; they show no room, and ask nothing."""
    return {}


@pytest.fixture
def open_room(shared_context: Context, server: Server, at_rest: dict[str, list[Page]]) -> Iterator[Open]:
    """As ``open_link``, but in a page that has been loaded, as one comes from another room: in a tenth of the time."""
    used: list[tuple[list[Page], Page]] = []

    def opening(room: str = "", login: str = "user", **options: object) -> Page:
        waiting = at_rest.setdefault(repr((login, sorted(options.items()))), [])
        page = waiting.pop() if waiting else fresh_page(shared_context(login, **options), server, REST)
        used.append((waiting, page))
        page.evaluate(GO, path_of(room))
        page.get_by_text(NO_ROOM).wait_for(state="hidden")
        return page

    yield opening
    for waiting, page in used:
        page.unroute_all(behavior="ignoreErrors")
        page.evaluate(GO, path_of(REST))
        page.get_by_text(NO_ROOM).wait_for()
        waiting.append(page)


def fresh_page(context: BrowserContext, server: Server, room: str) -> Page:
    """A page of ``room``. An error of a script fails the test."""
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"a script failed: {error}"))
    page.goto(f"{server.url}{path_of(room)}")
    page.locator("[data-sluice=page]").wait_for()
    return page


def path_of(room: str) -> str:
    """Where it lies in Airflow's UI."""
    return f"/plugin/sluice/{room}".rstrip("/")
