"""What a load costs, the more there is: events over 24 months are filled in, and the same is measured at each size.

    python -m bench.scale [--rows 30000000] [--one-table] [--write]

At each size, in turns with files into an empty database of the same server: five files of 100,000 rows of now, each
pair right after a checkpoint, and twenty of 1,000. Then such files are taken back while another process loads. At the
largest: the nightly merge after a day of 1,000,000 events, alone and beside loads, and the drop of the oldest month.
The events filled in are of files of 100 rows: 1,000,000 files at 100,000,000 events.

--one-table keeps all events in one partition with one key, as before there were months: the same rows, the same loads.
SLUICE_EVENTS_PARTITION is the size of the partitions; what is measured at the end is so with months alone.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench import cpu, report, scale_fill
from bench.peers.base import TABLES
from bench.peers.sluice_tasks import begin
from bench.scale_loads import SMALL_ROWS, Loads, loads_beside
from bench.server import Bench, bench
from sluice.base import database
from sluice.base.settings import Settings, load
from sluice.ledger import migrate
from sluice.loading import expiry, merge
from sluice.loading.unload import unload_file
from sluice.proof import reconcile

SIZES = (0, 1_000_000, 10_000_000, 30_000_000, 100_000_000)
MONTHS = 24
LARGE, LARGE_ROWS = 5, 100_000
SMALL = 20
UNLOADS = 20
DAY_FILES, DAY_ROWS, CLASHES = 100, 10_000, 10  # a day of 1,000,000 events, 10 conflicts a file

# What it takes, on two cores: to be told before it begins.
ROW_BYTES, WAL_BYTES, SPARE_BYTES = 320, 10_000_000_000, 2_000_000_000
ROWS_PER_SECOND, SECONDS_A_SIZE, SECONDS_AT_THE_END = 50_000, 120, 400

_WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS bytes"
_TABLE = """
    SELECT sum(pg_total_relation_size(relid))::bigint AS bytes, max(pg_indexes_size(relid))::bigint AS index_bytes,
        (SELECT count(*) FROM ledger.files) AS files
    FROM pg_partition_tree('public.events')
"""
_ONE_TABLE = (
    "DROP TABLE public.events_before_2000_01, public.events_from_2100_01",
    "CREATE TABLE public.events_all (LIKE public.events INCLUDING ALL, PRIMARY KEY (event_id))",
    "ALTER TABLE public.events ATTACH PARTITION public.events_all FOR VALUES FROM (MINVALUE) TO (MAXVALUE)",
)
_IDS = """
    SELECT array_agg(event_id::text) AS ids
    FROM (
        SELECT event_id FROM public.events WHERE event_time >= '{}' AND event_time < '{}' LIMIT {}
    ) AS present
"""


def main() -> None:
    """Measure; print the table, keep it with --write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=SIZES[-1])
    parser.add_argument("--one-table", action="store_true")
    parser.add_argument("--write", action="store_true")
    parsed = parser.parse_args()
    logging.getLogger("sluice").setLevel(logging.ERROR)
    free = shutil.disk_usage(tempfile.gettempdir()).free
    rows = min(parsed.rows, fits(free))
    print(needs(rows, parsed.rows, free), flush=True)
    with bench() as server:
        measured = Scale(server, one_table=parsed.one_table).measure(rows)
        measured["server"] = server.told()
    name = "scale_before" if parsed.one_table else "scale"
    report.publish(report.result(name, asked=parsed.rows, rows=rows, **measured), keep=parsed.write)


