"""Room Now, the strip on the DAG's page and the card on the first one, in Airflow's own UI."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, Route, expect

from sluice.base import database
from sluice.base.settings import Settings
from sluice.duty import changes
from sluice.duty.conditions import Condition
from tests.airflow_server import Server
from tests.browser.conftest import Open
from tests.browser.stage import NASTY_NAMES, RUN

AWAY = {"code": "away", "detail": "the database does not answer", "since": "2026-11-30T08:00:00+00:00"}
Context = Callable[..., BrowserContext]


def test_it_says_how_it_goes_and_why(open_room: Open) -> None:
    page = open_room()
    expect(page.get_by_role("heading", name="Health")).to_be_visible()
    expect(page.get_by_text(re.compile(r"Stream \d+ \(its epoch\): running since"))).to_be_visible()
    for label in ("rows a second, read", "rows a second, loaded", "backlog", "rows duplicate"):
        expect(page.get_by_text(label, exact=True)).to_be_visible()
    expect(page.locator("[data-sluice=pace]")).to_contain_text("files arrived")
    expect(page.get_by_text("counts every row again")).to_be_visible()


def test_the_run_of_the_stream_and_its_log_are_links_to_airflows_own_pages(open_room: Open, server: Server) -> None:
    page = open_room()
    page.get_by_role("link", name="its log").click()
    expect(page).to_have_url(re.compile(r"/dags/ingest_events/runs/scheduled__2026.*/tasks/submit_stream"))
    page.go_back()
    page.get_by_role("link", name=RUN).click()
    expect(page).to_have_url(re.compile(r"/dags/ingest_events/runs/scheduled__2026[^/]*$"))


def test_the_range_is_in_the_address(open_room: Open) -> None:
    page = open_room("?range=24h")
    expect(page.get_by_role("button", name="24h")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="7d").click()
    expect(page).to_have_url(re.compile(r"range=7d"))
    expect(page.get_by_text("over 7d").first).to_be_visible()


def test_each_of_the_last_files_is_a_link_that_says_how_it_ended(open_room: Open) -> None:
    page = open_room()
    files = page.get_by_role("list", name="The last files, newest first")
    expect(files.get_by_role("link", name=re.compile("loaded, some rows rejected")).first).to_be_visible()
    expect(files.get_by_role("link", name=re.compile("a duplicate of another file"))).to_have_count(1)
    link = files.get_by_role("link", name=re.compile(r"shop-003\.csv"))
    expect(link).to_have_attribute("href", re.compile(r"/plugin/sluice/files/\d+$"))


def test_names_of_files_are_text(open_room: Open) -> None:
    page = open_room()
    expect(page.locator(f'a[title*="{NASTY_NAMES[0][:8]}"]')).to_have_count(1)
    expect(page).not_to_have_title("taken")
    assert page.locator('a[aria-label*="\u202e"]').count() == 0


def test_beside_the_chart_is_a_table_of_the_same_numbers(open_room: Open) -> None:
    page = open_room()
    expect(page.get_by_role("img", name=re.compile("Seconds of each phase")).locator("canvas")).to_be_visible()
    page.get_by_text("The same as a table").click()
    table = page.get_by_role("region", name="Micro-batches")
    expect(table.get_by_role("row")).to_have_count(61)
    expect(table.get_by_role("columnheader", name="checkpoint")).to_be_visible()


def test_figures_move_while_rows_are_loaded(open_room: Open, shop: Settings) -> None:
    page = open_room()
    expect(page.get_by_text(re.compile(r"(running|waiting) since"))).to_be_visible()
    with psycopg.connect(shop.database_url, autocommit=True) as connection:
        change = "UPDATE ledger.streams SET state = %s, last_error = %s, last_error_at = now() WHERE ended_at IS NULL"
        try:
            connection.execute(change, ["waiting", "the disk is full"])
            expect(page.get_by_text("the stream waits: the disk is full").first).to_be_visible()
            expect(page.get_by_text("warning").first).to_be_visible()
        finally:
            connection.execute(change, ["running", None])
    expect(page.get_by_text("the stream waits: the disk is full")).to_have_count(0)


# --- trouble


def answers(page: Page, pattern: str, status: int, body: object) -> None:
    """What the page's app says to this from now on, in the place of what it would."""

    def fulfil(route: Route) -> None:
        route.fulfill(status=status, content_type="application/json", body=json.dumps(body))

    page.route(pattern, fulfil)


