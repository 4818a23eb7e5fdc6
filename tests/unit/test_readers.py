"""What breaks readers of the database since the last release is told, and released only by a version that says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.base.settings import SQL
from sluice.ledger import readers
from sluice.running import schema_file

SCHEMA = """\
CREATE TABLE ledger.rejects (
    file_id bigint NOT NULL,
    rejected_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT rejects_pkey PRIMARY KEY (file_id)
);

CREATE TABLE ledger.batches (
    epoch bigint NOT NULL
);

CREATE UNLOGGED TABLE report.users (
    user_id text COLLATE "C" NOT NULL,
    price numeric(20,4)
);

/* report.days (
    day date,
    revenue numeric(20,4)
) */
CREATE VIEW report.days AS
 SELECT day, revenue FROM report.users;
"""


def test_the_columns_that_readers_rely_on_are_read_with_their_types() -> None:
    assert readers.columns(SCHEMA) == {
        "ledger.rejects": {"file_id": "bigint", "rejected_at": "timestamp with time zone"},
        "report.users": {"user_id": "text", "price": "numeric(20,4)"},
        "report.days": {"day": "date", "revenue": "numeric(20,4)"},
    }


def test_the_schema_of_today_is_read_wholly() -> None:
    tables = readers.columns((SQL / "schema.sql").read_text(encoding="utf-8"))
    assert {"public.events", "ledger.files", "ledger.rejects", "report.feeds"} <= set(tables)
    assert tables["public.events"]["price"] == "numeric(20,4)"
    assert all(columns for columns in tables.values())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    file_id bigint NOT NULL,\n", "", ["ledger.rejects.file_id is gone"]),
        ("file_id bigint", "file_id numeric", ["ledger.rejects.file_id was bigint and is numeric"]),
        ("price numeric(20,4)", "price numeric", ["report.users.price was numeric(20,4) and is numeric"]),
        ("    day date,\n", "", ["report.days.day is gone"]),
        ("TABLE report.users", "TABLE report.people", ["report.users is gone"]),
        ("/* report.days (\n", "CREATE TABLE report.days (\n", []),
        ("file_id bigint NOT NULL", "file_id bigint", []),
        ("    epoch bigint NOT NULL\n", "    number bigint\n", []),
        ("    price numeric(20,4)\n", "    price numeric(20,4),\n    more text\n", []),
    ],
)
def test_what_went_or_has_another_type_breaks_and_what_came_does_not(old: str, new: str, said: list[str]) -> None:
    assert old in SCHEMA
    assert readers.breaks(SCHEMA, SCHEMA.replace(old, new)) == said


@pytest.mark.parametrize(
    ("released", "version", "may"),
    [
        ("0.1.0", "0.1.1", False),
        ("0.1.0", "0.2.0", True),
        ("0.1.0", "1.0.0", True),
        ("1.2.0", "1.3.0", False),
        ("1.2.0", "2.0.0", True),
        ("0.1.0", "", False),
    ],
)
def test_a_version_that_breaks_is_major_or_before_the_first_minor(released: str, version: str, may: bool) -> None:
    assert readers.may_break(released, version) is may


def test_a_break_is_told_and_only_a_version_that_says_so_is_released(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("1.2.0\n")
    (tmp_path / "schema.sql").write_text(SCHEMA)
    after = SCHEMA.replace("file_id bigint", "file_id numeric")
    lines, may_be = schema_file.promises(after, None, tmp_path)
    assert (lines[0], may_be) == ("breaks readers since v1.2.0: ledger.rejects.file_id was bigint and is numeric", True)
    assert schema_file.promises(after, "1.3.0", tmp_path) == (lines, False)
    assert schema_file.promises(after, "2.0.0", tmp_path) == ([], True)
    assert schema_file.promises(SCHEMA, "1.2.1", tmp_path) == ([], True)


def test_without_a_released_schema_nothing_is_promised(tmp_path: Path) -> None:
    assert schema_file.promises(SCHEMA, "1.0.0", tmp_path) == ([], True)
