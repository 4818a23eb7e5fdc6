"""The reports, each as one file of ``include/sql/reports`` says it; docs/how-to/add-a-report.md shows how."""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from sluice.base import queries
from sluice.base.settings import SQL

FOLDER = SQL / "reports"
# The report that says which run published, and what the others must add up to.
CONTROL = "last_refresh"
_WORDS = {"report", "step", "key", "after"}
_NONE = "none"


class ReportError(ValueError):
    """A file under include/sql/reports is no report; the message names it, and says what to write."""


@dataclass(frozen=True)
class Report:
    """One report, or a step that others are made from and that is not published.

    ``says`` is what a row is, for people. ``key`` are the columns that tell rows apart, none when there is one row.
    ``rows`` and ``check`` are SQL in which ``{name}`` stands for the table that was built of the report of that name;
    ``check_says`` is what the check makes sure of, for people.
    """

    name: str
    says: str
    is_published: bool
    key: tuple[str, ...]
    after: tuple[str, ...]
    rows: str
    check: str
    check_says: str


def read(folder: Path = FOLDER) -> list[Report]:
    """Every report of ``folder``, those that others are made from first. Raises ReportError."""
    reports = {path.stem: parse(path.stem, path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.sql"))}
    for report in reports.values():
        if unknown := sorted(set(report.after) - set(reports)):
            raise ReportError(f"{report.name}.sql comes after {', '.join(unknown)}: there is no such file beside it")
    try:
        order = TopologicalSorter({name: report.after for name, report in reports.items()}).static_order()
        return [reports[name] for name in order]
    except CycleError as error:
        raise ReportError(
            f"each of these reports comes after another one of them: {', '.join(error.args[1])}"
        ) from None


def parse(name: str, text: str) -> Report:
    """The report that ``text`` says. Raises ReportError."""
    header = _header(name, text)
    is_published = "report" in header
    if is_published == ("step" in header):
        raise ReportError(f"{name}.sql begins with `-- report: …`, what a row is, or with `-- step: …`: one of the two")
    if is_published == ("key" not in header):
        raise ReportError(f"{name}.sql: a report has a line `-- key: column, …`, or `-- key: none`; a step has none")
    parts = queries.parse(text)
    if "rows" not in parts or set(parts) - {"rows", "check"}:
        raise ReportError(f"{name}.sql has a query `-- name: rows :: …`, may have one named check, and no other")
    return Report(
        name=name,
        says=header.get("report") or header["step"],
        is_published=is_published,
        key=_names(header.get("key", _NONE)),
        after=_names(header.get("after", _NONE)),
        rows=parts["rows"],
        check=parts.get("check", ""),
        check_says=queries.descriptions(text).get("check", ""),
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
    return () if said == _NONE else tuple(name.strip() for name in said.split(","))
