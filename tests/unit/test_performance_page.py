"""docs/performance.md says what the kept results say, and every figure of the README names the command it is from."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import picture, report, tables
from sluice.base.settings import PROJECT

KEPT = sorted(path for path in report.RESULTS.glob("*.json") if "<!-- " + path.stem in report.PAGE.read_text())


@pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.stem)
def test_the_page_has_the_tables_of_the_kept_results(kept: Path) -> None:
    page = report.PAGE.read_text()
    assert report.put(page, report.load(kept)) == page


def test_every_table_has_a_place_on_the_page_and_one_without_a_result_is_empty() -> None:
    page = report.PAGE.read_text()
    places = re.findall(r"^<!-- (\w+): made by its command -->$", page, re.MULTILINE)
    assert sorted(places) == sorted(tables.TABLES)
    for name in set(places) - {path.stem for path in KEPT}:
        assert f"<!-- {name}: made by its command -->\n<!-- end of {name} -->" in page


def test_the_picture_is_that_of_the_kept_league() -> None:
    drawn = picture.league(report.load(report.RESULTS / "league.json"))
    assert (report.PAGE.parent / "performance.svg").read_text() == drawn
    ElementTree.fromstring(drawn)  # noqa: S314 (drawn by us)


def test_the_picture_of_the_scale_is_that_of_the_kept_results() -> None:
    kept = report.RESULTS / "scale.json"
    if not kept.exists():
        pytest.skip("nothing is kept of bench-scale")
    drawn = picture.scale(report.load(kept), report.before())
    assert (report.PAGE.parent / "scale.svg").read_text() == drawn
    ElementTree.fromstring(drawn)  # noqa: S314 (drawn by us)


def test_another_result_makes_another_page() -> None:
    league = copy.deepcopy(report.load(report.RESULTS / "league.json"))
    league["members"][0]["rows_per_second"] += 1000
    assert report.put(report.PAGE.read_text(), league) != report.PAGE.read_text()


def test_every_measured_figure_of_the_readme_names_a_target_of_make() -> None:
    readme = (PROJECT / "README.md").read_text()
    measured = readme.partition("\n## Measured\n")[2].partition("\n## ")[0]
    rows = [line for line in measured.splitlines() if line.startswith("| ") and not line.startswith(("| what", "|---"))]
    targets = set(re.findall(r"^([a-z0-9-]+):.*## ", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    assert rows
    for row in rows:
        named = re.search(r"`(?:time )?make ([a-z0-9-]+)[^`]*` \|$", row)
        assert named, f"no command: {row}"
        assert named.group(1) in targets, row
