"""Finds one record at a time, field by field: around what the scan of whole chunks cannot vouch for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sluice.reading import stray_quotes
from sluice.reading.dialect import Dialect
from sluice.reading.fields import requoted
from sluice.reading.lines import CR, LF, LINE_END
from sluice.reading.stretch import Stretch

_RAW_OF_A_LONG_RECORD = 64 * 1024


@dataclass(frozen=True)
class SlowPath:
    """Finds records in ``buffer``, after which the file ends when it ``is_last``."""

    buffer: bytes
    dialect: Dialect
    record_bytes_max: int
    is_last: bool

    def record(self, start: int) -> Stretch | None:
        """The record, or comment, at ``start``; None when its end is not in the buffer yet.

        One that is longer than a record may be ends with its first line, whatever else is in the buffer: so the answer
        does not depend on where the file was cut into chunks.
        """
        comment = self.dialect.comment_bytes
        if comment and self.buffer.startswith(comment, start):
            return self._comment(start)
        if comment and self._may_go_on(start, comment):
            return None
        whole = self._well_quoted(start)
        # A CR at the end of what is in hand may be the line end of a record that is just short enough.
        end = int(whole.ends[0]) if whole else len(self.buffer) - self.buffer.endswith(b"\r")
        return whole if end - start <= self.record_bytes_max else self._over_long(start)

    def long_record(self, start: int, stop: int, following: int) -> Stretch:
        """The record ``buffer[start:stop]``, of which there is too much to keep."""
        end = min(stop, start + _RAW_OF_A_LONG_RECORD)
        while self.dialect.is_transcoded and end < stop and self.buffer[end] & 0xC0 == 0x80:
            end -= 1  # half a letter has no bytes of the file
        return Stretch.of_one(start, end, following, 0, problem="record.too_long")

    def _may_go_on(self, at: int, text: bytes) -> bool:
        """Whether what is in hand ends within ``text``, which begins at ``at``."""
        in_hand = len(self.buffer) - at
        return not self.is_last and in_hand < len(text) and text.startswith(self.buffer[at:])

    def _comment(self, start: int) -> Stretch | None:
        line = self._first_line(start)
        return replace(line, comments=np.ones(1, np.bool_), problem="") if line else None

    def _over_long(self, start: int) -> Stretch | None:
        line = self._first_line(start)
        if line and line.ends[0] - start > self.record_bytes_max:
            return self.long_record(start, int(line.ends[0]), int(line.nexts[0]))
        return line

    def _well_quoted(self, start: int) -> Stretch | None:
        """The record at ``start``, or its first line when its quoting breaks; None when its end is not in hand yet."""
        buffer, dialect, size = self.buffer, self.dialect, len(self.buffer)
        quote, separator = ord(dialect.quote), dialect.separator_bytes
        position, has_stray_quote = start, False
        parts: list[bytes] = []
        while True:
            is_quoted = position < size and buffer[position] == quote
            match = (dialect.quoted_field if is_quoted else dialect.plain_field).match(buffer, position)
            stop = match.end() if match else size
            if stop >= size and not self.is_last:
                return None  # the field may go on
            is_separated = buffer.startswith(separator, stop)
            if match and not is_separated and self._may_go_on(stop, separator):
                return None
            if match is None or (stop < size and not is_separated and buffer[stop] not in (LF, CR)):
                # No closing quote, text after it, or an escape character that is the buffer's last byte.
                dangling_escape = match is not None and not is_quoted
                return None if dangling_escape and not self.is_last else self._first_line(start)
            part = match.group()
            has_stray_quote |= not is_quoted and quote in part
            parts.append(part)
            if not is_separated:
                return self._of_parts(start, stop, parts, has_stray_quote)
            position = stop + len(separator)

    def _of_parts(self, start: int, stop: int, parts: list[bytes], has_stray_quote: bool) -> Stretch | None:
        """The record ``buffer[start:stop]``; None when it is not certain yet where its line end stops."""
        following = self._after_line_end(stop)
        if following is None:
            return None
        if not has_stray_quote:
            rewritten = self.buffer[start:stop] + b"\n"
            return Stretch.of_one(start, stop, following, len(parts), rewritten=rewritten)
        stray_quote = stray_quotes.judged(self.buffer, start, stop, parts, self.dialect)
        rewritten = requoted(parts, self.dialect)
        return Stretch.of_one(start, stop, following, len(parts), rewritten=rewritten, stray_quote=stray_quote)

    def _after_line_end(self, stop: int) -> int | None:
        buffer, size = self.buffer, len(self.buffer)
        if stop >= size:
            return size
        if buffer[stop] == CR and stop + 1 >= size and not self.is_last:
            return None  # it may be half of CRLF
        return stop + (2 if buffer[stop : stop + 2] == b"\r\n" else 1)

    def _first_line(self, start: int) -> Stretch | None:
        """The line at ``start`` as a record whose quoting is broken; None when its end is not in hand yet."""
        match = LINE_END.search(self.buffer, start)
        if not self.is_last and (match is None or (match.group() == b"\r" and match.end() == len(self.buffer))):
            return None
        end, following = match.span() if match else (len(self.buffer),) * 2
        return Stretch.of_one(start, end, following, 0, problem="record.bad_quote")
