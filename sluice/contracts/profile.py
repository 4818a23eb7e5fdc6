"""Looks at a CSV file that nobody has described yet: how it is written, and what its columns hold."""

from __future__ import annotations

import codecs
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from sluice.contracts.model import more_than_once
from sluice.contracts.sql.text import literal
from sluice.contracts.sql.times import date_pattern
from sluice.reading.block import Block
from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect
from sluice.reading.landed_bytes import LandedBytes

SAMPLE_BYTES = 16 << 20
_SEPARATORS = (",", ";", "\t", "|")
_NULL_WORDS = ("NULL", "null", "\\N", "N/A", "n/a", "NA", "NaN", "None", "-", "?")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]{0,37})")
_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]{0,27})?(?:\.([0-9]*))?")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_FLOAT = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6}0*)?)?"
    r"( ?(Z|z|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?))?)?"
)
_DAYS = [
    *(mark.join((*day, "yyyy")) for day in (("dd", "MM"), ("d", "M"), ("MM", "dd"), ("M", "d")) for mark in "/.-"),
    *("yyyy/MM/dd", "yyyy.MM.dd", "dd-MMM-yyyy", "d MMM yyyy", "d MMMM yyyy", "MMM d, yyyy", "MMMM d, yyyy"),
]
_TIMES = ("", " HH:mm:ss", " HH:mm", " H:mm", " H:mm:ss", " h:mm a", " h:mm:ss a", "'T'HH:mm:ss", " HH:mm:ss.SSS")


class ProfileError(ValueError):
    """The file is no table that a contract could describe; the message says what to do."""


@dataclass(frozen=True)
class ColumnProfile:
    """What the sample's values of one column have in common; ``rows`` and ``distinct`` count what is not null."""

    name: str
    kind: str
    null_share: float
    rows: int
    distinct: int
    examples: tuple[str, ...]
    values: tuple[str, ...]
    formats: tuple[str, ...] = ()
    is_ambiguous: bool = False
    decimals: int = 0
    decimal_separator: str = "."
    null_words: frozenset[str] = frozenset()
    is_uuid: bool = False

    @property
    def is_unique(self) -> bool:
        """Whether every row has a value of its own."""
        return self.null_share == 0 and self.rows > 1 and self.distinct == self.rows


@dataclass(frozen=True)
class Profile:
    """A file's dialect, header and columns, from its first 16 MiB.

    ``broken`` counts records that cannot be read, ``stray_quotes`` those with a quote inside an unquoted field.
    """

    dialect: Dialect
    marked_encoding: str | None
    header: tuple[str, ...]
    columns: tuple[ColumnProfile, ...]
    blocks: tuple[Block, ...]
    records: int
    broken: int
    stray_quotes: int
    is_whole: bool


def profile(path: Path) -> Profile:
    """Look at the file at ``path`` (.gz and .zst are read too). Raises ProfileError, OSError, UnreadableFileError."""
    with LandedBytes(path, path.name) as landed:
        data = landed.head(SAMPLE_BYTES + 1)
        marked = landed.marked_encoding
    is_whole = len(data) <= SAMPLE_BYTES
    if not data:
        raise ProfileError(f"{path} is empty: a contract is drafted from a file with a header and some rows")
    dialect = _dialect(data[:SAMPLE_BYTES], marked or _encoding(data[:SAMPLE_BYTES]))
    header, blocks = _read(data if is_whole else _whole_lines(data, dialect.encoding), dialect)
    if header is None:
        raise ProfileError(f"{path} has no header: its first line must name the columns")
    folded = [name.strip().casefold() for name in header if name.strip()]
    if twice := more_than_once(folded):
        raise ProfileError(f"{path} names {twice} more than once in its header {header}: rename the repeated columns")
    if not folded:
        raise ProfileError(f"{path} names no column in its first line {header}: put a header above the rows")
    records, broken = sum(block.records for block in blocks), sum(len(block.broken) for block in blocks)
    if records and records == broken:
        raise ProfileError(
            f"{path}: none of its {records} records has as many fields as its first line, which has {len(header)}: "
            "take lines above the header away"
        )
    return Profile(
        dialect=dialect,
        marked_encoding=marked,
        header=tuple(header),
        columns=tuple(_columns(header, blocks)),
        blocks=tuple(blocks),
        records=records,
        broken=broken,
        stray_quotes=sum(len(block.stray_quotes) for block in blocks),
        is_whole=is_whole,
    )


def _encoding(data: bytes) -> str:
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


def _dialect(data: bytes, encoding: str) -> Dialect:
    """The dialect under which most records have the header's width."""
    part = _whole_lines(data[: 1 << 18], encoding) if len(data) > 1 << 18 else data
    tried = [Dialect(separator=separator, encoding=encoding) for separator in _SEPARATORS]
    best = max(tried, key=lambda dialect: _fitness(part, dialect))
    if b'\\"' in part:
        best = max(best, replace(best, escape="\\"), key=lambda dialect: _fitness(part, dialect))
    if b"'" in part and b'"' not in part:
        best = max(best, replace(best, quote="'"), key=lambda dialect: _fitness(part, dialect))
    return best


def _fitness(data: bytes, dialect: Dialect) -> tuple[float, int]:
    header, blocks = _read(data, dialect)
    if header is None or len(header) < 2:
        return (0.0, 0)
    records = sum(block.records for block in blocks)
    readable = sum(len(block.record_numbers) for block in blocks)
    return ((readable + 1) / (records + 1), len(header))


