"""The reports as DAG report_sales refreshes them, without Airflow."""

from __future__ import annotations

from typing import Any

import psycopg

from sluice.base.settings import Settings
from sluice.reports import refresh as refreshing

Connection = psycopg.Connection[dict[str, Any]]


def refresh(reader: Connection, settings: Settings, run_id: str = "by-hand") -> refreshing.Refreshed:
    """What the DAG does, as the reader."""
    return refreshing.refresh(reader, settings, run_id)
