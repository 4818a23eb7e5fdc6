"""The reports as DAG report_sales builds, checks and publishes them, without Airflow."""

from __future__ import annotations

from typing import Any

import psycopg

from sluice.reports import definitions
from sluice.reports import refresh as refreshing
from sluice.reports.statements import OF_THE_READER, Statements

Connection = psycopg.Connection[dict[str, Any]]


def statements(run_id: str = "by-hand") -> Statements:
    """What the DAG runs, as the reader."""
    return Statements(definitions.read(), OF_THE_READER, run_id)


def build(reader: Connection, run_id: str = "by-hand") -> None:
    """The first task: one transaction."""
    with reader.transaction():
        reader.execute(statements(run_id).begin())
        refreshing.build(reader, statements(run_id))


def failed(reader: Connection) -> set[str]:
    """The reports whose check fails on the staging tables."""
    rows = {name: reader.execute(check).fetchone() for name, check in statements().checks().items()}
    return {name for name, row in rows.items() if row is None or not all(row.values())}


def publish(reader: Connection, run_id: str = "by-hand") -> None:
    """The last task: one transaction."""
    with reader.transaction():
        for script in statements(run_id).publish():
            reader.execute(script)


def refresh(reader: Connection, run_id: str = "by-hand") -> None:
    """All of it; every check must hold."""
    build(reader, run_id)
    assert failed(reader) == set()
    publish(reader, run_id)