def test_a_database_that_is_away_is_said_and_since_when_and_it_comes_back_by_itself(open_room: Open) -> None:
    page = open_room()
    expect(page.get_by_role("heading", name="Health")).to_be_visible()
    answers(page, "**/sluice/api/now", 503, AWAY)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The database does not answer")
    expect(alert.locator("time")).to_have_attribute("datetime", AWAY["since"])
    expect(page.get_by_role("heading", name="Health")).to_be_visible()
    page.unroute("**/sluice/api/now")
    expect(alert).to_have_count(0)


def test_what_answers_another_range_goes_when_this_one_is_not_answered(open_room: Open) -> None:
    page = open_room()
    files = page.locator("dt", has_text=re.compile("^files$")).locator("xpath=following-sibling::dd[1]")
    expect(files).to_have_text(re.compile(r"^\d+$"))
    answers(page, "**/now/lag?range=7d", 503, {"code": "slow", "detail": "it took longer than 250 ms"})
    page.get_by_role("button", name="7d").click()
    expect(page.get_by_role("alert")).to_contain_text("longer than a page may ask")
    expect(files).to_have_text("–")


def test_a_room_that_throws_leaves_airflow_whole_and_says_so(context_of: Context, server: Server) -> None:
    page = context_of().new_page()
    answers(page, "**/sluice/api/now", 200, {"health": None})
    page.goto(f"{server.url}/plugin/sluice")
    expect(page.get_by_text("This room of the page failed.")).to_be_visible()
    expect(page.get_by_role("navigation").first).to_be_visible()
    expect(page.get_by_role("link", name="Sluice").first).to_be_visible()
    page.unroute("**/sluice/api/now")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Health")).to_be_visible()


# --- the strip and the card


def test_the_strip_stands_on_the_pages_of_the_dag_and_nowhere_else(context_of: Context, server: Server) -> None:
    page = context_of("viewer").new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/sluice/api/" in request.url else None)
    page.goto(f"{server.url}/dags/report_sales")
    expect(page.get_by_text("report_sales").first).to_be_visible()
    expect(page.locator("[data-sluice=strip]")).to_have_count(0)
    assert asked == []
    page.goto(f"{server.url}/dags/ingest_events")
    strip = page.locator("[data-sluice=strip]")
    expect(strip).to_contain_text(re.compile(r"stream \d+ is running"))
    expect(strip).to_contain_text("lag:")
    expect(strip).to_contain_text("backlog:")
    strip.get_by_role("link", name="Sluice").click()
    expect(page.locator("[data-sluice=page]")).to_be_visible()


def test_a_strip_that_throws_blanks_nothing(context_of: Context, server: Server) -> None:
    page = context_of().new_page()
    answers(page, "**/sluice/api/now/line", 200, {"health": None, "stream": None})
    page.goto(f"{server.url}/dags/ingest_events")
    expect(page.get_by_text("Sluice's line failed.")).to_be_visible()
    expect(page.get_by_role("navigation").first).to_be_visible()
    expect(page.get_by_text("ingest_events").first).to_be_visible()


def test_the_card_is_on_airflows_first_page(context_of: Context, server: Server) -> None:
    page = context_of("viewer").new_page()
    page.goto(server.url)
    card = page.locator("[data-sluice=card]")
    expect(card).to_contain_text(re.compile(r"stream \d+ is running"))
    expect(card.get_by_role("link", name="Sluice")).to_be_visible()


# --- asking


def test_a_page_that_nobody_sees_does_not_ask(context_of: Context, server: Server) -> None:
    page = context_of().new_page()
    page.clock.install()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/api/now") else None)
    page.goto(f"{server.url}/plugin/sluice")
    page.clock.run_for(1000)
    expect(page.get_by_role("heading", name="Health")).to_be_visible()
    see(page, hidden=True)
    seen = len(asked)
    for _ in range(10):
        page.clock.run_for(2000)
    assert len(asked) == seen
    with page.expect_request("**/api/now"):
        see(page, hidden=False)


def test_a_tab_that_is_left_and_seen_again_while_an_answer_is_on_its_way_asks_no_faster(open_room: Open) -> None:
    page = open_room()
    expect(page.get_by_role("heading", name="Health")).to_be_visible()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/sluice/api/now", hold)
    with page.expect_request("**/sluice/api/now"):
        pass
    for _ in range(3):
        see(page, hidden=True)
        see(page, hidden=False)
    page.wait_for_timeout(300)
    assert len(held) == 1
    with page.expect_request("**/sluice/api/now"):
        held[0].continue_()
    page.wait_for_timeout(300)
    assert len(held) == 2


