"""Room Shop, in Airflow's own UI: from the figures to the events to their bytes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from sluice.base import database
from sluice.base.settings import Settings
from sluice.reports import refresh
from tests.airflow_server import Server
from tests.browser import stage
from tests.browser.conftest import Open


def section(page: Page, title: str) -> Locator:
    """The section of this title."""
    return page.locator("section").filter(has=page.get_by_role("heading", name=title, exact=True))


@pytest.fixture
def open_shop(open_room: Open) -> Callable[..., Page]:
    """Opens the room and waits for its figures."""

    def opening(query: str = "", **options: Any) -> Page:
        page = open_room(f"shop{query}", **options)
        expect(page.get_by_role("heading", name="The shop in figures")).to_be_visible()
        return page

    return opening


def test_the_room_shows_figures_and_of_when_they_are(open_shop: Callable[..., Page]) -> None:
    page = open_shop()
    expect(page.get_by_text("Reports as of")).to_be_visible()
    for label in ("revenue", "orders", "average basket", "new customers", "active sessions"):
        figure = page.locator("dl > div").filter(has=page.get_by_text(label, exact=True))
        expect(figure.locator("dd").first).not_to_have_text("–")
    for title in ("Revenue by day", "Funnel", "New and returning customers", "Top products", "Searches without result"):
        expect(section(page, title).get_by_role("table").first).to_be_visible()


def test_feeds_that_are_left_out_are_named_and_lead_to_their_figures(open_room: Open) -> None:
    def with_another(route: Route) -> None:
        answer = route.fetch()
        others = [feed | {"is_of_shop": False, "is_generated": True} for feed in answer.json()["feeds"]]
        route.fulfill(json=answer.json() | {"feeds": others})

    page = open_room("land")
    page.route("**/sluice/api/shop", with_another)
    page.get_by_role("link", name="Shop", exact=True).click()
    expect(page.get_by_text("Not counted among the shop's own")).to_contain_text("events (made-up events")
    page.get_by_role("link", name="events", exact=True).click()
    expect(page).to_have_url(re.compile(r"shop\?feed=events$"))
    expect(page.get_by_text("Not counted among the shop's own")).to_have_count(0)


def test_a_figure_that_takes_too_long_says_so(open_room: Open) -> None:
    page = open_room("land")
    slow = {"code": "slow", "detail": "this takes longer than a page may ask"}
    page.route("**/sluice/api/shop/active?*", lambda route: route.fulfill(status=503, json=slow))
    page.get_by_role("link", name="Shop", exact=True).click()
    expect(page.get_by_text("not known: this takes longer than a page may ask")).to_be_visible()


def test_a_range_is_in_the_address_and_a_link_to_it_shows_it_again(
    open_shop: Callable[..., Page], open_room: Open
) -> None:
    page = open_shop()
    page.get_by_role("button", name="7 days").click()
    expect(page).to_have_url(re.compile("span=7d"))
    expect(page.get_by_role("button", name="7 days")).to_have_attribute("aria-pressed", "true")
    again = open_room(page.url.partition("/plugin/sluice/")[2])
    expect(again.get_by_role("button", name="7 days")).to_have_attribute("aria-pressed", "true")
    again.get_by_role("button", name="From … to …").click()
    again.get_by_label("from", exact=True).fill("2020-01-01")
    expect(again.get_by_text("Nothing was sold in this range.")).to_be_hidden()
    again.get_by_label("to", exact=True).fill("2020-01-01")
    expect(again.get_by_text("Nothing was sold in this range.")).to_be_visible()
    again.get_by_role("button", name="the last day of a sale").click()
    expect(section(again, "Revenue by hour").get_by_role("table")).to_be_visible()


def test_a_bar_opens_its_events_and_an_event_its_file_and_bytes(open_shop: Callable[..., Page]) -> None:
    page = open_shop()
    day = section(page, "Revenue by day").get_by_role("table").get_by_role("link").last
    name = day.inner_text()
    section(page, "Revenue by day").locator(f"[data-bar='{name}']").click()
    expect(page).to_have_url(re.compile(f"/shop/events.*day={name}"))
    expect(page.get_by_role("heading", name="Events: purchases and cancellations")).to_be_visible()
    row = page.get_by_role("row").nth(1)
    expect(row.get_by_role("link").nth(1)).to_have_attribute("href", re.compile(r"/plugin/sluice/files/\d+$"))
    row.get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="The event")).to_be_visible()
    event = page.get_by_role("row", name="event_id").locator("td").last.inner_text()
    expect(page.locator("[data-sluice=bytes]")).to_contain_text(event)
    page.get_by_text("As bytes").click()
    expect(page.get_by_role("region", name="The record as bytes")).to_contain_text("00000000  ")


def test_the_keyboard_opens_what_a_bar_opens(open_shop: Callable[..., Page]) -> None:
    page = open_shop()
    section(page, "Revenue by day").get_by_role("table").get_by_role("link").last.press("Enter")
    expect(page.get_by_role("heading", name="Events: purchases and cancellations")).to_be_visible()


def test_names_of_products_and_searches_are_text(open_shop: Callable[..., Page]) -> None:
    page = open_shop()
    product = section(page, "Top products").get_by_role("link", name=stage.NASTY_PRODUCT)
    expect(product).to_be_visible()
    expect(section(page, "Looked for and not found").get_by_role("link", name=stage.NASTY_SEARCH)).to_be_visible()
    assert page.locator("[data-sluice=page] img, [data-sluice=page] b").count() == 0
    product.click()
    expect(page.get_by_text("Product: ")).to_contain_text(stage.NASTY_PRODUCT)
    page.get_by_role("table").get_by_role("link").first.click()
    page.get_by_role("row").nth(1).get_by_role("link").first.click()
    expect(page.locator("[data-sluice=bytes]")).to_contain_text("document.title=")
    assert page.title() != "taken"


def test_the_figures_follow_the_refreshes(open_shop: Callable[..., Page], shop: Settings) -> None:
    page = open_shop()
    with (
        page.expect_request(lambda request: "/shop/figures" in request.url),
        database.connect(shop.reader_dsn) as reader,
    ):
        refresh.refresh(reader, shop, "followed")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"generates": False, "has_events": False}, "The generator is off"),
        ({"generates": True, "has_events": False}, "The generator makes some"),
        ({"generates": True, "has_events": True}, "DAG report_sales counts them"),
    ],
)
def test_before_the_first_report_the_room_says_what_to_do(
    context_of: Callable[..., BrowserContext], server: Server, state: dict[str, bool], said: str
) -> None:
    page = context_of().new_page()
    page.route("**/sluice/api/shop", lambda route: route.fulfill(json={"as_of": None, **state}))
    page.goto(f"{server.url}/plugin/sluice/shop")
    expect(page.get_by_text(said)).to_be_visible()
    expect(page.get_by_role("button", name="Count now")).to_have_count(int(state["has_events"]))


@pytest.mark.parametrize("outcome", ["trimmed", "gone", "changed", "far", "unmarked", "damaged", "none"])
def test_bytes_that_are_not_shown_say_why(
    context_of: Callable[..., BrowserContext], server: Server, outcome: str
) -> None:
    page = context_of().new_page()

    def without_bytes(route: Route) -> None:
        route.fulfill(json=route.fetch().json() | {"read": {"outcome": outcome}})

    page.route("**/sluice/api/shop/events/*/*", without_bytes)
    page.goto(f"{server.url}/plugin/sluice/shop/events/1/1")
    bytes_of_it = section(page, "Its bytes in the file")
    expect(bytes_of_it.get_by_role("status")).to_be_visible()
    expect(bytes_of_it.get_by_text(outcome, exact=True)).to_have_count(0)


@pytest.mark.parametrize("query", ["day=soon", "day=2026-11-29&hour=noon"])
def test_a_moment_that_is_none_is_told_and_fails_no_room(open_room: Open, query: str) -> None:
    page = open_room(f"shop/events?{query}")
    expect(page.get_by_role("alert")).to_contain_text(re.compile("^(day|hour): "))
    expect(page.get_by_text("This room of the page failed.")).to_have_count(0)


def test_each_chart_shows_its_sql(open_shop: Callable[..., Page]) -> None:
    page = open_shop()
    sales = section(page, "Revenue by day")
    sales.get_by_text("Show SQL").click()
    expect(sales.locator("pre")).to_contain_text("FROM report.sales_by_day")


def test_a_chart_is_downloaded_as_a_file_in_which_nothing_is_a_formula(open_shop: Callable[..., Page]) -> None:
    page = open_shop()
    with page.expect_download() as download:
        section(page, "Top products").get_by_role("link", name="Download CSV").click()
    text = download.value.path().read_text("utf-8-sig")
    heads, *rows = csv.reader(io.StringIO(text))
    assert heads[0] == "product_id"
    assert f"'{stage.NASTY_PRODUCT}" in [row[0] for row in rows]


def test_a_viewer_sees_sums_and_no_term_no_event_and_no_bytes(open_shop: Callable[..., Page], server: Server) -> None:
    page = open_shop(login="viewer")
    searches = section(page, "Searches without result")
    expect(searches.get_by_text("may name a person")).to_be_visible()
    expect(searches.get_by_role("table").first).to_be_visible()
    expect(page.get_by_text(stage.NASTY_SEARCH)).to_be_hidden()
    section(page, "Revenue by day").get_by_role("table").get_by_role("link").last.click()
    expect(page.get_by_text("Your role in Airflow may not see this")).to_be_visible()
    token = server.token("viewer")
    for path in ("terms", "term?term=x", "csv-of-terms", "csv-of-term?term=x", "events?day=2026-01-01", "events/1/1"):
        assert server.ask("GET", f"sluice/api/shop/{path}", token=token).status == 403, path
    for path in ("figures", "products", "searches", "active", "csv/sales", "csv-of-product?product=x"):
        assert server.ask("GET", f"sluice/api/shop/{path}", token=token).status == 200, path


@pytest.mark.parametrize(
    "query",
    [
        "figures?span=own&first=2026-02-30&last=2026-03-01",
        "figures?span=own&first=2026-03-02&last=2026-03-01",
        "figures?span=own&first=0001-01-01&last=0001-01-02",
        "figures?span=century",
        "products?feed=%00",
        "term?term=",
        "events?day=0001-01-01",
        "events?day=2026-01-01&hour=2026-01-01T00:00:00",
        "events?day=2026-01-01&until=2026-01-01T00:00:00Z",
        "events/0/1",
        "events/1/99999999999999999999",
        "csv/terms",
    ],
)
def test_what_is_no_question_is_refused(server: Server, query: str) -> None:
    assert server.ask("GET", f"sluice/api/shop/{query}", token=server.token("user")).status == 422


@pytest.mark.parametrize("query", ["figures?feed=nobody", "events/987654321/1"])
def test_what_is_not_there_is_said(server: Server, query: str) -> None:
    assert server.ask("GET", f"sluice/api/shop/{query}", token=server.token("user")).status == 404
