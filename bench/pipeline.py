"""A whole pipeline, as `make up` starts it, on a state folder of its own; nothing of it is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import psycopg

from sluice.base import database
from sluice.base.settings import PROJECT, Settings, load
from sluice.generator.files import write_file
from sluice.running import processes
from sluice.running.instance import Instance

PATIENCE_SECONDS = 900.0
Connection = psycopg.Connection[dict[str, Any]]


class Pipeline:
    """Any free ports, no settings of the user's, the generator paused; ``changes`` are variables of its own.

    As a context manager: ended, its folder deleted. ``start`` it, or ``run("up")``.
    """

    def __init__(self, **changes: str) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that nothing stays behind
        self.folder = Path(tempfile.mkdtemp(prefix="sluice-bench-"))
        self.folder.chmod(0o755)
        self.home = self.folder / "home"
        blank = {f"SLUICE_{field.name.upper()}": "" for field in fields(Settings)}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SLUICE_", "AIRFLOW"))}
        ours = {"SLUICE_HOME": str(self.home), "SLUICE_WEB_PORT": "0", "SLUICE_GENERATOR": "off"}
        self.environment = kept | blank | ours | changes
        self.instance = Instance(load(self.environment))

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run([sys.executable, "-m", "sluice", "down"], cwd=PROJECT, env=self.environment)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, with a file that landed before; returns when this is loaded."""
        self.instance.make_folders()
        write_file(self.folder / "first.csv", rows=1000, seed="first")
        self.land([self.folder / "first.csv"])
        self.run("up")
        with self.connect() as connection:
            await_loaded(connection, 1, "first%")

    @property
    def settings(self) -> Settings:
        """Its settings."""
        return self.instance.settings

    def run(self, *arguments: str) -> None:
        """Run one command of ours to its end; raises CalledProcessError when it fails."""
        subprocess.run([sys.executable, "-m", "sluice", *arguments], cwd=PROJECT, env=self.environment, check=True)

    def connect(self) -> Connection:
        """A connection to its database, as the owner; it must run."""
        running = self.instance.running()
        assert running is not None
        return database.connect(self.instance.with_urls(running.postgres_port).owner_dsn, application_name="bench")

    def land(self, files: Sequence[Path]) -> None:
        """Rename them into ``incoming``; they are of the same disk."""
        for path in files:
            path.rename(self.settings.incoming_dir / path.name)

    def members(self, *needles: str) -> list[int]:
        """Its processes whose command line holds all of ``needles``."""
        found = []
        for process in processes.members(self.home):
            try:
                line = (Path("/proc") / str(process.pid) / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if all(needle in line for needle in needles):
                found.append(process.pid)
        return found


def await_loaded(connection: Connection, files: int, name: str) -> None:
    """Wait until so many files of this name (a pattern of LIKE) are loaded; raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    count = "SELECT count(*) AS files FROM ledger.files WHERE state = 'loaded' AND name LIKE %s"
    while (row := connection.execute(count, [name]).fetchone()) and row["files"] < files:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{row['files']} of {files} files are loaded after {PATIENCE_SECONDS:g} s")
        time.sleep(0.2)


_RATE = """
    SELECT
        extract(epoch FROM max(loaded_at) - min(loaded_at)) AS seconds,
        sum(rows_read) AS rows,
        (array_agg(rows_read ORDER BY loaded_at))[1] AS first
    FROM ledger.files
    WHERE state = 'loaded' AND name LIKE %s
"""


def rate(connection: Connection, name: str) -> dict[str, float]:
    """Rows/s from the first commit to the last of the files of this name: the first file's rows came before it."""
    row = connection.execute(_RATE, [name]).fetchone()
    assert row is not None
    seconds = float(row["seconds"])
    return {"seconds": seconds, "rows": int(row["rows"]), "rows_per_second": int(row["rows"] - row["first"]) / seconds}
