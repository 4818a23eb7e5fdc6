"""Room Quarantine, in Airflow's own UI: what is set aside, a reject with its fault marked, and the ways back."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from sluice.base import database
from sluice.base.settings import Settings
from tests.airflow_server import Server
from tests.browser import stage
from tests.browser.conftest import Open

TALLY = {
    "edited": 1,
    "considered": 1,
    "loaded": 1,
    "duplicate": 0,
    "still_rejected": 0,
    "still_rejected_by_rule": {},
    "not_judged": [],
}
WITHDRAWN = {
    "rows_removed": 380,
    "given_back": {"7": 12},
    "rejects_withdrawn": 8,
    "rows_expired": 0,
    "duplicates": {"heir": None, "followed": []},
    "days_changed": {"events": {"days": 2, "first": "2026-11-20", "last": "2026-11-21"}},
    "reports": "dry run: nothing was changed",
}


def reject_of(shop: Settings, rule: str) -> tuple[int, int]:
    """A reject that breaks this rule, and no other; a short one."""
    with database.connect(shop.database_url) as connection:
        row = connection.execute(
            "SELECT file_id, record_number FROM ledger.rejects WHERE rules = ARRAY[%s] AND state = 'quarantined' "
            "AND octet_length(raw) < 1000 ORDER BY file_id, record_number LIMIT 1",
            [rule],
        ).fetchone()
    assert row is not None
    return row["file_id"], row["record_number"]


def nasty_file(shop: Settings) -> int:
    """The file of tests.browser.stage whose rejects try to be more than text."""
    with database.connect(shop.database_url) as connection:
        row = connection.execute("SELECT file_id FROM ledger.files WHERE name = %s", [stage.NASTY_NAMES[0]]).fetchone()
    assert row is not None
    return int(row["file_id"])


def runs_end(page: Page, dag: str, state: str, result: dict[str, Any]) -> list[dict[str, Any]]:
    """What is triggered ends so, as a scheduler would have it; what Airflow was asked for is kept."""
    asked: list[dict[str, Any]] = []

    def answer(route: Route) -> None:
        if route.request.method == "POST":
            asked.append(route.request.post_data_json)
            return route.continue_()
        if route.request.url.endswith("/xcomEntries/return_value"):
            return route.fulfill(json={"value": json.dumps(result)})
        return route.fulfill(json={"state": state})

    page.route(re.compile(rf"/api/v2/dags/{dag}/dagRuns"), answer)
    return asked


def test_the_quarantine_is_shown_by_rule_over_time_and_by_file(open_room: Open) -> None:
    page = open_room("quarantine")
    by_rule = page.get_by_role("region", name="Rejects by contract and rule")
    expect(by_rule.get_by_role("row", name="price.type")).to_contain_text("its text cannot be read as one")
    expect(page.get_by_role("img", name="Rows set aside by")).to_be_visible()
    page.get_by_text("The same as a table").click()
    expect(page.get_by_role("region", name="Rows set aside by")).to_be_visible()
    expect(page.get_by_role("region", name="Files with the most rejects").get_by_role("link").first).to_have_attribute(
        "href", re.compile(r"/plugin/sluice/files/\d+$")
    )


def test_a_rule_and_a_file_are_filters_of_the_address(open_room: Open) -> None:
    page = open_room("quarantine")
    page.get_by_role("button", name="Only rule price.type of events").click()
    expect(page).to_have_url(re.compile(r"contract=events&rule=price\.type"))
    expect(page.locator("[data-reject]").first).to_contain_text("price.type")
    page.get_by_role("button", name=re.compile(r"^Only file \d+$")).first.click()
    expect(page).to_have_url(re.compile(r"file_id=\d+"))
    page.get_by_role("button", name="Drop the filter rule").click()
    expect(page).not_to_have_url(re.compile("rule="))


def test_the_field_at_fault_is_marked_and_text_of_files_is_text(open_room: Open, shop: Settings) -> None:
    file_id = nasty_file(shop)
    page = open_room(f"quarantine?file_id={file_id}")
    expect(page.locator("mark", has_text="<b>free</b>")).to_be_visible()
    expect(page.locator("mark", has_text="=1+1")).to_be_visible()
    expect(page.locator("mark", has_text=r"\u202e99.9\u202c")).to_be_visible()
    expect(page.get_by_text(re.compile(r"100 kB, trimmed")).first).to_be_visible()
    expect(page.locator("[data-reject]").first.get_by_role("link", name="<script>")).to_be_visible()
    assert page.locator("[data-sluice=page] b", has_text="free").count() == 0
    assert "taken" not in page.title()


def test_more_rejects_come_until_there_are_no_more(open_room: Open, shop: Settings) -> None:
    page = open_room("quarantine?file_id=1")
    with database.connect(shop.database_url) as connection:
        row = connection.execute("SELECT rows_rejected AS n FROM ledger.files WHERE file_id = 1").fetchone()
    assert row is not None
    more = page.get_by_role("button", name="More", exact=True)
    for shown in range(10, row["n"], 10):
        expect(page.locator("[data-reject]")).to_have_count(shown)
        more.click()
    expect(page.locator("[data-reject]")).to_have_count(row["n"])
    expect(more).to_have_count(0)


def test_fields_are_edited_and_replayed_and_the_tally_is_shown(open_room: Open, shop: Settings) -> None:
    file_id, record = reject_of(shop, "price.type")
    page = open_room(f"quarantine?file_id={file_id}&rule=price.type")
    asked = runs_end(page, "replay_quarantine", "success", TALLY)
    reject = page.locator(f"[data-reject='{file_id}/{record}']")
    reject.get_by_role("button", name="Edit fields and replay").click()
    fields = reject.locator("[data-field]")
    expect(fields.first).to_have_attribute("data-field", "price")
    save = reject.get_by_role("button", name="Save and replay")
    expect(save).to_be_disabled()
    reject.get_by_label("price", exact=False).first.fill("9.99")
    save.click()
    expect(reject.locator("[data-tally]")).to_contain_text("1 edited, 1 judged again")
    expect(reject.locator("[data-tally]")).to_contain_text("1 loaded")
    expect(reject.get_by_role("link", name="Its run in Airflow")).to_have_attribute(
        "href", re.compile(r"/dags/replay_quarantine/runs/[^/]+/tasks/judge_rejects_again$")
    )
    assert asked == [
        {
            "logical_date": None,
            "conf": {"edits": [{"file_id": file_id, "record_number": record, "fields": {"price": "9.99"}}]},
        }
    ]


def test_two_forms_at_once_have_fields_of_their_own(open_room: Open, shop: Settings) -> None:
    with database.connect(shop.database_url) as connection:
        of_two = connection.execute(
            "SELECT file_id FROM ledger.rejects JOIN ledger.files USING (file_id) WHERE rejects.state = 'quarantined' "
            "AND 'price.type' = ANY (rules) AND name LIKE 'shop-0%' GROUP BY file_id HAVING count(*) > 1 LIMIT 1"
        ).fetchone()
    assert of_two is not None
    page = open_room(f"quarantine?rule=price.type&file_id={of_two['file_id']}")
    for opened in (1, 2):
        page.get_by_role("button", name=re.compile("^Edit fields")).first.click()
        expect(page.get_by_role("button", name="Save and replay")).to_have_count(opened)
    fields = page.locator("[data-reject] [data-field=price] input[id]")
    expect(fields).to_have_count(2)
    page.locator("[data-reject] [data-field=price] label[for]").nth(1).click()
    expect(fields.nth(1)).to_be_focused()


def test_a_replay_of_a_rule_waits_in_airflows_queue_until_a_scheduler_takes_it(open_room: Open, server: Server) -> None:
    page = open_room("quarantine?contract=events&rule=price.type")
    page.get_by_role("button", name="Replay all of this rule").click()
    expect(page.locator("[data-run=queued]")).to_contain_text("Queued")
    runs = server.ask("GET", "api/v2/dags/replay_quarantine/dagRuns", token=server.token("admin")).json["dag_runs"]
    mine = [run for run in runs if run["conf"].get("rule") == "price.type"]
    assert [(run["triggering_user_name"], run["conf"]["contract"]) for run in mine] == [("user", "events")]


def test_a_run_that_failed_leads_to_its_log(open_room: Open) -> None:
    page = open_room("quarantine?rule=price.type")
    runs_end(page, "replay_quarantine", "failed", {})
    page.get_by_role("button", name="Replay all of this rule").click()
    expect(page.locator("[data-run=failed]")).to_contain_text("It failed")
    expect(page.get_by_role("link", name="Its log")).to_be_visible()


def test_a_file_is_unloaded_only_after_a_dry_run_and_with_a_reason(open_room: Open) -> None:
    page = open_room("quarantine?file_id=3")
    asked = runs_end(page, "unload_file", "success", WITHDRAWN)
    page.get_by_role("button", name="Dry run").click()
    dry = page.locator("[data-withdrawn=dry]")
    expect(dry).to_contain_text("380 rows would leave events")
    expect(dry).to_contain_text("file 7 would take over 12 rows")
    expect(dry).to_contain_text("2 days of feed events anew: 2026-11-20 to 2026-11-21")
    page.get_by_text(re.compile(r"The \d+ reports that are made of these days")).click()
    expect(dry.get_by_text("report.sales_by_day")).to_be_visible()
    unload = page.get_by_role("button", name="Unload file 3")
    expect(unload).to_be_disabled()
    page.get_by_label("Why, for those who come after").fill("sent by mistake")
    unload.click()
    expect(page.locator("[data-withdrawn=done]")).to_contain_text("380 rows left events")
    conf = {"file_id": 3, "with_duplicates": False}
    assert [each["conf"] for each in asked] == [
        {**conf, "reason": "dry run", "dry_run": True},
        {**conf, "reason": "sent by mistake", "dry_run": False},
    ]


def test_a_dry_run_whose_result_does_not_come_at_once_is_waited_for(open_room: Open) -> None:
    page = open_room("quarantine?file_id=3")
    runs_end(page, "unload_file", "success", WITHDRAWN)
    seen: list[Route] = []

    def answer(route: Route) -> None:
        seen.append(route)
        if len(seen) == 1:
            return route.fulfill(status=500, json={"detail": "not now"})
        return route.fallback()

    page.route("**/xcomEntries/return_value", answer)
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_text("Airflow did not answer just now: not now")).to_be_visible()
    expect(page.get_by_role("button", name="Unload file 3")).to_have_count(0)
    expect(page.locator("[data-withdrawn=dry]")).to_contain_text("380 rows would leave events")


def test_without_the_result_of_its_dry_run_no_file_is_unloaded(open_room: Open) -> None:
    page = open_room("quarantine?file_id=3")
    runs_end(page, "unload_file", "success", WITHDRAWN)
    page.route("**/xcomEntries/return_value", lambda route: route.fulfill(status=403, json={"detail": "Forbidden"}))
    page.get_by_role("button", name="Dry run").click()
    expect(page.locator("[data-run=success]")).to_contain_text("not to be seen here")
    expect(page.get_by_role("button", name="Unload file 3")).to_have_count(0)


def test_the_rejects_come_as_a_csv_that_no_spreadsheet_runs(open_room: Open, shop: Settings) -> None:
    file_id = nasty_file(shop)
    page = open_room(f"quarantine?file_id={file_id}")
    link = page.get_by_role("link", name="Download these rejects as CSV with reasons")
    answer = page.request.get(str(link.get_attribute("href")))
    assert answer.status == 200
    assert answer.headers["x-sluice-complete"] == "true"
    assert re.fullmatch(
        rf'attachment; filename="rejects-file-{file_id}-\d+T\d+Z\.csv"', answer.headers["content-disposition"]
    )
    body = answer.body()
    assert body.startswith(b"\xef\xbb\xbffile_id,file,record")
    rows = list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline="")))
    values = {row["values"] for row in rows}
    assert {"<b>free</b>", "'=1+1"} <= values
    assert body.count(b"\r\n") >= len(rows)


def test_a_viewer_sees_counts_and_no_rows(open_room: Open, server: Server) -> None:
    page = open_room("quarantine", login="viewer")
    expect(page.get_by_role("region", name="Rejects by contract and rule")).to_be_visible()
    expect(page.get_by_text("Your role in Airflow may not see this")).to_be_visible()
    expect(page.locator("[data-reject]")).to_have_count(0)
    page.get_by_role("button", name="Replay all of it").click()
    expect(page.get_by_text("Your role in Airflow may not start this")).to_be_visible()
    token = server.token("viewer")
    for path in ("rejects", "rejects/1/1", "rejects.csv"):
        assert server.ask("GET", f"sluice/api/quarantine/{path}", token=token).status == 403


@pytest.mark.parametrize("asked", ["?days=0", "?file_id=x", "?zone=a'b", "?rule=%00", "?days=9999"])
def test_what_cannot_be_asked_is_refused(server: Server, asked: str) -> None:
    assert server.ask("GET", f"sluice/api/quarantine{asked}", token=server.token("viewer")).status == 422


def test_an_empty_quarantine_says_so(open_room: Open) -> None:
    page = open_room("quarantine?rule=no.such")
    expect(page.get_by_text("Nothing in quarantine fits.")).to_be_visible()
    page.get_by_role("button", name="Show all of it").click()
    expect(page.get_by_role("region", name="Rejects by contract and rule")).to_contain_text("price.type")


def test_the_room_is_used_by_keyboard_alone(open_link: Open, shop: Settings) -> None:
    file_id, record = reject_of(shop, "price.type")
    page = open_link(f"quarantine?file_id={file_id}&rule=price.type")
    asked = runs_end(page, "replay_quarantine", "success", TALLY)
    edit = page.locator(f"[data-reject='{file_id}/{record}']").get_by_role("button", name="Edit fields and replay")
    edit.focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-field=price] input").first).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    expect(page.locator("[data-tally]")).to_be_visible()
    assert asked[0]["conf"]["edits"][0]["fields"] == {"price": "7"}


def test_a_browser_whose_zone_the_database_does_not_know_gets_days_of_utc(server: Server) -> None:
    for zone, days_of in (("Europe/Atlantis", "UTC"), ("Europe/Berlin", "Europe/Berlin")):
        answer = server.ask("GET", f"sluice/api/quarantine?zone={zone}", token=server.token("viewer"))
        assert (answer.status, answer.json["zone"]) == (200, days_of)
