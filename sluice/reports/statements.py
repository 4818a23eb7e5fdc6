"""The SQL of a refresh, made of the reports and of ``include/sql/refresh.sql``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from psycopg import sql

from sluice.base import queries
from sluice.reports.definitions import Kind, Report, always_has

SCHEMA = "report"
CELLS = "report_cells"
EVENTS = sql.Identifier("pg_temp", "changed_events")


class Statements:
    """What is run for ``reports``; ``columns`` are those of each report's table, in order, by the report's name."""

    def __init__(self, reports: Sequence[Report], columns: Mapping[str, Sequence[str]]) -> None:
        self._reports = {report.name: report for report in reports}
        self._columns = columns
        # An event has a bit for each kind of cells that is to count it.
        self._kinds = sorted({report.within for report in reports if report.kind is Kind.CELLS})

    def table(self, name: str) -> sql.Identifier:
        """Where the cells, the report or the view of that name stands."""
        return table(self._reports[name])

    def rows(self, report: Report, source: Callable[[str], sql.Composable] | None = None) -> sql.Composed:
        """The report's own query; ``source`` gives what stands in the place of a name, its table when not given."""
        return self._own(report.rows, source)

    # --- events

    def make_rows_that_came(self) -> sql.Composed:
        """An empty table of them."""
        return queries.compose("refresh.make_rows_that_came", keys=columns(self._keys()))

    def find_rows_that_came(self, run: Mapping[str, Any], *, is_whole: bool) -> sql.Composed:
        """Add those of a run of files; without keys when units are counted as a whole."""
        keys = [sql.SQL("CASE WHEN NOT {} THEN {} END").format(is_whole, sql.Identifier(name)) for name in self._keys()]
        parts = {name: sql.Literal(value) for name, value in run.items()}
        return queries.compose("refresh.find_rows_that_came", keys=comma(keys), **parts)

    def fill_events(self, day: str, zone: sql.Composable) -> sql.Composed:
        """Add the events of the batch's units on ``day``."""
        unit = sql.SQL("{}::date").format(day)
        kinds = []
        for bit, within in enumerate(self._kinds):
            counts = [sql.SQL("{} IS NOT NULL").format(sql.Identifier(name)) for name in always_has(within)]
            counts.append(_has_come(within, "events", unit))
            kinds.append(sql.SQL("CASE WHEN {} THEN {} ELSE 0 END").format(sql.SQL(" AND ").join(counts), 1 << bit))
        parts = {"day": sql.Literal(day), "zone": zone, "kinds": sql.SQL(" | ").join(kinds)}
        return queries.compose("refresh.fill_events", **parts)

    def _keys(self) -> list[str]:
        return sorted({name for within in self._kinds for name in within})

    # --- cells

    def make_cells(self, cells: Report) -> sql.Composed:
        """The tables in which the cells of a batch, and their difference to those that are there, are made."""
        return queries.compose("refresh.make_cells", **self._cells(cells))

    def fill_cells(self, cells: Report) -> sql.Composed:
        """Make the batch's cells."""
        rows = self._own(cells.rows, events=self._events_of(cells))
        return queries.compose("refresh.fill_new_cells", **self._cells(cells), rows=rows)

    def check_cells(self, cells: Report) -> sql.Composed | None:
        """A query of one row, all true when the cells that were made pass their check; None without a check."""
        if not cells.check:
            return None
        return self._own(cells.check, lambda _: temporary(cells.name, "new"), events=self._events_of(cells))

    def difference(self, cells: Report, days: Sequence[str]) -> sql.Composed:
        """Find what goes and what comes; ``days`` are the batch's."""
        parts = {"days": sql.Literal(list(days)), "has_come": _has_come(cells.within, "cells")}
        return queries.compose("refresh.fill_differences", **self._cells(cells), **parts)

    def of_cells(self, query: str, cells: Report) -> sql.Composed:
        """A query that names the cells, ``gone``, ``come`` and ``new``."""
        return queries.compose(query, **self._cells(cells))

    # --- reports

    def make_delta(self, report: Report) -> sql.Composed:
        """What is added to the report when the difference of its cells is made, which must not have been made yet."""
        parts: dict[str, sql.Composable] = {
            "delta": temporary(report.name, "delta"),
            "key": columns(report.key),
            "figures": comma(self._figures(report)),
            "differs": self._differs(report),
        }
        if not report.whole:
            after = self.rows(report, lambda name: temporary(name, "come"))
            before = self.rows(report, lambda name: temporary(name, "gone"))
            return queries.compose("refresh.make_delta", **parts, after=after, before=before)
        changed = [self._whole("refresh.changed_keys", report, name) for name in report.of]
        keys = queries.compose(
            "refresh.whole_keys", whole=columns(report.whole), changed=sql.SQL("\nUNION\n").join(changed)
        )
        after = self.rows(report, lambda name: self._whole("refresh.whole_after", report, name))
        before = self.rows(report, _standing)
        standing = comma([self._whole("refresh.whole_standing", report, name) for name in report.of])
        parts |= {"keys": keys, "standing": standing, "after": after, "before": before}
        return queries.compose("refresh.make_whole_delta", **parts)

    def stale_keys(self, report: Report) -> sql.Composed | None:
        """Find keys of which a least or greatest value leaves, before ``add_delta``; None when it has neither."""
        if not (report.least or report.greatest):
            return None
        left = [
            sql.SQL("delta.{was} = report.{name} AND (delta.{name} IS NULL OR delta.{name} {than} delta.{was})").format(
                name=sql.Identifier(name), was=_was(name), than=than
            )
            for names, than in ((report.least, sql.SQL(">")), (report.greatest, sql.SQL("<")))
            for name in names
        ]
        return queries.compose(
            "refresh.stale_keys",
            stale=temporary(report.name, "stale"),
            of_delta=comma([sql.SQL("delta.{}").format(sql.Identifier(name)) for name in report.key]),
            left=sql.SQL(" OR ").join(left),
            **self._report(report),
        )

    def add_delta(self, report: Report) -> sql.Composed:
        """Add what ``make_delta`` made."""
        new = [sql.SQL("delta.{}").format(sql.Identifier(name)) for name in self._columns[report.name]]
        empty = [sql.SQL("report.{} = 0").format(sql.Identifier(name)) for name in self._sums(report)]
        return queries.compose(
            "refresh.add_delta",
            sums=comma([self._added(report, name) for name in self._names_of_figures(report)]),
            new_row=comma(new),
            is_empty=sql.SQL(" AND ").join(empty),
            **self._report(report),
        )

    def mend_stale(self, report: Report) -> sql.Composed:
        """Take the least and greatest values of stale keys from all their cells, when the difference is made."""
        stale, key = temporary(report.name, "stale"), columns(report.key)
        rows = self.rows(
            report,
            lambda name: queries.compose("refresh.all_cells_of_stale", cells=self.table(name), stale=stale, key=key),
        )
        mended = [sql.SQL("{0} = delta.{0}").format(sql.Identifier(name)) for name in (*report.least, *report.greatest)]
        return queries.compose(
            "refresh.mend_stale", rows=rows, mended=comma(mended), stale=stale, **self._report(report)
        )

    def of_whole(self, query: str, report: Report) -> sql.Composed:
        """A query over a report's table and what all its cells give."""
        source = (lambda name: self._whole("refresh.whole_cells", report, name)) if report.whole else None
        sums = self._sums(report)
        rows = queries.compose(
            "refresh.whole_rows",
            columns=comma(
                [_or_zero(name) if name in sums else sql.Identifier(name) for name in self._columns[report.name]]
            ),
            rows=self.rows(report, source),
            is_any=sql.SQL(" OR ").join(sql.SQL("{} <> 0").format(sql.Identifier(name)) for name in sums),
        )
        return queries.compose(query, table=self.table(report.name), rows=rows)

    def _own(
        self, text: str, source: Callable[[str], sql.Composable] | None = None, events: sql.Composable = EVENTS
    ) -> sql.Composed:
        names = {name: (source or self.table)(name) for name in self._reports if "{" + name + "}" in text}
        return sql.SQL(text).format(**names, events=events)

    def _events_of(self, cells: Report) -> sql.Composed:
        kind = 1 << self._kinds.index(cells.within)
        return queries.compose("refresh.events_of_cells", kind=sql.Literal(kind))

    def _cells(self, cells: Report) -> dict[str, sql.Composable]:
        parts: dict[str, sql.Composable] = {word: temporary(cells.name, word) for word in ("new", "gone", "come")}
        return parts | {"cells": self.table(cells.name)}

    def _whole(self, query: str, report: Report, name: str) -> sql.Composed:
        parts = {"whole": columns(report.whole), "standing": _standing(name)}
        return queries.compose(query, **parts, **self._cells(self._reports[name]))

    def _report(self, report: Report) -> dict[str, sql.Composable]:
        # The first is what the table has an index of.
        same = [sql.SQL("{} = {}").format(hash_of(report.key, "report"), hash_of(report.key, "delta"))]
        same += [sql.SQL("report.{0} = delta.{0}").format(sql.Identifier(name)) for name in report.key]
        return {
            "table": self.table(report.name),
            "delta": temporary(report.name, "delta"),
            "same_key": sql.SQL("(") + sql.SQL(" AND ").join(same) + sql.SQL(")"),
        }

    def _names_of_figures(self, report: Report) -> list[str]:
        return [name for name in self._columns[report.name] if name not in report.key]

    def _sums(self, report: Report) -> list[str]:
        extremes = {*report.least, *report.greatest}
        return [name for name in self._names_of_figures(report) if name not in extremes]

    def _figures(self, report: Report) -> list[sql.Composed]:
        """What a delta has of each figure: the sum of what comes less what goes; of an extreme both, side by side."""
        made = []
        for name in self._names_of_figures(report):
            if name not in (*report.least, *report.greatest):
                made.append(sql.SQL("coalesce(sum(sign * {0}), 0) AS {0}").format(sql.Identifier(name)))
                continue
            which = sql.SQL("min" if name in report.least else "max")
            for sign, called in ((1, sql.Identifier(name)), (-1, _was(name))):
                made.append(
                    sql.SQL("{}({}) FILTER (WHERE sign = {}) AS {}").format(
                        which, sql.Identifier(name), sql.Literal(sign), called
                    )
                )
        return made

    def _differs(self, report: Report) -> sql.Composable:
        """Which keys have anything to add; of extremes only what is added tells."""
        if report.least or report.greatest:
            return sql.SQL("true")
        return sql.SQL(" OR ").join(
            sql.SQL("sum(sign * {}) <> 0").format(sql.Identifier(name)) for name in self._sums(report)
        )

    def _added(self, report: Report, name: str) -> sql.Composed:
        if name in report.least or name in report.greatest:
            which = sql.SQL("least" if name in report.least else "greatest")
            return sql.SQL("{0} = {1}(report.{0}, delta.{0})").format(sql.Identifier(name), which)
        return sql.SQL("{0} = report.{0} + delta.{0}").format(sql.Identifier(name))


