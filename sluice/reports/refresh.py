"""The order in which the reports are built, and a refresh inside a transaction that has changed ``events`` itself.

The SQL is the one of DAG report_sales; only its staging tables are temporary ones here, so that the role that changes
events needs no right on the reader's.
"""

from __future__ import annotations

import re
from typing import Any

import psycopg

from sluice.base import queries
from sluice.base.settings import SQL

Connection = psycopg.Connection[dict[str, Any]]

# The order matters: later ones read the staging tables of earlier ones. All of them are one transaction.
BUILD = (
    "begin",
    "control",
    "sales",
    "visits",
    "sessions",
    "users",
    "products",
    "revenue_by_hour",
    "funnel",
    "top_products",
    "searches_without_result",
    "analyze",
)
NOT_REFRESHED = "not refreshed, and stale until the next run of DAG report_sales"
CHECKS = ("revenue", "funnel", "keys", "references", "events")
_STAGING = re.compile(r"\breport_staging\.(\w+__next)\b")


def are_published(connection: Connection) -> bool:
    """Whether the reports were ever published; before that there is nothing to refresh."""
    return bool(queries.row(connection, "reports/summary.published")["published"])


def begin(connection: Connection) -> None:
    """The first statements of a transaction that will refresh: one snapshot, and no other refresh until it ends.

    Raises psycopg.errors.LockNotAvailable when another refresh is under way for longer than the session's lock_timeout.
    """
    connection.execute(_script("reports/begin", ""))


def refresh(connection: Connection, run_id: str) -> str:
    """Build, check and publish as the transaction sees ``events`` now; returns what became of it, for people.

    What fails here fails alone: the published numbers stay, and the transaction goes on. Raises psycopg.Error only when
    the connection is lost.
    """
    try:
        with connection.transaction():
            return _refresh(connection, run_id)
    except psycopg.Error as error:
        if connection.broken:
            raise
        return f"{NOT_REFRESHED} ({first_line(error)})"


def first_line(error: psycopg.Error) -> str:
    """What PostgreSQL says, without where in our SQL it happened."""
    return str(error).strip().partition("\n")[0]


def _refresh(connection: Connection, run_id: str) -> str:
    for name in BUILD[1:]:
        connection.execute(_script(f"reports/{name}", run_id))
    failed = [name for name in CHECKS if not _holds(connection, name)]
    if failed:
        return f"{NOT_REFRESHED} (check {', '.join(failed)} fails)"
    connection.execute(_script("reports/publish", run_id))
    return "refreshed"


def _holds(connection: Connection, check: str) -> bool:
    row = connection.execute(_script(f"checks/{check}", "")).fetchone()
    return row is not None and all(row.values())


def _script(name: str, run_id: str) -> Any:
    text = queries.script(SQL / f"{name}.sql").replace("{{ run_id }}", run_id.replace("'", "''"))
    return _STAGING.sub(r"pg_temp.\1", text).replace("CREATE UNLOGGED TABLE", "CREATE TEMPORARY TABLE")
