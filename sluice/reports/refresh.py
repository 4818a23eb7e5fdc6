"""Keeping the reports up: one transaction that counts anew what changed since the last one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from sluice.base import queries
from sluice.base.settings import SettingError, Settings
from sluice.reports import definitions, feeds
from sluice.reports.definitions import Kind, Report
from sluice.reports.statements import CELLS, SCHEMA, Statements

_log = logging.getLogger(__name__)

NOT_REFRESHED = "not refreshed: the next run of DAG report_sales takes the rows out"
# So many events are counted at a time, or those of one unit: temporary tables grow no larger.
_EVENTS_AT_ONCE = 400_000
# So many rows that came are kept by their keys; the sets of keys fit into work_mem.
_ROWS_BY_KEY = 1_000_000


# So many events are counted while somebody waits for the end of an unload: some ten seconds.
_EVENTS_AWAITED = 500_000


class RefreshError(RuntimeError):
    """A report cannot be counted, or its check does not hold; the message names it, says why, and what to do."""

    def __init__(self, message: str, report: str | None = None) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did: changes it took, units (a feed's UTC days) it counted, reports it counted as a whole."""

    changes: int
    units: int
    seconds: float
    whole: tuple[str, ...] = ()


def refresh(
    connection: psycopg.Connection[Any],
    settings: Settings,
    run_id: str,
    *,
    anew: bool = False,
    only_changes: bool = False,
) -> Refreshed:
    """Bring every report to what ``events`` holds now; ``run_id`` is who does it. ``anew``: from nothing.

    ``only_changes``: not when a report, or a feed, must be counted as a whole, or so many events are to be counted that
    it may take minutes; that raises RefreshError.

    One transaction: whoever reads sees all of the last refresh or all of this one, and one that fails leaves the old
    numbers. Runs as the reader or the writer, on a connection without a transaction. Waits for another refresh as long
    as the session's lock_timeout lets it. Raises RefreshError, definitions.ReportError, psycopg.Error.
    """
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(queries.compose("refresh.begin"))
        done = Refreshing(cursor, settings, definitions.read()).run(run_id, anew=anew, only_changes=only_changes)
    _log.info("reports refreshed: %s", done)
    return done


def follow(connection: psycopg.Connection[Any], settings: Settings, run_id: str) -> str:
    """Refresh after a change that is committed, when that is quick; what became of it, for people.

    What fails here changes nothing, and waits for the next refresh. Reports that were never counted, or are to be
    counted from nothing, are left to DAG report_sales.
    """
    try:
        if not queries.row(connection, "summary.published")["published"]:
            return "none yet"
        refresh(connection, settings, run_id, only_changes=True)
    except (definitions.ReportError, RefreshError, SettingError) as error:
        return f"{NOT_REFRESHED} ({error})"
    except psycopg.Error as error:
        return f"{NOT_REFRESHED} ({first_line(error)})"
    return "refreshed"


def due_in(connection: psycopg.Connection[Any], settings: Settings) -> int:
    """In how many seconds a refresh takes no more of the time than SLUICE_REPORT_SHARE, loads having the rest; 0: now.

    A refresh that counted a report from nothing says nothing of the next one, which is due.
    """
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        found = queries.one(cursor, "refresh.due_in", share=settings.report_share)
    return max(0, found["seconds"]) if found else 0


def note_failure(connection: psycopg.Connection[Any], failure: BaseException | None) -> None:
    """Keep for `make status` why a refresh failed, in place of what was kept before."""
    with connection.transaction():
        queries.run(connection, "refresh.forget_failure")
        report = failure.report if isinstance(failure, RefreshError) else None
        queries.run(connection, "refresh.note_failure", report=report, error=_why(failure))


def first_line(error: psycopg.Error) -> str:
    """What PostgreSQL says, without where in our SQL it happened."""
    return str(error).strip().partition("\n")[0]


def _why(failure: BaseException | None) -> str:
    if isinstance(failure, psycopg.Error):
        return f"{first_line(failure)}: the log of the task in DAG report_sales tells more"
    return str(failure).strip().partition("\n")[0]