def table(report: Report) -> sql.Identifier:
    """Where the cells, the report or the view stands."""
    return sql.Identifier(CELLS if report.kind is Kind.CELLS else SCHEMA, report.name)


def temporary(name: str, word: str) -> sql.Identifier:
    """A table of this transaction's own, for the cells or report of that name."""
    return sql.Identifier("pg_temp", f"{name}__{word}")


def columns(names: Sequence[str]) -> sql.Composed:
    """Column names, with commas between them."""
    return sql.SQL(", ").join(map(sql.Identifier, names))


def comma(parts: Sequence[sql.Composable]) -> sql.Composed:
    """``parts`` with commas between them."""
    return sql.SQL(", ").join(parts)


def _or_zero(name: str) -> sql.Composed:
    return sql.SQL("coalesce({0}, 0) AS {0}").format(sql.Identifier(name))


def _has_come(within: Sequence[str], of: str, unit: sql.Composable | None = None) -> sql.Composed:
    """Whether rows came of the unit and key of a row of table ``of``; ``unit`` where the table has none."""
    key = hash_of(within, of, unit or sql.Identifier(of, "unit"))
    key_that_came = hash_of(within, "came", sql.Identifier("came", "unit"))
    return queries.compose("refresh.has_come", key=key, key_that_came=key_that_came)


def hash_of(names: Sequence[str], of: str = "", *more: sql.Composable) -> sql.Composed:
    """A number of these columns, of table ``of`` if given, and ``more``: equal where they are, NULLs among them."""
    parts = [*more, *(sql.Identifier(*filter(None, (of, name))) for name in names)]
    return sql.SQL("hash_record_extended(ROW({}), 0)").format(comma(parts))


def _standing(name: str) -> sql.Identifier:
    return sql.Identifier(f"{name}__standing")


def _was(name: str) -> sql.Identifier:
    return sql.Identifier(f"{name}__was")
