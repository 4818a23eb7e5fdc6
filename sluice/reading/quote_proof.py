"""Proves many records at once to be well quoted, from where their quotes stand, and has them parsed as they are.

Every second quote closes what the one before opened, a doubled quote closes and opens at once: so whatever stands after
an odd number of quotes is inside a quoted field. That holds as long as each quote is in its place: an opening one just
after a separator, a line end or the other one of its pair, a closing one just before one of these. Records of which all
quotes are in their places mean the same to every strict reader, and the parser, which is not strict, may have them.

The proof is no second meaning. What it cannot vouch for, it leaves alone: csv_records finds that as it finds all else.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sluice.reading.block import Integers
from sluice.reading.columns import well_formed_columns
from sluice.reading.dialect import Dialect
from sluice.reading.layout import Layout
from sluice.reading.lines import CR, LF, carriage_returns, count_line_ends, line_ends
from sluice.reading.separators import Codes

# What is looked at together: few enough bytes that they stay in the processor's cache until they are parsed.
_WINDOW = 2 << 20
# The last record of a window nearly always ends this near to the window's end.
_NEAR = 64 * 1024


@dataclass(frozen=True)
class Proven:
    """``columns`` of the records in ``buffer[:end]``, in which ``line_ends`` lines end, and all records are well.

    ``is_cut`` when the next record may not be.
    """

    columns: pa.Table
    end: int
    line_ends: int
    is_cut: bool


@dataclass(frozen=True)
class Proof:
    """Proves records of ``dialect`` that have ``width`` fields, none of them longer than ``record_bytes_max``."""

    dialect: Dialect
    width: int
    record_bytes_max: int

    @classmethod
    def of(cls, dialect: Dialect, layout: Layout, width: int, record_bytes_max: int) -> Proof | None:
        """None where quotes alone do not tell: a record may be a comment or of the footer, or marks are no one byte."""
        is_plain = dialect.escape is None and dialect.comment is None and layout.footer is None
        has_one_byte = len(dialect.separator_bytes) == 1 and dialect.separator.isascii()
        is_utf8 = codecs.lookup(dialect.text_encoding).name == "utf-8"
        return cls(dialect, width, record_bytes_max) if is_plain and has_one_byte and is_utf8 else None

    def read(self, buffer: bytes, *, is_last: bool) -> Proven | None:
        """The records at the start of ``buffer`` up to the first that needs a closer look; None when it is the first.

        ``is_last`` when the file ends where the buffer does.
        """
        tables, position, window, is_cut, lines = list[pa.Table](), 0, _WINDOW, False, 0
        while position < len(buffer) and not is_cut:
            stop = min(len(buffer), position + window)
            end, is_cut, quotes = self._well_quoted(buffer, position, stop, is_last=is_last and stop == len(buffer))
            if end == position:
                if stop == len(buffer):
                    break
                window *= 2
                continue
            line_ends = count_line_ends(buffer, position, end)  # while the window is in the cache
            columns = self._columns(buffer, position, end, quotes, line_ends)
            if columns is None:
                is_cut = True
                break
            tables.append(columns)
            position, window, lines = end, _WINDOW, lines + line_ends
        return Proven(pa.concat_tables(tables), position, lines, is_cut) if tables else None

    def _columns(self, buffer: bytes, begin: int, end: int, quotes: Integers, line_ends: int) -> pa.Table | None:
        """The columns of the records; None when one is not as wide as the others, or has other bytes than text has."""
        if (
            end - begin > self.record_bytes_max
            or buffer.find(b"\0", begin, end) >= 0
            or not _is_utf8(buffer, begin, end)
        ):
            return None
        columns = well_formed_columns(buffer[begin:end], self.width, self.dialect)
        if columns is None:
            return None
        # As many as there are lines, and no line can hold two: then there is nothing to count.
        lines = line_ends + (buffer[end - 1] not in (LF, CR))
        is_whole = columns.num_rows == lines or columns.num_rows == _records(buffer, begin, end, quotes)
        return columns if is_whole else None

    def _well_quoted(self, buffer: bytes, begin: int, stop: int, *, is_last: bool) -> tuple[int, bool, Integers]:
        """Where the last whole record before the first offending quote ends, whether there is one, and all quotes.

        The quotes count from ``begin``, where a record starts.
        """
        codes = np.frombuffer(buffer, np.uint8, stop - begin, begin)
        has_quote = buffer.find(self.dialect.quote.encode(), begin, stop) >= 0
        quotes = np.flatnonzero(codes == ord(self.dialect.quote)) if has_quote else np.empty(0, np.int64)
        offender = self._first_offending(codes, quotes)
        # Parity is wrong from the offending quote on. Its own record has no line end before it that counts.
        limit = len(codes) if offender is None else offender
        end = _last_end(buffer, begin, limit, quotes, is_last=is_last)
        is_cut = offender is not None
        if is_last and not is_cut and end < len(codes):
            # The last record of the file has no line end. It is over where the file is, unless a quote is open.
            is_cut = len(quotes) % 2 == 1
            end = end if is_cut else len(codes)
        return begin + end, is_cut, quotes

    def _first_offending(self, codes: Codes, quotes: Integers) -> int | None:
        """Position of the first quote that neither opens nor closes a field nor is one of a pair; None when all fit."""
        if not len(quotes):
            return None
        # What a quote may stand beside. Of CRLF both: a closing one stands before its CR, an opening one after the LF.
        is_edge = np.zeros(256, np.bool_)
        is_edge[[ord(self.dialect.separator), ord(self.dialect.quote), LF, CR]] = True
        opening, closing = quotes[::2], quotes[1::2]
        opening = opening[1:] if opening[0] == 0 else opening  # at 0 a record starts
        closing = (
            closing[:-1] if len(closing) and closing[-1] == len(codes) - 1 else closing
        )  # what follows is not seen
        bad_opening, bad_closing = opening[~is_edge[codes[opening - 1]]], closing[~is_edge[codes[closing + 1]]]
        bad = [int(group[0]) for group in (bad_opening, bad_closing) if len(group)]
        return min(bad) if bad else None


def _last_end(buffer: bytes, begin: int, limit: int, quotes: Integers, *, is_last: bool) -> int:
    """Where the last record stops, with its line end, that does so before ``begin + limit``; 0 when none does."""
    for near in (max(0, limit - _NEAR), 0):
        # One byte more: whether a CR just before the limit is half of CRLF is seen from what follows it.
        stop = min(len(buffer), begin + limit + (not is_last))
        codes = np.frombuffer(buffer, np.uint8, stop - begin - near, begin + near)
        is_end = line_ends(codes, carriage_returns(buffer, begin + near, stop), is_last=is_last)
        at = np.flatnonzero(is_end) + near
        at = _outside(at[at < limit], quotes)
        if len(at):
            return int(at[-1]) + 1
    return 0


def _records(buffer: bytes, begin: int, end: int, quotes: Integers) -> int:
    """How many line ends stand outside quotes: as many as there are records, when no line is empty."""
    codes = np.frombuffer(buffer, np.uint8, end - begin, begin)
    at = np.flatnonzero(line_ends(codes, carriage_returns(buffer, begin, end), is_last=True))
    return len(_outside(at, quotes)) + (buffer[end - 1] not in (LF, CR))


def _outside(at: Integers, quotes: Integers) -> Integers:
    """Those of the line ends ``at`` that end a record: before them as many quotes open as close."""
    return at[np.searchsorted(quotes, at) % 2 == 0] if len(quotes) else at


def _is_utf8(buffer: bytes, begin: int, end: int) -> bool:
    offsets = pa.py_buffer(np.array([begin, end], np.int64))
    text = pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(buffer)])
    try:
        text.validate(full=True)  # many times faster than decoding, and copies nothing
    except pa.ArrowInvalid:
        return False
    return True
