"""Bytes of well-formed records as pyarrow's parser can take them.

It takes separators of one ASCII byte alone, and holds a field against the nulls after it has read escapes. So longer
separators become a byte that no record has, and nulls with an escape character such bytes too. All of it is found with
NumPy, as the records were.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

import numpy as np

from sluice.reading.block import Flags, Integers
from sluice.reading.dialect import Dialect
from sluice.reading.fields import text
from sluice.reading.lines import LF
from sluice.reading.parity_scan import Marks, marks_outside_quotes
from sluice.reading.separators import Codes, starts_with


@dataclass(frozen=True)
class ParserBytes:
    """UTF-8 of ``records``, with the one-byte ``separator`` and the ``nulls`` that hold for it."""

    records: bytes
    separator: str
    nulls: list[str]


def for_the_parser(records: bytes, dialect: Dialect) -> ParserBytes | None:
    """``records``, which are not empty, for the parser; None when they use all bytes, so that none is free for it."""
    separator, nulls = dialect.separator, list(dialect.nulls)
    is_long = len(separator) > 1 or not separator.isascii()
    are_escaped = dialect.escape is not None and any(nulls) and dialect.escape.encode() in records
    if is_long or are_escaped:
        rewritten = _rewritten(records, dialect, is_long=is_long, are_escaped=are_escaped)
        if rewritten is None:
            return None
        records, separator, nulls = rewritten.records, rewritten.separator, rewritten.nulls
    if codecs.lookup(dialect.text_encoding).name not in ("utf-8", "ascii"):
        records = records.decode(dialect.text_encoding).encode()
    if dialect.escape or not records.endswith(b"\n"):
        records += b"\n"  # without it, the parser calls an empty last field quoted when the one before it is
    if records.startswith(codecs.BOM_UTF8):
        records = codecs.BOM_UTF8 + records  # the parser takes one off, but here it is part of a value
    return ParserBytes(records, separator, nulls)


def _rewritten(records: bytes, dialect: Dialect, *, is_long: bool, are_escaped: bool) -> ParserBytes | None:
    free = _free_bytes(records, dialect)
    if free is None:
        return None
    for_separators, for_nulls = free
    codes = np.frombuffer(records, np.uint8).copy()
    marks = marks_outside_quotes(records, dialect)
    nulls = list(dialect.nulls)
    quoted = np.empty(0, np.int64)
    if are_escaped:
        nulls += _overwrite_nulls(codes, marks, dialect, for_nulls)
        quoted = _no_nulls(codes, marks, dialect)
    keep = np.ones(len(codes), np.bool_)
    separator = dialect.separator
    if is_long:
        separator = chr(for_separators)
        at = np.flatnonzero(marks.separators)
        for i in range(1, len(dialect.separator_bytes)):
            keep[at + i] = False
        codes[at] = for_separators
    if len(quoted):
        codes, keep = np.insert(codes, quoted, ord(dialect.quote)), np.insert(keep, quoted, True)
    return ParserBytes(codes[keep].tobytes(), separator, nulls)


def _free_bytes(records: bytes, dialect: Dialect) -> tuple[int, int] | None:
    """Two ASCII bytes that stand nowhere in ``records`` and mean nothing to the parser, nor in a null."""
    there = np.bincount(np.frombuffer(records, np.uint8), minlength=256)[:128] > 0
    taken = {0, *b"\r\n", *dialect.quote.encode(), *(dialect.escape or "").encode(), *"".join(dialect.nulls).encode()}
    free = [byte for byte in np.flatnonzero(~there).tolist() if byte not in taken]
    return (free[0], free[1]) if len(free) > 1 else None


def _fields(marks: Marks, size: int, dialect: Dialect) -> tuple[Integers, Integers]:
    """Where all fields begin and end; of a line end both bytes of CRLF count as one that ends a field."""
    long = len(dialect.separator_bytes)
    separators, line_ends = np.flatnonzero(marks.separators), np.flatnonzero(marks.line_ends)
    starts = np.sort(np.concatenate(([0], separators + long, line_ends + 1)))
    ends = np.sort(np.concatenate((separators, line_ends, [size])))
    return starts, ends


def _overwrite_nulls(codes: Codes, marks: Marks, dialect: Dialect, byte: int) -> list[str]:
    """Overwrite in ``codes`` the fields that are a null with an escape character; what stands there then."""
    starts, ends = _unquoted(codes, marks, dialect)
    written = set[str]()
    for null in dialect.nulls:
        word = null.encode(dialect.text_encoding, "replace")
        if dialect.escape is None or dialect.escape not in null:
            continue
        at = starts[(ends - starts == len(word))]
        at = at[starts_with(codes, at, word)]
        for i in range(len(word)):
            codes[at + i] = byte
        if len(at):
            written.add(chr(byte) * len(word))
    return sorted(written)


def _no_nulls(codes: Codes, marks: Marks, dialect: Dialect) -> Integers:
    """Where quotes must stand, so that a field that is a null only without its escapes is none."""
    assert dialect.escape is not None
    longest = 2 * max(len(null.encode(dialect.text_encoding, "replace")) for null in dialect.nulls)
    starts, ends = _unquoted(codes, marks, dialect)
    short = ends - starts <= longest
    starts, ends = starts[short], ends[short]
    escapes = np.flatnonzero(codes == ord(dialect.escape))
    has_one: Flags = np.searchsorted(escapes, ends) > np.searchsorted(escapes, starts)
    spans = zip(starts[has_one].tolist(), ends[has_one].tolist(), strict=True)
    return np.array(
        [at for span in spans if text(codes[slice(*span)].tobytes(), dialect) in dialect.nulls for at in span],
        np.int64,
    )


def _unquoted(codes: Codes, marks: Marks, dialect: Dialect) -> tuple[Integers, Integers]:
    """Where the fields begin and end that do not begin with a quote."""
    starts, ends = _fields(marks, len(codes), dialect)
    if marks.returns is not None:
        is_lf = codes[np.minimum(ends, len(codes) - 1)] == LF
        ends = ends - ((ends > starts) & marks.returns[ends - 1] & is_lf)
    filled = ends > starts
    starts, ends = starts[filled], ends[filled]
    is_plain = codes[starts] != ord(dialect.quote)
    return starts[is_plain], ends[is_plain]
