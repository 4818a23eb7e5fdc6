"""How a file that nobody has described yet is written: its encoding, and the marks between its fields."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Sequence
from dataclasses import replace

from sluice.contracts.profiling.cells import kind_of_cell
from sluice.contracts.profiling.comments import without_false_comments
from sluice.contracts.profiling.nearly_all import are_nearly_all
from sluice.contracts.profiling.records import LOOKED_AT_BYTES, Record, bulk_width, first_records
from sluice.reading.block import Block
from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect
from sluice.reading.header_lines import separator_named
from sluice.reading.layout import Layout

_SEPARATORS = (";", "\t", "|", ",")
# Of several characters; where each | stands in one of them, it is no separator itself.
_LONG_SEPARATORS = ("~|~", "|~|", "^|^", "||", ";;", "::", "~~")
_COMMENT = "#"
_DECIMALS = re.compile(rb"\s*[+-]?[0-9]{1,3}(?:\.[0-9]{3})*,[0-9]{1,2}\s*|\s*[+-]?[0-9]+,[0-9]{1,2}\s*")
_ROWS_TYPED = 50


def guessed_encoding(data: bytes) -> str:
    """UTF-8 when nearly all lines are; UTF-16 when every second byte is 0; otherwise Western Windows' one-byte code."""
    zeros = [data[start:2000:2].count(0) for start in (0, 1)]
    if max(zeros) > len(data[:2000]) / 4:
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    for encoding in ("utf-8", "cp1252"):
        if _is(data, encoding):
            return encoding
        if encoding == "utf-8" and _are_nearly_all_utf8(data):
            return encoding
    return "latin-1"


def _is(data: bytes, encoding: str, *, is_whole: bool = False) -> bool:
    """Whether ``data`` is so encoded; unless it ``is_whole``, its last letter may be cut off."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(data, is_whole)
    except UnicodeDecodeError:
        return False
    return True


def _are_nearly_all_utf8(data: bytes) -> bool:
    """Whether of the lines with letters beyond ASCII, nearly all are UTF-8: the others are broken."""
    lines = [line for line in data.splitlines() if not line.isascii()]
    return are_nearly_all(sum(_is(line, "utf-8", is_whole=True) for line in lines), len(lines))


def guessed_dialect(data: bytes, encoding: str) -> Dialect:
    """The dialect under which most records have the same width, and most values are some."""
    part = beginning(data, encoding)
    tried = [Dialect(separator=separator, encoding=encoding) for separator in _separators(part, encoding)]
    if any(line.startswith(_COMMENT.encode()) for line in part.splitlines()):
        tried += [replace(dialect, comment=_COMMENT) for dialect in tried]
    best = max(tried, key=lambda dialect: _fitness(part, dialect))
    if best.comment:
        best = without_false_comments(part, best)
    if _fitness(part, best)[0] == 0:
        best = _of_one_column(part, tried)
    if b'\\"' in part:
        best = max(best, replace(best, escape="\\"), key=lambda dialect: _fitness(part, dialect))
    if b"'" in part and b'"' not in part:
        best = max(best, replace(best, quote="'"), key=lambda dialect: _fitness(part, dialect))
    return best


def _of_one_column(data: bytes, tried: Sequence[Dialect]) -> Dialect:
    """The dialect of a file without any separator: with commas, unless these stand before decimals."""
    commas = next((dialect for dialect in tried if dialect.separator == ","), tried[0])
    records = first_records(data, commas)
    return next(d for d in tried if d.separator == ";") if records and _are_decimals(records) else commas


def _separators(data: bytes, encoding: str) -> list[str]:
    """The separators that are worth a try: the one that line 1 names, or those that are usual."""
    plain = Dialect(encoding=encoding)
    if not plain.is_transcoded and (named := separator_named(data[:64], plain)):
        return [named]
    long = [mark for mark in _LONG_SEPARATORS if _takes_all(mark, data)]
    inside = {character for mark in long for character in mark}
    # Where a blank stands before a quote, it is part of the separator: otherwise the quote would be a stray one.
    spaced = [f"{mark} " for mark in ",;" if f'{mark} "'.encode() in data]
    return [*long, *spaced, *(separator for separator in _SEPARATORS if separator not in inside)]


def _takes_all(mark: str, data: bytes) -> bool:
    """Whether the middle character of ``mark`` stands nowhere but in it."""
    times = data.count(mark.encode())
    rarest = mark[len(mark) // 2]
    return times > 1 and data.count(rarest.encode()) == times * mark.count(rarest)


def _fitness(data: bytes, dialect: Dialect) -> tuple[float, float, int]:
    """Which share of the records has the rows' width, which share of their cells is a value, and the width."""
    records = first_records(data, dialect)
    width = bulk_width(records)
    rows = [record for record in records if record.width == width]
    if width < 2 or _are_decimals(records):
        return (0.0, 0.0, 0)
    cells = [cell for row in rows[-_ROWS_TYPED:] for cell in row.cells if cell and cell.strip()]
    values = sum(kind_of_cell(cell) != "text" for cell in cells)
    return (len(rows) / len(records), values / (len(cells) or 1), width)


def _are_decimals(records: Sequence[Record]) -> bool:
    """Whether the two fields of each row are one number with decimals, below the name of one column."""
    rows = [record for record in records if record.width > 1]
    return records[0].width == 1 and len(rows) > 0 and all(_DECIMALS.fullmatch(row.raw) for row in rows)


def beginning(data: bytes, encoding: str) -> bytes:
    """As many whole lines as are looked at to guess how the file is written, at least one."""
    if len(data) <= LOOKED_AT_BYTES:
        return data
    part = whole_lines(data[:LOOKED_AT_BYTES], encoding)
    return part if len(part) < LOOKED_AT_BYTES else data


def whole_lines(data: bytes, encoding: str) -> bytes:
    """``data`` up to its last line end; all of it when it has none."""
    return data[: max(_after_last(end.encode(encoding), data) for end in "\n\r")] or data


def _after_last(end: bytes, data: bytes) -> int:
    """Where the last ``end`` that stands at a multiple of its length ends in ``data``; 0 when there is none."""
    at = data.rfind(end)
    while at > 0 and at % len(end):
        at = data.rfind(end, 0, at + len(end) - 1)
    return at + len(end) if at >= 0 else 0


def read(data: bytes, dialect: Dialect, layout: Layout, width: int) -> tuple[list[str] | None, list[Block], int]:
    """The names in the header, the records, and how many the footer has, of a file that is ``data``.

    No names when ``dialect`` cannot read them. Where the file does not name its columns, there are ``width``.
    """
    reader = RecordReader(io.BytesIO(data), dialect, layout)
    header = reader.header()
    if header is None:
        return None, [], 0
    blocks = list(reader.blocks(len(header) or width))
    return header, blocks, reader.footer_records
