"""Landed to queryable, and what an idle pipeline costs: a pipeline of its own, as `make up` starts it.

    python -m bench.latency [--every 2] [--minutes 10] [--idle-minutes 3] [--rows 1000]

The generator is paused. A file of shop events is renamed into ``incoming`` every so many seconds; the ledger says when
it landed, was moved and was loaded. CPU seconds per second of wall time are of each part of the pipeline. The start is
timed too: one file lies in ``incoming`` before it. Nothing of it is left behind.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import report
from bench.cpu_by_part import Meter
from bench.pipeline import Pipeline, await_loaded
from sluice.generator.files import write_file

LEGS = """
    SELECT name,
        extract(epoch FROM moved_at - landed_at) AS moved,
        extract(epoch FROM loaded_at - moved_at) AS loaded,
        extract(epoch FROM loaded_at - landed_at) AS queryable
    FROM ledger.files
    WHERE state = 'loaded' AND name LIKE 'measured-%'
    ORDER BY file_id
"""
BATCHES = """
    SELECT key AS step, percentile_cont(0.5) WITHIN GROUP (ORDER BY value::numeric) AS p50
    FROM ledger.batches CROSS JOIN jsonb_each_text(durations)
    WHERE committed_at > %s AND durations IS NOT NULL
    GROUP BY key
    ORDER BY p50 DESC
"""
START = """
    SELECT submitted_at, started_at, (SELECT min(loaded_at) FROM ledger.files) AS loaded_at
    FROM ledger.streams
    ORDER BY epoch
    LIMIT 1
"""


def main() -> None:
    """Measure the start, the latency and the idle cost; print them, keep them with --write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two files (default %(default)g)")
    parser.add_argument("--minutes", type=float, default=10.0, help="for so long (default %(default)g)")
    parser.add_argument("--idle-minutes", type=float, default=3.0, help="nothing lands (default %(default)g)")
    parser.add_argument("--rows", type=int, default=1000, help="rows of a file (default %(default)d)")
    parser.add_argument("--settle-seconds", type=float, default=30.0, help="pause before each measurement")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a variable of its own")
    parser.add_argument("--write", action="store_true")
    parsed = parser.parse_args()
    with Pipeline(**dict(one.split("=", 1) for one in parsed.set)) as pipeline:
        measured = measure(pipeline, parsed)
    asked = {"every": parsed.every, "minutes": parsed.minutes, "rows": parsed.rows, "set": parsed.set}
    report.publish(report.result("latency", **asked, **measured), keep=parsed.write)


def measure(pipeline: Pipeline, parsed: argparse.Namespace) -> dict[str, Any]:
    """Start it, land files, let it idle; what was measured, in seconds and in shares of a core."""
    files = make_files(pipeline.folder, max(1, round(parsed.minutes * 60 / parsed.every)), parsed.rows)
    start = start_up(pipeline)
    print("start, seconds: " + "  ".join(f"{step} {seconds:.1f}" for step, seconds in start.items()), flush=True)
    time.sleep(parsed.settle_seconds)
    with pipeline.connect() as connection:
        begun, meter = datetime.now(UTC), meter_of(pipeline)
        land(pipeline, files, parsed.every)
        busy = meter.shares()
        await_loaded(connection, len(files), "measured-%")
        rows = connection.execute(LEGS).fetchall()
        legs = {leg: spread([float(row[leg]) for row in rows]) for leg in ("moved", "loaded", "queryable")}
        batches = {row["step"]: round(float(row["p50"])) for row in connection.execute(BATCHES, [begun])}
    tell_legs(legs, batches)
    tell_shares(f"a file every {parsed.every:g} s", busy)
    time.sleep(parsed.settle_seconds)
    meter = meter_of(pipeline)
    time.sleep(parsed.idle_minutes * 60)
    idle = meter.shares()
    tell_shares("idle", idle)
    return {"start": start, "legs": legs, "batch_ms_p50": batches, "cpu": {"busy": busy, "idle": idle}}


def make_files(folder: Path, files: int, rows: int) -> list[Path]:
    """Generated files in ``folder``, clean, no id twice."""
    made = [folder / f"measured-{number:05d}.csv" for number in range(files)]
    for number, path in enumerate(made):
        write_file(path, rows=rows, seed=f"latency-{number}")
    return made


def start_up(pipeline: Pipeline) -> dict[str, float]:
    """Start it with a file in ``incoming``; seconds from the command to each step."""
    begun = time.time()
    pipeline.start()
    with pipeline.connect() as connection:
        row = connection.execute(START).fetchone()
    assert row is not None
    steps = {"submitted": row["submitted_at"], "stream begun": row["started_at"], "first file": row["loaded_at"]}
    return {step: moment.timestamp() - begun for step, moment in steps.items()}


def meter_of(pipeline: Pipeline) -> Meter:
    """Of its CPU time, from now on; it must run."""
    running = pipeline.instance.running()
    assert running is not None
    return Meter(pipeline.home, running.pid)


def land(pipeline: Pipeline, files: Sequence[Path], every: float) -> None:
    """Land one every so many seconds."""
    begun = time.monotonic()
    for number, path in enumerate(files):
        time.sleep(max(0.0, begun + number * every - time.monotonic()))
        pipeline.land([path])
    time.sleep(every)


def spread(seconds: list[float]) -> dict[str, float]:
    """Median, 95th percentile and maximum."""
    ordered = sorted(seconds)
    return {
        "p50": statistics.median(ordered),
        "p95": ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))],
        "max": ordered[-1],
    }


def tell_legs(legs: dict[str, dict[str, float]], batches: dict[str, int]) -> None:
    """Print them as a table."""
    names = {"moved": "landed to moved", "loaded": "moved to loaded", "queryable": "landed to queryable"}
    for leg, found in legs.items():
        print(f"{names[leg]:20} p50 {found['p50']:.2f}  p95 {found['p95']:.2f}  max {found['max']:.2f} s")
    print("a micro-batch, p50 in ms: " + "  ".join(f"{step} {ms}" for step, ms in batches.items()), flush=True)


def tell_shares(when: str, shares: dict[str, float]) -> None:
    """Print them as a table."""
    print(f"{when}, % of a core:")
    for part, share in shares.items():
        print(f"    {part:36} {100 * share:6.1f}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
