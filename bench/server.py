"""The server of a benchmark: the embedded one, as shipped, in a scratch folder; its tables, and what is in them."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.peers.base import COLUMNS, TABLES
from sluice.base import database
from sluice.base.settings import Settings
from sluice.generator.files import write_file
from sluice.ledger import migrate
from sluice.running import embedded

TOLD = (
    "shared_buffers", "max_wal_size", "wal_compression", "checkpoint_timeout", "synchronous_commit", "fsync",
    "full_page_writes", "autovacuum",
)  # fmt: skip


@dataclass
class Bench:
    """A server with Sluice's schema, and a scratch folder."""

    folder: Path
    server: embedded.Server

    @property
    def url(self) -> str:
        """The superuser's."""
        return self.server.url()

    @property
    def settings(self) -> Settings:
        """Sluice's, as shipped, on this server."""
        return Settings(home=str(self.folder / "home"), database_url=self.url)

    @property
    def pid(self) -> int:
        """The server's process; its sessions are children of it."""
        assert self.server.process is not None
        return self.server.process.pid

    @property
    def psql(self) -> str:
        """The server's own psql."""
        return str(self.server.bin_dir / "psql")

    def make_table(self, name: str, more: Sequence[str] = ()) -> None:
        """Table ``name`` with the columns, key and indexes of ``events``, named as the files name them.

        ``more`` columns are numbers, or dates when their names begin with d.
        """
        added = [f"ADD COLUMN {column} {'date' if column[0] == 'd' else 'numeric(20,4)'}" for column in more]
        self.run(
            f"CREATE TABLE public.{name} (LIKE public.events INCLUDING ALL, PRIMARY KEY (event_id))",
            f"ALTER TABLE public.{name} RENAME COLUMN event_time TO timestamp",
            f"ALTER TABLE public.{name} ALTER file_id SET DEFAULT 1, ALTER record_number SET DEFAULT 1",
            *([f"ALTER TABLE public.{name} {', '.join(added)}"] if added else []),
        )

    def empty(self, *tables: str) -> None:
        """Empty events, the ledger and ``tables``, then checkpoint: each load begins from the same."""
        also = "".join(f", public.{table}" for table in tables)
        self.run(f"TRUNCATE {TABLES}{also} CASCADE", "CHECKPOINT")

    def content(self, table: str) -> tuple[int, str]:
        """How many rows ``table`` has, and a checksum of what is in the files' columns, in whatever order."""
        names = ["event_time" if name == "timestamp" and table == "events" else name for name in COLUMNS]
        row = self.one(
            f"SELECT count(*) AS rows, sum(hashtextextended(ROW({', '.join(names)})::text, 0)::numeric) AS sum "
            f"FROM public.{table}"
        )
        return row["rows"], str(row["sum"])

    def run(self, *statements: str) -> None:
        """Run ``statements``, each by itself."""
        with database.connect(self.url) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]

    def run_with(self, statement: str, values: dict[str, Any]) -> None:
        """Run one statement with its parameters."""
        with database.connect(self.url) as connection:
            connection.execute(statement, values)  # type: ignore[call-overload]

    def one(self, query: str) -> dict[str, Any]:
        """The one row of ``query``."""
        with database.connect(self.url) as connection:
            row = connection.execute(query).fetchone()  # type: ignore[call-overload]
        assert row is not None
        return dict(row)

    def told(self) -> dict[str, str]:
        """Its version and the settings that matter for a load."""
        wanted = ", ".join(f"current_setting('{name}') AS {name}" for name in ("server_version", *TOLD))
        return self.one(f"SELECT {wanted}")


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """Start one; at the end nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    folder.chmod(0o755)  # the server may run as another user
    server = embedded.Server(folder / "server", embedded.binaries())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that nothing stays behind
    try:
        server.start()
        with database.connect(server.url()) as connection:
            connection.execute("CREATE ROLE sluice_writer; CREATE ROLE sluice_reader")
        migrate.migrate(server.url())
        yield Bench(folder, server)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def make_files(folder: Path, rows: int, files: int) -> list[Path]:
    """``rows`` clean generated events in ``files`` files; every id is new and random, the worst case for an index."""
    made = []
    for number, share in enumerate(shares(rows, files)):
        path = folder / f"events-{number}.csv"
        write_file(path, rows=share, seed=str(number), now=datetime.now(UTC))
        path.chmod(0o644)
        made.append(path)
    return made


def shares(rows: int, files: int) -> Sequence[int]:
    """``rows`` dealt out evenly."""
    return [rows // files + (number < rows % files) for number in range(files)]
