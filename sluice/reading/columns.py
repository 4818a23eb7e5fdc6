"""Bytes of well-formed records to columns of text, by pyarrow's parser."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.csv

from sluice.reading.dialect import Dialect
from sluice.reading.fields import is_null, split, text
from sluice.reading.parser_bytes import for_the_parser


def text_columns(records: bytes, width: int, rows: int, dialect: Dialect) -> pa.Table | None:
    """``records`` as text columns c0, c1, …, of which there are ``width``; None when the parser counts not ``rows``.

    ``records`` are bytes of ``dialect.text_encoding``, each record with its line end, the last one perhaps without.
    """
    if not rows:
        return _schema(width).empty_table()
    table = _parsed(records, width, dialect, check_utf8=True)
    return table if table is not None and table.num_rows == rows else None


def well_formed_columns(records: bytes, width: int, dialect: Dialect) -> pa.Table | None:
    """The same of any number of records, which are known to be UTF-8; None when one has not ``width`` fields."""
    try:
        return _parsed(records, width, dialect, check_utf8=False)
    except pa.ArrowInvalid:
        return None


def _parsed(records: bytes, width: int, dialect: Dialect, *, check_utf8: bool) -> pa.Table | None:
    prepared = for_the_parser(records, dialect)
    if prepared is None:
        return None
    schema, size = _schema(width), len(prepared.records)
    return pyarrow.csv.read_csv(
        pa.BufferReader(prepared.records),
        read_options=pyarrow.csv.ReadOptions(use_threads=False, column_names=schema.names, block_size=size + 1),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=prepared.separator,
            quote_char=dialect.quote,
            escape_char=dialect.escape or False,
            newlines_in_values=dialect.quote.encode() in prepared.records,
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=schema,
            null_values=prepared.nulls,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            check_utf8=check_utf8,
        ),
    )


def _schema(width: int) -> pa.Schema:
    return pa.schema([(f"c{i}", pa.string()) for i in range(width)])


def slow_columns(records: Iterable[bytes], width: int, dialect: Dialect) -> pa.Table:
    """As ``text_columns``, field by field: for records that no parser could be made to read."""
    rows = [
        [None if is_null(part, dialect) else text(part, dialect) for part in split(record, dialect)]
        for record in records
    ]
    if any(len(row) != width for row in rows):
        raise AssertionError("the parser and the record scanner disagree on the number of records")
    return pa.table({f"c{i}": pa.array([row[i] for row in rows], pa.string()) for i in range(width)})
