"""Finds many records at once, with NumPy over whole chunks: quote parity tells which marks count.

Every second quote closes what the one before opened, a doubled quote closes and opens at once: so whatever stands after
an odd number of quotes is inside a quoted field. That holds as long as each quote stands where a quote may stand; the
scan vouches for the records before the first one that does not, and the slow path takes the record that has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sluice.reading.block import Flags, Integers
from sluice.reading.dialect import Dialect
from sluice.reading.lines import LF, carriage_returns, line_ends
from sluice.reading.separators import Codes, separators_in, starts_with
from sluice.reading.stretch import Stretch
from sluice.reading.two_byte_letters import seconds_of_pairs


@dataclass(frozen=True)
class Scan:
    """The records that the scan vouches for, or None when it vouches for none.

    ``is_suspicious`` when the record after them needs a closer look, however much of the file is in hand.
    """

    stretch: Stretch | None
    is_suspicious: bool


@dataclass
class Marks:
    """Which bytes are marks, one flag a byte; an escaped one is none, nor is a letter's.

    ``separators`` are the first bytes of separators, ``separator_ends`` their last ones: of one byte the same flags.
    ``line_ends`` are the last bytes of line ends, ``returns`` all CRs; ``returns`` and ``quotes`` are None when there
    are none. ``is_open`` when the end of the bytes stands inside quotes or just after an escape character.
    """

    separators: Flags
    separator_ends: Flags
    line_ends: Flags
    returns: Flags | None
    quotes: Flags | None
    is_open: bool = False


def scan(buffer: bytes, begin: int, stop: int, dialect: Dialect, *, is_last: bool, record_bytes_max: int) -> Scan:
    """The complete records of ``buffer[begin:stop]``, which is not empty, up to the first that needs a closer look.

    A record starts at ``begin``. ``is_last`` when the file ends at ``stop``. Positions count from the buffer's start.
    """
    codes = np.frombuffer(buffer, np.uint8, stop - begin, begin)
    marks = _marks(buffer, begin, stop, dialect, is_last)
    offender = _take_quoted_marks_away(marks)
    last_bytes = np.flatnonzero(marks.line_ends)
    if offender is not None:
        # Parity is wrong from the offending quote on. Its own record has no line end before it that counts, so the
        # records that end before the quote are those whose marks the parity had right.
        last_bytes = last_bytes[last_bytes < offender]
    nexts = last_bytes + 1
    is_suspicious = offender is not None
    if is_last and not is_suspicious and len(codes) > (nexts[-1] if len(nexts) else 0):
        # The last record of the file has no line end. It is over where the file is, unless a quote or an escape
        # character still waits for what follows.
        is_suspicious = marks.is_open
        if not is_suspicious:
            last_bytes, nexts = np.append(last_bytes, len(codes)), np.append(nexts, len(codes))
    starts = np.concatenate(([0], nexts[:-1]))[: len(nexts)]
    ends = _ends(codes, marks.returns, starts, last_bytes)
    comments = None
    if dialect.comment_bytes is not None:
        rest = np.append(starts, nexts[-1:] if len(nexts) else 0)
        begin_one = starts_with(codes, rest, dialect.comment_bytes)
        # A comment is over at its line end whatever the quotes and escapes in it, which the parity has counted.
        doubtful = np.flatnonzero(begin_one & _has_marks(codes, rest, np.append(ends, len(codes)), dialect))
        comments = begin_one[:-1]
        if len(doubtful):
            is_suspicious = True
            starts, ends, nexts = (positions[: doubtful[0]] for positions in (starts, ends, nexts))
            comments = comments[: doubtful[0]]
    too_long = np.flatnonzero(ends - starts > record_bytes_max)
    if len(too_long):
        # Only the slow path knows what becomes of a record that is too long.
        is_suspicious = True
        starts, ends, nexts = (positions[: too_long[0]] for positions in (starts, ends, nexts))
        comments = comments[: too_long[0]] if comments is not None else None
    if not len(nexts):
        return Scan(None, is_suspicious)
    # A record has one field more than separators; those that count are sorted, so two searches count them.
    separators = np.flatnonzero(marks.separators)
    widths = np.searchsorted(separators, ends) - np.searchsorted(separators, starts) + 1
    return Scan(Stretch(starts + begin, ends + begin, nexts + begin, widths, comments), is_suspicious)


def _has_marks(codes: Codes, starts: Integers, ends: Integers, dialect: Dialect) -> Flags:
    """Which of ``codes[starts[i]:ends[i]]`` have a quote or an escape character."""
    flags = codes == ord(dialect.quote)
    if dialect.escape is not None:
        flags |= codes == ord(dialect.escape)
    at = np.flatnonzero(flags)
    has_one: Flags = np.searchsorted(at, ends) > np.searchsorted(at, starts)
    return has_one


def marks_outside_quotes(records: bytes, dialect: Dialect) -> Marks:
    """The marks that count in ``records``, which are well-formed and whole; separators by their first bytes."""
    marks = _marks(records, 0, len(records), dialect, is_last=True)
    _take_quoted_marks_away(marks)
    return marks


def _marks(buffer: bytes, begin: int, stop: int, dialect: Dialect, is_last: bool) -> Marks:
    """The marks of ``buffer[begin:stop]``, inside quotes or not."""
    codes = np.frombuffer(buffer, np.uint8, stop - begin, begin)
    returns = carriage_returns(buffer, begin, stop)
    has_quotes = buffer.find(dialect.quote.encode(), begin, stop) >= 0
    no_marks = _no_marks(codes, dialect)
    separators, separator_ends = separators_in(codes, dialect.separator_bytes, no_marks)
    marks = Marks(
        separators=separators,
        separator_ends=separator_ends,
        line_ends=line_ends(codes, returns, is_last=is_last),
        returns=returns,
        quotes=codes == ord(dialect.quote) if has_quotes else None,
    )
    if no_marks is not None:
        # Before parity: an escaped quote neither opens nor closes anything, so it must not be counted.
        marks.is_open = dialect.escape is not None and bool(codes[-1] == ord(dialect.escape) and not no_marks[-1])
        _take_away(marks, no_marks)
    return marks


def _take_away(marks: Marks, no_marks: Flags) -> None:
    marks.line_ends &= ~no_marks
    if marks.returns is not None:
        marks.returns &= ~no_marks
    if marks.quotes is not None:
        marks.quotes &= ~no_marks


def _no_marks(codes: Codes, dialect: Dialect) -> Flags | None:
    """Which bytes are no marks whatever they look like: escaped ones, and second ones of letters; None when none is."""
    letters = dialect.two_byte_letters
    seconds = letters.seconds_in(codes) if letters else None
    if dialect.escape is None:
        return seconds
    escapes = codes == ord(dialect.escape)
    return seconds_of_pairs(escapes) if seconds is None else seconds | seconds_of_pairs(escapes & ~seconds)


def _take_quoted_marks_away(marks: Marks) -> int | None:
    """Leave the separators and line ends outside quotes; return where the first quote stands that does not fit."""
    if marks.quotes is None:
        return None
    # Parity of the quotes up to each byte, itself included. One byte is enough to count in: it may run over, since 256
    # is even.
    inside = (np.cumsum(marks.quotes, dtype=np.uint8) & 1).astype(bool)
    marks.is_open |= bool(inside[-1])
    # What a quote may stand beside. Of CRLF both: a closing quote stands before its CR, an opening one after its LF.
    edges = marks.line_ends | marks.quotes
    if marks.returns is not None:
        edges |= marks.returns
    before = edges | marks.separator_ends
    after = before if marks.separator_ends is marks.separators else edges | marks.separators
    offender = _first_offending_quote(before, after, np.flatnonzero(marks.quotes))
    marks.line_ends &= ~inside
    marks.separators &= ~inside
    return offender


def _first_offending_quote(before: Flags, after: Flags, at: Integers) -> int | None:
    """Position of the first quote that neither opens nor closes a field nor is one of a pair; None when all fit.

    ``before`` and ``after`` are the bytes that may stand before an opening quote and after a closing one: separators,
    line ends and other quotes, none of them escaped. ``at`` are the positions of all quotes.
    """
    # By parity: the first opens, the second closes, and so on. Outside stands before one and after the other.
    opening, closing = at[::2], at[1::2]
    bad_opening = opening[~before[opening - 1] & (opening > 0)]  # at 0 a record starts
    closing = closing[closing < len(after) - 1]  # what follows the last byte is looked at when it is in hand
    bad_closing = closing[~after[closing + 1]]
    bad = [int(group[0]) for group in (bad_opening, bad_closing) if len(group)]
    return min(bad) if bad else None


def _ends(codes: Codes, returns: Flags | None, starts: Integers, last_bytes: Integers) -> Integers:
    """Where the records' own bytes end: before the line end, of which ``last_bytes`` are the last ones."""
    if returns is None or not len(last_bytes):
        return last_bytes
    # CRLF: an LF just after a CR that is not escaped. The file's end counts as a last byte and is none.
    at = np.minimum(last_bytes, len(codes) - 1)
    is_crlf = (last_bytes < len(codes)) & (codes[at] == LF) & (last_bytes > starts) & returns[last_bytes - 1]
    return last_bytes - is_crlf
