"""The tables and views of schemas ``report`` and ``report_cells``, made by the owner, as each file says."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from sluice.base import database, queries
from sluice.reports import definitions
from sluice.reports.definitions import Kind, Report
from sluice.reports.statements import Statements, hash_of, table, temporary

Connection = psycopg.Connection[dict[str, Any]]
_log = logging.getLogger(__name__)


def make(url: str, reports: Sequence[Report] | None = None) -> list[str]:
    """Make what is not there, or has other columns than its file says; the names of what was made.

    ``url`` is the owner's, after the migrations. A table that is made anew is filled by the next refresh. What cannot
    be made is logged and left, with what comes after it: neither loading nor another report depends on it.
    """
    try:
        with database.connect(url, application_name="sluice-reports") as connection, connection.transaction():
            return _Making(connection, definitions.read() if reports is None else reports).run()
    except (psycopg.Error, definitions.ReportError) as error:
        _log.error("the tables of the reports stay as they are: %s", str(error).strip())
        return []


class _Making:
    """One transaction of the owner's."""

    def __init__(self, connection: Connection, reports: Sequence[Report]) -> None:
        self._connection = connection
        self._reports = reports
        self._statements = Statements(reports, {})
        self._has_roles = queries.row(connection, "refresh.has_roles")["has_roles"]

    def run(self) -> list[str]:
        # Cells are drafted of it.
        self._run("refresh.make_events")
        made: list[str] = []
        left: set[str] = set()
        for report in self._reports:
            try:
                if left.isdisjoint(report.of):
                    with self._connection.transaction():
                        made += [report.name] * self._make_one(report)
                    continue
            except psycopg.Error as error:
                if self._connection.broken:
                    raise
                self._tell(report, error)
            left.add(report.name)
        return made

    def _make_one(self, report: Report) -> bool:
        """Bring one table or view to what its file says; whether it was made."""
        is_made = self._make_view(report) if report.kind is Kind.VIEW else self._make_table(report)
        comment = "refresh.comment_view" if report.kind is Kind.VIEW else "refresh.comment_table"
        self._run(comment, table=table(report), says=sql.Literal(report.says))
        if report.kind is not Kind.CELLS:
            self._run("refresh.grant_reading", table=table(report))
        if self._has_roles and report.kind is not Kind.VIEW:
            self._run("refresh.grant_refreshing", table=table(report))
        return is_made

    def _make_view(self, report: Report) -> bool:
        kind = self._standing(report)["kind"]
        if kind == "r":
            self._run("refresh.drop_table", table=table(report))
        parts = {"table": table(report), "rows": self._statements.rows(report)}
        try:
            with self._connection.transaction():
                self._run("refresh.make_view", **parts)
        except psycopg.errors.InvalidTableDefinition:
            self._run("refresh.drop_view", table=table(report))
            self._run("refresh.make_view", **parts)
        return kind != "v"

    def _make_table(self, report: Report) -> bool:
        draft = temporary(report.name, "draft")
        self._run("refresh.make_draft", draft=draft, rows=self._statements.rows(report))
        standing = self._standing(report)
        if standing["kind"] == "r" and standing["is_same"]:
            return False
        if standing["kind"]:
            _log.warning("%s has other columns than its file says: it is made anew", table(report).as_string())
            self._run("refresh.drop_view" if standing["kind"] == "v" else "refresh.drop_table", table=table(report))
        self._run("refresh.make_table", table=table(report), draft=draft)
        self._run("refresh.forget_built", name=sql.Literal(report.name))
        self._index(report)
        return True

    def _index(self, report: Report) -> None:
        kept = report.key if report.kind is Kind.REPORT else ("feed", "unit", *definitions.always_has(report.within))
        constraints = [sql.SQL("ALTER COLUMN {} SET NOT NULL").format(sql.Identifier(name)) for name in kept]
        self._run("refresh.not_null", table=table(report), constraints=sql.SQL(", ").join(constraints))
        if report.kind is Kind.CELLS:
            self._run("refresh.index_by_unit", table=table(report))
        if report.kind is Kind.REPORT:
            self._run("refresh.index_by_key", table=table(report), key=hash_of(report.key))
        for name in report.find:
            is_text = self._is_text(report, name)
            self._run(
                "refresh.index_by_text" if is_text else "refresh.index_by_value",
                table=table(report),
                column=sql.Identifier(name),
            )

    def _is_text(self, report: Report, column: str) -> bool:
        found = queries.row(
            self._connection, "refresh.type_of", name=table(report).as_string(self._connection), column=column
        )
        return bool(found["type"] == "text")

    def _standing(self, report: Report) -> dict[str, Any]:
        return queries.row(
            self._connection,
            "refresh.standing",
            name=table(report).as_string(self._connection),
            draft=temporary(report.name, "draft").as_string(self._connection),
        )

    def _tell(self, report: Report, error: psycopg.Error) -> None:
        _log.error(
            "include/sql/reports/%s.sql cannot be made: what stands stays as it is: %s", report.name, str(error).strip()
        )

    def _run(self, query: str, /, **parts: sql.Composable) -> None:
        self._connection.execute(queries.compose(query, **parts))
