"""Trimming what only grows and proves nothing: batches, recounts, changes on duty; logs of tasks."""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from sluice.base import queries
from sluice.base.empty_folders import remove_if_empty
from sluice.base.settings import Settings
from sluice.ledger import ages

_log = logging.getLogger(__name__)
_RECOUNTS = 1000

Connection = psycopg.Connection[dict[str, Any]]


def trim_batches(settings: Settings, connection: Connection, *, now: datetime | None = None) -> int:
    """Delete the batches older than ``keep_batches_days``; return how many."""
    cutoff = ages.cutoff(connection, settings.keep_batches_days * ages.DAY, now)
    deleted = queries.run(connection, "ledger/housekeeping.trim_batches", cutoff=cutoff)
    _log.info("deleted %s batches from before %s", deleted, cutoff)
    return deleted


def trim_recounts(connection: Connection) -> int:
    """Delete all but the newest recounts; return how many."""
    deleted = queries.run(connection, "ledger/housekeeping.trim_recounts", most=_RECOUNTS)
    _log.info("deleted %s recounts, the newest %s are kept", deleted, _RECOUNTS)
    return deleted


def sum_up_counts(connection: Connection) -> int:
    """Sum up what was counted for monitors, which a stream does while it lives; return how many counts there are."""
    counts = queries.run(connection, "ledger/counts.sum_up")
    _log.info("summed up to %s counts", counts)
    return counts


def trim_duty(settings: Settings, connection: Connection, *, now: datetime | None = None) -> int:
    """Delete changes on duty as old as batches; return how many. The last of each subject stays, and the last told."""
    cutoff = ages.cutoff(connection, settings.keep_batches_days * ages.DAY, now)
    deleted = queries.run(connection, "ledger/duty.trim", cutoff=cutoff)
    _log.info("deleted %s changes on duty from before %s", deleted, cutoff)
    return deleted


def trim_logs(settings: Settings, folder: Path, *, now: float | None = None) -> int:
    """Delete the files under ``folder`` that were written to last before ``keep_logs_days``, and folders left empty.

    Links are not followed. Returns the number of files deleted; ``now`` is in seconds since 1970.
    """
    cutoff = (time.time() if now is None else now) - settings.keep_logs_days * ages.DAY
    deleted = _trim_folder(folder, cutoff) if folder.is_dir() else 0
    _log.info("deleted %s log files from before %s", deleted, datetime.fromtimestamp(cutoff, UTC))
    return deleted


def _trim_folder(folder: Path, cutoff: float) -> int:
    deleted = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                deleted += _trim_entry(entry, cutoff)
            except FileNotFoundError:
                _log.debug("%s vanished", entry.path)
    return deleted


def _trim_entry(entry: os.DirEntry[str], cutoff: float) -> int:
    written_at = entry.stat(follow_symlinks=False).st_mtime
    if not entry.is_dir(follow_symlinks=False):
        if written_at >= cutoff:
            return 0
        os.unlink(entry.path)
        return 1
    # A run's folder is as old as its tasks; looking into every young one would cost as much as there are logs.
    if entry.name.startswith("run_id=") and written_at >= cutoff:
        return 0
    deleted = _trim_folder(Path(entry.path), cutoff)
    # A young folder may be one that a task is about to write its first line in.
    if written_at < cutoff:
        remove_if_empty(entry.path)
    return deleted
