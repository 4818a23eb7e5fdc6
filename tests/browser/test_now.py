"""Room Now, in Airflow's own UI."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Open


def test_the_page_is_in_airflows_navigation_and_shows_what_is_loaded(open_room: Open) -> None:
    page = open_room()
    expect(page.get_by_role("heading", name="Sluice")).to_be_visible()
    expect(page.get_by_text("rows loaded a second")).to_be_visible()
