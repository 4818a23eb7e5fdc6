"""pyspark.daemon, with what its workers need imported before it forks them.

The daemon forks a worker whenever a task needs one: at the start, for tasks that run at the same time, and anew after a
minute without any. With PySpark's own daemon each of them imports its modules for itself, for a second or two. Set by
``spark.python.daemon.module``; the workers that plan on the driver have PySpark's own all the same.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys

from pyspark import daemon

from sluice.base import log_lines, settings


def main() -> None:
    """Import, then serve as PySpark's daemon does."""
    # A fork copies no threads: numpy is to start none. Arrow's allocator knows how to fork.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with contextlib.redirect_stdout(sys.stderr):  # Spark reads the port from standard output
        importlib.import_module("pyspark.worker")
        importlib.import_module("spark_jobs.landed_files")
        importlib.import_module("spark_jobs.event_loader").import_for_loading()
    log_lines.configure(settings.load().log)  # to standard error, which Spark passes on to its executor's log
    daemon.manager()


if __name__ == "__main__":
    main()
