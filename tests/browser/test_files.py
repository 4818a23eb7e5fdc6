"""Rooms Files, One file and Contracts, in Airflow's own UI."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from sluice.base import database
from sluice.base.settings import Settings
from sluice.ledger import receipts
from tests.airflow_server import Server
from tests.browser.conftest import Open


def files_of(page: Page) -> list[str]:
    """The names in the list, once it is there."""
    table = page.get_by_role("region", name="Files", exact=True)
    expect(table).to_be_visible()
    return [row.locator("td").nth(1).inner_text() for row in table.locator("tbody tr").all()]


def one(shop: Settings, name_like: str) -> int:
    """The newest file of such a name."""
    with database.connect(shop.database_url) as connection:
        row = connection.execute(
            "SELECT max(file_id) AS file_id FROM ledger.files WHERE name LIKE %s", [name_like]
        ).fetchone()
    assert row is not None
    return int(row["file_id"])


def test_the_list_shows_the_newest_files_with_their_tally_and_leads_to_each(open_room: Open, shop: Settings) -> None:
    page = open_room("files")
    row = page.get_by_role("row").filter(has_text="shop-001.csv")
    expect(row).to_contain_text("loaded")
    expect(row).to_contain_text("400")
    row.get_by_role("link", name="shop-001.csv").click()
    expect(page).to_have_url(re.compile(rf"/plugin/sluice/files/{one(shop, 'shop-001.csv')}$"))
    expect(page.get_by_text("loaded: its rows can be queried")).to_be_visible()


def test_names_and_rows_of_files_are_text_wherever_they_show(open_room: Open, shop: Settings) -> None:
    page = open_room("files")
    title = page.title()
    expect(page.get_by_role("link", name="<script>document.title='taken'<!--.csv")).to_be_visible()
    expect(page.get_by_role("link", name=re.compile(r"^na\\u202eme\\n2\.csv$"))).to_be_visible()
    assert len(files_of(page)) >= 16
    page = open_room(f"files/{one(shop, '<script>%')}")
    expect(page.get_by_text("<script>document.title='taken'<!--.csv").first).to_be_visible()
    expect(page.get_by_text("<img src=x onerror=\"document.title='taken'\">")).to_be_visible()
    expect(page.locator("[data-sluice=page] img")).to_have_count(0)
    assert page.title() == title


def test_filters_are_the_address_and_change_with_a_choice(open_room: Open) -> None:
    page = open_room("files?state=rejected")
    expect(page.get_by_role("link", name="not-a-feed.csv")).to_be_visible()
    assert files_of(page) == ["not-a-feed.csv"]
    expect(page.get_by_label("State")).to_have_value("rejected")
    page.get_by_label("State").select_option("duplicate")
    expect(page).to_have_url(re.compile("state=duplicate"))
    expect(page.get_by_role("link", name="shop-again.csv")).to_be_visible()
    page.get_by_label("Contract").select_option("events")
    expect(page.get_by_text("No file fits: ask for less.")).to_be_visible()


def test_who_filters_by_keyboard_stays_in_the_field(open_link: Open) -> None:
    page = open_link("files")
    page.get_by_label("State").focus()
    page.keyboard.press("ArrowDown")
    expect(page).to_have_url(re.compile("state="))
    expect(page.get_by_label("State")).to_be_focused()


def test_a_loaded_file_without_rejects_leads_to_where_it_is_unloaded(open_room: Open, shop: Settings) -> None:
    file_id = one(shop, "packed.csv.gz")
    page = open_room(f"files/{file_id}")
    page.get_by_role("link", name="Replay or unload it").click()
    expect(page).to_have_url(re.compile(rf"quarantine\?file_id={file_id}$"))
    expect(page.get_by_role("button", name="Dry run: what would leave")).to_be_visible()


def test_a_moment_stands_in_one_line_however_narrow_the_page(open_room: Open, shop: Settings) -> None:
    page = open_room(f"files/{one(shop, 'shop-001.csv')}", viewport={"width": 400, "height": 800})
    moment = page.get_by_role("region", name="What happened to the file").locator("time").first
    assert moment.evaluate("time => time.getClientRects().length") == 1


def test_the_beginning_of_a_name_is_looked_for_by_keyboard_alone(open_link: Open) -> None:
    page = open_link("files")
    page.get_by_label("Name begins with").focus()
    page.keyboard.type("shop-00")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("prefix=shop-00"))
    expect(page.get_by_text("10 files")).to_be_visible()
    expect(page.get_by_role("link", name="packed.csv.gz")).to_have_count(0)
    assert len(files_of(page)) == 10


def test_a_range_of_time_is_asked_in_the_viewers_own_time(open_room: Open) -> None:
    page = open_room("files", timezone_id="Asia/Kolkata")
    page.get_by_label("Landed before").fill("2020-01-01T00:00")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile(r"until=2019-12-31T18%3A30%3A00\.000Z"))
    expect(page.get_by_text("No file fits: ask for less.")).to_be_visible()
    expect(page.get_by_label("Landed before")).to_have_value("2020-01-01T00:00")


def test_pages_lead_to_newer_and_to_the_newest_files(open_room: Open) -> None:
    page = open_room("files?before=5")
    expect(page.get_by_role("link", name="Newer")).to_be_visible()
    assert len(files_of(page)) == 4
    page.get_by_role("link", name="Newer").click()
    expect(page).to_have_url(re.compile("after=4"))
    expect(page.get_by_role("link", name="packed.csv.gz")).to_be_visible()
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("link", name="packed.csv.gz")).to_have_count(0)
    page.get_by_role("link", name="Newest").click()
    expect(page).to_have_url(re.compile(r"/files\??$"))


def test_a_receipt_is_verified_on_demand(open_room: Open, shop: Settings) -> None:
    file_id = one(shop, "shop-002.csv")
    with database.connect(shop.database_url) as connection:
        receipts.make(connection, file_id)
    page = open_room(f"files/{file_id}")
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text("The receipt holds: the rows are those that were loaded.")).to_be_visible()


def test_a_file_shows_its_rejects_and_rows_to_who_may_see_them(open_room: Open, shop: Settings) -> None:
    file_id = one(shop, "shop-001.csv")
    page = open_room(f"files/{file_id}")
    expect(page.get_by_role("heading", name="Its first rows")).to_be_visible()
    expect(page.get_by_role("heading", name="The first row that was set aside")).to_be_visible()
    rows = page.get_by_role("region", name="Rows of the file").locator("tbody tr")
    expect(rows).to_have_count(100)
    link = page.get_by_role("link", name="In the quarantine")
    expect(link).to_have_attribute("href", re.compile(rf"/plugin/sluice/quarantine\?file_id={file_id}$"))
    run = page.get_by_role("link", name="scheduled__2026-11-30T00:00:00+00:00")
    expect(run).to_have_attribute(
        "href", re.compile(r"/dags/ingest_events/runs/scheduled__2026-11-30T00%3A00%3A00%2B00")
    )


def test_a_viewer_sees_the_tally_and_not_the_rows(open_room: Open, shop: Settings, server: Server) -> None:
    file_id = one(shop, "shop-001.csv")
    page = open_room(f"files/{file_id}", login="viewer")
    expect(page.get_by_text("Your role in Airflow may not see this")).to_be_visible()
    expect(page.get_by_text("loaded: its rows can be queried")).to_be_visible()
    expect(page.get_by_role("heading", name="Its first rows")).to_have_count(0)
    assert server.ask("GET", f"sluice/api/files/{file_id}/rows", token=server.token("viewer")).status == 403


def test_a_file_that_is_not_there_is_told_in_a_sentence(open_room: Open, server: Server) -> None:
    page = open_room("files/99999999")
    expect(page.get_by_text("There is no file 99999999")).to_be_visible()
    page = open_room("files/abc")
    expect(page.get_by_text("A file has a number.")).to_be_visible()
    page.get_by_role("link", name="All files").click()
    expect(page.get_by_role("link", name="shop-001.csv")).to_be_visible()
    asked = server.ask("GET", "sluice/api/files/99999999", token=server.token("viewer"))
    assert (asked.status, asked.json["code"]) == (404, "unknown_file")


@pytest.mark.parametrize(
    "query",
    [
        *("state=none", "since=2026-11-30", "since=2026-11-30T00:00:00", "before=0", "before=9223372036854775808"),
        *("most=201", "prefix=%00", "contract="),
    ],
)
def test_what_cannot_be_asked_is_refused(server: Server, query: str) -> None:
    assert server.ask("GET", f"sluice/api/files?{query}", token=server.token("viewer")).status == 422


def test_an_address_that_asks_for_what_cannot_be_is_told_what_is_wrong_in_it(open_room: Open) -> None:
    expect(open_room("files?since=yesterday").get_by_role("alert")).to_contain_text("since: ")


def test_a_contract_shows_how_its_files_look_over_time(open_room: Open) -> None:
    page = open_room("contracts")
    page.get_by_role("link", name="events", exact=True).click()
    expect(page.get_by_role("heading", name="Contract events")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile(r"^search_query: null in [\d.]+ % of the rows"))).to_be_visible()
    page = open_room("contracts/%3Cb%3Enone")
    expect(page.get_by_text("No file is loaded under a contract named <b>none.")).to_be_visible()
