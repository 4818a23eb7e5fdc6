"""The tables of schema ``report``, made by the owner of the database as the files of the reports say."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from sluice.base import database, queries
from sluice.reports import definitions
from sluice.reports.definitions import Report
from sluice.reports.statements import OF_THE_SESSION, SCHEMA, Statements, columns, published

Connection = psycopg.Connection[dict[str, Any]]
_log = logging.getLogger(__name__)


def make(url: str, reports: Sequence[Report] | None = None) -> list[str]:
    """Make the tables that are not there, or whose columns are not the report's any more; the names of those made.

    ``url`` is the owner's, after the migrations. A table that is made anew is empty until the next refresh. What cannot
    be made is logged and left, with what comes after it: neither loading nor another report's table depends on it.
    """
    try:
        with database.connect(url, application_name="sluice-reports") as connection, connection.transaction():
            return _make(connection, definitions.read() if reports is None else reports)
    except (psycopg.Error, definitions.ReportError) as error:
        _log.error("the tables of the reports stay as they are: %s", str(error).strip())
        return []


def _make(connection: Connection, reports: Sequence[Report]) -> list[str]:
    draft = Statements(reports, OF_THE_SESSION, "")
    has_roles = queries.row(connection, "refresh.has_roles")["has_roles"]
    made: list[str] = []
    left: set[str] = set()
    for report in reports:
        try:
            if left.isdisjoint(report.after):
                with connection.transaction():
                    made += [report.name] * _make_one(connection, draft, report, has_roles)
                continue
        except psycopg.Error as error:
            if connection.broken:
                raise
            _tell(report, error)
        left.add(report.name)
    return made


def _make_one(connection: Connection, draft: Statements, report: Report, has_roles: bool) -> bool:
    """Bring one report's table to what its file says; whether it was made."""
    parts: dict[str, sql.Composable] = {"table": published(report.name), "staging": draft.staging(report.name)}
    _run(connection, "refresh.make_draft", **parts, rows=draft.rows(report))
    if not report.is_published:
        return False
    is_missing = _is_missing(connection, report, **parts)
    if is_missing:
        _make_table(connection, report, **parts)
    _run(connection, "refresh.comment", **parts, says=sql.Literal(report.says))
    _run(connection, "refresh.grant_reading", **parts)
    if has_roles:
        _run(connection, "refresh.grant_publishing", **parts)
    return is_missing


def _tell(report: Report, error: psycopg.Error) -> None:
    _log.error(
        "include/sql/reports/%s.sql cannot be built: its table stays as it is, and no report is refreshed: %s",
        report.name,
        str(error).strip(),
    )


def _is_missing(connection: Connection, report: Report, **parts: sql.Composable) -> bool:
    """Whether the table is not there; one with other columns goes."""
    standing = queries.row(
        connection,
        "refresh.is_as_drafted",
        table=parts["table"].as_string(connection),
        draft=parts["staging"].as_string(connection),
    )
    if standing["is_there"] and not standing["is_same"]:
        _log.warning("%s.%s has other columns than its file says: it is made anew", SCHEMA, report.name)
        _run(connection, "refresh.drop_table", **parts)
    return not standing["is_there"] or not standing["is_same"]


def _make_table(connection: Connection, report: Report, **parts: sql.Composable) -> None:
    _run(connection, "refresh.make_table", **parts)
    if report.key:
        name = "refresh.add_key" if len(report.key) == 1 else "refresh.add_wide_key"
        _run(connection, name, **parts, key=columns(report.key))


def _run(connection: Connection, name: str, **parts: sql.Composable) -> None:
    connection.execute(queries.compose(name, **parts))
