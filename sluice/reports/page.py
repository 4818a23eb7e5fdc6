"""The reports in docs/reports.md, made of their files: ``python -m sluice.reports.page docs/reports.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sluice.base.settings import PROJECT
from sluice.reports import definitions
from sluice.reports.definitions import Kind, Report

# Of the page that report_sales writes, by the name of the report that they show.
PICTURES = PROJECT / "docs" / "reports"
_BEGIN, _END = "<!-- reports: made by python -m sluice.reports.page -->\n", "<!-- reports end -->\n"


def with_reports(page: str, reports: Sequence[Report]) -> str:
    """``page`` with the table of ``reports`` between its two marks. Raises ValueError when a mark is missing."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"the page has no place for the reports: it needs the lines {_BEGIN!r} and {_END!r}")
    return "".join([before, begin, "\n", *_lines(sorted(reports, key=lambda report: report.name)), "\n", end, after])


def _lines(reports: Sequence[Report]) -> Iterator[str]:
    yield "| table or view | what a row is | key | made of |\n|---|---|---|---|\n"
    for report in reports:
        if report.kind is not Kind.CELLS:
            made = ", ".join(f"`{name}`" for name in report.of)
            key = ", ".join(f"`{name}`" for name in report.key) or "a view"
            yield f"| `report.{report.name}` | {report.says} | {key} | {made} |\n"
    yield "\nCells, of which they are made, in schema `report_cells`:\n\n"
    yield "| cells | what a row is | what each refresh checks |\n|---|---|---|\n"
    for report in reports:
        if report.kind is Kind.CELLS:
            yield f"| `{report.name}` | {report.says} | {report.check_says or 'nothing'} |\n"
    yield "\n## Each report\n"
    yield "\nThe pictures are of generated events: a report's section of the page, or else some of its rows.\n"
    for report in reports:
        if report.kind is not Kind.CELLS:
            yield from _section(report)


def _section(report: Report) -> Iterator[str]:
    """What a row is, a picture when there is one, and the SQL of the report's file."""
    yield f"\n### report.{report.name}\n\n{report.says}.\n\n"
    if (PICTURES / f"{report.name}.png").exists():
        yield f"![report.{report.name}](reports/{report.name}.png)\n\n"
    yield f"<details><summary>SQL</summary>\n\n```sql\n{report.rows}\n```\n\n</details>\n"


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(with_reports(path.read_text(encoding="utf-8"), definitions.read()), encoding="utf-8")
