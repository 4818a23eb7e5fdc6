"""A report is one file: put into a copy of the project, it has its table, its rights, its rows, and is kept up."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from sluice.base.settings import PROJECT, Settings
from sluice.reports import definitions, tables
from sluice.reports.definitions import ReportError
from tests.loading import Connection
from tests.reports import add_event

PAGE = PROJECT / "docs" / "how-to" / "add-a-report.md"
# What a start and DAG report_sales do: what was made, what was counted as a whole, and how many days of feeds.
# It compares so many times, as so many runs of the DAG do that have nothing to count.
_REFRESH = """
import sys

from sluice.base import database, settings
from sluice.reports import comparison, refresh, tables

print(*tables.make(settings.load().owner_dsn))
with database.connect(settings.load().reader_dsn) as reader:
    done = refresh.refresh(reader, settings.load(), "copy")
    print(*done.whole)
    print(done.units)
    for _ in range(int(sys.argv[1])):
        comparison.tell(comparison.compare(reader, settings.load(), "copy") or {})
"""
CELLS = """\
-- cells: A user, a feed and a UTC day a row
-- find: user_id

-- name: rows :: the cells
SELECT feed, unit, user_id, count(*) AS events FROM {events} AS events GROUP BY feed, unit, user_id;

-- name: check :: every event is counted
SELECT (SELECT sum(events) FROM {busy_users}) = (SELECT count(*) FROM {events} AS events) AS no_event_is_missing
"""
Refreshed = tuple[list[str], list[str], int]


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a refresh needs of the project, in a folder of the test's own."""
    place = tmp_path / "copy"
    for name in ("sluice", "include"):
        shutil.copytree(PROJECT / name, place / name)  # what is compiled too
    monkeypatch.setenv("PYTHONPATH", str(place))
    return place


@pytest.fixture
def write(copy: Path) -> Callable[[str, str], None]:
    """Writes a file of the copy's reports."""
    return lambda name, text: (copy / "include" / "sql" / "reports" / f"{name}.sql").write_text(text) and None


def examples() -> list[str]:
    """The files that the page tells to write: a report, and a view."""
    return re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def run(copy: Path, comparisons: int = 1) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _REFRESH, str(comparisons)]
    return subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=120)


def refresh(copy: Path) -> Refreshed:
    """Make the tables and refresh, as the copy does."""
    done = run(copy)
    assert done.returncode == 0, done.stderr
    made, whole, units = done.stdout.splitlines()
    return made.split(), whole.split(), int(units)


def sell(connection: Connection, *products: str, file_id: int = 1) -> None:
    for product in products:
        add_event(connection, "purchase", "10:00", product_id=product, total_amount=5, user_id="u", file_id=file_id)


def test_the_report_and_the_view_of_the_page_are_made_granted_filled_and_kept_up(
    copy: Path, settings: Settings, connection: Connection, write: Callable[[str, str], None]
) -> None:
    sell(connection, "p1", "p2")
    refresh(copy)
    report, view = examples()
    write("categories_by_day", report)
    write("shares", view)
    assert refresh(copy) == (["categories_by_day", "shares"], ["categories_by_day"], 0)
    with psycopg.connect(settings.reader_dsn) as reader:
        query = "SELECT day::text, category, purchases, revenue FROM report.categories_by_day"
        assert reader.execute(query).fetchall() == [("2025-06-01", "none", 2, 10)]
        assert reader.execute("SELECT category, share FROM report.shares").fetchall() == [("none", 1)]
        reader.commit()
        sell(connection, "p3", file_id=2)
        assert refresh(copy) == ([], [], 1)
        assert reader.execute(query).fetchall() == [("2025-06-01", "none", 3, 15)]
    said = connection.execute(
        "SELECT obj_description('report.categories_by_day'::regclass) AS report, "
        "obj_description('report.shares'::regclass) AS view"
    ).fetchone()
    assert said == {
        "report": "A day of the shop's zone on which a category sold a row, by feed and currency",
        "view": "A category a row, by feed and currency: its share (0 to 1) of the revenue",
    }


