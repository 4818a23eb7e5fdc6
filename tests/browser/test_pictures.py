"""Every room as people see it, at all widths, light and dark. SLUICE_TEST_PICTURES=folder keeps the pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from sluice.base import database
from sluice.base.settings import Settings
from tests.browser import stage
from tests.browser.conftest import Open
from tests.loading import event, table
from tests.small_png import smaller

HEIGHT = 900
KEPT = {"now": "now", "files": "files", "a file": "file", "quarantine": "quarantine", "shop": "shop"}
# Axe tells what it found, not what it found nothing in.
BROKEN = {"resultTypes": ["violations"]}


def the_chart(page: Page) -> None:
    expect(page.get_by_role("heading", name="Conservation")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Seconds of each phase")).locator("canvas")).to_be_visible()


def the_lists_of_a_shop(page: Page) -> None:
    expect(page.get_by_role("heading", name="The shop in figures")).to_be_visible()
    expect(page.get_by_role("region", name="Looked for and not found")).to_be_visible()


def an_event_and_its_bytes(page: Page) -> None:
    of_the_day = page.locator("section").filter(has=page.get_by_role("heading", name="Revenue by day", exact=True))
    of_the_day.get_by_role("table").get_by_role("link").last.click()
    page.get_by_role("row").nth(1).get_by_role("link").first.click()
    expect(page.locator("[data-sluice=bytes]")).to_be_visible()


def fields_to_edit(page: Page) -> None:
    page.get_by_role("button", name="Edit fields and replay").first.click()
    expect(page.locator("[data-field]").first).to_be_visible()


def a_judged_file(page: Page) -> None:
    rows = table(event(80_001), event(80_002, price="x" * 300), event(80_003, price=stage.SCRIPT))
    choose(page, "wide.csv", rows)


def the_text(text: str) -> Callable[[Page], None]:
    return lambda page: expect(page.get_by_text(text).first).to_be_visible()


# Room: what is done there, and stands there once it has its answers. {nasty} is the file whose name and rows are nasty.
ROOMS = {
    "now": ("", the_chart),
    "feeds": ("feeds", the_text("Calendar of feeds")),
    "files": ("files", the_text("shop-000.csv")),
    "a file": ("files/1", the_text("Its first rows")),
    "a file of a nasty name": ("files/{nasty}", the_text("Its first rows")),
    "quarantine": ("quarantine", the_text("price.type")),
    "quarantine, fields to edit": ("quarantine?file_id={nasty}", fields_to_edit),
    "land": ("land", the_text("Choose a file")),
    "land, a judged file": ("land", a_judged_file),
    "shop": ("shop", the_lists_of_a_shop),
    "shop, an event": ("shop", an_event_and_its_bytes),
    "contracts": ("contracts", the_text("1.0.0")),
    "a contract": ("contracts/events", the_text("Rows without a value")),
}


def choose(page: Page, name: str, text: str) -> None:
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "text/csv", "buffer": text.encode()})
    expect(page.get_by_text(re.compile("^It would load"))).to_be_visible()


def nasty_file(shop: Settings) -> int:
    with database.connect(shop.database_url) as connection:
        row = connection.execute("SELECT file_id FROM ledger.files WHERE name = %s", [stage.NASTY_NAMES[0]]).fetchone()
    assert row is not None
    return int(row["file_id"])


def keep(page: Page, name: str) -> None:
    if folder := os.environ.get("SLUICE_TEST_PICTURES"):
        page.wait_for_load_state("networkidle")
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.png").write_bytes(smaller(page.screenshot(), HEIGHT))


@pytest.mark.parametrize("shown", ROOMS)
def test_every_room_fits_each_window_in_light_and_dark_and_breaks_no_rule_of_accessibility(
    open_link: Open, shop: Settings, shown: str
) -> None:
    room, get_there = ROOMS[shown]
    page = open_link(room.format(nasty=nasty_file(shop)))
    get_there(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        expect(page.locator("html")).to_have_class(re.compile(scheme))
        for width in (1440, 1024, 400):
            page.set_viewport_size({"width": width, "height": HEIGHT})
            fits(page)
            found = Axe().run(page, "[data-sluice=page]", BROKEN).response["violations"]
            assert [(one["id"], [node["html"] for node in one["nodes"]][:2]) for one in found] == [], (scheme, width)
            if (scheme, width) == ("light", 1440) and shown in KEPT:
                keep(page, KEPT[shown])


def fits(page: Page) -> None:
    """Neither the page of the browser nor the room, which scrolls by itself, is wider than its place."""
    wide = "e => Math.max(e.scrollWidth - e.clientWidth, document.documentElement.scrollWidth - innerWidth)"
    assert page.locator("[data-sluice=page]").evaluate(wide) <= 0, page.viewport_size


def test_a_room_is_dark_from_the_start_where_the_viewers_machine_is(open_link: Open) -> None:
    page = open_link("land", color_scheme="dark")
    expect(page.locator("html")).to_have_class(re.compile("dark"))


def test_a_judged_file_is_shown(open_link: Open) -> None:
    page = open_link("land")
    rows = table(*(event(80_000 + i) for i in range(40)), event(80_050, price="EUR 9.99"), event(80_051, kind="wiev"))
    choose(page, "monday.csv", rows)
    keep(page, "land")
