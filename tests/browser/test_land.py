"""Room Land a file: what would become of each row is told before the file lands."""

from __future__ import annotations

import hashlib
import os
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from sluice.base import database
from sluice.base.settings import Settings
from sluice.landing.land import land
from sluice.landing.mover import move_landed
from sluice.landing.uploads import KEPT_SECONDS
from sluice.loading.load_file import FileLoader
from sluice.loading.unload import unload_file
from tests.airflow_server import Server
from tests.browser import stage
from tests.browser.conftest import Open
from tests.loading import event, table

OURS = {"X-Sluice": "page"}


def choose(page: Page, name: str, text: str) -> None:
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "text/csv", "buffer": text.encode()})


def load_what_landed(shop: Settings, epoch: int) -> None:
    """What the mover and the stream do."""
    with database.connect(shop.database_url) as connection:
        move_landed(replace(shop, settle_seconds=0), connection)  # nobody writes to it any more
        waiting = connection.execute("SELECT file_id FROM ledger.files WHERE state = 'landed' AND waits_for IS NULL")
        loader = FileLoader(shop, epoch)
        for row in waiting.fetchall():
            loader.load(row["file_id"])
        loader.close()


def uploads(shop: Settings) -> list[Path]:
    return sorted(shop.uploads_dir.iterdir()) if shop.uploads_dir.is_dir() else []


def test_a_dropped_file_is_judged_landed_and_seen_to_arrive(open_room: Open, shop: Settings, epoch: int) -> None:
    page = open_room("land")
    choose(page, "dropped.csv", table(event(70_001), event(70_002, price=stage.SCRIPT), event(70_003)))
    expect(page.get_by_text("It would load, but for 1 row.")).to_be_visible()
    expect(page.get_by_text("the whole file")).to_be_visible()
    expect(page.get_by_text("price.type").first).to_be_visible()
    expect(page.get_by_text(stage.SCRIPT).first).to_be_visible()
    assert page.title() != "taken"
    page.get_by_role("button", name="Land it").click()
    expect(page.get_by_text("has landed")).to_be_visible()
    load_what_landed(shop, epoch)
    expect(page.get_by_role("status")).to_contain_text("is loaded")
    expect(page.get_by_role("link", name=re.compile(r"^File \d"))).to_be_visible()
    assert uploads(shop) == []


