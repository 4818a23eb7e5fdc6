"""A report is one file: put into a copy of the project, it has its table, its rights, its rows and its check."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from sluice.base.settings import PROJECT, Settings
from sluice.reports import definitions, tables
from sluice.reports.definitions import ReportError
from tests.loading import Connection, make_months

PAGE = PROJECT / "docs" / "how-to" / "add-a-report.md"
# A purchase arrives between building and checking, as files do while the pipeline runs.
_REFRESH = """
from sluice.base import database, settings
from sluice.reports import definitions, refresh, tables
from sluice.reports.statements import OF_THE_READER, Statements

print(*tables.make(settings.load().owner_dsn))
statements = Statements(definitions.read(), OF_THE_READER, "copy")
with database.connect(settings.load().reader_dsn) as reader:
    with reader.transaction():
        reader.execute(statements.begin())
        refresh.build(reader, statements)
    with database.connect(settings.load().owner_dsn) as owner:
        owner.execute("SELECT ledger.make_month('2026-11-22')")
        owner.execute(
            "INSERT INTO public.events (event_id, event_type, event_time, file_id, record_number) "
            "VALUES (gen_random_uuid(), 'purchase', '2026-11-22', 1, 0)"
        )
    rows = {name: reader.execute(check).fetchone() for name, check in statements.checks().items()}
    print(*[name for name, row in rows.items() if row is None or not all(row.values())])
    if all(row and all(row.values()) for row in rows.values()):
        with reader.transaction():
            for script in statements.publish():
                reader.execute(script)
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What a refresh needs of the project, in a folder of the test's own."""
    place = tmp_path / "copy"
    for name in ("sluice", "include"):
        shutil.copytree(PROJECT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    return place


def example() -> str:
    """The file that the page tells to write."""
    found = re.search(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def sell(connection: Connection, *products: str) -> None:
    """A purchase of each, whose payment method is not known."""
    make_months(connection, "2026-11-22")
    for number, product in enumerate(products, 1):
        connection.execute(
            "INSERT INTO events (event_id, event_type, event_time, product_id, total_amount, file_id, record_number) "
            "VALUES (gen_random_uuid(), 'purchase', '2026-11-22', %s, 5, 1, %s)",
            [product, number],
        )


def refresh(copy: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make the tables and refresh, as the copy does: the tables that were made, and the checks that failed."""
    monkeypatch.setenv("PYTHONPATH", str(copy))
    done = subprocess.run([sys.executable, "-c", _REFRESH], cwd=copy, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_report_of_the_page_is_made_granted_filled_and_checked(
    copy: Path, settings: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sell(connection, "p1", "p2")
    (copy / "include" / "sql" / "reports" / "payment_methods.sql").write_text(example())
    assert refresh(copy, monkeypatch) == ["payment_methods", ""]
    with psycopg.connect(settings.reader_dsn) as reader:
        rows = reader.execute("SELECT payment_method, purchases FROM report.payment_methods").fetchall()
        assert rows == [("unknown", 2)]
    said = connection.execute("SELECT obj_description('report.payment_methods'::regclass) AS said").fetchone()
    assert said == {"said": "A payment method a row, with what was bought with it"}
    assert refresh(copy, monkeypatch) == ["", ""], "of the purchase that came since, too"


def test_a_report_whose_check_fails_is_not_published(
    copy: Path, settings: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sell(connection, "p1")
    wrong = example().replace("WHERE event_type = 'purchase'\nGROUP", "WHERE event_type = 'search'\nGROUP")
    assert wrong != example()
    (copy / "include" / "sql" / "reports" / "payment_methods.sql").write_text(wrong)
    assert refresh(copy, monkeypatch) == ["payment_methods", "payment_methods"]
    assert connection.execute("SELECT count(*) AS n FROM report.payment_methods").fetchone() == {"n": 0}


def test_a_report_with_other_columns_is_made_anew(
    copy: Path, settings: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = copy / "include" / "sql" / "reports" / "payment_methods.sql"
    place.write_text(example())
    refresh(copy, monkeypatch)
    place.write_text(example().replace(" AS revenue", " AS turnover"))
    assert refresh(copy, monkeypatch) == ["payment_methods", ""]
    connection.execute("SELECT turnover FROM report.payment_methods")


def test_a_report_that_cannot_be_built_is_named_and_costs_no_other_its_table(
    copy: Path, settings: Settings, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    reports = copy / "include" / "sql" / "reports"
    (reports / "a_wrong.sql").write_text(example().replace("count(*)", "count(timestamp)"))
    (reports / "after_wrong.sql").write_text(
        "-- step: a row\n-- after: a_wrong\n\n-- name: rows :: it\nTABLE {a_wrong};"
    )
    (reports / "payment_methods.sql").write_text(example())
    assert tables.make(settings.owner_dsn, definitions.read(reports)) == ["payment_methods"]
    with psycopg.connect(settings.reader_dsn) as reader:
        assert reader.execute("SELECT * FROM report.payment_methods").fetchall() == []
    (said,) = caplog.messages
    assert said.startswith("include/sql/reports/a_wrong.sql cannot be built")
    assert 'column "timestamp" does not exist' in said


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELECT 1", "begins with"),
        ("-- report: a row\n\n-- name: rows :: it\nSELECT 1", "-- key:"),
        ("-- step: a row\n-- key: a\n\n-- name: rows :: it\nSELECT 1", "a step has none"),
        ("-- report: a row\n-- keys: a\n\n-- name: rows :: it\nSELECT 1", "'-- keys: a'"),
        ("-- report: a row\n-- key: a\n\nSELECT 1", "-- name: rows"),
    ],
)
def test_a_file_that_is_no_report_is_refused_with_what_to_write(text: str, why: str) -> None:
    with pytest.raises(ReportError, match=re.escape(why)):
        definitions.parse("mine", text)


def test_reports_that_come_after_one_another_or_after_nothing_are_refused(tmp_path: Path) -> None:
    text = "-- step: a row\n-- after: {}\n\n-- name: rows :: it\nSELECT 1;\n"
    (tmp_path / "first.sql").write_text(text.format("second"))
    with pytest.raises(ReportError, match="no such file"):
        definitions.read(tmp_path)
    (tmp_path / "second.sql").write_text(text.format("first"))
    with pytest.raises(ReportError, match="comes after another one of them: "):
        definitions.read(tmp_path)
