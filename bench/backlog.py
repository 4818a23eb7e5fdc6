"""A backlog through the whole running pipeline, Airflow, Spark and all, against the tasks' own rate in the same run.

    python -m bench.backlog [--rows 2000000] [--files 40] [--write]

The files are dropped at once into ``incoming`` of a pipeline as shipped (the generator paused); the rate is that from
the first commit to the last. The tasks' own rate is the league's, of the same files, before and after.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path
from typing import Any

from bench import report
from bench.pipeline import Pipeline, await_loaded, rate
from bench.play import play
from bench.server import bench, make_files


def main() -> None:
    """Measure; print the table, keep it with --write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--write", action="store_true")
    parsed = parser.parse_args()
    with bench() as here:
        here.make_table("league")
        files = make_files(here.folder, parsed.rows, parsed.files)
        own = [parsed.rows / play(here, "sluice", files)[0].seconds]
        through = through_the_pipeline(files)
        own.append(parsed.rows / play(here, "sluice", files)[0].seconds)
        server = here.told()
    mean = sum(own) / len(own)
    result = {"rows": parsed.rows, "files": parsed.files, "server": server, "tasks": own, "pipeline": through}
    ratio = through["rows_per_second"] / mean
    report.publish(report.result("pipeline", **result, tasks_mean=mean, ratio=ratio), keep=parsed.write)


def through_the_pipeline(files: list[Path]) -> dict[str, Any]:
    """Copy the files beside ``incoming``, rename them into it, wait until all are loaded."""
    with Pipeline() as pipeline:
        pipeline.start()
        copies = []
        for path in files:
            copies.append(pipeline.folder / path.name)
            shutil.copyfile(path, copies[-1])
        os.sync()
        with pipeline.connect() as connection:
            pipeline.land(copies)
            await_loaded(connection, len(files), "events-%")
            return rate(connection, "events-%")


if __name__ == "__main__":
    main()
