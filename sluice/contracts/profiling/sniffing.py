"""How a file that nobody has described yet is written: its encoding, and the marks between its fields."""

from __future__ import annotations

import codecs
import io
from dataclasses import replace

from sluice.reading.block import Block
from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect
from sluice.reading.header_lines import separator_named

_SEPARATORS = (",", ";", "\t", "|")
# Of several characters; where each | stands in one of them, it is no separator itself.
_LONG_SEPARATORS = ("~|~", "|~|", "^|^", "||", ";;", "::", "~~")
_COMMENT = "#"


def guessed_encoding(data: bytes) -> str:
    """UTF-8 when the bytes are; UTF-16 when every second one is 0; otherwise the one-byte code of Western Windows."""
    zeros = [data[start:2000:2].count(0) for start in (0, 1)]
    if max(zeros) > len(data[:2000]) / 4:
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    for encoding in ("utf-8", "cp1252"):
        try:
            codecs.getincrementaldecoder(encoding)().decode(data)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def guessed_dialect(data: bytes, encoding: str) -> Dialect:
    """The dialect under which most records have the header's width."""
    part = whole_lines(data[: 1 << 18], encoding) if len(data) > 1 << 18 else data
    tried = [Dialect(separator=separator, encoding=encoding) for separator in _separators(part, encoding)]
    if any(line.startswith(_COMMENT.encode()) for line in part.splitlines()):
        tried += [replace(dialect, comment=_COMMENT) for dialect in tried]
    best = max(tried, key=lambda dialect: _fitness(part, dialect))
    if b'\\"' in part:
        best = max(best, replace(best, escape="\\"), key=lambda dialect: _fitness(part, dialect))
    if b"'" in part and b'"' not in part:
        best = max(best, replace(best, quote="'"), key=lambda dialect: _fitness(part, dialect))
    return best


def _separators(data: bytes, encoding: str) -> list[str]:
    """The separators that are worth a try: the one that line 1 names, or those that are usual."""
    plain = Dialect(encoding=encoding)
    if not plain.is_transcoded and (named := separator_named(data[:64], plain)):
        return [named]
    long = [mark for mark in _LONG_SEPARATORS if _takes_all(mark, data)]
    inside = {character for mark in long for character in mark}
    return [*long, *(separator for separator in _SEPARATORS if separator not in inside)]


def _takes_all(mark: str, data: bytes) -> bool:
    """Whether the middle character of ``mark`` stands nowhere but in it."""
    times = data.count(mark.encode())
    rarest = mark[len(mark) // 2]
    return times > 1 and data.count(rarest.encode()) == times * mark.count(rarest)


def _fitness(data: bytes, dialect: Dialect) -> tuple[float, int]:
    header, blocks = read(data, dialect)
    if header is None or len(header) < 2:
        return (0.0, 0)
    records = sum(block.records for block in blocks)
    readable = sum(len(block.record_numbers) for block in blocks)
    return ((readable + 1) / (records + 1), len(header))


def whole_lines(data: bytes, encoding: str) -> bytes:
    """``data`` up to its last line end; all of it when it has none."""
    return data[: max(_after_last(end.encode(encoding), data) for end in "\n\r")] or data


def _after_last(end: bytes, data: bytes) -> int:
    """Where the last ``end`` that stands at a multiple of its length ends in ``data``; 0 when there is none."""
    at = data.rfind(end)
    while at > 0 and at % len(end):
        at = data.rfind(end, 0, at + len(end) - 1)
    return at + len(end) if at >= 0 else 0


def read(data: bytes, dialect: Dialect) -> tuple[list[str] | None, list[Block]]:
    """The header and the records of a file that is ``data``; no header when ``dialect`` cannot read it."""
    reader = RecordReader(io.BytesIO(data), dialect)
    header = reader.header()
    return header, list(reader.blocks(len(header))) if header else []
