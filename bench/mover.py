"""The mover with many small files waiting: files/s, CPU and memory; then what else looks at files that have landed.

    python -m bench.mover [--files 100000] [--duplicates 0] [--profile] [--write]

The files are of distinct bytes, but for a share of duplicates. The mover runs as in its task, in a process of its own,
against an embedded server with the settings that are shipped. --write keeps the results in bench/results/mover.json.
"""

from __future__ import annotations

import argparse
import cProfile
import multiprocessing
import os
import pstats
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from bench import report
from sluice.base import database, permissions, queries
from sluice.base.settings import Settings
from sluice.landing import incoming, mover, tidy
from sluice.ledger import leases, migrate
from sluice.running import embedded

_LOOKS = 5


def main() -> None:
    """Print what was measured; keep it with --write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--duplicates", type=float, default=0.0, help="the share of files whose bytes landed before")
    parser.add_argument("--profile", action="store_true", help="print where the mover's process spends its time")
    parser.add_argument("--write", action="store_true")
    parsed = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    server = embedded.Server(folder / "server", embedded.binaries())
    try:
        server.start()
        with database.connect(server.url()) as connection:
            connection.execute("CREATE ROLE sluice_writer; CREATE ROLE sluice_reader")
        migrate.migrate(server.url())
        settings = Settings(home=str(folder / "home"), database_url=server.url())
        land(settings, parsed.files, parsed.duplicates)
        result = {"files": parsed.files, "duplicates": parsed.duplicates, "sensing_seconds": sensing(settings)}
        result |= moving(server, settings, profile=parsed.profile)
        result["with_all_landed_ms"] = looks(settings)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    tell(result)
    report.publish(report.result("mover", **result), keep=parsed.write)


def land(settings: Settings, files: int, duplicates: float) -> None:
    """Small files that changed a while ago, each a second after the one before, as far as that is in the past."""
    permissions.make_incoming(settings)
    distinct = max(1, round(files * (1 - duplicates)))
    began = time.time() - files - 60
    for number in range(files):
        path = settings.incoming_dir / f"shop-{number:07}.csv"
        path.write_text(f"event_id,event_type\n{number % distinct},search\n")
        os.utime(path, (began + number, began + number))


def sensing(settings: Settings) -> float:
    """Seconds of one look of the sensor."""
    started = time.monotonic()
    assert incoming.any_takeable(settings)
    return time.monotonic() - started


def moving(server: embedded.Server, settings: Settings, *, profile: bool) -> dict[str, Any]:
    """One call of the mover in a process of its own, and what it cost there and in PostgreSQL."""
    before = server_cpu(server)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result: dict[str, Any] = pool.apply(move, [settings, profile])
    files = result["moved"] + result["duplicates_found"]
    result["server_cpu_us_per_file"] = (server_cpu(server) - before) / files * 1e6
    return result


def move(settings: Settings, profile: bool) -> dict[str, Any]:
    """Move all that waits; runs in the child."""
    profiler = cProfile.Profile()
    with database.connect(settings.writer_dsn, application_name="sluice-mover") as connection:
        before, cpu, started = peak_rss(), time.process_time(), time.monotonic()
        if profile:
            profiler.enable()
        done = mover.move_landed(settings, connection)
        profiler.disable()
        seconds, cpu, after = time.monotonic() - started, time.process_time() - cpu, peak_rss()
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
    assert not done.failed, done.failed
    files = len(done.moved) + len(done.duplicates)
    return {
        "moved": len(done.moved),
        "duplicates_found": len(done.duplicates),
        "seconds": seconds,
        "files_per_second": files / seconds,
        "mover_cpu_us_per_file": cpu / files * 1e6,
        "peak_rss_mb": after / 1e6,
        "peak_rss_grew_mb": (after - before) / 1e6,
    }


def looks(settings: Settings) -> dict[str, float]:
    """Median milliseconds of each thing that is done again and again while all these files wait to be loaded."""
    with database.connect(settings.owner_dsn) as connection:
        lease = leases.take(connection, submitted_by="bench", seconds=3600)
        assert lease is not None
        epoch = leases.begin(connection, token=lease.token, host="bench", pid=1, seconds=3600)
        claims = {"lane": "small", "start": 0, "limit": settings.batch_files, "bytes": settings.batch_bytes}
        ask: dict[str, Callable[[], Any]] = {
            "mover with nothing new": lambda: mover.move_landed(settings, connection),
            "strays": lambda: tidy.strays(settings, connection),
            "pulse": lambda: leases.pulse(connection),
            "source: look": lambda: queries.one(connection, "ledger/claims.look", lane="small", epoch=epoch),
            "source: renumber_passed": lambda: _query(connection, "renumber_passed", claims),
            "source: claim_landed": lambda: _query(connection, "claim_landed", claims),
            "source: last_claim_within": lambda: _query(connection, "last_claim_within", claims),
            "source: highest_claim": lambda: _query(connection, "highest_claim", claims),
            "source: files_between": lambda: _query(connection, "files_between", claims | {"end": 200}),
            "status: files_by_state": lambda: queries.all(connection, "ledger/status.files_by_state"),
            "status: survey of incoming": lambda: incoming.survey(settings),
        }
        return {name: _median_ms(look) for name, look in ask.items()}


def _query(connection: mover.Connection, name: str, values: dict[str, Any]) -> None:
    queries.all(connection, f"ledger/claims.{name}", **values)


def _median_ms(look: Callable[[], Any]) -> float:
    seconds = []
    for _ in range(_LOOKS):
        started = time.monotonic()
        look()
        seconds.append(time.monotonic() - started)
    return statistics.median(seconds) * 1000


def server_cpu(server: embedded.Server) -> float:
    """CPU seconds of the server so far, those of sessions that ended included."""
    assert server.process is not None
    main_process = psutil.Process(server.process.pid)
    return sum(sum(process.cpu_times()[:4]) for process in [main_process, *main_process.children(recursive=True)])


def peak_rss() -> int:
    """Bytes of memory that this process has held at most."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def tell(result: dict[str, Any]) -> None:
    """Print the result for people."""
    print(
        f"{result['moved'] + result['duplicates_found']:,} files in {result['seconds']:.1f} s: "
        f"{result['files_per_second']:,.0f} files/s; CPU a file: mover {result['mover_cpu_us_per_file']:.0f} µs, "
        f"PostgreSQL {result['server_cpu_us_per_file']:.0f} µs; "
        f"peak RSS {result['peak_rss_mb']:.0f} MB, {result['peak_rss_grew_mb']:.0f} MB of it while moving"
    )
    print(f"a look of the sensor before: {result['sensing_seconds'] * 1000:.0f} ms; with all landed:")
    for name, milliseconds in result["with_all_landed_ms"].items():
        print(f"  {name:28} {milliseconds:8.1f} ms")


if __name__ == "__main__":
    main()
