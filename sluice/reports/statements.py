"""The SQL of a refresh, made of the reports and of ``include/sql/refresh.sql``: build, check, publish.

The DAG builds as the reader, in its schema; a transaction that changes events itself builds in tables of its own, so
that the role that changes events needs no right on the reader's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from sluice.base import queries
from sluice.reports.definitions import CONTROL, Report

SCHEMA = "report"


@dataclass(frozen=True)
class Workshop:
    """Where staging tables stand, and the query that makes one."""

    schema: str
    build: str


OF_THE_READER = Workshop("report_staging", "refresh.build")
OF_THE_SESSION = Workshop("pg_temp", "refresh.build_temporary")


class Statements:
    """What is run for ``reports``, which are in order. ``run_id`` is who builds, for report.last_refresh."""

    def __init__(self, reports: Sequence[Report], workshop: Workshop, run_id: str) -> None:
        self._reports = reports
        self._workshop = workshop
        self._run_id = sql.Literal(run_id)

    def begin(self) -> sql.Composed:
        """The first statements of the transaction that builds: one snapshot, and no other refresh until it ends."""
        return queries.compose("refresh.begin", control=published(CONTROL))

    def build(self) -> dict[str, sql.Composed]:
        """By report the script that makes its staging table, in order, after ``begin``."""
        return {
            report.name: queries.compose(
                self._workshop.build, staging=self.staging(report.name), rows=self.rows(report)
            )
            for report in self._reports
        }

    def analyze(self) -> sql.Composed:
        """The statistics of what was built."""
        return queries.compose("refresh.analyze", stagings=self._all([each for each in self._reports if each.key]))

    def checks(self) -> dict[str, sql.Composed]:
        """By report the query whose one row must be all true."""
        checks = {report.name: self._check(report) for report in self._reports}
        return {name: check for name, check in checks.items() if check is not None}

    def publish(self) -> list[sql.Composed]:
        """The statements of the transaction that publishes what was built and checked."""
        begin = queries.compose(
            "refresh.begin_publishing",
            control=published(CONTROL),
            staging=self.staging(CONTROL),
            run_id=self._run_id,
        )
        made = [self._publish(report) for report in self._reports if report.is_published]
        return [begin, *made, queries.compose("refresh.drop_staging", stagings=self._all(self._reports))]

    def staging(self, name: str) -> sql.Identifier:
        """The table that was built of the report ``name``."""
        return sql.Identifier(self._workshop.schema, f"{name}__next")

    def rows(self, report: Report) -> sql.Composed:
        """The report's own SQL, reading what was built before it."""
        return self._own(report.rows)

    def _own(self, text: str) -> sql.Composed:
        names = {report.name: self.staging(report.name) for report in self._reports}
        return sql.SQL(text).format(**names, run_id=self._run_id)

    def _check(self, report: Report) -> sql.Composed | None:
        own = self._own(report.check) if report.check else None
        if not report.key:
            return own
        keys = queries.compose("refresh.check_key", staging=self.staging(report.name), key=columns(report.key))
        return keys if own is None else queries.compose("refresh.check_both", check=own, check_key=keys)

    def _publish(self, report: Report) -> sql.Composed:
        table, staging = published(report.name), self.staging(report.name)
        if not report.key:
            return queries.compose("refresh.publish_whole", table=table, staging=staging)
        same = sql.SQL(" AND ").join(
            sql.SQL("published.{0} = outdated.{0}").format(sql.Identifier(column)) for column in report.key
        )
        return queries.compose("refresh.publish_by_key", table=table, staging=staging, same_key=same)

    def _all(self, reports: Sequence[Report]) -> sql.Composed:
        return sql.SQL(", ").join(self.staging(report.name) for report in reports)


def published(name: str) -> sql.Identifier:
    """The table of the report ``name`` that people read."""
    return sql.Identifier(SCHEMA, name)


def columns(names: Sequence[str]) -> sql.Composed:
    """Column names, with commas between them."""
    return sql.SQL(", ").join(map(sql.Identifier, names))
