"""The page of reports says what the files of the reports say."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.base.settings import PROJECT
from sluice.reports import definitions
from sluice.reports.page import with_reports

PAGE = PROJECT / "docs" / "reports.md"
MINE = """\
-- report: A day a row
-- key: day, shop

-- name: rows :: the report
SELECT 1;

-- name: check :: days add up
SELECT true;
"""


def test_the_page_is_that_of_the_files() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_reports(page, definitions.read()), "run python -m sluice.reports.page docs/reports.md"


def test_a_new_report_is_on_the_page_with_its_key_and_check(tmp_path: Path) -> None:
    (tmp_path / "daily.sql").write_text(MINE)
    page = with_reports(PAGE.read_text(encoding="utf-8"), definitions.read(tmp_path))
    assert "| `report.daily` | A day a row | `day`, `shop` | each key once; days add up |\n" in page


def test_a_page_without_a_place_for_the_reports_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the reports"):
        with_reports("# Reports\n", [])
