"""How soon the page in Airflow's web UI answers, with many files, rejects and events behind it.

    python -m bench.page [--files 1000000] [--rejects 100000] [--rows 20000000] [--write]

Airflow's api-server answers over a ledger with so many files and rejects, and days of the generator's shop with its
reports. Each view is asked for one at a time, by the role user, so late that no answer is given a second time; then ten
viewers look at once, each at a room that it asks for anew every two seconds, while Airflow is asked for its health.
"""

from __future__ import annotations

import argparse
import functools
import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench import report, reports_fill, scale_ledger
from bench.costs import timed, told
from bench.peers.sluice_tasks import begin
from bench.server import Bench, bench
from sluice.base import database
from sluice.reports import refresh, tables
from tests import airflow_server
from tests.airflow_server import Server

ASKED, VIEWERS, LOOKING_SECONDS, EVERY_SECONDS = 30, 10, 30.0, 2.0
# Longer than the page gives any answer again (SLOW_SECONDS of its rooms).
STALE_SECONDS = 5.5
_FEWER_REJECTS = """
    DELETE FROM ledger.rejects WHERE file_id > (
        SELECT max(file_id) FROM (SELECT file_id FROM ledger.rejects ORDER BY file_id LIMIT %(rejects)s) AS kept
    )
"""
_NEWEST = """
    SELECT
        (SELECT max(file_id) FROM ledger.files WHERE state = 'loaded' AND name LIKE 'filled-%') AS file,
        (SELECT max(file_id) FROM ledger.rejects) AS rejected
"""


def main() -> None:
    """Measure; print the table, keep it with --write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--rejects", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--write", action="store_true")
    parsed = parser.parse_args()
    logging.getLogger("sluice").setLevel(logging.ERROR)
    with bench() as server:
        measured = measure(server, parsed.files, parsed.rejects, parsed.rows)
        measured["server"] = server.told()
    report.publish(report.result("page", **measured), keep=parsed.write)


def measure(server: Bench, files: int, rejects: int, rows: int) -> dict[str, Any]:
    """Fill, then ask for each view; then what ten viewers do to Airflow."""
    fill(server, files, rejects, rows)
    with tempfile.TemporaryDirectory(prefix="sluice-web-") as folder:
        settings = server.settings
        settings.incoming_dir.mkdir(parents=True, exist_ok=True)
        with airflow_server.running(settings, Path(folder)) as web:
            token = web.token("user")
            print("filled; now the views are asked for", flush=True)
            views = asked(web, token, paths(server))
            alone = told("health alone", _health, web, LOOKING_SECONDS / 3)
            with looking(web, token, list(paths(server).values())) as answers:
                beside = told("health while ten look", _health, web, LOOKING_SECONDS)
    return {
        "files": files, "rejects": rejects, "rows": rows, "asked": ASKED, "views": views,
        "health": {"alone": alone, "beside": beside}, "viewers": VIEWERS, "answers": len(answers),
        "not_answered": sum(status != 200 for status in answers),
    }  # fmt: skip


def fill(server: Bench, files: int, rejects: int, rows: int) -> None:
    """Days of a shop and their reports, then the ledger of ``files`` files."""
    tables.make(server.url)
    begin(server.settings)
    reports_fill.fill(server.url, rows, datetime.now(UTC).date())
    with database.connect(server.url) as connection:
        refresh.refresh(connection, server.settings, "bench")
    first = server.one("SELECT coalesce(max(file_id), 0) AS last FROM ledger.files")["last"] + 1
    scale_ledger.fill(server, first, max(first, files))
    server.run_with(_FEWER_REJECTS, {"rejects": rejects})
    # Files that were made by statements wait for reports that will not count them.
    server.run("DELETE FROM ledger.report_changes", "VACUUM ANALYZE")


def paths(server: Bench) -> dict[str, str]:
    """What each room asks for, by a name for people."""
    newest = server.one(_NEWEST)
    today = datetime.now(UTC).date()
    contract = quote("events")
    return {
        "now": "now",
        "now: today": "now/today",
        "now: lag of a week": "now/lag?range=7d",
        "now: what waits": "now/waits",
        "files": "files",
        "files: a page far back": f"files?before={newest['file'] // 2}",
        "files: rejected ones": "files?state=rejected",
        "files: by prefix": "files?prefix=shop-77",
        "files: how many": "files/count",
        "files: how many duplicates": "files/count?state=duplicate",
        "one file": f"files/{newest['file']}",
        "one file: its rows": f"files/{newest['file']}/rows",
        "contracts": "contracts",
        "one contract": f"contracts/schema?name={contract}",
        "quarantine": "quarantine",
        "quarantine: of a contract": f"quarantine?contract={contract}",
        "quarantine: rows": "quarantine/rejects",
        "quarantine: of a file": f"quarantine/rejects?file_id={newest['rejected']}",
        "shop": "shop",
        "shop: four weeks": "shop/figures?span=28d",
        "shop: products": "shop/products?span=28d",
        "shop: searches": "shop/searches?span=28d",
        "shop: events of a day": f"shop/events?day={today}&type=purchase",
    }


def asked(web: Server, token: str, wanted: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Milliseconds of the answers to each view, all views in turn. Raises ValueError when one is not answered."""
    found: dict[str, list[float]] = {name: [] for name in wanted}
    sizes: dict[str, int] = {}
    for turn in range(ASKED + 1):
        for name, path in wanted.items():
            seconds, answer = timed(functools.partial(web.ask, "GET", f"sluice/api/{path}", token=token))
            if answer.status != 200:
                raise ValueError(f"{name}: {answer.status} {answer.body[:500]!r}")
            sizes[name] = len(answer.body)
            if turn > 0:  # the first one connects
                found[name].append(1000 * seconds)
        time.sleep(STALE_SECONDS)
    return {name: _percentiles(values) | {"bytes": sizes[name]} for name, values in found.items()}


def _health(web: Server, seconds: float) -> dict[str, float]:
    found, ends = [], time.monotonic() + seconds
    while time.monotonic() < ends:
        found.append(1000 * timed(web.ask, "GET", "api/v2/monitor/health")[0])
        time.sleep(0.1)
    return _percentiles(found)


@contextmanager
def looking(web: Server, token: str, asked: list[str]) -> Iterator[list[int]]:
    """While the block runs, viewers ask; the statuses of what they got."""
    ended, found = threading.Event(), []

    def look(number: int) -> None:
        while not ended.is_set():
            for path in ("now", asked[number % len(asked)]):
                found.append(web.ask("GET", f"sluice/api/{path}", token=token).status)
            ended.wait(EVERY_SECONDS)

    threads = [_started(look, number) for number in range(VIEWERS)]
    try:
        yield found
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _started(work: Callable[[int], None], number: int) -> threading.Thread:
    thread = threading.Thread(target=work, args=(number,))
    thread.start()
    return thread


def _percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {"p50": ordered[len(ordered) // 2], "p95": ordered[int(0.95 * len(ordered))], "max": ordered[-1]}


if __name__ == "__main__":
    main()
