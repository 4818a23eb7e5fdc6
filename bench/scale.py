"""What a load costs, the more there is: events over 24 months are filled in, and the same is measured at each size.

    python -m bench.scale [--rows 30000000] [--write]

At each size five files of 100,000 rows of now are loaded right after a checkpoint, and twenty of 1,000, in turns with
files into an empty database of the same server; then some are taken back while others load. At the largest the nightly
merge compares 1,000,000 new events, and what was loaded in this run is recounted. So
many rows as half of the free disk takes: a row needs about 300 bytes, the WAL 10 GB.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import cpu, report, scale_fill
from bench.peers.base import TABLES
from bench.peers.sluice_tasks import begin, register
from bench.server import Bench, bench
from sluice.base import database
from sluice.base.settings import Settings
from sluice.generator.files import Shares, write_file
from sluice.ledger import migrate
from sluice.loading import merge
from sluice.loading.load_file import FileLoader
from sluice.loading.unload import unload_file
from sluice.proof import reconcile

SIZES = (0, 1_000_000, 10_000_000, 30_000_000, 100_000_000)
MONTHS = 24
LARGE, LARGE_ROWS = 5, 100_000
SMALL, SMALL_ROWS = 20, 1_000
UNLOADS = 5
NEW_ROWS, CLASHES = 1_000_000, 1_000
ROW_BYTES, WAL_BYTES = 300, 10_000_000_000
_SHARES = Shares(late=Settings.generate_late_share)

_WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS bytes"
_TABLE = """
    SELECT sum(pg_total_relation_size(relid))::bigint AS bytes, max(pg_indexes_size(relid))::bigint AS index_bytes
    FROM pg_partition_tree('public.events')
"""
# The ids of rows of old months come again now, in a file that no merge has seen.
_CLASH = """
    UPDATE public.events AS event
    SET event_id = old.event_id
    FROM (
        SELECT event_id, row_number() OVER () AS record_number
        FROM (
            SELECT event_id FROM public.events WHERE event_time < %(begins)s::timestamptz LIMIT %(clashes)s
        ) AS present
    ) AS old
    WHERE event.event_time >= %(begins)s::timestamptz
        AND event.file_id = %(file_id)s
        AND event.record_number = old.record_number
"""


def main() -> None:
    """Measure; print the table, keep it with --write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=SIZES[-1])
    parser.add_argument("--write", action="store_true")
    parsed = parser.parse_args()
    logging.getLogger("sluice").setLevel(logging.ERROR)
    rows = min(parsed.rows, fits(shutil.disk_usage(tempfile.gettempdir()).free))
    if rows < parsed.rows:
        print(f"the disk has room for {rows:,} rows only", flush=True)
    with bench() as server:
        measured = Scale(server).measure(rows)
        measured["server"] = server.told()
    report.publish(report.result("scale", asked=parsed.rows, rows=rows, **measured), keep=parsed.write)


