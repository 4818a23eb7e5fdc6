"""Looks after the feeds and the pipeline, and notes in `ledger.duty` what is not as it should be.

Whom SLUICE_ALERT_URL names is told what has changed: one message for all that changed at once, each with its remedy. A
receiver that is away makes the run fail, and a later one tells it. docs/on-duty.md says what each alert means.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.configuration import conf
from airflow.sdk import dag, task

from sluice.base.settings import load
from sluice.duty import telling


@task
def look_and_tell() -> None:
    """Look at everything once, note it, and tell what is due."""
    telling.watch(load(), conf.get("api", "base_url", fallback=""), datetime.now(UTC))


@dag(
    schedule=timedelta(seconds=load().duty_every_seconds),
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    tags=["sluice"],
    doc_md=__doc__,
)
def watch_feeds() -> None:
    """Wire the one task."""
    look_and_tell()


watch_feeds()
