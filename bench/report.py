"""What every measurement hands in: a result as JSON, its table, and both in docs/performance.md when it is to be kept.

A result is a dictionary with ``name`` (of its table in ``bench.tables``), ``when``, ``machine`` and whatever that table
reads.
"""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import picture, tables
from sluice.base import machine
from sluice.base.settings import PROJECT

RESULTS = PROJECT / "bench" / "results"
PAGE = PROJECT / "docs" / "performance.md"


def result(name: str, **more: Any) -> dict[str, Any]:
    """A result that says when and on what it was measured."""
    return {"name": name, "when": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "machine": about_machine(), **more}


def about_machine() -> dict[str, Any]:
    """The processor, its cores, the memory in GB, the system, Python."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(machine.memory() / 1e9),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def publish(measured: dict[str, Any], *, keep: bool) -> None:
    """Print its table; with ``keep``, write its JSON and picture, and renew its part of docs/performance.md."""
    print(f"\n{tables.of(measured)}", flush=True)
    if not keep:
        print("not kept: WRITE=1 renews bench/results and docs/performance.md")
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{measured['name']}.json").write_text(json.dumps(measured, indent=1) + "\n")
    if measured["name"] == "league":
        (PAGE.parent / "performance.svg").write_text(picture.league(measured))
    if (RESULTS / "scale.json").exists():
        (PAGE.parent / "scale.svg").write_text(picture.scale(load(RESULTS / "scale.json"), before()))
    PAGE.write_text(put(PAGE.read_text(), measured))


def put(page: str, measured: dict[str, Any]) -> str:
    """The page with the result's table between its two marks. Raises ValueError when the marks are not there."""
    begin, end = f"<!-- {measured['name']}: made by its command -->", f"<!-- end of {measured['name']} -->"
    before, found, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"{PAGE.name} has no place for {measured['name']}: write the lines {begin} and {end} into it")
    return f"{before}{begin}\n{tables.of(measured)}\n{end}{after}"


def before() -> dict[str, Any] | None:
    """The result of the same measurement while ``events`` was one table."""
    path = RESULTS / "scale_before.json"
    return load(path) if path.exists() else None


def load(path: Path) -> dict[str, Any]:
    """A result that was kept."""
    kept: dict[str, Any] = json.loads(path.read_text())
    return kept


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")
