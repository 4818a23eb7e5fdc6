"""Opens rooms of the page as they are in this checkout, and keeps pictures: for whoever builds them.

    python -m tests.browser.look FOLDER ROOM [ROOM …] [--login user] [--width 1440] [--dark] [--stay]

A database of a shop and an api-server are made for it, which takes a minute. ``--stay`` leaves them until Enter.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from bench.server import bench
from sluice.reports import tables
from tests import airflow_server, chromium
from tests.browser import stage


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rooms", nargs="+", help="paths below /plugin/sluice; . is the first room")
    parser.add_argument("--login", default="user", choices=airflow_server.ROLES)
    parser.add_argument("--width", type=int, nargs="+", default=[1440])
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--stay", action="store_true")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    with bench() as there:
        tables.make(there.url)
        stage.lived_in(there.settings)
        with (
            tempfile.TemporaryDirectory(prefix="sluice-web-") as where,
            airflow_server.running(there.settings, Path(where)) as server,
            sync_playwright() as playwright,
        ):
            opened = playwright.chromium.launch(executable_path=chromium.browser(), args=list(chromium.FLAGS))
            scheme = "dark" if asked.dark else "light"
            for width in asked.width:
                context = opened.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
                context.add_cookies([{"name": "_token", "value": server.token(asked.login), "url": server.url}])
                page = context.new_page()
                page.on("console", lambda said: print("console:", said.text))
                page.on("pageerror", lambda error: print("error:", error))
                for room in asked.rooms:
                    page.goto(f"{server.url}/plugin/sluice/{room}".rstrip("/."))
                    page.wait_for_timeout(2500)
                    name = re.sub(r"[^a-z0-9]+", "-", room.lower()).strip("-") or "now"
                    page.screenshot(path=asked.folder / f"{name}-{width}-{scheme}.png", full_page=True)
            if asked.stay:
                input(f"{server.url}, login and password: {asked.login}. Enter ends it.")


if __name__ == "__main__":
    main()
