"""Room Feeds: a newcomer sees which feed is not as it should be, why, and what to do."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect
from sluice_ui.rooms import feeds

from sluice.base import database
from sluice.base.settings import Settings
from tests.browser.conftest import Open
from tests.loading import change_contract, write_contract

SCRIPT = "<img src=x onerror=\"document.title='taken'\">"


def test_every_contract_is_a_feed_and_its_last_file_a_link(open_room: Open) -> None:
    page = open_room()
    page.get_by_role("link", name="Feeds", exact=True).click()
    row = page.get_by_role("region", name="Feeds").get_by_role("row").filter(has_text="events")
    expect(row).to_contain_text("its files are known for less than a day")
    row.get_by_role("link", name="events", exact=True).click()
    expect(page).to_have_url(re.compile(r"/plugin/sluice/contracts/events$"))
    page.go_back()
    row.get_by_role("link").last.click()
    expect(page).to_have_url(re.compile(r"/plugin/sluice/files/\d+$"))


def answered(page: Page, shop: Settings, folder: Path) -> None:
    """The room's answer as it is of a shop with a file that is missing, one that is late, and a feed of nasty name."""
    settings = replace(shop, contracts=str(folder))
    document = change_contract(settings, expect={"every": "1 week"})
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    with database.connect(shop.reader_dsn) as connection:
        write_contract(settings, document | {"name": SCRIPT}, "nasty")
        body = feeds.look(connection, settings)
    body["feeds"][-1]["numbers"]["expected_at"] = long_ago.isoformat()
    (events,) = [one for one in body["feeds"] if one["name"] == "events"]
    small = {
        "name": "small",
        "state": "too_small",
        "state_in_words": "too small",
        "says": "3 new rows, at least 9 are usual",
    }
    body["feeds"] += [
        events | {"name": "gone", "state": "missing", "state_in_words": "missing", "remedy": "ask its sender"},
        events | small | {"remedy": "look at the file"},
    ]

    def fulfil(route: Route) -> None:
        route.fulfill(status=200, content_type="application/json", body=json.dumps(body, default=str))

    page.route("**/sluice/api/feeds", fulfil)


def test_what_is_not_fine_stands_above_with_why_and_what_to_do(open_room: Open, shop: Settings, tmp_path: Path) -> None:
    page = open_room("land")
    answered(page, shop, tmp_path)
    page.get_by_role("link", name="Feeds", exact=True).click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Feed gone is missing.")
    expect(alert).to_contain_text("It was expected by")
    expect(alert).to_contain_text("To do: ask its sender.")
    expect(page.get_by_role("status").filter(has_text="Feed small is too small.")).to_contain_text(
        "at least 9 are usual"
    )
    table = page.get_by_role("region", name="Feeds")
    expect(table.get_by_role("row")).to_have_count(5)
    expect(table).to_contain_text("contract: every 1 week")
    expect(table).to_contain_text(SCRIPT)
    expect(page).not_to_have_title("taken")
    for width in (1440, 400):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        found = Axe().run(page, "[data-sluice=page]")
        assert found.violations_count == 0, found.generate_report()


def test_a_list_of_holidays_that_cannot_be_read_is_said(open_room: Open, shop: Settings, tmp_path: Path) -> None:
    path = tmp_path / "days.txt"
    path.write_text("someday\n")
    with database.connect(shop.reader_dsn) as connection:
        body = feeds.look(connection, replace(shop, holidays=str(path)))
    page = open_room("land")
    page.route("**/sluice/api/feeds", lambda route: route.fulfill(status=200, json=body))
    page.get_by_role("link", name="Feeds", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("line 1: 'someday' is no day")
