"""Every room as people see it, at all widths, light and dark. SLUICE_TEST_PICTURES=folder keeps the pictures."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.loading import event, table
from tests.small_png import smaller

HEIGHT = 900
# Room: a text that stands there once it has its answers.
ROOMS = {
    "": "Conservation",
    "feeds": "Calendar of feeds",
    "files": "shop-000.csv",
    "files/1": "Its way",
    "quarantine": "price.type",
    "land": "Choose a file",
    "shop": "Revenue",
    "contracts": "events",
    "contracts/events": "Rows without a value",
}
KEPT = {"": "now", "files": "files", "files/1": "file", "quarantine": "quarantine", "shop": "shop"}


def keep(page: Page, name: str) -> None:
    if folder := os.environ.get("SLUICE_TEST_PICTURES"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.png").write_bytes(smaller(page.screenshot(), HEIGHT))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("room", ROOMS)
def test_every_room_fits_each_window_and_breaks_no_rule_of_accessibility(
    open_room: Open, room: str, scheme: str
) -> None:
    page = open_room(room, color_scheme=scheme)
    expect(page.get_by_text(ROOMS[room]).first).to_be_visible(timeout=20_000)
    expect(page.locator("html")).to_have_class(re.compile(scheme))
    for width in (1440, 1024, 400):
        page.set_viewport_size({"width": width, "height": HEIGHT})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
        found = Axe().run(page, "[data-sluice=page]")
        assert found.violations_count == 0, found.generate_report()
        if (width, scheme) == (1440, "light") and room in KEPT:
            page.wait_for_load_state("networkidle")
            keep(page, KEPT[room])


def test_a_judged_file_is_shown(open_room: Open) -> None:
    page = open_room("land")
    rows = table(*(event(80_000 + i) for i in range(40)), event(80_050, price="EUR 9.99"), event(80_051, kind="wiev"))
    page.locator("input[type=file]").set_input_files(
        {"name": "monday.csv", "mimeType": "text/csv", "buffer": rows.encode()}
    )
    expect(page.get_by_text("It would load.")).to_be_visible(timeout=30_000)
    keep(page, "land")
