"""What keeping the reports up costs, with few and with many events behind it.

    python -m bench.reports [--rows 3000000] [--window 30] [--pairs 3] [--write]

A database for each number of events, as many of them a day: 41,000. The first refresh counts all from nothing; then
twenty times a file of 1,000 rows of now is loaded, 2 of 100 rows hours to days old, and the reports are refreshed; then
some of these files are taken back. With the most events the same while another process loads, and how fast two
processes load while refreshes follow one another, and without: each pair of windows on days of their own, so that all
begin alike. SLUICE_REPORT_SHARE says how much of the time refreshes take as shipped.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import sql

from bench import report, reports_fill
from bench.costs import costs, timed, told
from bench.peers.sluice_tasks import begin
from bench.scale_loads import SMALL_ROWS, Loads, When, each_load_beside
from bench.server import Bench, bench
from sluice.base import database
from sluice.base.settings import Settings
from sluice.ledger import migrate
from sluice.loading.unload import unload_file
from sluice.reports import refresh, tables

FEW, SOME = 300_000, 3_000_000
REFRESHES, UNLOADS = 20, 5
LOADERS = Settings.stream_tasks
# A file of 1,000 rows where a day has 41,000.
SPAN = timedelta(days=1) * SMALL_ROWS / reports_fill.ROWS_OF_A_DAY
# Late rows are up to three days old: so far apart are the days of one window from those of the next.
APART = timedelta(days=5)

_BYTES = """
    SELECT relnamespace::regnamespace::text AS schema, sum(pg_total_relation_size(oid))::bigint AS bytes
    FROM pg_class
    WHERE relkind = 'r' AND relnamespace IN ('report'::regnamespace, 'report_cells'::regnamespace)
    GROUP BY 1
"""
_TABLES = """
    SELECT relnamespace::regnamespace::text AS schema, relname AS name
    FROM pg_class
    WHERE relkind = 'r' AND relnamespace IN ('report'::regnamespace, 'report_cells'::regnamespace)
"""


def main() -> None:
    """Measure; print the table, keep it with --write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=SOME)
    parser.add_argument("--window", type=float, default=30.0)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    parsed = parser.parse_args()
    logging.getLogger("sluice").setLevel(logging.ERROR)
    with bench() as server:
        measured = measure(server, parsed.rows, window=parsed.window, pairs=parsed.pairs)
        measured["server"] = server.told()
    report.publish(report.result("reports", **measured), keep=parsed.write)


def measure(server: Bench, rows: int, *, window: float, pairs: int) -> dict[str, Any]:
    """At each size up to ``rows``; beside loads at the largest."""
    found: list[dict[str, Any]] = []
    for size in sizes(rows):
        sized = Sized(server, size)
        found.append(told(f"behind {size:,} events", sized.measure))
        if size < rows:
            sized.close()
    measured: dict[str, Any] = {"rows": rows, "a_day": reports_fill.ROWS_OF_A_DAY, "sizes": found}
    measured |= {"interval": Settings.report_every_seconds, "share": Settings.report_share}
    measured["beside"] = told("beside loads", sized.beside_loads)
    measured["rates"] = told("loads with refreshes and without", sized.rates, window, pairs)
    sized.close()
    return measured


def sizes(rows: int) -> list[int]:
    """At which numbers of events it is measured."""
    return sorted({size for size in (FEW, SOME) if size < rows} | {rows})