def _whole_lines(data: bytes, encoding: str) -> bytes:
    """``data`` up to its last line end; all of it when it has none."""
    return data[: max(_after_last(end.encode(encoding), data) for end in "\n\r")] or data


def _after_last(end: bytes, data: bytes) -> int:
    """Where the last ``end`` that stands at a multiple of its length ends in ``data``; 0 when there is none."""
    at = data.rfind(end)
    while at > 0 and at % len(end):
        at = data.rfind(end, 0, at + len(end) - 1)
    return at + len(end) if at >= 0 else 0


def read_header(data: bytes, dialect: Dialect) -> list[str] | None:
    """The header of a file that begins with ``data``; None when ``dialect`` cannot read it."""
    return RecordReader(io.BytesIO(data), dialect).header()


def _read(data: bytes, dialect: Dialect) -> tuple[list[str] | None, list[Block]]:
    reader = RecordReader(io.BytesIO(data), dialect)
    header = reader.header()
    return header, list(reader.blocks(len(header))) if header else []


def _columns(header: Sequence[str], blocks: Sequence[Block]) -> Iterator[ColumnProfile]:
    connection = duckdb.connect(config={"threads": 1})
    try:
        for i, name in enumerate(header):
            texts = [text for block in blocks for text in block.columns[f"c{i}"].to_pylist()]
            yield _column(connection, name.strip(), texts)
    finally:
        connection.close()


def _column(connection: duckdb.DuckDBPyConnection, name: str, texts: Sequence[str | None]) -> ColumnProfile:
    filled = [text for text in texts if text is not None and text.strip()]
    values = tuple(dict.fromkeys(filled))
    words = frozenset(value for value in values if value.strip() in _NULL_WORDS)
    column = ColumnProfile(
        name=name,
        kind="string",
        null_share=1 - len(filled) / len(texts) if texts else 0.0,
        rows=len(filled),
        distinct=len(values),
        examples=tuple(value for value in itertools.islice(values, 3)),
        values=values,
    )
    bare = [value.strip() for value in values if value not in words]
    typed = _typed(connection, column, bare) if bare else column
    if words and typed.kind not in ("string", "boolean"):
        nulls = sum(text in words for text in filled)
        return replace(typed, null_words=words, null_share=typed.null_share + nulls / len(texts))
    return typed if not words else column


def _typed(connection: duckdb.DuckDBPyConnection, column: ColumnProfile, values: Sequence[str]) -> ColumnProfile:
    if all(_UUID.fullmatch(value) for value in values):
        return replace(column, is_uuid=True)
    if {value.lower() for value in values} <= {"true", "false"}:
        return replace(column, kind="boolean")
    if all(_INTEGER.fullmatch(value) for value in values):
        return replace(column, kind="integer")
    numbers = [_NUMBER.fullmatch(value) for value in values]
    if all(number and any(character.isdigit() for character in number.group()) for number in numbers):
        decimals = max(len((number[2] or "").rstrip("0")) for number in numbers if number)
        return replace(column, kind="number", decimals=decimals)
    if all(_DECIMAL_COMMA.fullmatch(value) or _INTEGER.fullmatch(value) for value in values):
        decimals = max(len(value.partition(",")[2].rstrip("0")) for value in values)
        return replace(column, kind="number", decimals=decimals, decimal_separator=",")
    if all(_FLOAT.fullmatch(value) for value in values) and not any(re.match(r"[+-]?0[0-9]", v) for v in values):
        return replace(column, kind="float")
    return _moment(connection, column, values)


def _moment(connection: duckdb.DuckDBPyConnection, column: ColumnProfile, values: Sequence[str]) -> ColumnProfile:
    if not all(value[:1].isalnum() and len(value) <= 40 and any(map(str.isdigit, value)) for value in values[:100]):
        return column
    if all(_ISO.fullmatch(value) for value in values):
        is_sound = _all_hold(connection, values, "try_cast(left(value, 10) AS DATE) IS NOT NULL")
        return replace(column, kind="timestamp") if is_sound else column
    fitting = [pattern for pattern in _patterns(values) if _all_hold(connection, values, _holds(pattern))]
    if not fitting:
        return column
    # The same numbers may be day and month in either order: which one is meant, the file cannot say.
    orders = {pattern[0] for pattern in fitting if "MMM" not in pattern}
    return replace(column, kind="timestamp", formats=(fitting[0],), is_ambiguous=orders >= {"d", "M"})


def _patterns(values: Sequence[str]) -> Iterator[str]:
    """Every pattern that the first value has the shape of."""
    for day, time in itertools.product(_DAYS, _TIMES):
        pattern = day + time
        if re.fullmatch(date_pattern(pattern)[0], values[0]):
            yield pattern


def _holds(pattern: str) -> str:
    shape, directive = date_pattern(pattern)
    return f"regexp_full_match(value, {literal(shape)}) AND try_strptime(value, {literal(directive)}) IS NOT NULL"


def _all_hold(connection: duckdb.DuckDBPyConnection, values: Sequence[str], condition: str) -> bool:
    query = f"SELECT coalesce(bool_and({condition}), false) FROM (SELECT unnest($1) AS value)"  # noqa: S608
    row = connection.execute(query, [list(values)]).fetchone()
    return bool(row and row[0])
