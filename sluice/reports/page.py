"""The reports in docs/reports.md, made of their files: ``python -m sluice.reports.page docs/reports.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sluice.reports import definitions
from sluice.reports.definitions import Report

_BEGIN, _END = "<!-- reports: made by python -m sluice.reports.page -->\n", "<!-- reports end -->\n"


def with_reports(page: str, reports: Sequence[Report]) -> str:
    """``page`` with the table of ``reports`` between its two marks. Raises ValueError when a mark is missing."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"the page has no place for the reports: it needs the lines {_BEGIN!r} and {_END!r}")
    return "".join([before, begin, "\n", *_lines(sorted(reports, key=lambda report: report.name)), "\n", end, after])


def _lines(reports: Sequence[Report]) -> Iterator[str]:
    yield "| table | what it holds | key | what is checked before it is published |\n|---|---|---|---|\n"
    for report in reports:
        if report.is_published:
            yield f"| `report.{report.name}` | {report.says} | {_key(report)} | {_checked(report)} |\n"
    yield "\nSteps that reports are made from, within a refresh:\n\n| step | what it holds |\n|---|---|\n"
    for report in reports:
        if not report.is_published:
            yield f"| `{report.name}` | {report.says} |\n"


def _key(report: Report) -> str:
    return ", ".join(f"`{name}`" for name in report.key) or "none"


def _checked(report: Report) -> str:
    of_the_key = ["each key once"] if report.key else []
    return "; ".join([*of_the_key, report.check_says] if report.check else of_the_key) or "nothing"


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(with_reports(path.read_text(encoding="utf-8"), definitions.read()), encoding="utf-8")