def test_a_file_that_lands_again_is_watched_and_not_the_one_before_it(
    open_room: Open, shop: Settings, epoch: int
) -> None:
    text = table(event(70_041))
    land(shop, "again.csv", [text.encode()])
    load_what_landed(shop, epoch)
    with database.connect(shop.database_url) as connection:
        row = connection.execute("SELECT file_id FROM ledger.files WHERE name = 'again.csv'").fetchone()
    assert row is not None
    unload_file(shop, row["file_id"], "it was wrong", by_whom="test")
    page = open_room("land")
    choose(page, "again.csv", text)
    expect(page.get_by_text("It would load.")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Land it").click()
    status = page.get_by_role("status")
    expect(status).to_contain_text("It waits to be moved")
    with page.expect_response("**/arrivals/**"):
        pass
    expect(status).to_contain_text("It waits to be moved")
    load_what_landed(shop, epoch)
    expect(status).to_contain_text("is loaded", timeout=15_000)


def test_what_fits_no_contract_is_drafted_one(open_room: Open, shop: Settings) -> None:
    page = open_room("land")
    choose(
        page,
        "new-feed.csv",
        "id,kind,moment,amount\n" + "".join(f"{i},view,2026-11-0{i}T10:00:00Z,{i}.50\n" for i in range(1, 9)),
    )
    expect(page.get_by_text("No contract fits it").first).to_be_visible()
    expect(page.get_by_role("button", name="Land it")).to_be_hidden()
    page.get_by_role("button", name="Draft a contract").click()
    expect(page.get_by_label("Draft")).to_contain_text("apiVersion")
    expect(page.get_by_text("next: make")).to_have_count(0)  # that is for a shell
    with page.expect_download() as download:
        page.get_by_role("button", name="Download it").click()
    assert download.value.suggested_filename.endswith(".odcs.yaml")
    page.get_by_role("button", name="Leave it").click()
    expect(page.get_by_role("button", name="Choose a file")).to_be_visible()


def test_a_file_is_judged_again_once_a_contract_is_there(open_room: Open, shop: Settings) -> None:
    page = open_room("land")
    choose(page, "later.csv", "sale;day\n1;2026-11-01\n")
    expect(page.get_by_text("No contract fits it").first).to_be_visible()
    with page.expect_request("**/check") as asked:
        page.get_by_role("button", name="Judge it again").click()
    assert asked.value.method == "POST"
    expect(page.get_by_text("No contract fits it").first).to_be_visible()
    page.get_by_role("button", name="Leave it").click()


def test_of_a_file_that_is_there_already_no_row_is_said_to_load(open_room: Open) -> None:
    page = open_room("land")
    choose(page, "same-bytes.csv", table(event(900_011)))  # as stage.py has landed it
    expect(page.get_by_text("It is there already").first).to_be_visible()
    expect(page.get_by_text("none of them would load")).to_be_visible()
    expect(page.get_by_text("would load", exact=True)).to_have_count(0)
    expect(page.get_by_role("region", name="First rows")).to_have_count(0)
    page.get_by_role("button", name="Leave it").click()


def test_a_moment_of_a_first_row_stands_in_one_line_however_narrow(open_room: Open) -> None:
    page = open_room("land", viewport={"width": 400, "height": 900})
    choose(page, "shown.csv", table(event(70_011), event(70_012, price="x" * 300)))
    expect(page.get_by_text("It would load, but for 1 row.")).to_be_visible()
    moment = page.get_by_role("region", name="First rows").get_by_role("cell").filter(has_text="2026-").first
    assert moment.evaluate("cell => cell.querySelector('bdi bdi').getClientRects().length") == 1


def test_the_keyboard_alone_chooses_and_leaves(open_link: Open) -> None:
    page = open_link("land")
    button = page.get_by_role("button", name="Choose a file")
    button.focus()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files({"name": "keys.csv", "mimeType": "text/csv", "buffer": table(event(70_021)).encode()})
    button_of_landing = page.get_by_role("button", name="Land it")
    expect(button_of_landing).to_be_visible()
    button_of_landing.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(button).to_be_visible()


def test_a_verdict_outlives_whatever_has_airflow_render_again(open_link: Open) -> None:
    page = open_link("land")
    choose(page, "kept.csv", table(event(70_015)))
    expect(page.get_by_text("It would load.")).to_be_visible()
    page.evaluate(
        "history.pushState(null, '', location.pathname + '?again=1'); dispatchEvent(new PopStateEvent('popstate'))"
    )
    page.evaluate("new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(then)))")
    expect(page.get_by_text("It would load.")).to_be_visible()
    expect(page.get_by_role("button", name="Choose a file")).to_be_hidden()


# --- the endpoints


def hand_over(server: Server, token: str, name: str, data: bytes, **more: str) -> tuple[int, dict[str, str]]:
    answer = server.ask(
        "POST", "sluice/api/uploads", token=token, body=data, headers={**OURS, "X-Sluice-Name": name, **more}
    )
    return answer.status, answer.json


def test_a_viewer_may_not_hand_over_a_file(server: Server) -> None:
    assert hand_over(server, server.token("viewer"), "a.csv", b"x")[0] == 403


def test_what_no_page_of_ours_sends_is_refused(server: Server, shop: Settings) -> None:
    before = uploads(shop)
    answer = server.ask(
        "POST", "sluice/api/uploads", token=server.token("user"), body=b"x", headers={"X-Sluice-Name": "a.csv"}
    )
    assert answer.status == 400
    assert uploads(shop) == before


@pytest.mark.parametrize("name", ["..%2Fx.csv", "%2Fetc%2Fx.csv", ".hidden.csv", "a%00.csv", "x.part"])
def test_a_name_that_is_never_taken_is_refused_before_anything_is_written(
    server: Server, shop: Settings, name: str
) -> None:
    before = uploads(shop)
    status, said = hand_over(server, server.token("user"), name, b"x")
    assert status == 409, said
    assert uploads(shop) == before


def test_only_the_bytes_of_the_upload_land_and_only_once(server: Server, shop: Settings) -> None:
    token, data = server.token("user"), table(event(70_031)).encode()
    status, said = hand_over(server, token, "na%E2%80%AEme.csv", data)
    assert (status, said["name"]) == (200, "na\u202eme.csv")
    assert [path.stat().st_mode & 0o777 for path in uploads(shop) if said["upload"] in path.name] == [0o600, 0o600]
    landed = server.ask("POST", f"sluice/api/uploads/{said['upload']}/land", token=token, headers=OURS)
    assert landed.json["sha256"] == hashlib.sha256(data).hexdigest()
    path = shop.incoming_dir / landed.json["name"]
    assert path.read_bytes() == data
    path.unlink()
    again = server.ask("POST", f"sluice/api/uploads/{said['upload']}/land", token=token, headers=OURS)
    assert again.status == 409


def test_what_is_not_landed_is_gone_after_an_hour(server: Server, shop: Settings) -> None:
    token = server.token("user")
    _, old = hand_over(server, token, "old.csv", b"x")
    hour_ago = time.time() - KEPT_SECONDS - 1
    for path in uploads(shop):
        os.utime(path, (hour_ago, hour_ago))
    hand_over(server, token, "new.csv", b"x")
    assert not any(old["upload"] in path.name for path in uploads(shop))
    checked = server.ask("POST", f"sluice/api/uploads/{old['upload']}/check", token=token, headers=OURS)
    assert checked.status == 409