class Refreshing:
    """One refresh, within its transaction, which ``refresh.begin`` has begun."""

    def __init__(self, cursor: psycopg.Cursor[dict[str, Any]], settings: Settings, reports: Sequence[Report]) -> None:
        self._cursor = cursor
        self._settings = settings
        self._zone = sql.Literal(settings.shop_zone)
        self._reports = list(reports)
        self._cells = definitions.of_kind(self._reports, Kind.CELLS)
        self.sums = definitions.of_kind(self._reports, Kind.REPORT)
        self._statements = Statements(self._reports, self._columns())

    def run(self, run_id: str, *, anew: bool = False, only_changes: bool = False) -> Refreshed:
        """Do all of it; see ``refresh``."""
        begun = time.monotonic()
        connection = self._cursor.connection
        feeds.refuse_unknown_zone(self._settings, connection)
        changed_feeds = feeds.write(connection, feeds.feeds(self._settings, connection))
        self._execute("refresh.take_changes")
        self._execute("refresh.make_events")
        self._cursor.execute(self._statements.make_rows_that_came())
        for cells in self._cells:
            self._run(cells, self._statements.make_cells(cells))
        changes = queries.row(self._cursor, "refresh.count_taken")["changes"]
        outdated = self._outdated()
        if only_changes:
            self._refuse_to_count_whole(outdated or changed_feeds)
        if anew or any(cells.name in outdated for cells in self._cells):
            outdated = {report.name for report in (*self._cells, *self.sums)}
            units = self._build_cells()
            self._execute("refresh.forget_comparisons")
        else:
            standing = [report for report in self.sums if report.name not in outdated]
            units = self._count_changes(changed_feeds, standing, only_changes)
        self._count_whole([report for report in self.sums if report.name in outdated])
        self._note_built(outdated)
        self._execute("refresh.forget_changes")
        parts = {"run_id": run_id, "zone": self._settings.shop_zone, "changes": changes, "is_whole": bool(outdated)}
        self._execute("refresh.publish", **{name: sql.Literal(value) for name, value in parts.items()})
        return Refreshed(changes, units, round(time.monotonic() - begun, 3), tuple(sorted(outdated)))

    def differences(self, feed: str, unit: str, report: Report) -> dict[str, int]:
        """After ``run``: in how many rows the cells of a unit, and one report, are not what is counted now."""
        self._execute("refresh.take_unit", feed=sql.Literal(feed), unit=sql.Literal(unit))
        self._fill_events([unit])
        found = {}
        for cells in self._cells:
            self._make_cells(cells)
            self._run(cells, self._statements.difference(cells, [unit]))
            found[cells.name] = sum(
                sum((self._run(cells, self._statements.of_cells(query, cells)).fetchone() or {}).values())
                for query in ("refresh.count_differences", "refresh.count_doubled")
            )
        compared = self._run(report, self._statements.of_whole("refresh.compare_whole", report)).fetchone() or {}
        found[report.name] = sum(compared.values())
        return {name: rows for name, rows in found.items() if rows}

    # --- what only the DAG does, for it takes long

    def _refuse_to_count_whole(self, whole: set[str]) -> None:
        if whole:
            raise RefreshError(f"{', '.join(sorted(whole))} must be counted as a whole")
        rows = queries.row(self._cursor, "refresh.count_rows_that_came")["rows"]
        if rows > _EVENTS_AWAITED:
            raise RefreshError(f"{rows:,} rows of files that came are to be counted")

    def _refuse_many_events(self) -> None:
        events = queries.row(self._cursor, "refresh.count_events_to_count")["events"]
        if events > _EVENTS_AWAITED:
            raise RefreshError(f"{events:,} events of days that changed are to be counted")

    # --- what changed

    def _count_changes(self, changed_feeds: set[str], reports: list[Report], only_changes: bool) -> int:
        rows = queries.row(self._cursor, "refresh.count_rows_that_came")["rows"]
        # What came is kept by its keys, unless it is so much that whole units are counted as fast.
        is_whole = rows > _ROWS_BY_KEY
        self._execute("refresh.make_changed_files")
        for run in queries.all(self._cursor, "refresh.runs_of_changed_files"):
            self._cursor.execute(self._statements.find_rows_that_came(run, is_whole=is_whole))
        self._execute("refresh.units_of_changes", is_whole=sql.Literal(is_whole))
        if changed_feeds:
            self._execute("refresh.units_of_feeds", feeds=sql.Literal(sorted(changed_feeds)))
        if only_changes:
            self._refuse_many_events()
        return self._in_batches(lambda days: self._count_batch(days, reports))

    def _count_batch(self, days: list[str], reports: list[Report]) -> None:
        made, changed = self._statements, []
        for cells in self._cells:
            self._make_cells(cells)
            self._run(cells, made.difference(cells, days))
            counted = self._run(cells, made.of_cells("refresh.count_differences", cells)).fetchone()
            if counted and any(counted.values()):
                changed.append(cells)
        names = {cells.name for cells in changed}
        follow = [report for report in reports if names.intersection(report.of)]
        # A delta is made while the old cells are there, and added after it is known which values leave with them.
        for report in follow:
            self._run(report, made.make_delta(report))
            if stale := made.stale_keys(report):
                self._run(report, stale)
            self._run(report, made.add_delta(report))
        for cells in changed:
            self._run(cells, made.of_cells("refresh.change_cells", cells))
        for report in follow:
            if report.least or report.greatest:
                self._run(report, made.mend_stale(report))

    # --- from nothing

    def _build_cells(self) -> int:
        self._execute("refresh.units_of_all")
        for cells in self._cells:
            self._run(cells, self._statements.of_cells("refresh.forget_cells", cells))
        return self._in_batches(self._build_batch)

    def _build_batch(self, days: list[str]) -> None:
        for cells in self._cells:
            self._make_cells(cells)
            self._run(cells, self._statements.of_cells("refresh.add_cells", cells))

    def _count_whole(self, reports: list[Report]) -> None:
        for report in reports:
            self._run(report, self._statements.of_whole("refresh.count_whole", report))

    def _outdated(self) -> set[str]:
        """The cells and reports that do not stand as their files say them, or not in the shop's zone."""
        built = {row["name"]: (row["digest"], row["zone"]) for row in queries.all(self._cursor, "refresh.built")}
        return {
            report.name
            for report in (*self._cells, *self.sums)
            if built.get(report.name) != (report.digest, self._settings.shop_zone)
        }

    def _note_built(self, names: set[str]) -> None:
        for report in self._reports:
            if report.name in names:
                parts = {"name": sql.Literal(report.name), "digest": sql.Literal(report.digest), "zone": self._zone}
                self._execute("refresh.note_built", **parts)

    # --- both

    def _in_batches(self, count: Callable[[list[str]], None]) -> int:
        """Run ``count(days)`` for each batch of units, with their events at hand; how many units there were."""
        self._execute("refresh.make_queue", most=sql.Literal(_EVENTS_AT_ONCE))
        units = 0
        for row in queries.all(self._cursor, "refresh.batches"):
            self._execute("refresh.take_batch", batch=sql.Literal(row["batch"]))
            days = [found["day"] for found in queries.all(self._cursor, "refresh.days_of_batch")]
            self._fill_events(days)
            count(days)
            units += row["units"]
        return units

    def _fill_events(self, days: list[str]) -> None:
        for day in days:
            self._cursor.execute(self._statements.fill_events(day, self._zone))
        self._execute("refresh.know_events")

    def _make_cells(self, cells: Report) -> None:
        self._run(cells, self._statements.fill_cells(cells))
        check = self._statements.check_cells(cells)
        held = self._run(cells, check).fetchone() if check else {}
        if held is None or not all(held.values()):
            failed = ", ".join(name for name, holds in (held or {"no row": False}).items() if not holds)
            raise RefreshError(
                f"its check does not hold ({failed}): mend include/sql/reports/{cells.name}.sql, then run report_sales",
                cells.name,
            )

    def _run(self, report: Report, script: sql.Composed) -> psycopg.Cursor[dict[str, Any]]:
        try:
            return self._cursor.execute(script)
        except psycopg.Error as error:
            if self._cursor.connection.broken or isinstance(error, psycopg.OperationalError):
                raise
            remedy = f"mend include/sql/reports/{report.name}.sql, then run DAG report_sales"
            raise RefreshError(f"it cannot be counted: {first_line(error)}: {remedy}", report.name) from error

    def _execute(self, query: str, /, **parts: sql.Composable) -> None:
        self._cursor.execute(queries.compose(query, **parts))

    def _columns(self) -> dict[str, list[str]]:
        """The columns of each table, by name. Raises RefreshError when one was not made yet."""
        found: dict[str, list[str]] = {}
        for schema, reports in ((CELLS, self._cells), (SCHEMA, self.sums)):
            there = {row["name"]: row["columns"] for row in queries.all(self._cursor, "refresh.columns", schema=schema)}
            for report in reports:
                if report.name not in there:
                    raise RefreshError("its table is made by `make down && make up`", report.name)
                found[report.name] = there[report.name]
        for report in self.sums:
            _refuse_what_cannot_be_kept_up(report, found)
        return found


def _refuse_what_cannot_be_kept_up(report: Report, columns: dict[str, list[str]]) -> None:
    """Raises RefreshError; it would be kept up for a while, until the first row or least value leaves."""
    extremes = {*report.least, *report.greatest}
    if not {*columns[report.name]} - {*report.key} - extremes:
        raise RefreshError(f"{report.name}.sql has no figure that is a sum: add count(*)", report.name)
    if extremes and not {*report.key} <= {*columns[report.of[0]]}:
        raise RefreshError(
            f"{report.name}.sql has least or greatest values, so its key is of columns as {report.of[0]} has them",
            report.name,
        )
