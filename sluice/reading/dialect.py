"""How a feed writes CSV: the marks between fields and around them, the encoding, and the patterns that follow."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sluice.reading.two_byte_letters import TwoByteLetters, two_byte_letters


@dataclass(frozen=True)
class Dialect:
    """How a feed writes CSV. ``quote`` and ``escape`` are single ASCII characters.

    ``separator`` is one or more characters; of several that overlap the first counts. A line that begins with
    ``comment``, where a record would begin, is no record; quotes and escapes mean nothing in it.
    ``encoding`` is a name that Python's codecs know. ``nulls`` are the texts that, unquoted, stand for no value; they
    are held against a field as it stands in the file, escape characters included.
    ``stray_quote`` says what a quote inside an unquoted field does: ``warn`` or ``reject``; None rejects the record
    where its fields may be shifted, and warns otherwise.

    The patterns match bytes of ``text_encoding``. They are possessive, so that a broken field fails in linear time.
    """

    separator: str = ","
    quote: str = '"'
    escape: str | None = None
    encoding: str = "utf-8"
    nulls: tuple[str, ...] = ("",)
    stray_quote: str | None = None
    comment: str | None = None

    @property
    def marks(self) -> dict[str, Any]:
        """What decides where records begin and end, and their fields, for JSON."""
        return {name: getattr(self, name) for name in ("separator", "quote", "escape", "encoding", "comment")}

    @property
    def is_transcoded(self) -> bool:
        """Whether the bytes must become UTF-8 before records can be found (UTF-16 and UTF-32)."""
        return codecs.lookup(self.encoding).name.startswith(("utf-16", "utf-32"))

    @cached_property
    def text_encoding(self) -> str:
        """The encoding of the bytes in which records are looked for."""
        return "utf-8" if self.is_transcoded else self.encoding

    @cached_property
    def separator_bytes(self) -> bytes:
        """The separator as it stands in bytes of ``text_encoding``."""
        return self.separator.encode(self.text_encoding)

    @cached_property
    def comment_bytes(self) -> bytes | None:
        """What a comment begins with, in bytes of ``text_encoding``."""
        return self.comment.encode(self.text_encoding) if self.comment else None

    @cached_property
    def two_byte_letters(self) -> TwoByteLetters | None:
        """The letters of which the second byte may look like a separator, a quote or an escape character."""
        return two_byte_letters(self.text_encoding, self.quote + (self.escape or "") + self.separator)

    @cached_property
    def quoted_field(self) -> re.Pattern[bytes]:
        """Matches a quoted field with its quotes."""
        quote = re.escape(self.quote.encode())
        parts = [rb"[^%b]++" % (quote + self._begins_more), *self._more, quote * 2]
        return re.compile(rb"%b(?:%b)*+%b" % (quote, b"|".join(parts), quote), re.DOTALL)

    @cached_property
    def plain_field(self) -> re.Pattern[bytes]:
        """Matches an unquoted field."""
        first = re.escape(self.separator_bytes[:1])
        others = rb"[^%b\r\n]" % (first + self._begins_more)
        if len(self.separator_bytes) == 1 and not self._more:
            return re.compile(rb"%b*+" % others)
        parts = [rb"%b++" % others, *self._more]
        if len(self.separator_bytes) > 1:  # its first byte may stand alone
            parts.append(rb"(?!%b)%b" % (re.escape(self.separator_bytes), first))
        return re.compile(rb"(?:%b)*+" % b"|".join(parts), re.DOTALL)

    @cached_property
    def stray_quotes(self) -> re.Pattern[bytes]:
        """Matches, as group 1, the quotes that stand together in an unquoted field; or what is no mark."""
        return re.compile(rb"%b|(%b++)" % (self._no_marks, re.escape(self.quote.encode())), re.DOTALL)

    @cached_property
    def quote_or_escaped(self) -> re.Pattern[bytes]:
        """Matches a quote, or as group 1 what is no mark: an escape character with what it stands before, a letter."""
        return re.compile(rb"(%b)|%b" % (self._no_marks, re.escape(self.quote.encode())), re.DOTALL)

    @property
    def _no_marks(self) -> bytes:
        """Pattern of what is no mark although it holds bytes of marks; matches nothing when there is none."""
        return b"|".join(self._more) or rb"(?!)"

    @cached_property
    def _more(self) -> list[bytes]:
        """Patterns of the letters whose second byte is no mark, and of an escape character with what it escapes."""
        letter = [self.two_byte_letters.pattern] if self.two_byte_letters else []
        escape = re.escape(self.escape.encode()) if self.escape else b""
        return [*letter, rb"%b(?:%b)" % (escape, b"|".join([*letter, b"."]))] if escape else letter

    @property
    def _begins_more(self) -> bytes:
        """What those begin with, to stand in brackets."""
        firsts = self.two_byte_letters.firsts_pattern if self.two_byte_letters else b""
        return firsts + (re.escape(self.escape.encode()) if self.escape else b"")
