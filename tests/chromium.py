"""A real browser for the pages: Debian's chromium, or what SLUICE_TEST_CHROMIUM names; without one, tests skip."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def browser() -> str:
    """Its path; skips the test where there is none."""
    given = os.environ.get("SLUICE_TEST_CHROMIUM", "")
    found = given or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("no Chromium: `apt-get install chromium`, or let SLUICE_TEST_CHROMIUM name one")
    return found


def run(page: Path, *flags: str) -> str:
    """Open ``page`` with ``flags`` more; what the browser prints."""
    with tempfile.TemporaryDirectory(prefix="sluice-chromium-", ignore_cleanup_errors=True) as home:
        command = [browser(), *FLAGS, f"--user-data-dir={home}", *flags, page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
