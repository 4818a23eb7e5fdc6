"""Keeps what grows at the ages that the environment sets.

``sluice.proof.housekeeping`` says what each task promises.

The tasks do not depend on one another: one that fails hides nothing and stops nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import dag, task

from sluice.base import database
from sluice.base.settings import load
from sluice.proof import housekeeping


@task
def seal_archive() -> None:
    """Verify, seal and delete archived files; fails, after all were looked at, when one cannot be verified."""
    settings = load()
    with database.connect(settings.writer_dsn, application_name="sluice-housekeeping") as connection:
        housekeeping.seal_archive(settings, connection)


@task
def make_receipts() -> None:
    """Make receipts that the stream found no time for."""
    settings = load()
    with database.connect(settings.writer_dsn, application_name="sluice-housekeeping") as connection:
        housekeeping.make_receipts(connection)


@task
def trim_batches() -> None:
    """Delete old rows of ledger.batches."""
    settings = load()
    with database.connect(settings.writer_dsn, application_name="sluice-housekeeping") as connection:
        housekeeping.trim_batches(settings, connection)


@task
def trim_logs() -> None:
    """Delete old task logs."""
    from airflow.configuration import conf

    housekeeping.trim_logs(load(), Path(conf.get("logging", "base_log_folder")))


@task(retries=2, retry_delay=timedelta(seconds=30))
def clean_metadata() -> None:
    """Delete Airflow's records of old runs."""
    housekeeping.clean_metadata(load())


@dag(
    schedule=timedelta(seconds=load().keep_house_every_seconds),
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    max_active_tasks=1,
    tags=["sluice"],
    doc_md=__doc__,
)
def keep_house() -> None:
    """Wire the chores."""
    make_receipts()
    seal_archive()
    trim_batches()
    trim_logs()
    clean_metadata()


keep_house()