def fits(free: int) -> int:
    """How many rows half of so many free bytes take, beside the WAL; in whole millions."""
    return max(0, (free // 2 - WAL_BYTES) // ROW_BYTES // 1_000_000 * 1_000_000)


class Side:
    """A database of the server with a stream of its own, and one process that loads."""

    def __init__(self, folder: Path, url: str) -> None:
        self.settings = Settings(home=str(folder), database_url=url)
        self._incoming = folder.with_suffix(".files")
        self._incoming.mkdir()
        self.epoch = begin(self.settings)
        self._loader = FileLoader(self.settings, self.epoch)
        self._files = 0

    def land(self, rows: int) -> int:
        """A file of the last day, some rows late, in the ledger as landed; its file_id."""
        self._files += 1
        path = self._incoming / f"measured-{self._files}.csv"
        write_file(path, rows=rows, seed=path.stem, shares=_SHARES, now=datetime.now(UTC))
        file_id = register(self.settings, path)
        path.unlink()
        return file_id

    def load(self, file_id: int) -> float:
        """Seconds in which it is loaded."""
        started = time.monotonic()
        state = self._loader.load(file_id).state
        assert state == "loaded", state
        return time.monotonic() - started

    def empty(self) -> None:
        """No rows, no files, but those that the process has known."""
        with database.connect(self.settings.database_url) as connection:
            connection.execute(f"TRUNCATE {TABLES} CASCADE")  # type: ignore[call-overload]
        for path in self.settings.archive_dir.rglob("*.csv"):
            path.unlink()

    def close(self) -> None:
        """End its session."""
        self._loader.close()


class Scale:
    """One server: a database that is filled more and more, and one whose events are empty before each comparison."""

    def __init__(self, server: Bench) -> None:
        self._server = server
        server.run("CREATE DATABASE empty")
        migrate.migrate(server.server.url("empty"))
        self._full = Side(server.folder / "home", server.url)
        self._empty = Side(server.folder / "empty", server.server.url("empty"))
        self._months = scale_fill.months(datetime.now(UTC), MONTHS)
        self._filled = dict.fromkeys(self._months, 0)

    def measure(self, rows: int) -> dict[str, Any]:
        """At each size up to ``rows``; then what is done at the largest alone."""
        for side in (self._full, self._empty):
            side.load(side.land(2 * LARGE_ROWS))  # a process's first file takes longer
            side.empty()
        sizes = [self._at(size) for size in sorted({size for size in SIZES if size < rows} | {rows})]
        measured: dict[str, Any] = {"months": MONTHS, "sizes": sizes}
        if rows:
            measured["merge"] = self._merge()
            print(measured["merge"], flush=True)
        measured["reconcile"] = self._reconcile()
        print(measured["reconcile"], flush=True)
        self._full.close()
        self._empty.close()
        return measured

    def _at(self, size: int) -> dict[str, Any]:
        filling = self._fill(size)
        found = {"rows": size, "filling": filling, **self._server.one(_TABLE), **self._large(), **self._small()}
        found |= self._unloads()
        print(found, flush=True)
        return found

    def _fill(self, size: int) -> float:
        """Rows per second at which the months were filled up to ``size``; 0 when they were."""
        share = size // MONTHS
        more = {month: share - there for month, there in self._filled.items() if share > there}
        started = time.monotonic()
        scale_fill.fill(self._server.url, more)
        self._filled |= dict.fromkeys(more, share)
        return sum(more.values()) / (time.monotonic() - started)

    def _large(self) -> dict[str, Any]:
        """Rows per second of each file, each beside one into empty events; and what those that are behind many cost."""
        self._empty.empty()
        pairs = [(self._empty.land(LARGE_ROWS), self._full.land(LARGE_ROWS)) for _ in range(LARGE)]
        self._server.run("CHECKPOINT")
        speeds, alone, used, wal = [], [], 0.0, 0
        for empty, full in pairs:
            alone.append(LARGE_ROWS / self._empty.load(empty))
            cpu_before, wal_before = cpu.seconds(self._server.pid), self._wal()
            speeds.append(LARGE_ROWS / self._full.load(full))
            used += cpu.seconds(self._server.pid) - cpu_before
            wal += self._wal() - wal_before
        rows = LARGE * LARGE_ROWS
        return {
            "rows_per_second": speeds,
            "into_empty": alone,
            "ratio": statistics.median(one / other for one, other in zip(speeds, alone, strict=True)),
            "server_us": used / rows * 1e6,
            "wal_bytes": wal / rows,
        }

    def _small(self) -> dict[str, Any]:
        """Median seconds of a file of 1,000 rows, and of one into empty events."""
        full, empty = [], []
        for _ in range(SMALL):
            empty.append(self._empty.load(self._empty.land(SMALL_ROWS)))
            full.append(self._full.load(self._full.land(SMALL_ROWS)))
        return {"small_seconds": statistics.median(full), "small_into_empty": statistics.median(empty)}

    def _unloads(self) -> dict[str, Any]:
        """Seconds of each unload of such a file, and of the loads that another process does meanwhile."""
        file_ids = [self._full.land(SMALL_ROWS) for _ in range(UNLOADS)]
        for file_id in file_ids:
            self._full.load(file_id)
        with multiprocessing.Manager() as manager, ProcessPoolExecutor(1) as pool:
            ready, done = manager.Event(), manager.Event()
            beside = [self._full.land(SMALL_ROWS) for _ in range(150)]
            loading = pool.submit(load_beside, self._full.settings, self._full.epoch, beside, ready, done)
            ready.wait(60)
            unloads = [self._unload(file_id) for file_id in file_ids]
            done.set()
            alone, meanwhile = loading.result()
        waited = max(0.0, max(meanwhile) - statistics.median(alone))
        return {"unload_seconds": unloads, "longest_wait_of_a_load": waited}

    def _unload(self, file_id: int) -> float:
        started = time.monotonic()
        unload_file(self._full.settings, file_id, "measured by the benchmark", by_whom="bench")
        return time.monotonic() - started

    def _merge(self) -> dict[str, Any]:
        """The nightly merge of 1,000,000 events of this month, some of whose ids are in another one."""
        span = (self._months[-1][0], datetime.now(UTC))
        pieces = range(NEW_ROWS // scale_fill.PIECE)
        made = [scale_fill.fill_piece(self._server.url, span, scale_fill.PIECE, merged=False) for _ in pieces]
        self._server.run_with(_CLASH, {"begins": span[0], "clashes": CLASHES, "file_id": made[0][0]})
        self._server.run("CHECKPOINT")
        used, own, started = cpu.seconds(self._server.pid), time.process_time(), time.monotonic()
        merged = merge.merge(self._full.settings)
        assert merged is not None
        seconds, own = time.monotonic() - started, time.process_time() - own
        used = cpu.seconds(self._server.pid) - used
        assert merged.conflicts == CLASHES, merged
        return {"seconds": seconds, "server_cpu": used, "client_cpu": own, **merged.as_dict()}

    def _reconcile(self) -> dict[str, Any]:
        """Seconds in which what was loaded in this run is recounted, behind all that was filled in."""
        started = time.monotonic()
        found = reconcile.reconcile(self._full.settings, self._full.settings.owner_dsn, days=1)
        seconds = time.monotonic() - started
        assert found.holds, found.broken[:5]
        return {"seconds": seconds, "files": sum(count.files for count in found.contracts.values())}

    def _wal(self) -> int:
        return int(self._server.one(_WAL)["bytes"])


def load_beside(
    settings: Settings, epoch: int, file_ids: list[int], ready: Any, done: Any
) -> tuple[list[float], list[float]]:
    """Load small files in a process of its own: seconds of each before it says ``ready`` and until ``done``."""
    loader = FileLoader(settings, epoch)
    alone: list[float] = []
    meanwhile: list[float] = []
    for number, file_id in enumerate(file_ids):
        if number == SMALL + UNLOADS:
            ready.set()
        started = time.monotonic()
        loader.load(file_id)
        # The first ones make the process warm.
        if number >= UNLOADS:
            (meanwhile if ready.is_set() else alone).append(time.monotonic() - started)
        if done.is_set():
            break
    loader.close()
    return alone, meanwhile


if __name__ == "__main__":
    main()
