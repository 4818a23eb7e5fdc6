"""One CSV that is bigger than memory: its load is killed at half and shows no row, then it loads whole, at once.

    python -m tests.chaos.big_file [--rows 15000000]

The driver has 1 GB (SLUICE_SPARK_DRIVER_MEMORY), the server is the embedded one. Exit code 0 only when no row was ever
visible before all were, none is missing, and no Python worker held 700 MB or more. Prints what it measured and writes
it to bench/results/big_file.json. Takes the space of the file four times, under the folder for temporary files.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from sluice.base import database
from sluice.base.settings import PROJECT, Settings
from sluice.generator.files import write_file
from sluice.generator.records import Shares
from sluice.landing import mover
from sluice.ledger import migrate
from sluice.proof.reconcile import reconcile
from sluice.reports import tables
from sluice.running import embedded

RESULTS = PROJECT / "bench" / "results" / "big_file.json"
WORKER_BYTES_MAX = 700 * 1024 * 1024
DIRTY = 0.001
Connection = Any


class Watch(threading.Thread):
    """Looks, several times a second, at the memory of a submitter's descendants and at whether a row is visible."""

    def __init__(self, submitter: subprocess.Popen[bytes], url: str) -> None:
        super().__init__(name="watch", daemon=True)
        self._submitter = psutil.Process(submitter.pid)
        self._url = url
        self._over = threading.Event()
        self.driver_bytes = self.worker_bytes = 0
        self.seen: set[bool] = set()
        self.looks = 0

    def run(self) -> None:
        """Until ``close``."""
        with database.connect(self._url) as connection:
            while not self._over.wait(0.2):
                self._look(connection)

    def close(self) -> None:
        """Stop looking."""
        self._over.set()
        self.join(10)

    def _look(self, connection: Connection) -> None:
        row = connection.execute("SELECT EXISTS (SELECT FROM public.events) AS any, state FROM ledger.files").fetchone()
        # A row of events without its file being loaded would be half a file.
        self.looks += 1
        self.seen.add(row["any"] and row["state"] != "loaded")
        for process in self._descendants():
            try:
                held = process.memory_info().rss
                if process.name() == "java":
                    self.driver_bytes = max(self.driver_bytes, held)
                else:
                    self.worker_bytes = max(self.worker_bytes, held)
            except psutil.Error:
                continue

    def _descendants(self) -> list[psutil.Process]:
        try:
            return self._submitter.children(recursive=True)
        except psutil.Error:
            return []


def main() -> int:
    """Make the file, kill its load at half, load it whole, verify."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.big_file", description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=15_000_000)
    rows = parser.parse_args().rows
    folder = Path(tempfile.mkdtemp(prefix="sluice-big-"))
    folder.chmod(0o755)
    server = embedded.Server(folder / "server", embedded.binaries())
    try:
        server.start()
        settings = Settings(home=str(folder / "home"), database_url=server.url())
        migrate.migrate(server.url())
        tables.make(server.url())
        outcome = run(settings, rows)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(outcome, indent=2) + "\n")
    print(json.dumps(outcome, indent=2), flush=True)
    return 0 if outcome["holds"] else 1


def run(settings: Settings, rows: int) -> dict[str, Any]:
    """Land a file of ``rows``, kill the first load at half, let the second one end; what was measured."""
    settings.incoming_dir.mkdir(parents=True)
    path = settings.incoming_dir / "big.csv"
    made = write_file(path, rows=rows, shares=Shares(dirty=DIRTY), seed="big", now=datetime.now(UTC))
    size = path.stat().st_size
    print(f"{made}, {size:,} bytes", flush=True)
    with database.connect(settings.owner_dsn) as connection:
        mover.move_landed(replace(settings, settle_seconds=0.0), connection)
        killed = load(settings, kill_after=size // 2)
        left = connection.execute("SELECT count(*) AS rows FROM public.events").fetchone()
        whole = load(settings)
        tally = connection.execute("SELECT state, rows_read, rows_loaded, rows_rejected FROM ledger.files").fetchone()
    found = reconcile(settings, settings.reader_dsn)
    holds = (
        found.holds
        and left == {"rows": 0}
        and tally
        == {"state": "loaded", "rows_read": rows, "rows_loaded": rows - made.dirty, "rows_rejected": made.dirty}
        and killed["exit_code"] != 0
        and not (killed["half_visible"] or whole["half_visible"])
        and max(killed["worker_bytes"], whole["worker_bytes"]) < WORKER_BYTES_MAX
    )
    return {
        "rows": rows,
        "bytes": size,
        "holds": holds,
        "rows_visible_after_the_kill": left,
        "tally": tally,
        "reconcile": found.lines(),
        "killed_load": killed,
        "whole_load": whole | {"rows_per_second": round(rows / whole["seconds"])},
    }


def load(settings: Settings, *, kill_after: int | None = None) -> dict[str, Any]:
    """Drain with a real driver; SIGKILL of its JVM once a task has read ``kill_after`` bytes."""
    begun = time.monotonic()
    environment = os.environ | {
        "SLUICE_HOME": settings.home,
        "SLUICE_DATABASE_URL": settings.database_url,
        "PYTHONPATH": str(PROJECT),
    }
    command = [sys.executable, "-m", "tests.chaos.submitter"]
    submitter = subprocess.Popen(command, env=environment, cwd=PROJECT)
    watch = Watch(submitter, settings.database_url)
    watch.start()
    if kill_after is not None:
        mine = psutil.Process(submitter.pid)
        while submitter.poll() is None and read_so_far(mine) < kill_after:
            time.sleep(0.1)
        for process in mine.children(recursive=True):
            if process.name() == "java":
                process.kill()
    submitter.wait()
    watch.close()
    return {
        "seconds": round(time.monotonic() - begun, 1),
        "driver_bytes": watch.driver_bytes,
        "worker_bytes": watch.worker_bytes,
        "half_visible": True in watch.seen,
        "looks": watch.looks,
        "exit_code": submitter.returncode,
    }


def read_so_far(submitter: psutil.Process) -> int:
    """How far, in bytes, a task has read the file."""
    furthest = 0
    for process in submitter.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            positions = [each.position for each in process.open_files() if each.path.endswith("-big.csv")]
            furthest = max(furthest, *positions, 0)
    return furthest


if __name__ == "__main__":
    sys.exit(main())
