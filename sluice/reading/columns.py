"""Bytes of well-formed records to columns of text, by pyarrow's parser."""

from __future__ import annotations

import codecs

import pyarrow as pa
import pyarrow.csv

from sluice.reading.dialect import Dialect


def text_columns(records: bytes, width: int, rows: int, dialect: Dialect) -> pa.Table | None:
    """``records`` as text columns c0, c1, …, of which there are ``width``; None when the parser counts not ``rows``.

    ``records`` are bytes of ``dialect.text_encoding``, each record with its line end, the last one perhaps without.
    """
    names = [f"c{i}" for i in range(width)]
    schema = pa.schema([(name, pa.string()) for name in names])
    if not rows:
        return schema.empty_table()
    records = _for_the_parser(records, dialect)
    table = pyarrow.csv.read_csv(
        pa.BufferReader(records),
        read_options=pyarrow.csv.ReadOptions(use_threads=False, column_names=names, block_size=len(records) + 1),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=dialect.separator,
            quote_char=dialect.quote,
            escape_char=dialect.escape or False,
            newlines_in_values=dialect.quote.encode() in records,
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=schema,
            null_values=list(dialect.nulls),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return table if table.num_rows == rows else None


def _for_the_parser(records: bytes, dialect: Dialect) -> bytes:
    if codecs.lookup(dialect.text_encoding).name not in ("utf-8", "ascii"):
        records = records.decode(dialect.text_encoding).encode()
    if dialect.escape or not records.endswith(b"\n"):
        records += b"\n"  # without it, the parser calls an empty last field quoted when the one before it is
    if records.startswith(codecs.BOM_UTF8):
        records = codecs.BOM_UTF8 + records  # the parser takes one off, but here it is part of a value
    return records