def test_the_strip_asks_every_five_seconds_at_most_and_not_when_nobody_sees_it(
    context_of: Context, server: Server
) -> None:
    page = context_of().new_page()
    page.clock.install(time=0)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/sluice/api/" in request.url else None)
    page.goto(f"{server.url}/dags/ingest_events")
    expect(page.locator("[data-sluice=strip]")).to_contain_text("lag:")
    with page.expect_response("**/now/line"):
        page.clock.pause_at(3_600_000)  # from here on time passes when it is told to
    before = len(asked)
    page.clock.run_for(4000)
    assert len(asked) == before
    with page.expect_response("**/now/line"):
        page.clock.run_for(6000)
    see(page, hidden=True)
    before = len(asked)
    page.clock.run_for(60_000)
    assert len(asked) == before


def test_what_waits_for_somebody_is_shown_with_its_remedy(open_room: Open, shop: Settings) -> None:
    refused = shop.incoming_dir / "<b>sheet.xlsx"
    refused.write_text("no")
    try:
        page = open_room(login="viewer")
        notice = page.get_by_role("status").filter(has_text="Files in incoming that are not taken: 1")
        expect(notice).to_contain_text("<b>sheet.xlsx: it is a workbook: save each sheet as CSV and land that")
        expect(notice.locator("b")).to_have_count(0)
    finally:
        refused.unlink()


def test_what_is_wrong_is_shown_since_when_and_with_its_remedy(open_room: Open, shop: Settings) -> None:
    since = datetime(2026, 11, 29, 3, tzinfo=UTC)
    nasty = "<img src=x onerror=\"document.title='taken'\">"
    found = [
        Condition("feed", nasty, "missing", since, {"rows": 1200, "why": nasty}),
        Condition("stream", "stream", "fine", since),
    ]
    with database.connect(shop.writer_dsn) as connection:
        try:
            page = open_room(login="viewer")
            expect(page.get_by_text("has not looked yet")).to_be_visible()
            changes.note(connection, found, since)
            listed = page.locator("[data-sluice=duty]").get_by_role("listitem")
            expect(listed).to_have_count(1)
            expect(listed).to_contain_text("failure")
            expect(listed).to_contain_text("No file of the feed ‹img src=x")
            expect(listed).to_contain_text("rows 1,200")
            expect(listed).to_contain_text("Ask its sender. (docs/on-duty.md#a-feed-is-late-or-missing)")
            expect(listed.locator("time").first).to_have_attribute("datetime", re.compile("2026-11-29T03:00:00"))
            assert Axe().run(page, context="[data-sluice=page]").violations_count == 0
            expect(page).not_to_have_title("taken")
            changes.note(connection, [Condition("feed", nasty, "fine")], datetime.now(UTC))
            expect(listed).to_have_count(0)
            expect(page.get_by_text("Nothing was found wrong")).to_be_visible()
        finally:
            connection.execute("DELETE FROM ledger.duty_changes")
            connection.execute("DELETE FROM ledger.duty")


def see(page: Page, *, hidden: bool) -> None:
    """As when the tab is left, or comes back."""
    page.evaluate(
        """(hidden) => {
            Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_ten_viewers_cost_one_question_a_second(server: Server) -> None:
    """What the lease still lasts is another figure in each snapshot: all of them are shown the same one."""
    token, begun = server.token("viewer"), time.monotonic()
    with ThreadPoolExecutor(10) as viewers:
        seen = list(viewers.map(lambda _: server.ask("GET", "sluice/api/now", token=token), range(10)))
    assert {answer.status for answer in seen} == {200}
    assert len({answer.json["stream"]["lease_seconds_left"] for answer in seen}) <= 2 + int(time.monotonic() - begun)


def test_the_keyboard_alone_reaches_everything(open_link: Open) -> None:
    page = open_link()
    expect(page.get_by_role("button", name="7d")).to_be_visible()
    page.get_by_role("link", name=RUN).focus()
    week = page.get_by_role("button", name="7d")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "7d":
            break
    expect(week).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("range=7d"))
    expect(page.get_by_text("over 7d").first).to_be_visible()
    expect(week).to_be_focused()
