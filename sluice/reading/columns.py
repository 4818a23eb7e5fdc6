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
    names = [f"c{i}" for i in range(width)]
    schema = pa.schema([(name, pa.string()) for name in names])
    if not rows:
        return schema.empty_table()
    prepared = for_the_parser(records, dialect)
    if prepared is None:
        return None
    size = len(prepared.records)
    table = pyarrow.csv.read_csv(
        pa.BufferReader(prepared.records),
        read_options=pyarrow.csv.ReadOptions(use_threads=False, column_names=names, block_size=size + 1),
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
        ),
    )
    return table if table.num_rows == rows else None


def slow_columns(records: Iterable[bytes], width: int, dialect: Dialect) -> pa.Table:
    """As ``text_columns``, field by field: for records that no parser could be made to read."""
    rows = [
        [None if is_null(part, dialect) else text(part, dialect) for part in split(record, dialect)]
        for record in records
    ]
    if any(len(row) != width for row in rows):
        raise AssertionError("the parser and the record scanner disagree on the number of records")
    return pa.table({f"c{i}": pa.array([row[i] for row in rows], pa.string()) for i in range(width)})
