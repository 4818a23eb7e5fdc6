"""Counting one unit and one report again, and comparing them with what stands: what keeps itself up can go astray."""

from __future__ import annotations

import random
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from sluice.base import queries
from sluice.base.settings import Settings
from sluice.reports import definitions
from sluice.reports.refresh import RefreshError, Refreshing


def compare(
    connection: psycopg.Connection[Any], settings: Settings, run_id: str, *, when_due: float = 0
) -> dict[str, int] | None:
    """Refresh, then compare the cells of one random unit with its events, and one random report with its cells.

    Returns how many rows of each differ, and keeps it for `make status`; None when the last comparison is younger than
    ``when_due`` seconds, or there is nothing to compare. Raises as ``refresh`` does.
    """
    with connection.transaction():
        if not queries.row(_rows(connection), "refresh.is_comparison_due", seconds=when_due)["is_due"]:
            return None
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(queries.compose("refresh.begin"))
        refreshing = Refreshing(cursor, settings, definitions.read())
        refreshing.run(run_id)
        unit = queries.one(cursor, "refresh.random_unit")
        if unit is None:
            return None
        report = random.choice(refreshing.sums)
        found = refreshing.differences(unit["feed"], unit["unit"], report)
        note = {"feed": unit["feed"], "unit": unit["unit"], "report": report.name}
        literals = {name: sql.Literal(value) for name, value in note.items()}
        cursor.execute(queries.compose("refresh.note_comparison", **literals, differences=sql.Literal(Jsonb(found))))
    return found


def tell(found: dict[str, int]) -> None:
    """Raises RefreshError when anything differs."""
    if found:
        rows = ", ".join(f"{rows:,} rows of {name}" for name, rows in sorted(found.items()))
        raise RefreshError(f"the reports are not what events give: {rows} differ: run `make rebuild-reports`")


def _rows(connection: psycopg.Connection[Any]) -> psycopg.Cursor[dict[str, Any]]:
    return connection.cursor(row_factory=dict_row)
