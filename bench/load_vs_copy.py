"""Loading files against `psql \\copy` of the same rows, in one run on one server: a ratio, not a speed.

    python -m bench.load_vs_copy [--rows 1000000] [--files 8] [--rounds 3]

The yardstick copies the files over one connection into a table with the columns, key and indexes of ``events``.
Sluice loads them as the stream's tasks do: two processes; registered, hashed, judged, tallied, a transaction a file.
Spark's own time for a micro-batch, under half a second once it is warm, is not in it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from sluice.base import database
from sluice.base.settings import PROJECT, Settings
from sluice.generator.files import write_file
from sluice.generator.records import HEADER
from sluice.landing import folders
from sluice.ledger import file_names, leases, migrate
from sluice.loading.load_file import FileLoader
from sluice.running import embedded
from spark_jobs.landed_files import deal

TASKS = 2
RESULTS = PROJECT / "bench" / "results"


def main() -> None:
    """Print each round's rows/s and the median ratio; write them to bench/results/load_vs_copy.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parsed = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    server = embedded.Server(folder / "server", embedded.binaries())
    try:
        server.start()
        with database.connect(server.url()) as connection:
            connection.execute("CREATE ROLE sluice_writer; CREATE ROLE sluice_reader")
        migrate.migrate(server.url())
        settings = Settings(home=str(folder / "home"), database_url=server.url())
        files = make_files(folder, parsed.rows // parsed.files, parsed.files)
        rounds = [run_round(server, settings, files, parsed.rows) for _ in range(parsed.rounds)]
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    ratio = statistics.median(one["ratio"] for one in rounds)
    print(f"median ratio, sluice / \\copy: {ratio:.2f}")
    RESULTS.mkdir(exist_ok=True)
    result = {"rows": parsed.rows, "files": parsed.files, "rounds": rounds, "median_ratio": ratio}
    (RESULTS / "load_vs_copy.json").write_text(json.dumps(result, indent=2) + "\n")


def make_files(folder: Path, rows: int, files: int) -> list[Path]:
    """Clean generated files; every id is new."""
    made = []
    for number in range(files):
        path = folder / f"events-{number}.csv"
        write_file(path, rows=rows, seed=str(number), now=datetime.now(UTC))
        made.append(path)
    return made


def run_round(server: embedded.Server, settings: Settings, files: list[Path], rows: int) -> dict[str, float]:
    """One measurement of each, the yardstick first, both on emptied tables."""
    copied = rows / copy_with_psql(server, files)
    loaded = rows / load_with_sluice(settings, files)
    print(f"\\copy {copied:>9,.0f} rows/s   sluice {loaded:>9,.0f} rows/s   ratio {loaded / copied:.2f}", flush=True)
    return {"copy_rows_per_second": copied, "sluice_rows_per_second": loaded, "ratio": loaded / copied}


def copy_with_psql(server: embedded.Server, files: list[Path]) -> float:
    """Seconds that `psql \\copy` takes."""
    with database.connect(server.url()) as connection:
        connection.execute("DROP TABLE IF EXISTS public.yardstick")
        connection.execute("CREATE TABLE public.yardstick (LIKE public.events INCLUDING ALL)")
        connection.execute("ALTER TABLE public.yardstick RENAME COLUMN event_time TO timestamp")
        connection.execute(
            "ALTER TABLE public.yardstick ALTER file_id SET DEFAULT 1, ALTER record_number SET DEFAULT 1"
        )
    columns = HEADER
    script = "".join(f"\\copy yardstick ({columns}) FROM '{path}' (FORMAT csv, HEADER)\n" for path in files)
    started = time.monotonic()
    psql = [str(server.bin_dir / "psql"), "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(server.port)]
    password = {"PGPASSWORD": (server.folder / "password").read_text()}
    subprocess.run([*psql, "-U", "postgres", "postgres"], input=script.encode(), check=True, env=os.environ | password)
    return time.monotonic() - started


def load_with_sluice(settings: Settings, files: list[Path]) -> float:
    """Seconds that two loading processes take, warm: each has loaded a small file before."""
    with database.connect(settings.owner_dsn) as connection:
        connection.execute(
            "TRUNCATE public.events, ledger.files, ledger.rejects, ledger.duplicates, ledger.batches CASCADE"
        )
        connection.execute(
            "UPDATE ledger.streams SET state = 'ended', ended_at = now(), ended_how = 'unknown' WHERE ended_at IS NULL"
        )
        lease = leases.take(connection, submitted_by="bench", seconds=3600)
        assert lease is not None
        epoch = leases.begin(connection, token=lease.token, host="bench", pid=1, seconds=3600)
        folders.check(settings, connection)
    file_ids = [register(settings, path) for path in files]
    sizes = [(file_id, file_id, path.stat().st_size, path.name) for file_id, path in zip(file_ids, files, strict=True)]
    shares = [[file[0] for file in share.files] for share in deal(sizes, TASKS)]
    with ProcessPoolExecutor(TASKS, initializer=_warm_up, initargs=(settings, epoch)) as pool:
        list(pool.map(_ready, range(TASKS * 4)))
        started = time.monotonic()
        tallies = list(pool.map(_load, shares))
        seconds = time.monotonic() - started
    assert all(state == "loaded" for share in tallies for state in share), tallies
    return seconds


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


def _warm_up(settings: Settings, epoch: int) -> None:
    global _loader
    _loader = FileLoader(settings, epoch)


def _ready(_: int) -> None:
    time.sleep(0.1)


def _load(file_ids: list[int]) -> list[str]:
    return [_loader.load(file_id).state for file_id in file_ids]


if __name__ == "__main__":
    main()
