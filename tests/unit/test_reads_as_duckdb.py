"""Well-formed files in declared dialects: the values are those that the csv module wrote, and that DuckDB reads."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.reading.dialect import Dialect
from sluice.reading.layout import Layout
from tests.two_readers import Cuts, by_the_loader

PROPERTY = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
Row = list[str | None]
LETTERS = "ab01 é§🛒\"'|~;,\t\\#\nTN"


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, Dialect, Layout, list[Row]]:
    """A file, how it is to be read, and its rows. As far as DuckDB goes: UTF-8, one kind of line end, in values too."""
    separator = draw(st.sampled_from([",", ";", "\t", "|", "||", "~|~", "::"]))
    quote = draw(st.sampled_from("\"'"))
    escape = draw(st.sampled_from([None, "\\"]))
    null = draw(st.sampled_from(["", "NULL", "\\N"])) if escape is None else ""
    comment = draw(st.sampled_from([None, "#"]))
    layout = Layout(draw(st.integers(0, 2)), draw(st.sampled_from(["first", "none"])))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    letters = [letter for letter in LETTERS if letter != comment]
    width = draw(st.integers(2, 4))
    value = st.text(st.sampled_from(letters), max_size=6).map(lambda text: text.replace("\n", end))
    rows: list[Row] = draw(
        st.lists(st.lists(value | st.none(), min_size=width, max_size=width), min_size=1, max_size=6)
    )

    def written(value: str | None) -> str:
        if value is None:
            return null
        special = [*separator, quote, "\n", "\r", *(escape or "")]
        if (
            value != null
            and not any(each in value for each in special)
            and value.strip() == value
            and draw(st.booleans())
        ):
            return value
        if escape:
            value = value.replace(escape, escape * 2)
        return quote + value.replace(quote, (escape or quote) + quote) + quote

    lines = ["title" for _ in range(layout.skip_lines)]
    lines += [separator.join(f"c{i}" for i in range(width))] if layout.header == "first" else []
    for row in rows:
        lines += [f"{comment} x,y"] if comment and draw(st.booleans()) else []
        lines.append(separator.join(map(written, row)))
    dialect = Dialect(separator, quote, escape, nulls=(null,), comment=comment)
    return "".join(line + end for line in lines).encode(), dialect, layout, rows


def as_duckdb_reads(
    database: duckdb.DuckDBPyConnection, path: Path, dialect: Dialect, layout: Layout, width: int
) -> list[Row]:
    """The same file with the same declarations, nothing of it guessed."""
    columns = {f"c{i}": "VARCHAR" for i in range(width)}
    found = database.read_csv(
        str(path),
        columns=columns,
        auto_detect=False,
        delimiter=dialect.separator,
        quotechar=dialect.quote,
        escapechar=dialect.escape or dialect.quote,
        na_values=list(dialect.nulls),
        allow_quoted_nulls=False,
        header=layout.names_columns,
        skiprows=layout.skip_lines,
        comment=dialect.comment or "",
        strict_mode=True,
    )
    return [list(row) for row in found.fetchall()]


def as_sluice_reads(path: Path, dialect: Dialect, layout: Layout, width: int, cuts: Cuts) -> list[Any]:
    found = by_the_loader(path, dialect, layout, width=width, longest=1 << 20, cuts=cuts)
    assert not found.broken
    return [record[2] for record in found.records.values() if isinstance(record, tuple)]


@PROPERTY
@given(files(), st.sampled_from([1, 7, 1 << 20]))
def test_a_well_formed_file_is_read_as_duckdb_reads_it_when_told_the_same(
    tmp_path: Path,
    database: duckdb.DuckDBPyConnection,
    file: tuple[bytes, Dialect, Layout, list[Row]],
    size: int,
) -> None:
    data, dialect, layout, rows = file
    path = tmp_path / "x.csv"
    path.write_bytes(data)
    cuts = Cuts(chunk=size, window=size)
    assert as_sluice_reads(path, dialect, layout, len(rows[0]), cuts) == rows
    assert as_duckdb_reads(database, path, dialect, layout, len(rows[0])) == rows


@PROPERTY
@given(
    st.lists(st.lists(st.text(LETTERS, max_size=6), min_size=2, max_size=2), max_size=6),
    st.sampled_from(",;\t|"),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([None, "\\"]),
)
def test_what_the_csv_module_writes_is_read_back(
    tmp_path: Path, rows: list[list[str]], separator: str, quoting: Any, end: str, escape: str | None
) -> None:
    text = io.StringIO()
    writer = csv.writer(
        text, delimiter=separator, quoting=quoting, lineterminator=end, escapechar=escape, doublequote=escape is None
    )
    writer.writerows(rows)
    path = tmp_path / "x.csv"
    path.write_bytes(text.getvalue().encode())
    dialect = Dialect(separator, escape=escape, nulls=())
    assert as_sluice_reads(path, dialect, Layout(header="none"), 2, Cuts(chunk=7)) == rows
