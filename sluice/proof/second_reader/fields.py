"""Where fields end, and their texts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from sluice.proof.second_reader.units import Units


class Dialect(Protocol):
    """What the second reader needs to know of how a feed writes CSV: its values, none of the loader's code."""

    @property
    def separator(self) -> str:
        """One or more characters; of several that overlap the first counts."""

    @property
    def quote(self) -> str:
        """One ASCII character."""

    @property
    def escape(self) -> str | None:
        """One ASCII character, or none."""

    @property
    def encoding(self) -> str:
        """A name that Python's codecs know; a byte order mark wins over it."""

    @property
    def comment(self) -> str | None:
        """A line that begins with it where a record would begin is no record."""


@dataclass(frozen=True)
class Field:
    """One field: its text without quotes and escapes, and as it is ``written``."""

    text: str
    written: str
    was_quoted: bool


class Fields:
    """The fields of records in ``dialect``, whose bytes are of ``encoding``."""

    def __init__(self, dialect: Dialect, encoding: str, units: Units) -> None:
        self.separator, self.quote = units.mark(dialect.separator), dialect.quote.encode()
        self.escape = dialect.escape.encode() if dialect.escape else b""
        self.comment = units.mark(dialect.comment) if dialect.comment else None
        self._encoding = encoding
        self._unit = units.size
        stops = [self.separator, b"\r", b"\n", *filter(None, [self.escape])]
        self._plain_stop = re.compile(b"|".join(map(re.escape, stops)))

    def after_quoted(self, marks: bytes, at: int) -> int:
        """Where a quoted field, of which ``at`` is inside, is over: just after its closing quote; -1 when not here."""
        while True:
            quote = marks.find(self.quote, at)
            if self.escape:
                escape = marks.find(self.escape, at, quote if quote >= 0 else len(marks))
                if escape >= 0:
                    at = escape + 2
                    continue
            if quote < 0:
                return -1
            if not marks.startswith(self.quote, quote + 1):
                return quote + 1
            at = quote + 2

    def after_plain(self, marks: bytes, at: int) -> int:
        """Where an unquoted field is over: at a separator, a line end, the end of the file.

        Beyond ``marks`` when the last line end is escaped; -1 when nothing follows an escape character.
        """
        while match := self._plain_stop.search(marks, at):
            if match.group() != self.escape:
                return match.start()
            at = match.end() + 1
            if at > len(marks):
                return -1
            if at == len(marks):
                return at + 1
        return len(marks)

    def of_record(self, marks: bytes, raw: bytes, most: int | None) -> list[Field] | None:
        """The fields of a whole record, one more than ``most`` of them; None when it is not certain which."""
        fields: list[Field] = []
        at = 0
        while True:
            is_quoted = marks.startswith(self.quote, at)
            end = self.after_quoted(marks, at + 1) if is_quoted else self._field_end(marks, at)
            if end < 0 or (is_quoted and end < len(marks) and not marks.startswith(self.separator, end)):
                return None
            field = self._field(raw[at * self._unit : (end * self._unit if end < len(marks) else None)], is_quoted)
            if field is None:
                return None
            fields.append(field)
            if end >= len(marks) or (most is not None and len(fields) > most):
                return fields
            at = end + len(self.separator)

    def _field_end(self, marks: bytes, at: int) -> int:
        while True:
            end = self.after_plain(marks, at)
            if not 0 <= end < len(marks) or marks.startswith(self.separator, end):
                return min(end, len(marks))
            at = end + 1  # a line end that was escaped before

    def _field(self, raw: bytes, is_quoted: bool) -> Field | None:
        """None when the bytes are not of the encoding, or hold NUL."""
        try:
            text = raw.decode(self._encoding)
        except UnicodeDecodeError:
            return None
        if "\0" in text:
            return None
        inside = text[1:-1] if is_quoted else text
        value = _unescaped(inside, self.quote.decode() if is_quoted else "", self.escape.decode())
        return Field(value, text, is_quoted)


def _unescaped(text: str, quote: str, escape: str) -> str:
    """``text`` with pairs of ``quote`` as one, and what an escape character stands before without it."""
    if not escape:
        return text.replace(quote * 2, quote) if quote else text
    pair = re.escape(quote * 2) if quote else "(?!)"
    return re.sub(f"{re.escape(escape)}.|{pair}", lambda match: match.group()[1:], text, flags=re.DOTALL)
