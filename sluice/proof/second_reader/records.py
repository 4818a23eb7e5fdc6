"""Which lines make a record: a state goes over them, from mark to mark."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from sluice.proof.second_reader.fields import Fields
from sluice.proof.second_reader.layout import Layout
from sluice.proof.second_reader.lines import SHOWN_OF_A_LONG_LINE, Line, lines_of
from sluice.proof.second_reader.units import Units


class Lines(NamedTuple):
    """A record on line ``number``, without its line end: as one byte a unit, and as the file's own bytes.

    ``is_cut`` when it is longer than a record may be: then it is the first bytes alone.
    """

    number: int
    marks: bytes
    raw: bytes
    is_cut: bool


# What the end of a line stands in: integers, as every line with a quote asks for them several times.
_FIELD_START, _IN_QUOTES, _IN_PLAIN, _WHOLE, _BROKEN = range(5)
_GOES_ON = (_IN_QUOTES, _IN_PLAIN)  # in an unquoted field the line end is escaped


# A spreadsheet's word to itself: which separator the file has.
_SEPARATOR_LINE = re.compile(r"sep=.|\"sep=.\"", re.IGNORECASE)


class Records:
    """Finds the records in ``chunks``, those of the header too; units are those of the file's encoding."""

    def __init__(self, chunks: Iterator[bytes], fields: Fields, units: Units, layout: Layout) -> None:
        self._fields = fields
        self._units = units
        self._layout = layout
        self._lines = lines_of(chunks, units)
        self._waiting = deque[Line]()  # lines that were looked at in vain

    def __iter__(self) -> Iterator[Lines]:
        quote, escape, comment = self._fields.quote, self._fields.escape or self._fields.quote, self._fields.comment
        number = self._pass_over()
        while line := self._next_line():
            number += 1
            if comment and line.marks.startswith(comment):
                continue
            content = line.raw if line.is_cut else line.content(self._units)
            if line.is_cut or self._units.is_too_long(content):
                yield Lines(number, line.marks, content[:SHOWN_OF_A_LONG_LINE], True)
            elif quote in line.marks or escape in line.marks:
                marks, raw, more = self._record(line)
                if marks:
                    yield Lines(number, marks, raw, False)
                number += more
            elif content:
                yield Lines(number, line.marks.rstrip(b"\r\n"), content, False)

    def _pass_over(self) -> int:
        """Pass over the lines above the records, and say how many they are."""
        first = self._next_line()
        if first is None:
            return 0
        self._waiting.append(first)
        names_separator = _SEPARATOR_LINE.fullmatch(self._units.shown(first.content(self._units)))
        skipped, ignored, passed = self._layout.skip_lines or bool(names_separator), self._layout.ignored_lines, 0
        while (passed < skipped or ignored) and (line := self._next_line()):
            ignored -= passed >= skipped and not self._is_empty_or_comment(line)
            passed += 1
        return passed

    def _is_empty_or_comment(self, line: Line) -> bool:
        comment = self._fields.comment
        return not line.marks.rstrip(b"\r\n") or (comment is not None and line.marks.startswith(comment))

    def _next_line(self) -> Line | None:
        return self._waiting.popleft() if self._waiting else next(self._lines, None)

    def _record(self, first: Line) -> tuple[bytes, bytes, int]:
        """The record that begins with a line, as marks and bytes, and how many lines more it takes.

        Its first line alone when its quotes do not fit or it gets too long; the others then wait to be read again.
        """
        state, end = self._state_after(first.marks, _FIELD_START)
        if state == _WHOLE:  # by far the most
            raw = first.raw[: end * self._units.size]
            # Of CRLF an escape character takes the CR along, which may be one byte too many.
            if first.marks[end - 1 : end] != b"\r" or not self._units.is_too_long(raw):
                return first.marks[:end], raw, 0
            return first.marks.rstrip(b"\r\n"), first.content(self._units), 0
        return self._record_of_lines(first, state)

    def _record_of_lines(self, first: Line, state: int) -> tuple[bytes, bytes, int]:
        taken, end = [first], 0
        length = self._units.length(first.raw)
        while state in _GOES_ON:
            line = self._next_line()
            if line is None:
                state, end = (_WHOLE if state == _IN_PLAIN else _BROKEN), len(taken[-1].marks)
                break
            taken.append(line)
            length += self._units.length(line.raw)
            state, end = self._state_after(line.marks, state)
            if line.is_cut or (state in _GOES_ON and length > self._units.record_bytes_max):
                state = _BROKEN
        marks = b"".join(line.marks for line in taken[:-1]) + taken[-1].marks[:end]
        raw = b"".join(line.raw for line in taken)[: len(marks) * self._units.size]
        if state == _BROKEN or self._units.is_too_long(raw):
            self._waiting.extendleft(reversed(taken[1:]))
            return first.marks.rstrip(b"\r\n"), first.content(self._units), 0
        return marks, raw, len(taken) - 1

    def _state_after(self, marks: bytes, state: int) -> tuple[int, int]:
        """The state after a line that begins in ``state``, and where the record ends in it when it is whole."""
        quote, separator = self._fields.quote, self._fields.separator
        after_quoted, after_plain = self._fields.after_quoted, self._fields.after_plain
        at, size = 0, len(marks)
        while True:
            if state == _IN_QUOTES or (state == _FIELD_START and marks.startswith(quote, at)):
                at = after_quoted(marks, at + (state == _FIELD_START))
                if at < 0:
                    return _IN_QUOTES, 0
            else:
                at = after_plain(marks, at)
                if at < 0:
                    return _BROKEN, 0
                if at > size:
                    return _IN_PLAIN, 0
            if at == size or marks[at] in b"\r\n":
                return _WHOLE, at
            if not marks.startswith(separator, at):
                return _BROKEN, 0
            state, at = _FIELD_START, at + len(separator)
