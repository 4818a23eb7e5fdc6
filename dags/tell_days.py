"""Makes an event of the asset ``events_by_day`` for each day of which events arrived, the day being its partition key.

A trigger of Airflow 3.3 cannot give an event of an asset a partition key, a task can: so with SLUICE_ASSET_BY_DAY=on
this DAG runs when files arrive. Otherwise it has no schedule: each arrival would have Airflow start a task.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowSkipException
from events_asset import EVENTS, EVENTS_BY_DAY

from sluice.base.settings import load


@task(outlets=[EVENTS_BY_DAY], retries=5, retry_delay=timedelta(seconds=10))
def tell(triggering_asset_events: Any = None, outlet_events: Any = None) -> list[str]:
    """Tell the days of what arrived, and which files brought them. Airflow fills the parameters in."""
    from sluice.duty import asset_events  # not while Airflow parses this file

    payloads = [event.extra["payload"] for event in triggering_asset_events[EVENTS]]
    file_ids = sorted({file_id for payload in payloads for file_id in payload["file_ids"]})
    days = asset_events.days(load(), file_ids)
    if not days:
        raise AirflowSkipException("what arrived has left again")
    outlet_events[EVENTS_BY_DAY].add_partitions(days)
    outlet_events[EVENTS_BY_DAY].extra = {"file_ids": file_ids}
    return days


@dag(
    schedule=[EVENTS] if load().asset_by_day else None,
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    description="Tell of which days events arrived, as partitions of the asset events_by_day",
    tags=["sluice"],
    doc_md=__doc__,
)
def tell_days() -> None:
    """Wire the one task."""
    tell()


tell_days()
