"""The page in Airflow's UI before a pipeline that runs: a file is landed, a row comes back, a file leaves."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.test_make_up import UP_SECONDS, Pipeline
from tests.loading import event, table

SLOWLY = 120_000  # ms: a run of a DAG waits for Airflow's scheduler and a worker that starts


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    home = Path(tempfile.mkdtemp(prefix="sluice-e2e-"))
    running = Pipeline(home, SLUICE_GENERATE_ROWS="200", SLUICE_GENERATE_DIRTY_SHARE="0.05")
    try:
        up = running("up", f"--timeout={UP_SECONDS}", within=UP_SECONDS + 60)
        assert up.returncode == 0, up.stdout
        yield running
    finally:
        running("down")
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def page(browser: Browser, pipeline: Pipeline) -> Iterator[Page]:
    """Logged in by Airflow's own form, in the first room."""
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    opened.goto(f"{pipeline.status()['url']}/plugin/sluice")
    [(user, password)] = json.loads((pipeline.home / "airflow" / "web_password.json").read_text()).items()
    opened.locator("input[name=username]").fill(user)
    opened.locator("input[name=password]").fill(password)
    opened.locator("button[type=submit]").click()
    opened.locator("[data-sluice=page]").wait_for(timeout=60_000)
    yield opened
    opened.close()


def landed(page: Page, name: str, text: str) -> int:
    """Drop a CSV into the page, land it, and wait until it is loaded; its number."""
    page.get_by_role("link", name="Land a file").click()
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "text/csv", "buffer": text.encode()})
    page.get_by_role("button", name="Land it").click(timeout=60_000)
    expect(page.get_by_role("status")).to_contain_text("is loaded", timeout=60_000)
    return int(page.get_by_role("link", name=re.compile(r"^File \d")).inner_text().split()[1])


def test_what_is_landed_on_the_page_is_corrected_and_taken_back_there(page: Page, pipeline: Pipeline) -> None:
    expect(page.get_by_text("running").first).to_be_visible(timeout=30_000)
    file_id = landed(page, "by-hand.csv", table(event(1), event(2, price="EUR 5"), event(3)))

    page.get_by_role("link", name=f"File {file_id}").click()
    expect(page.get_by_text("by-hand.csv").first).to_be_visible()
    page.get_by_role("link", name="In the quarantine").click()
    page.get_by_role("button", name="Edit fields and replay").click()
    page.locator("[data-field=price] input").first.fill("5.00")
    page.get_by_role("button", name="Save and replay").click()
    expect(page.locator("[data-tally]")).to_contain_text("1 loaded", timeout=SLOWLY)
    assert rows_of(pipeline, file_id) == 3

    page.goto(f"{pipeline.status()['url']}/plugin/sluice/quarantine?file_id={file_id}")
    page.get_by_role("button", name="Dry run").click()
    expect(page.locator("[data-withdrawn=dry]")).to_contain_text("3 rows would leave", timeout=SLOWLY)
    assert rows_of(pipeline, file_id) == 3
    page.get_by_label("Why, for those who come after").fill("an end-to-end test")
    page.get_by_role("button", name=f"Unload file {file_id}").click()
    expect(page.locator("[data-withdrawn=done]")).to_contain_text("3 rows left", timeout=SLOWLY)
    assert rows_of(pipeline, file_id) == 0
    audit = pipeline(
        "psql", "-XAtc", f"SELECT by_whom FROM ledger.audit WHERE file_id = {file_id} AND action = 'unload'"
    )
    assert audit.stdout.startswith("admin (run ")


def test_figures_move_while_files_land(page: Page) -> None:
    page.get_by_role("link", name="Files").click()
    newest = page.get_by_role("region", name="Files", exact=True).locator("tbody tr").first
    before = newest.inner_text()
    expect(newest).not_to_have_text(before, timeout=60_000)


def rows_of(pipeline: Pipeline, file_id: int) -> int:
    return int(pipeline("psql", "-XAtc", f"SELECT count(*) FROM events WHERE file_id = {file_id}").stdout)
