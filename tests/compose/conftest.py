"""The table of what was broken and how long it took to mend, at the end of the run."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest

TABLE: list[tuple[str, ...]] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without an engine there is nothing to try: say why."""
    if why := _why_not():
        for item in items:
            item.add_marker(pytest.mark.skip(reason=why))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table."""
    if not TABLE:
        return
    widths = [max(len(row[column]) for row in TABLE) for column in range(len(TABLE[0]))]
    terminalreporter.section("the stack, broken and mended by itself")
    for row in TABLE:
        cells = [
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        terminalreporter.write_line("  ".join(cells))


def _why_not() -> str:
    if shutil.which("docker") is None:
        return "there is no docker on PATH: the stack of docker-compose.yaml was not tried"
    for words, what in ((["docker", "info"], "engine"), (["docker", "compose", "version"], "Compose v2")):
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode != 0:
            return f"no {what} answers ({done.stderr.strip().splitlines()[-1:]}): docker-compose.yaml was not tried"
    return ""