def test_new_cells_count_all_events_once_and_are_kept_up(
    copy: Path, settings: Settings, connection: Connection, write: Callable[[str, str], None]
) -> None:
    sell(connection, "p1", "p2")
    refresh(copy)
    write("busy_users", CELLS)
    made, whole, units = refresh(copy)
    assert (made, "busy_users" in whole, "totals" in whole, units) == (["busy_users"], True, True, 1)
    sell(connection, "p3", file_id=2)
    assert refresh(copy) == ([], [], 1)
    assert connection.execute("SELECT user_id, events FROM report_cells.busy_users").fetchall() == [
        {"user_id": "u", "events": 3}
    ]


def test_cells_whose_check_fails_are_named_and_nothing_is_published(
    copy: Path, settings: Settings, connection: Connection, write: Callable[[str, str], None]
) -> None:
    sell(connection, "p1")
    write("busy_users", CELLS.replace("AS events GROUP BY", "AS events WHERE event_type = 'search' GROUP BY"))
    done = run(copy)
    assert "RefreshError: its check does not hold (no_event_is_missing): mend include/sql/reports/busy_users.sql" in (
        done.stderr
    )
    assert connection.execute("SELECT FROM report.last_refresh").fetchall() == []


def test_a_report_that_does_not_add_up_is_found_by_the_comparison(
    copy: Path, settings: Settings, connection: Connection, write: Callable[[str, str], None]
) -> None:
    sell(connection, "p1")
    report, _ = examples()
    write("categories_by_day", report.replace("sum(purchases)::bigint", "count(DISTINCT user_id)"))
    for path in (copy / "include" / "sql" / "reports").glob("*.sql"):
        if path.stem != "categories_by_day" and path.read_text().startswith(("-- report:", "-- view:")):
            path.unlink()
    (copy / "include" / "sql" / "reports" / "totals.sql").write_text(
        (PROJECT / "include" / "sql" / "reports" / "totals.sql").read_text()
    )
    refresh(copy)
    add_event(connection, "purchase", "11:00", product_id="p9", total_amount=5, user_id="u", file_id=2)
    done = run(copy, comparisons=40)  # one of two reports each time
    assert done.returncode != 0
    assert "rows of categories_by_day differ: run `make rebuild-reports`" in done.stderr


def test_a_report_with_other_columns_is_made_anew_and_so_is_one_that_becomes_a_view(
    copy: Path, settings: Settings, connection: Connection, write: Callable[[str, str], None]
) -> None:
    sell(connection, "p1")
    report, view = examples()
    write("categories_by_day", report)
    refresh(copy)
    write("categories_by_day", report.replace(" AS revenue", " AS turnover"))
    assert refresh(copy) == (["categories_by_day"], ["categories_by_day"], 0)
    assert connection.execute("SELECT turnover FROM report.categories_by_day").fetchall() == [{"turnover": 5}]
    write("categories_by_day", view)
    assert refresh(copy) == (["categories_by_day"], [], 0)
    assert connection.execute("SELECT share FROM report.categories_by_day").fetchall() == [{"share": 1}]
    write("categories_by_day", report)
    assert refresh(copy) == (["categories_by_day"], ["categories_by_day"], 0)


