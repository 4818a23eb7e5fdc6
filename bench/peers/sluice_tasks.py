"""Sluice's tasks, as the stream runs them: registered files, hashed, judged, tallied, a transaction a file.

Two processes, as many as the stream has tasks as shipped. Spark's own time for a micro-batch is not in it;
``bench.backlog`` measures the whole pipeline.
"""

from __future__ import annotations

import dataclasses
import hashlib
import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path

from bench.peers.base import TABLES, Job, Peer
from sluice.base import database
from sluice.base.settings import Settings
from sluice.generator.files import write_file
from sluice.landing import folders
from sluice.ledger import file_names, leases
from sluice.loading.load_file import FileLoader
from spark_jobs.landed_files import deal

# More than a chunk of bytes: the stream's processes have loaded such files before, whatever they load next.
WARM_ROWS = 70_000


class SluiceTasks(Peer):
    """The tasks of the stream, as many as are shipped."""

    name = f"Sluice, {Settings.stream_tasks} tasks"
    settings = "as shipped; every row judged, tallied, provable by receipt"
    table = "events"
    in_project = True

    def version(self) -> str:
        """Of this checkout."""
        return "this checkout"

    def warm(self, job: Job) -> None:
        """Take the lease, start the processes; each loads a file, whose rows go again. Then register the files."""
        settings, tasks = Settings(home=job.folder, database_url=job.url), Settings.stream_tasks
        if job.contracts:
            settings = dataclasses.replace(settings, contracts=job.contracts)
        together = multiprocessing.Barrier(tasks)
        self._pool = ProcessPoolExecutor(tasks, initializer=_start, initargs=(settings, begin(settings), together))
        warming = [register(settings, _warm_file(Path(job.folder), number)) for number in range(tasks)]
        list(self._pool.map(_load_together, warming))
        with database.connect(job.url, autocommit=True) as connection:
            connection.execute(f"TRUNCATE {TABLES} CASCADE")
            connection.execute("CHECKPOINT")
        paths = [Path(file) for file in job.files]
        landed = [(register(settings, path), path) for path in paths]
        sizes = [(file_id, file_id, path.stat().st_size, path.name) for file_id, path in landed]
        self._shares = [[file[0] for file in share.files] for share in deal(sizes, tasks)]
        self._landed = settings.processing_dir

    def load(self, job: Job) -> None:
        """Each task its share."""
        states = [state for share in self._pool.map(_load, self._shares) for state in share]
        if set(states) != {"loaded"}:
            raise RuntimeError(f"files ended as {states}")

    def close(self) -> None:
        """End the processes; the landed copies go."""
        self._pool.shutdown()
        for path in self._landed.glob("*.csv*"):
            path.unlink()


def _warm_file(folder: Path, number: int) -> Path:
    path = folder / f"warm-{number}.csv"
    write_file(path, rows=WARM_ROWS, seed=f"warm-{number}")
    return path


def begin(settings: Settings) -> int:
    """The epoch of a stream of our own, in a ledger where nothing is."""
    with database.connect(settings.owner_dsn) as connection:
        connection.execute(
            "UPDATE ledger.streams SET state = 'ended', ended_at = now(), ended_how = 'unknown' WHERE ended_at IS NULL"
        )
        lease = leases.take(connection, submitted_by="bench", seconds=3600)
        assert lease is not None
        epoch = leases.begin(connection, token=lease.token, host="bench", pid=1, seconds=3600)
        folders.check(settings, connection)
    return epoch


def register(settings: Settings, path: Path) -> int:
    """Enter a copy of the file in the ledger as landed."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    with database.connect(settings.owner_dsn) as connection:
        row = connection.execute(
            "INSERT INTO ledger.files (name, path, sha256, bytes, landed_at) VALUES (%s, '', %s, %s, now()) "
            "RETURNING file_id",
            [path.name, sha256, path.stat().st_size],
        ).fetchone()
        assert row is not None
        relative = f"processing/{file_names.make(row['file_id'], sha256, path.name)}"
        shutil.copyfile(path, settings.home_dir / relative)
        connection.execute("UPDATE ledger.files SET path = %s WHERE file_id = %s", [relative, row["file_id"]])
    return int(row["file_id"])


_loader: FileLoader
_together: Barrier


def _start(settings: Settings, epoch: int, together: Barrier) -> None:
    global _loader, _together
    _loader, _together = FileLoader(settings, epoch), together


def _load_together(file_id: int) -> None:
    """Load one file in each process: none takes two of them."""
    _together.wait(60)
    _load([file_id])


def _load(file_ids: list[int]) -> list[str]:
    return [_loader.load(file_id).state for file_id in file_ids]
