"""Keeps what grows at the ages that the environment sets.

Files are sealed by ``sluice.proof.sealing``, the rest goes by ``sluice.running.trimming`` and ``airflow_metadata``.

The tasks do not depend on one another: one that fails hides nothing and stops nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import dag, task

from sluice.base import database
from sluice.base.settings import load
from sluice.landing import uploads
from sluice.ledger import news, receipts
from sluice.loading import event_statistics, expiry, merge, replaced
from sluice.proof import sealing
from sluice.running import airflow_metadata, trimming


@task
def seal_archive() -> None:
    """Verify, seal and delete archived files; fails, after all were looked at, when one cannot be verified."""
    settings = load()
    with database.connect(settings.writer_dsn, application_name="sluice-housekeeping") as connection:
        sealing.seal_archive(settings, connection)


@task
def merge_months() -> None:
    """Compare the ids of new events with those of all months, every SLUICE_MERGE_EVERY_HOURS."""
    merge.merge(load(), when_due=True)


@task
def expire_months() -> None:
    """Drop months older than SLUICE_KEEP_EVENTS_MONTHS; fails, after the others went, when something stands on one."""
    expiry.expire(load())


@task
def analyze_events() -> None:
    """Tell PostgreSQL what is in the whole of events, when enough of it changed."""
    event_statistics.analyze_when_due(load())


@task
def make_receipts() -> None:
    """Make receipts that the stream found no time for."""
    settings = load()
    with database.connect(settings.writer_dsn, application_name="sluice-housekeeping") as connection:
        receipts.make_pending(connection)


@task
def trim_batches() -> None:
    """Delete old batches, recounts, changes on duty and news that nobody was told; sum up what was counted."""
    settings = load()
    with database.connect(settings.writer_dsn, application_name="sluice-housekeeping") as connection:
        trimming.trim_batches(settings, connection)
        trimming.trim_recounts(connection)
        trimming.trim_duty(settings, connection)
        trimming.sum_up_counts(connection)
        news.trim(settings, connection)


@task
def trim_logs() -> None:
    """Delete old task logs."""
    from airflow.configuration import conf

    trimming.trim_logs(load(), Path(conf.get("logging", "base_log_folder")))


@task
def forget_uploads() -> None:
    """Delete what was dropped into the page and not landed within an hour."""
    uploads.sweep(load())


@task
def drop_replaced_database() -> None:
    """Drop what the last restore replaced, after SLUICE_KEEP_REPLACED_HOURS, unless it alone has rows."""
    replaced.drop_when_due(load())


@task(retries=2, retry_delay=timedelta(seconds=30))
def clean_metadata() -> None:
    """Delete Airflow's records of old runs."""
    airflow_metadata.clean_metadata(load())


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
    merge_months()
    expire_months()
    analyze_events()
    make_receipts()
    seal_archive()
    trim_batches()
    trim_logs()
    forget_uploads()
    drop_replaced_database()
    clean_metadata()


keep_house()