def test_a_table_on_which_somebody_built_a_view_is_not_dropped_and_said_to_stand(
    copy: Path, settings: Settings, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    reports = copy / "include" / "sql" / "reports"
    text = (reports / "cohorts.sql").read_text()
    connection.execute("CREATE VIEW public.mine AS SELECT customers FROM report.cohorts")
    (reports / "cohorts.sql").write_text(text.replace("AS customers", "AS people"))
    assert tables.make(settings.owner_dsn, definitions.read(reports)) == []
    assert "cohorts.sql cannot be made: what stands stays as it is: cannot drop table report.cohorts" in caplog.text
    connection.execute("SELECT * FROM public.mine")


def test_a_report_that_cannot_be_made_is_named_and_costs_no_other_its_table(
    copy: Path, settings: Settings, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    reports = copy / "include" / "sql" / "reports"
    report, _ = examples()
    (reports / "a_wrong.sql").write_text(report.replace("sum(units)", "sum(pieces)"))
    (reports / "after_wrong.sql").write_text(
        "-- view: a row\n-- after: a_wrong\n\n-- name: rows :: it\nTABLE {a_wrong};"
    )
    (reports / "categories_by_day.sql").write_text(report)
    assert tables.make(settings.owner_dsn, definitions.read(reports)) == ["categories_by_day"]
    with psycopg.connect(settings.reader_dsn) as reader:
        assert reader.execute("SELECT * FROM report.categories_by_day").fetchall() == []
    (said,) = caplog.messages
    assert said.startswith("include/sql/reports/a_wrong.sql cannot be made")
    assert 'column "pieces" does not exist' in said


@pytest.mark.parametrize(
    ("key", "query", "why"),
    [
        ("product_id", "product_id, min(price) AS least FROM", "mine.sql has no figure that is a sum: add count(*)"),
        (
            "product",
            "lower(product_id) AS product, count(*) AS n, min(price) AS least FROM",
            "mine.sql has least or greatest values, so its key is of columns as product_days has them",
        ),
    ],
)
def test_a_report_that_could_not_be_kept_up_for_long_is_refused_at_the_first_refresh(
    copy: Path, write: Callable[[str, str], None], settings: Settings, key: str, query: str, why: str
) -> None:
    query = query.replace("price", "lowest_price")
    write(
        "mine",
        f"-- report: a row\n-- key: feed, {key}\n-- of: product_days\n-- least: least\n\n"
        f"-- name: rows :: it\nSELECT feed, {query} {{product_days}} AS days GROUP BY 1, 2;",
    )
    assert f"RefreshError: {why}" in run(copy).stderr


ROWS = "\n\n-- name: rows :: it\nSELECT 1"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELECT 1", "begins with"),
        (f"-- step: a row\n-- key: none{ROWS}", "'-- step: a row'"),
        (f"-- report: a row\n-- view: a row{ROWS}", "one of them"),
        (f"-- report: a row\n-- of: sales{ROWS}", "has a line `-- key: …`"),
        (f"-- report: a row\n-- key: a{ROWS}", "has a line `-- of: …`"),
        (f"-- view: a row{ROWS}", "has a line `-- after: …`"),
        (f"-- cells: a row{ROWS}", "has a line `-- find: …`"),
        (f"-- view: a row\n-- after: sales\n-- key: a{ROWS}", "a file of kind view has no line `-- key: …`"),
        (f"-- report: a row\n-- keys: a{ROWS}", "'-- keys: a'"),
        ("-- report: a row\n-- key: a\n-- of: sales\n\nSELECT 1", "-- name: rows"),
        (f"-- report: a row\n-- key: a\n-- of: sales{ROWS};\n\n-- name: check :: it\nSELECT true", "-- name: rows"),
    ],
)
def test_a_file_that_is_no_report_is_refused_with_what_to_write(text: str, why: str) -> None:
    with pytest.raises(ReportError, match=re.escape(why)):
        definitions.parse("mine", text)


def files(folder: Path, **heads: str) -> Path:
    for name, head in heads.items():
        (folder / f"{name}.sql").write_text(f"{head}{ROWS};\n")
    return folder


@pytest.mark.parametrize(
    ("heads", "why"),
    [
        ({"first": "-- view: a row\n-- after: second"}, "no such file"),
        (
            {"first": "-- view: a row\n-- after: second", "second": "-- view: a row\n-- after: first"},
            "comes after another one of them: ",
        ),
        (
            {"first": "-- view: a row\n-- after: mine", "mine": "-- report: a row\n-- key: a\n-- of: first"},
            "mine.sql is of first, which are no cells: make it a view",
        ),
        (
            {
                "one": "-- cells: a row\n-- find: a",
                "other": "-- cells: a row\n-- find: a",
                "mine": "-- report: a row\n-- key: a\n-- of: one, other",
            },
            "mine.sql is of several cells: a line `-- whole: …`",
        ),
    ],
)
def test_reports_that_do_not_fit_together_are_refused(tmp_path: Path, heads: dict[str, str], why: str) -> None:
    with pytest.raises(ReportError, match=re.escape(why)):
        definitions.read(files(tmp_path, **heads))
