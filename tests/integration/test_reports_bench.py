"""The bench of the reports measures what its table says: a few events do."""

from __future__ import annotations

import pytest

from bench import report, reports, reports_fill, tables
from bench.server import bench
from sluice.base import database

ROWS = 20_000
_THERE = "SELECT count(*) AS events, count(*) FILTER (WHERE event_type = 'purchase') AS sales FROM public.events"


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"FEW": 5_000, "REFRESHES": 2, "UNLOADS": 2}.items():
        monkeypatch.setattr(reports, name, value)
    monkeypatch.setattr(reports_fill, "PIECE", 12_000)


def test_each_figure_is_of_what_was_done_and_the_table_has_them_all() -> None:
    with bench() as server:
        measured = reports.measure(server, ROWS, window=4, pairs=1)
        with database.connect(server.server.url(f"with_{ROWS}")) as connection:
            published = connection.execute("SELECT events, sales FROM report.last_refresh").fetchone()
            there = connection.execute(_THERE).fetchone()
    few, many = measured["sizes"]
    assert (few["rows"], many["rows"]) == (5_000, ROWS)
    assert published == there
    assert len(measured["rates"]["with"]) == len(measured["rates"]["without"]) == 1
    assert len(measured["rates"]["seconds"]) >= 1
    assert measured["beside"]["refreshes"]["loads"] > 0
    said = tables.of(report.result("reports", **measured))
    assert f"| {ROWS:,} |" in said
    assert "at most 5 % of the time" in said
