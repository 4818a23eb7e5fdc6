"""A refresh of the reports inside a transaction that has changed ``events`` itself, as DAG report_sales does it."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from sluice.base import queries
from sluice.reports import definitions
from sluice.reports.statements import OF_THE_SESSION, Statements

Connection = psycopg.Connection[dict[str, Any]]

NOT_REFRESHED = "not refreshed, and stale until the next run of DAG report_sales"


def are_published(connection: Connection) -> bool:
    """Whether the reports were ever published; before that there is nothing to refresh."""
    return bool(queries.row(connection, "summary.published")["published"])


def begin(connection: Connection) -> None:
    """The first statements of a transaction that will refresh: one snapshot, and no other refresh until it ends.

    Raises psycopg.errors.LockNotAvailable when another refresh is under way for longer than the session's lock_timeout.
    """
    connection.execute(Statements([], OF_THE_SESSION, "").begin())


def refresh(connection: Connection, run_id: str) -> str:
    """Build, check and publish as the transaction sees ``events`` now; returns what became of it, for people.

    What fails here fails alone: the published numbers stay, and the transaction goes on. Raises psycopg.Error only when
    the connection is lost.
    """
    try:
        with connection.transaction():
            return _refresh(connection, run_id)
    except definitions.ReportError as error:
        return f"{NOT_REFRESHED} ({error})"
    except psycopg.Error as error:
        if connection.broken:
            raise
        return f"{NOT_REFRESHED} ({first_line(error)})"


def first_line(error: psycopg.Error) -> str:
    """What PostgreSQL says, without where in our SQL it happened."""
    return str(error).strip().partition("\n")[0]


def _refresh(connection: Connection, run_id: str) -> str:
    statements = Statements(definitions.read(), OF_THE_SESSION, run_id)
    for script in statements.build():
        connection.execute(script)
    failed = [name for name, check in statements.checks().items() if not _holds(connection, check)]
    if failed:
        return f"{NOT_REFRESHED} (check {', '.join(failed)} fails)"
    for script in statements.publish():
        connection.execute(script)
    return "refreshed"


def _holds(connection: Connection, check: sql.Composed) -> bool:
    row = connection.execute(check).fetchone()
    return row is not None and all(row.values())
