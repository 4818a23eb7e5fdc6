"""Judges whether the lines of a file that begin with # are comments, or rows and names that begin so."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from sluice.contracts.profiling.cells import kind_of_cell
from sluice.contracts.profiling.guess import Guess
from sluice.contracts.profiling.records import Record, bulk_width, first_records
from sluice.reading.dialect import Dialect
from sluice.reading.transcoding import shown

_SHOWN = 60


def without_false_comments(data: bytes, dialect: Dialect) -> Dialect:
    """``dialect``, without comments where most of these would be as wide as the rows: then they are rows, or names."""
    plain = replace(dialect, comment=None)
    records = first_records(data, plain)
    width = bulk_width(records)
    marked = _marked(records, dialect)
    above = sum(1 for _ in itertools.takewhile(marked.__contains__, records))
    if _are_names(records[above : above + 1]):
        marked = [record for record in marked if record not in records[:above]]
    wide = sum(record.width == width for record in marked)
    return plain if width > 1 and wide * 2 > len(marked) else dialect


def said_comments(data: bytes, dialect: Dialect) -> list[Guess]:
    """The question whether the comments are comments; the one that is most like a row is shown."""
    records = first_records(data, replace(dialect, comment=None))
    marked, width = _marked(records, dialect), bulk_width(records)
    if not marked:
        return []
    seen = next((record for record in marked if record.width == width), marked[0])
    begin = shown(seen.raw, dialect)
    begin = begin if len(begin) <= _SHOWN else f"{begin[:_SHOWN]}…"
    text = (
        f"lines that begin with {dialect.comment} are passed over as comments: {len(marked):,} of the first "
        f"{len(records):,}, such as line {seen.line}, {begin!r}"
    )
    return [Guess(text, "comment", "no comment, if these are rows or names", seen.line)]


def _marked(records: Sequence[Record], dialect: Dialect) -> list[Record]:
    return [record for record in records if dialect.comment_bytes and record.raw.startswith(dialect.comment_bytes)]


def _are_names(records: Sequence[Record]) -> bool:
    """Whether the record that follows, if any, has nothing but texts."""
    return any(all(kind_of_cell(cell or "") == "text" for cell in record.cells) for record in records)
