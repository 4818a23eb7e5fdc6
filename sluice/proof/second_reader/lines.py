"""A file's lines: LF, CRLF and a lone CR each end one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from sluice.proof.second_reader.units import Units

SHOWN_OF_A_LONG_LINE = 64 * 1024
_LINE_END = re.compile(rb"\r\n|\n|\r")
_OTHER = b"\x80"  # stands for a letter that is not ASCII where letters have several bytes


class Line(NamedTuple):
    """A line with its end: one byte a unit in ``marks``, the file's own bytes in ``raw``.

    ``is_cut`` when it is longer than a record may be: then it is the first bytes alone.
    """

    marks: bytes
    raw: bytes
    is_cut: bool

    def content(self, units: Units) -> bytes:
        """The file's own bytes without the line end."""
        return self.raw[: len(self.raw) - (len(self.marks) - len(self.marks.rstrip(b"\r\n"))) * units.size]


def lines_of(chunks: Iterator[bytes], units: Units) -> Iterator[Line]:
    """The lines of a file, in memory bounded by a chunk and the longest record."""
    rest, skipping = b"", False
    for chunk in chunks:
        rest += chunk
        if skipping:
            rest, skipping = _after_line_end(rest, units)
            if skipping:
                continue
        marks = units.marks(rest)
        lines = marks.splitlines(keepends=True)
        if lines and not marks.endswith(b"\n"):
            lines.pop()  # it may go on, and a CR may be half of CRLF
        used = sum(map(len, lines)) * units.size
        yield from _with_bytes(lines, rest[:used], units)
        rest = rest[used:]
        if units.is_too_long(rest, is_whole=False) and not marks.endswith(b"\r"):
            whole = len(rest) - len(rest) % units.size
            shown = rest[: min(whole, SHOWN_OF_A_LONG_LINE)]
            yield Line(units.marks(shown), shown, True)
            rest, skipping = rest[whole:], True
    if skipping and units.marks(rest).startswith(b"\r"):  # no half of CRLF after all
        rest, skipping = rest[units.size :], False
    if rest and not skipping:
        odd = _OTHER if len(rest) % units.size else b""
        yield from _with_bytes((units.marks(rest) + odd).splitlines(keepends=True), rest, units)


def _with_bytes(lines: list[bytes], raw: bytes, units: Units) -> Iterator[Line]:
    at = 0
    for marks in lines:
        after = at + len(marks) * units.size
        yield Line(marks, raw[at:after], False)
        at = after


def _after_line_end(data: bytes, units: Units) -> tuple[bytes, bool]:
    """What follows the first line end, and whether it is still to come."""
    marks = units.marks(data)
    match = _LINE_END.search(marks)
    if match and not (match.group() == b"\r" and match.end() == len(marks)):
        return data[match.end() * units.size :], False
    kept = match.start() * units.size if match else len(data) - len(data) % units.size
    return data[kept:], True
