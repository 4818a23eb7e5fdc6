"""The asset ``events``: an event of it for each micro-batch that brought rows, so that a DAG runs when a file arrived.

A DAG takes it as its schedule: ``@dag(schedule=[EVENTS])``. Only then does Airflow's triggerer run what is below; while
no DAG that is not paused is scheduled on it, nothing looks (docs/how-to/run-on-arrival.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import Asset, AssetWatcher
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

# How often is looked for news, and how long after a database was away, in seconds.
LOOK_SECONDS = 1.0
AWAY_SECONDS = 10.0


class MicroBatchTrigger(BaseEventTrigger):
    """An event a micro-batch, with its files and rows as payload."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What Airflow makes it anew from."""
        return "events_asset.MicroBatchTrigger", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look for as long as the triggerer lives; a database that is away is waited for."""
        import psycopg

        from sluice.base.settings import load
        from sluice.duty.asset_events import Arrivals

        arrivals = Arrivals(load())
        try:
            while True:
                try:
                    found = await asyncio.to_thread(arrivals.look)
                except psycopg.Error as error:
                    self.log.warning("the asset of events waits: %s", error)
                    await asyncio.sleep(AWAY_SECONDS)
                    continue
                for payload in found:
                    yield TriggerEvent(payload)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            arrivals.close()


# Its events are made by DAG tell_days, when SLUICE_ASSET_BY_DAY=on: one a day of events, which is its partition key.
EVENTS_BY_DAY = Asset(name="events_by_day", uri="sluice://events/by-day")

EVENTS = Asset(
    name="events",
    uri="sluice://events",
    watchers=[AssetWatcher(name="micro_batches", trigger=MicroBatchTrigger())],
)
