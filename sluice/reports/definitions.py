"""The reports, each as one file of ``include/sql/reports`` says it; docs/how-to/add-a-report.md shows how."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from sluice.base import queries
from sluice.base.settings import SQL

FOLDER = SQL / "reports"


class Kind(enum.Enum):
    """What a file makes: the word that its head begins with."""

    CELLS = "cells"
    REPORT = "report"
    VIEW = "view"


# The words that a head of each kind has, and those that it may have.
_NEEDS: dict[Kind, set[str]] = {Kind.CELLS: {"find"}, Kind.REPORT: {"key", "of"}, Kind.VIEW: {"after"}}
_MAY: dict[Kind, set[str]] = {Kind.CELLS: {"within"}, Kind.REPORT: {"whole", "least", "greatest"}, Kind.VIEW: set()}
_WORDS = {kind.value for kind in Kind} | set().union(*_NEEDS.values(), *_MAY.values())


class ReportError(ValueError):
    """A file under include/sql/reports is no report; the message names it, and says what to write."""


@dataclass(frozen=True)
class Report:
    """One file: cells of a feed and day, a report that is sums over cells, or a view.

    ``says`` is what a row is, for people. ``rows`` and ``check`` are SQL in which ``{name}`` stands for the table of
    the file of that name, and ``{events}`` for the events of the days that are counted. ``of`` are the files that it
    reads.

    Of cells: ``find`` are the columns that reports look cells up by; ``within`` are columns of ``events``, and of the
    cells, that all events of a cell share, and have when it is one. Of a report: ``key`` are the columns that tell
    rows apart, all others are sums, but for ``least`` and ``greatest``; ``whole`` are the columns of a key whose
    cells count only together. ``check_says`` is what the check of cells makes sure of, for people.
    """

    name: str
    kind: Kind
    says: str
    of: tuple[str, ...]
    rows: str
    key: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    least: tuple[str, ...] = ()
    greatest: tuple[str, ...] = ()
    find: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    check: str = ""
    check_says: str = ""

    @property
    def digest(self) -> str:
        """Differs when what it counts differs: then what stands is counted anew."""
        counts = (self.kind.value, self.of, self.rows, self.key, self.whole, self.least, self.greatest)
        return hashlib.sha256(repr(counts).encode()).hexdigest()


def always_has(within: tuple[str, ...]) -> tuple[str, ...]:
    """Of the columns of ``within`` those that no cell is without: a single one."""
    return within if len(within) == 1 else ()


def read(folder: Path = FOLDER) -> list[Report]:
    """Every report of ``folder``, those that others are made from first. Raises ReportError."""
    reports = {path.stem: parse(path.stem, path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.sql"))}
    for report in reports.values():
        _check_sources(report, reports)
    try:
        order = TopologicalSorter({name: report.of for name, report in reports.items()}).static_order()
        return [reports[name] for name in order]
    except CycleError as error:
        raise ReportError(
            f"each of these reports comes after another one of them: {', '.join(error.args[1])}"
        ) from None


def of_kind(reports: list[Report], kind: Kind) -> list[Report]:
    """Those of one kind, in order."""
    return [report for report in reports if report.kind is kind]


def parse(name: str, text: str) -> Report:
    """The report that ``text`` says. Raises ReportError."""
    header = _header(name, text)
    kind = _kind(name, header)
    parts = queries.parse(text)
    may_have = {"rows", "check"} if kind is Kind.CELLS else {"rows"}
    if "rows" not in parts or set(parts) - may_have:
        raise ReportError(
            f"{name}.sql has a query `-- name: rows :: …`, cells may have one named check, and there is no other"
        )
    return Report(
        name=name,
        kind=kind,
        says=header[kind.value],
        of=_names(header.get("of") or header.get("after") or ""),
        rows=parts["rows"],
        key=_names(header.get("key", "")),
        whole=_names(header.get("whole", "")),
        least=_names(header.get("least", "")),
        greatest=_names(header.get("greatest", "")),
        find=_names(header.get("find", "")),
        within=_names(header.get("within", "")),
        check=parts.get("check", ""),
        check_says=queries.descriptions(text).get("check", ""),
    )


def _kind(name: str, header: dict[str, str]) -> Kind:
    kinds = [kind for kind in Kind if kind.value in header]
    if len(kinds) != 1:
        raise ReportError(
            f"{name}.sql begins with `-- report: …`, `-- view: …` or `-- cells: …`, what a row is: one of them"
        )
    (kind,) = kinds
    words = set(header) - {kind.value}
    if missing := sorted(_NEEDS[kind] - words):
        raise ReportError(f"{name}.sql: the head of a file of kind {kind.value} has a line `-- {missing[0]}: …`")
    if other := sorted(words - _NEEDS[kind] - _MAY[kind]):
        raise ReportError(f"{name}.sql: the head of a file of kind {kind.value} has no line `-- {other[0]}: …`")
    return kind


def _check_sources(report: Report, reports: dict[str, Report]) -> None:
    if unknown := sorted(set(report.of) - set(reports)):
        raise ReportError(f"{report.name}.sql is made of {', '.join(unknown)}: there is no such file beside it")
    if report.kind is not Kind.REPORT:
        return
    if other := [name for name in report.of if reports[name].kind is not Kind.CELLS]:
        raise ReportError(f"{report.name}.sql is of {', '.join(other)}, which are no cells: make it a view")
    if len(report.of) > 1 and not report.whole:
        raise ReportError(f"{report.name}.sql is of several cells: a line `-- whole: …` names the key that they share")
    if report.whole and (report.least or report.greatest):
        raise ReportError(
            f"{report.name}.sql: with `-- whole:` all figures are sums; least and greatest are for others"
        )


def _header(name: str, text: str) -> dict[str, str]:
    """The lines `-- word: text` that a file begins with."""
    header: dict[str, str] = {}
    for line in text.splitlines():
        word, colon, said = line.removeprefix("-- ").partition(": ")
        if not line.startswith("-- ") or not colon:
            break
        if word not in _WORDS or word in header:
            raise ReportError(f"{name}.sql: its head has a line {line!r}: each of {', '.join(sorted(_WORDS))} is once")
        header[word] = said.strip()
    return header


def _names(said: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in said.split(",") if name.strip())
