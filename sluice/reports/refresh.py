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


class RefreshError(RuntimeError):
    """A report cannot be built or published; the message names it, says what PostgreSQL says, and what to do."""

    def __init__(self, message: str, report: str | None = None) -> None:
        super().__init__(message)
        self.report = report


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
    except (definitions.ReportError, RefreshError) as error:
        return f"{NOT_REFRESHED} ({error})"
    except psycopg.Error as error:
        if connection.broken:
            raise
        return f"{NOT_REFRESHED} ({first_line(error)})"


def build(connection: psycopg.Connection[Any], statements: Statements) -> None:
    """Make the staging tables, in the transaction that ``statements.begin()`` began.

    Raises RefreshError for the first one that cannot be made, psycopg.Error when the connection is lost.
    """
    for name, script in statements.build().items():
        try:
            connection.execute(script)
        except psycopg.Error as error:
            if connection.broken:
                raise
            remedy = f"mend include/sql/reports/{name}.sql, then run DAG report_sales"
            raise RefreshError(f"it cannot be built: {first_line(error)}: {remedy}", name) from error
    connection.execute(statements.analyze())


def note_failure(connection: psycopg.Connection[Any], failure: BaseException | None, report: str | None) -> None:
    """Keep for `make status` why a refresh failed, in place of what was kept before.

    ``report`` is whose check did not hold; none when something else failed, which ``failure`` then says.
    """
    with connection.transaction():
        queries.run(connection, "refresh.forget_failure")
        named = failure.report if isinstance(failure, RefreshError) else report
        queries.run(connection, "refresh.note_failure", report=named, error=_why(failure, report))


def _why(failure: BaseException | None, report: str | None) -> str:
    if isinstance(failure, psycopg.errors.UndefinedTable) and report is None:
        return f"{first_line(failure)}: the table of a new report is made by `make down && make up`"
    if isinstance(failure, psycopg.Error):
        return f"{first_line(failure)}: the log of the task in DAG report_sales tells more"
    if report is not None:
        return f"its check does not hold: look at report_staging.{report}__next, and at the check in its file"
    return str(failure).strip().partition("\n")[0]


def first_line(error: psycopg.Error) -> str:
    """What PostgreSQL says, without where in our SQL it happened."""
    return str(error).strip().partition("\n")[0]


def _refresh(connection: Connection, run_id: str) -> str:
    statements = Statements(definitions.read(), OF_THE_SESSION, run_id)
    build(connection, statements)
    failed = [name for name, check in statements.checks().items() if not _holds(connection, check)]
    if failed:
        return f"{NOT_REFRESHED} (check {', '.join(failed)} fails)"
    for script in statements.publish():
        connection.execute(script)
    return "refreshed"


def _holds(connection: Connection, check: sql.Composed) -> bool:
    row = connection.execute(check).fetchone()
    return row is not None and all(row.values())
