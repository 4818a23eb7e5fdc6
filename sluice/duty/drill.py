"""The restore drill: the last backup is restored beside the living database, recounted, reported, and dropped again.

A backup that nobody has restored is a hope. Nothing that lives is changed: the rows go to a database of their own, the
files are read where they are by now.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from sluice.base import database, queries
from sluice.base.permissions import make_folder
from sluice.base.settings import Settings
from sluice.ledger import contract_waits, migrate, roles
from sluice.loading import backup as backups
from sluice.loading.backup import RestoreError, Say
from sluice.loading.restore import LIVING, Url
from sluice.proof import reconcile
from sluice.reports import tables
from sluice.running.credentials import write_private

Connection = psycopg.Connection[dict[str, Any]]
SCRATCH = "sluice_drill"
_PAGE = 1000


@dataclass(frozen=True)
class Drill:
    """What a drill found. Moments are texts in ISO 8601; ``problems`` has a sentence for each difference."""

    backup: str
    backup_made_at: str
    at: str
    seconds: float
    migrations: int
    files: int
    rows: int
    waiting: int
    problems: list[str]

    @property
    def holds(self) -> bool:
        """Whether the backup can be restored, and all of its rows are accounted for."""
        return not self.problems

    def lines(self) -> list[str]:
        """Sentences for people."""
        verdict = "it holds" if self.holds else f"BROKEN in {len(self.problems):,} places"
        return [
            f"{self.backup}, made at {self.backup_made_at}: restored beside the living database, {self.migrations} "
            f"migrations applied, {self.files:,} files with {self.rows:,} rows recounted, in {self.seconds:.0f} s: "
            f"{verdict}",
            *(f"BROKEN {problem}" for problem in self.problems),
        ]

    def as_json(self) -> str:
        """All of it, and whether it holds."""
        return json.dumps(asdict(self) | {"holds": self.holds}, indent=2, ensure_ascii=False)


def drill(settings: Settings, url: Url, owner_url: Url, program: Path | str, backup: Path, say: Say) -> Drill:
    """Restore ``backup`` into a database of its own, recount it, drop it; the arguments are those of ``restore``.

    Raises RestoreError when it cannot be restored: then, too, nothing stays.
    """
    begun, at = time.monotonic(), datetime.now(UTC)
    with _scratch(settings, url):
        say(f"restoring {backup} beside the living database …")
        backups.read_into(url(SCRATCH), program, backup, say)
        with database.connect(url(SCRATCH)) as scratch:
            if not queries.row(scratch, "restore.is_restored")["is_restored"]:
                raise RestoreError(f"{backup} holds no ledger: it is no backup of Sluice, or was not read completely")
        applied = migrate.migrate(owner_url(SCRATCH))
        tables.make(owner_url(SCRATCH))
        say("recounting it from the files and its tables …")
        found = _recount(settings, owner_url, backup, say)
    counts = found.contracts.values()
    done = Drill(
        backup=str(backup),
        backup_made_at=datetime.fromtimestamp(backup.stat().st_mtime, UTC).isoformat(timespec="seconds"),
        at=at.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - begun, 1),
        migrations=len(applied),
        files=sum(count.files for count in counts),
        rows=sum(count.rows_read for count in counts),
        waiting=found.waiting,
        problems=found.broken,
    )
    make_folder(note_of(settings).parent, settings)
    write_private(note_of(settings), done.as_json() + "\n")
    return done


def note_of(settings: Settings) -> Path:
    """Where the last drill left what it found, as JSON."""
    return settings.home_dir / "run" / "restore_drill.json"


@contextmanager
def _scratch(settings: Settings, url: Url) -> Iterator[None]:
    """The scratch database, empty; it is gone afterwards. One that a killed drill has left goes first."""
    with database.connect(url("postgres"), application_name="sluice-drill") as server:
        if not queries.row(server, "restore.begin_drill")["is_alone"]:
            raise RestoreError("another restore drill runs: wait until it has ended")
        _check_room(settings, server)
        queries.run(server, "restore.drop_drill")
        try:
            roles.make_database(server, SCRATCH, roles.OWNER)
            yield
        finally:
            queries.run(server, "restore.drop_drill")


def _check_room(settings: Settings, server: Connection) -> None:
    needed = queries.row(server, "restore.database_bytes")["bytes"]
    place = settings.home_dir if settings.home_dir.exists() else Path("/")
    free = shutil.disk_usage(place).free
    if free < 1.2 * needed:
        raise RestoreError(
            f"the drill needs about as much disk as the database has, {1.2 * needed / 1e9:,.1f} GB, and "
            f"{free / 1e9:,.1f} GB are free in {place}: free some (`make doctor` says what uses it), nothing was done"
        )


def _recount(settings: Settings, owner_url: Url, backup: Path, say: Say) -> reconcile.Reconciliation:
    """Recount the scratch database; meanwhile no file of the archive is sealed, which would delete it."""
    with (
        database.connect(owner_url(LIVING), application_name="sluice-drill") as living,
        tempfile.TemporaryDirectory() as folder,
    ):
        queries.run(living, "ledger/housekeeping.lock_archive")
        with database.connect(owner_url(SCRATCH), application_name="sluice-drill") as scratch:
            _take_places(living, scratch)
        known = _contracts(settings, backup, Path(folder))
        return reconcile.reconcile(known, owner_url(SCRATCH), say, folders=False)


def _take_places(living: Connection, scratch: Connection) -> None:
    """A file may have moved since the backup, or be sealed: it is looked for where the living ledger has it."""
    after = 0
    while page := queries.all(living, "restore.places", after=after, most=_PAGE):
        columns = {"file_ids": "file_id", "hashes": "sha256", "paths": "path", "seals": "sealed_at"}
        queries.run(
            scratch, "restore.take_places", **{name: [row[key] for row in page] for name, key in columns.items()}
        )
        after = page[-1]["file_id"]


def _contracts(settings: Settings, backup: Path, folder: Path) -> Settings:
    """As a restore has them: today's contracts, and those of the backup that are missing today."""
    texts = (backups.kept_contracts(backup) or {}) | {
        name: text for name, text in contract_waits.texts(settings.contracts_dir).items() if isinstance(text, bytes)
    }
    for name, text in texts.items():
        (folder / name).write_bytes(text)
    return replace(settings, contracts=str(folder))
