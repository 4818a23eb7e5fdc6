"""The page of reports says what the files of the reports say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sluice.base.settings import PROJECT
from sluice.reports import definitions
from sluice.reports.definitions import Kind, Report
from sluice.reports.page import PICTURES, with_reports

PAGE = PROJECT / "docs" / "reports.md"
MINE = {
    "days": "-- cells: A day of a feed a row\n-- find: day\n",
    "daily": "-- report: A day a row\n-- key: day, shop\n-- of: days\n",
    "best": "-- view: The best day a row\n-- after: daily\n",
}
ROWS = "\n-- name: rows :: it\nSELECT 1;\n"
CHECK = "\n-- name: check :: days add up\nSELECT true;\n"


def test_the_page_is_that_of_the_files() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_reports(page, definitions.read()), "run python -m sluice.reports.page docs/reports.md"


@pytest.mark.parametrize("report", definitions.read(), ids=lambda report: report.name)
def test_each_report_has_a_picture_on_the_page(report: Report) -> None:
    """Cells are no report, and have none."""
    name = f"reports/{report.name}.png"
    is_shown = f"![report.{report.name}]({name})\n" in PAGE.read_text(encoding="utf-8")
    assert is_shown == (report.kind is not Kind.CELLS), f"run make report-pictures NAMES={report.name}"
    if is_shown:
        assert (PAGE.parent / name).read_bytes().startswith(b"\x89PNG\r\n"), name


def test_there_is_no_picture_of_a_report_that_is_gone() -> None:
    assert {path.stem for path in PICTURES.iterdir()} <= {report.name for report in definitions.read()}


def test_what_is_new_is_on_the_page_with_its_key_its_sources_and_its_check(tmp_path: Path) -> None:
    for name, head in MINE.items():
        (tmp_path / f"{name}.sql").write_text(head + ROWS + CHECK * (name == "days"))
    page = with_reports(PAGE.read_text(encoding="utf-8"), definitions.read(tmp_path))
    assert "| `report.daily` | A day a row | `day`, `shop` | `days` |\n" in page
    assert "| `report.best` | The best day a row | a view | `daily` |\n" in page
    assert "| `days` | A day of a feed a row | days add up |\n" in page
    assert "report.days" not in page


@pytest.mark.parametrize("report", definitions.read(), ids=lambda report: report.name)
def test_a_report_reads_only_what_its_head_says(report: Report) -> None:
    """Else a refresh would not notice a change, or would read more than what changed."""
    named = set(re.findall(r"\{(\w+)\}", report.rows))
    assert named == ({"events"} if report.kind is Kind.CELLS else {*report.of})
    assert not re.search(r"\b(public|ledger)\.", report.rows + report.check)


@pytest.mark.parametrize("report", [report for report in definitions.read() if report.whole], ids=lambda one: one.name)
def test_cells_that_count_together_are_found_by_an_index(report: Report) -> None:
    for cells in definitions.read():
        if cells.name in report.of:
            assert {*report.whole} & {*cells.find}


def test_a_page_without_a_place_for_the_reports_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the reports"):
        with_reports("# Reports\n", [])
