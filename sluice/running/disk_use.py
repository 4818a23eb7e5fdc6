"""How much disk each part of the pipeline uses: what grows is said where it grows."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import psycopg

from sluice.base import queries
from sluice.base.settings import Settings

Connection = psycopg.Connection[dict[str, Any]]
# As people know them; what a restore or a drill leaves is named as it is.
_NAMES = {"airflow": "Airflow's database"}


def parts(settings: Settings, connection: Connection | None, *, seconds: float = 1.0) -> dict[str, int | None]:
    """Bytes on disk by part, the largest first; None of what cannot be told from here, or not within ``seconds``.

    Without a ``connection`` the databases of the embedded server are one part.
    """
    deadline = time.monotonic() + seconds
    pgdata = settings.home_dir / "postgres" / "pgdata"
    used = (
        _databases(connection, pgdata, deadline) if connection else _folders({"databases": pgdata / "base"}, deadline)
    )
    used |= _folders(
        {
            "WAL": pgdata / "pg_wal",
            "archive": settings.archive_dir,
            "processing": settings.processing_dir,
            "incoming": settings.incoming_dir,
            "uploads": settings.uploads_dir,
            "checkpoint": settings.checkpoint_dir,
            "logs": settings.home_dir / "logs",
            "Airflow's logs": settings.home_dir / "airflow" / "logs",
            "reports": settings.report_dir,
            "backups": settings.backup_dir,
        },
        deadline,
    )
    return dict(sorted(used.items(), key=lambda part: -(part[1] or 0)))


def words(used: dict[str, int | None]) -> str:
    """The parts that use at least a megabyte, in words."""
    large = [f"{size / 1e9:,.2f} GB {part}" for part, size in used.items() if size is not None and size >= 5e6]
    unknown = [part for part, size in used.items() if size is None]
    if unknown:
        large.append(f"not told in this time: {', '.join(unknown)}")
    return ", ".join(large) or "next to nothing"


def _databases(connection: Connection, pgdata: Path, deadline: float) -> dict[str, int | None]:
    used: dict[str, int | None] = {}
    for row in queries.all(connection, "disk_use.databases"):
        name = f"database {row['name']}" if row["is_ours"] else _NAMES.get(row["name"], f"database {row['name']}")
        folder = pgdata / "base" / str(row["oid"])
        used[name] = row["bytes"] if row["bytes"] is not None else _size(folder, deadline)
    return used


def _folders(folders: dict[str, Path], deadline: float) -> dict[str, int | None]:
    return {part: _size(folder, deadline) for part, folder in folders.items() if folder.is_dir()}


def _size(folder: Path, deadline: float) -> int | None:
    """Bytes on disk under ``folder``, links not followed; None when there was no time to look at all of it."""
    total, left = 0, [str(folder)]
    while left:
        if time.monotonic() > deadline:
            return None
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
                    else:
                        total += _on_disk(entry)
        except OSError:  # it has gone, or is not ours to look into
            continue
    return total


def _on_disk(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks * 512
    except OSError:
        return 0