class Sized:
    """A database with so many events, a stream of its own, and this process, which loads and refreshes."""

    def __init__(self, server: Bench, rows: int) -> None:
        self._server = server
        self._rows = rows
        server.run(f"CREATE DATABASE with_{rows}")
        self._url = server.server.url(f"with_{rows}")
        migrate.migrate(self._url)
        tables.make(self._url)
        self._settings = Settings(home=str(server.folder / f"with-{rows}"), database_url=self._url)
        self._epoch = begin(self._settings)
        self._loads = Loads(self._settings, self._epoch, "measured", When(SPAN))
        self._days = 0  # that loads beside have had

    def measure(self) -> dict[str, Any]:
        """Fill it; the first refresh, later ones, and unloads."""
        filling, _ = timed(reports_fill.fill, self._url, self._rows, datetime.now(UTC).date())
        first, _ = costs(self._server, self._refresh)
        found = {"rows": self._rows, "filling": self._rows / filling, "first": first, "bytes": self._bytes()}
        self._know()
        self._loads.one()  # a process's first file takes longer
        self._refresh()
        return found | self._refreshes() | self._unloads()

    def beside_loads(self) -> dict[str, Any]:
        """The seconds of refreshes and unloads while another process loads, and how long its loads waited for them."""
        found = {}
        for name, action in (("refreshes", self._refreshes), ("unloads", self._unloads)):
            with each_load_beside(self._settings, self._epoch, self._another_day()) as loads:
                done = action()
            alone = statistics.median(loads["alone"])
            longest = max(loads["meanwhile"])
            found[name] = done | {"loads": len(loads["meanwhile"]), "alone": alone, "longest": longest}
        return found

    def rates(self, window: float, pairs: int) -> dict[str, Any]:
        """Rows per second of the processes of a stream together, in turns while refreshes go on and without."""
        found: dict[str, list[float]] = {"with": [], "without": [], "seconds": []}
        for pair in range(pairs):
            for refreshes in (True, False) if pair % 2 else (False, True):
                speed, done = self._rate(window, refreshes)
                found["with" if refreshes else "without"].append(speed)
                found["seconds"] += [one["seconds"] for one in done]
                self._refresh()
        ratio = statistics.median(found["with"]) / statistics.median(found["without"])
        return {"window": window, "ratio": ratio, **found}

    def close(self) -> None:
        """End the session."""
        self._loads.close()

    def _rate(self, window: float, refreshes: bool) -> tuple[float, list[dict[str, Any]]]:
        """Rows per second in one window, in which refreshes follow one another or none is; and these refreshes."""
        day, done = self._another_day(), []
        with contextlib.ExitStack() as stack:
            beside = [stack.enter_context(each_load_beside(self._settings, self._epoch, day)) for _ in range(LOADERS)]
            ends = time.monotonic() + window
            while refreshes and time.monotonic() < ends:
                done.append(costs(self._server, self._refresh)[0])
            time.sleep(max(0.0, ends - time.monotonic()))
        return sum(SMALL_ROWS * len(one["meanwhile"]) / sum(one["meanwhile"]) for one in beside), done

    def _refreshes(self) -> dict[str, Any]:
        """Seconds and CPU seconds of the server of each refresh after one small file."""
        done = []
        for _ in range(REFRESHES):
            self._loads.one()
            done.append(costs(self._server, self._refresh)[0])
        return {
            "refresh_seconds": [one["seconds"] for one in done],
            "refresh_cpu": statistics.median(one["server_cpu"] for one in done),
            "refresh_wal": statistics.median(one["wal"] for one in done),
        }

    def _unloads(self) -> dict[str, Any]:
        """Seconds of each unload of such a file, the reports without its rows among them."""
        file_ids = [self._loads.land(SMALL_ROWS) for _ in range(UNLOADS)]
        for file_id in file_ids:
            self._loads.load(file_id)
        self._refresh()
        return {"unload_seconds": [timed(self._unload, file_id)[0] for file_id in file_ids]}

    def _unload(self, file_id: int) -> None:
        left = unload_file(self._settings, file_id, "measured by the benchmark", by_whom="bench")
        assert left.reports == "refreshed", left.reports

    def _refresh(self) -> None:
        with database.connect(self._settings.reader_dsn, application_name="sluice-reports") as connection:
            refresh.refresh(connection, self._settings, "bench")

    def _another_day(self) -> When:
        self._days += 1
        return When(SPAN, APART * self._days)

    def _bytes(self) -> dict[str, int]:
        with database.connect(self._url) as connection:
            return {row["schema"]: row["bytes"] for row in connection.execute(_BYTES)}

    def _know(self) -> None:
        """What autovacuum does within a minute."""
        with database.connect(self._url) as connection:
            for row in connection.execute(_TABLES).fetchall():
                connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(row["schema"], row["name"])))


if __name__ == "__main__":
    main()
