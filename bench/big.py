"""Small files while a big one loads, against alone; and the memory of the stream's processes meanwhile.

    python -m bench.big [--rows 4000000] [--small 15] [--write]

A pipeline as shipped, the generator paused. A file of 1,000 rows lands every two seconds: first alone, then from when
the big one (4,000,000 rows are 1 GB) is being loaded until it is.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

from bench import cpu, report
from bench.pipeline import PATIENCE_SECONDS, Connection, Pipeline, await_loaded
from sluice.generator.files import write_file

EVERY = 2.0
WARMING = 15  # files that land before: a JVM gets faster for a while
_LAGS = """
    SELECT extract(epoch FROM loaded_at - landed_at) AS seconds
    FROM ledger.files WHERE state = 'loaded' AND name LIKE %s ORDER BY file_id
"""


def main() -> None:
    """Measure; print the table, keep it with --write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--small", type=int, default=15)
    parser.add_argument("--write", action="store_true")
    parsed = parser.parse_args()
    with Pipeline() as pipeline:
        pipeline.start()
        with pipeline.connect() as connection:
            measured = measure(pipeline, connection, parsed.rows, parsed.small)
    report.publish(report.result("big", rows=parsed.rows, **measured), keep=parsed.write)


def measure(pipeline: Pipeline, connection: Connection, rows: int, small: int) -> dict[str, Any]:
    """Seconds from landed to queryable of the small files, and bytes of the stream's processes."""
    big = pipeline.folder / "big.csv"
    write_file(big, rows=rows, seed="big")
    size = big.stat().st_size
    for number in range(WARMING):
        _land_small(pipeline, f"warming-{number}.csv")
    await_loaded(connection, WARMING, "warming-%")
    for number in range(small):
        _land_small(pipeline, f"alone-{number}.csv")
    await_loaded(connection, small, "alone-%")
    pipeline.land([big])
    while not _is(connection, "moved_at IS NOT NULL"):
        time.sleep(0.1)
    beside = _until_loaded(pipeline, connection)
    await_loaded(connection, beside, "beside-%")
    row = connection.execute(
        "SELECT extract(epoch FROM loaded_at - moved_at) AS seconds FROM ledger.files WHERE name = 'big.csv'"
    )
    found = row.fetchone()
    assert found is not None
    return {
        "bytes": size,
        "big_seconds": float(found["seconds"]),
        "alone": _lags(connection, "alone-%"),
        "beside": _lags(connection, "beside-%"),
        **memory(pipeline),
    }


def memory(pipeline: Pipeline) -> dict[str, Any]:
    """The most that the driver's JVM and each of its Python processes have held so far, in bytes."""
    drivers = pipeline.members("org.apache.spark.deploy.SparkSubmit")
    below = {pid for driver in drivers for pid in cpu.descendants(driver) if pid not in drivers}
    workers = sorted((cpu.most_memory(pid) for pid in below if cpu.name(pid).startswith("python")), reverse=True)
    return {"driver_bytes": max((cpu.most_memory(pid) for pid in drivers), default=0), "python_bytes": workers}


def _until_loaded(pipeline: Pipeline, connection: Connection) -> int:
    deadline, landed = time.monotonic() + PATIENCE_SECONDS, 0
    while not _is(connection, "state = 'loaded'"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the big file is not loaded after {PATIENCE_SECONDS:g} s")
        _land_small(pipeline, f"beside-{landed}.csv")
        landed += 1
    return landed


def _land_small(pipeline: Pipeline, name: str) -> None:
    begun = time.monotonic()
    path = Path(pipeline.folder / name)
    write_file(path, rows=1000, seed=name)
    pipeline.land([path])
    time.sleep(max(0.0, begun + EVERY - time.monotonic()))


def _is(connection: Connection, condition: str) -> bool:
    query = f"SELECT FROM ledger.files WHERE name = 'big.csv' AND {condition}"
    return connection.execute(query).rowcount > 0  # type: ignore[call-overload, no-any-return]


def _lags(connection: Connection, name: str) -> dict[str, float]:
    seconds = sorted(float(row["seconds"]) for row in connection.execute(_LAGS, [name]))
    return {"files": len(seconds), "p50": statistics.median(seconds), "max": seconds[-1]}


if __name__ == "__main__":
    main()