def fits(free: int) -> int:
    """How many rows so many free bytes take, beside the WAL; in whole millions."""
    return max(0, (free - WAL_BYTES - SPARE_BYTES) // ROW_BYTES // 1_000_000 * 1_000_000)


def needs(rows: int, asked: int, free: int) -> str:
    """What measuring takes, and where; and that the disk has no room for as many rows as were asked for."""
    seconds = rows / ROWS_PER_SECOND + SECONDS_A_SIZE * len(sizes(rows)) + (SECONDS_AT_THE_END if rows else 0)
    said = (
        f"{rows:,} events need about {(rows * ROW_BYTES + WAL_BYTES) / 1e9:.0f} GB under {tempfile.gettempdir()} "
        f"(TMPDIR), where {free / 1e9:.0f} are free, and about {seconds / 60:.0f} minutes on two cores"
    )
    return said if rows == asked else f"the disk has no room for {asked:,} events. {said}"


def sizes(rows: int) -> list[int]:
    """At which numbers of events it is measured."""
    return sorted({size for size in SIZES if size < rows} | {rows})


class Side(Loads):
    """A database of the server with a stream of its own, and this process, which loads into it."""

    def __init__(self, folder: Path, url: str, *, one_table: bool) -> None:
        settings = Settings(home=str(folder), database_url=url, events_partition=load().events_partition)
        if one_table:
            with database.connect(url) as connection:
                for statement in _ONE_TABLE:
                    connection.execute(statement)  # type: ignore[call-overload]
        self.epoch = begin(settings)
        super().__init__(settings, self.epoch, "measured")

    def empty(self) -> None:
        """No rows, no files, but those that the process has known."""
        with database.connect(self.settings.database_url) as connection:
            connection.execute(f"TRUNCATE {TABLES} CASCADE")  # type: ignore[call-overload]
        for path in self.settings.archive_dir.rglob("*.csv"):
            path.unlink()


class Scale:
    """One server: a database that is filled more and more, and one whose events are empty before each comparison."""

    def __init__(self, server: Bench, *, one_table: bool = False) -> None:
        self._server = server
        server.run("CREATE DATABASE empty")
        migrate.migrate(server.server.url("empty"))
        self._full = Side(server.folder / "home", server.url, one_table=one_table)
        self._empty = Side(server.folder / "empty", server.server.url("empty"), one_table=one_table)
        self._one_table = one_table
        self._months = scale_fill.months(datetime.now(UTC), MONTHS)
        self._filled = dict.fromkeys(self._months, 0)

    def measure(self, rows: int) -> dict[str, Any]:
        """At each size up to ``rows``; then what is done at the largest alone."""
        for side in (self._full, self._empty):
            side.load(side.land(2 * LARGE_ROWS))  # a process's first file takes longer
            side.empty()
        found = [_told(f"behind {size:,} events", self._at, size) for size in sizes(rows)]
        measured: dict[str, Any] = {"months": MONTHS, "one_table": self._one_table, "sizes": found}
        if rows and not self._one_table and self._full.settings.events_partition == "month":
            merge.merge(self._full.settings)  # of what was loaded so far
            measured["merge"] = _told("merge", self._merge, self._months[1])
            measured["merge_beside"] = _told("merge beside loads", self._merge_beside, self._months[2])
            measured["drop"] = _told("drop of a month", self._drop, self._months[0])
        self._full.close()
        self._empty.close()
        return measured

    def _at(self, size: int) -> dict[str, Any]:
        filling = self._fill(size)
        found = {"rows": size, "filling": filling, **self._server.one(_TABLE)}
        return found | self._large() | self._small() | self._unloads() | self._recount()

    def _fill(self, size: int) -> float:
        """Rows per second at which the months were filled up to ``size``; 0 when they were."""
        share = size // MONTHS
        more = {month: share - there for month, there in self._filled.items() if share > there}
        started = time.monotonic()
        scale_fill.fill(self._server.url, more, self._full.settings.events_partition)
        self._filled |= dict.fromkeys(more, share)
        return sum(more.values()) / (time.monotonic() - started)

    def _large(self) -> dict[str, Any]:
        """Rows per second, CPU and WAL of files behind many events, and of those into empty ones beside them."""
        self._empty.empty()
        full: list[dict[str, float]] = []
        empty: list[dict[str, float]] = []
        for number in range(LARGE):
            pair = [(self._empty, empty), (self._full, full)]
            landed = [(side, side.land(LARGE_ROWS), loads) for side, loads in pair]
            self._server.run("CHECKPOINT")
            for side, file_id, loads in landed[::-1] if number % 2 else landed:
                loads.append(self._costs(side.load, file_id)[0])
        return {
            "rows_per_second": [LARGE_ROWS / one["seconds"] for one in full],
            "into_empty": [LARGE_ROWS / one["seconds"] for one in empty],
            "ratio": statistics.median(
                other["seconds"] / one["seconds"] for one, other in zip(full, empty, strict=True)
            ),
            "server_us": _mean(full, "server_cpu") / LARGE_ROWS * 1e6,
            "server_us_into_empty": _mean(empty, "server_cpu") / LARGE_ROWS * 1e6,
            "wal_bytes": _mean(full, "wal") / LARGE_ROWS,
            "wal_bytes_into_empty": _mean(empty, "wal") / LARGE_ROWS,
        }

    def _small(self) -> dict[str, Any]:
        """Median seconds of a file of 1,000 rows, and of one into empty events."""
        self._empty.empty()
        pairs = [(self._empty.one(), self._full.one()) for _ in range(SMALL)]
        empty, full = (statistics.median(side) for side in zip(*pairs, strict=True))
        return {"small_seconds": full, "small_into_empty": empty}

    def _unloads(self) -> dict[str, Any]:
        """Seconds of each unload of such a file, beside loads."""
        file_ids = [self._full.land(SMALL_ROWS) for _ in range(UNLOADS)]
        for file_id in file_ids:
            self._full.load(file_id)
        with loads_beside(self._full.settings, self._full.epoch) as found:
            found["unload_seconds"] = [_timed(self._unload, file_id)[0] for file_id in file_ids]
        return found

    def _unload(self, file_id: int) -> None:
        unload_file(self._full.settings, file_id, "measured by the benchmark", by_whom="bench")

    def _recount(self) -> dict[str, Any]:
        """Seconds in which all that this run has loaded is recounted, behind what was filled in."""
        settings = self._full.settings
        seconds, found = _timed(partial(reconcile.reconcile, settings, settings.owner_dsn, days=1))
        assert found.holds, found.broken[:5]
        counts = found.contracts.values()
        rows, files = sum(count.rows_read for count in counts), sum(count.files for count in counts)
        return {"recount": {"seconds": seconds, "files": files, "rows": rows}}

    def _merge(self, month: scale_fill.Span) -> dict[str, Any]:
        """The nightly merge after a day's events, some of whose ids are in ``month``."""
        self._load_a_day(month)
        costs, merged = self._costs(merge.merge, self._full.settings)
        assert (merged.conflicts, merged.left) == (DAY_FILES * CLASHES, []), merged
        return merged.as_dict() | costs

    def _merge_beside(self, month: scale_fill.Span) -> dict[str, Any]:
        """The same after another day, beside loads."""
        self._load_a_day(month)
        with loads_beside(self._full.settings, self._full.epoch) as found:
            found["seconds"], merged = _timed(merge.merge, self._full.settings)
        assert (merged.conflicts, merged.left) == (DAY_FILES * CLASHES, []), merged
        return found

    def _load_a_day(self, month: scale_fill.Span) -> None:
        ids = self._server.one(_IDS.format(*month, DAY_FILES * CLASHES))["ids"]
        for begins in range(0, len(ids), CLASHES):
            self._full.load(self._full.land(DAY_ROWS, ids[begins : begins + CLASHES]))
        self._server.run("CHECKPOINT")

    def _drop(self, month: scale_fill.Span) -> dict[str, Any]:
        """The oldest month expires beside loads; its files have receipts."""
        scale_fill.make_receipts(self._server.url, month)
        self._server.run("CHECKPOINT")
        keeping = replace(self._full.settings, keep_events_months=MONTHS - 2)
        with loads_beside(self._full.settings, self._full.epoch) as found:
            seconds, expired = _timed(expiry.expire, keeping)
        assert (expired.rows, expired.left) == (self._filled[month], []), expired
        return found | expired.as_dict() | {"seconds": seconds}

    def _costs(self, action: Callable[..., Any], *asked: Any) -> tuple[dict[str, float], Any]:
        """Seconds, CPU seconds of this process and of the server's, bytes of WAL; and what the action returned."""
        used, own, wal = cpu.seconds(self._server.pid), time.process_time(), self._wal()
        seconds, found = _timed(action, *asked)
        return {
            "seconds": seconds,
            "server_cpu": cpu.seconds(self._server.pid) - used,
            "client_cpu": time.process_time() - own,
            "wal": self._wal() - wal,
        }, found

    def _wal(self) -> int:
        return int(self._server.one(_WAL)["bytes"])


def _told(what: str, measure: Callable[..., dict[str, Any]], *asked: Any) -> dict[str, Any]:
    """What was measured, printed as soon as it is known."""
    found = measure(*asked)
    print(f"{what}: {found}", flush=True)
    return found


def _timed(action: Callable[..., Any], *asked: Any) -> tuple[float, Any]:
    """Seconds, and what it returned."""
    started = time.monotonic()
    found = action(*asked)
    return time.monotonic() - started, found


def _mean(measured: list[dict[str, float]], name: str) -> float:
    return statistics.mean(one[name] for one in measured)


if __name__ == "__main__":
    main()
