"""DAG generate_events: one batch of shop events lands in the incoming folder, again and again."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from airflow.sdk import dag, task

from sluice.base import settings

SETTINGS = settings.load()

DOC = f"""
### generate_events

Every {SETTINGS.generate_every_seconds:g} s, one CSV file of shop events lands in `{SETTINGS.home}/incoming`: sessions
as funnels, about {SETTINGS.generate_rows:,} rows (a day's mean; evenings are busier than nights), some of them damaged,
late or sent twice, as in real life. Turned by the `SLUICE_GENERATE_…` variables; `SLUICE_GENERATOR=off` lets it start
paused.
"""


@dag(
    schedule=timedelta(seconds=SETTINGS.generate_every_seconds),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=not SETTINGS.generator,
    description="Land a batch of shop events, with dirt, late and repeated rows, in the incoming folder",
    doc_md=DOC,
    tags=["sluice"],
)
def generate_events() -> None:
    """Wire the one task."""

    @task
    def write_batch() -> None:
        """Make one batch and land it under its own name."""
        from sluice.generator.files import land_batch  # numpy, arrow and Faker: not while Airflow parses this file

        logging.getLogger(__name__).info("landed %s", land_batch(settings.load()))

    write_batch()


generate_events()
