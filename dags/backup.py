"""Backs the pipeline's database up, every SLUICE_BACKUP_EVERY_HOURS; without that only when somebody triggers it.

It writes ``scheduled-….dump`` and the contracts into SLUICE_BACKUP_FOLDER and keeps SLUICE_KEEP_BACKUPS of its own.
`make restore FILE=…` goes back to one; `make restore-drill` tries whether the last one could be.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag, task

from sluice.base.settings import load
from sluice.duty import scheduled_backup

EVERY = load().backup_every_hours


@task
def make_backup() -> None:
    """Dump the database, keep the contracts beside it, delete older backups of the schedule."""
    scheduled_backup.back_up(load())


@dag(
    schedule=timedelta(hours=EVERY) if EVERY else None,
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["sluice"],
    doc_md=__doc__,
)
def backup() -> None:
    """Wire it."""
    make_backup()


backup()
