"""Units of an encoding: single bytes, or two of UTF-16, or four of UTF-32; marks stand on units."""

from __future__ import annotations

import codecs
import re
from functools import cache

_NOT_ASCII = re.compile("[^\0-\x7f]")
_OTHER = "\x80"
_THREE_BYTES = "sluice.three_bytes"


def _three_bytes_each(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\uffff" * (error.end - error.start), error.end


codecs.register_error(_THREE_BYTES, _three_bytes_each)


class Units:
    """The units of ``encoding``, each of ``size`` bytes. Records may be ``record_bytes_max`` long.

    Where a letter has two bytes of which one looks like ASCII, both are marked as another letter.

    ``letters``, of which there are few, can be told apart in marks though they are not ASCII.
    """

    def __init__(self, encoding: str, record_bytes_max: int, letters: str = "") -> None:
        self.size = {"utf-16": 2, "utf-32": 4}.get(encoding[:6], 1)
        self._encoding = encoding
        self.record_bytes_max = record_bytes_max
        self._letters = _letters_of_two(encoding) if self.size == 1 else None
        self._bytes_of: dict[str, str] = {}
        if self.size > 1:
            units = dict.fromkeys(_NOT_ASCII.findall(self._text(letters.encode(encoding))))
            self._bytes_of = {unit: chr(0x81 + i) for i, unit in enumerate(units)}

    def mark(self, text: str) -> bytes:
        """What ``text`` of ``letters`` and ASCII is in marks."""
        return self.marks(text.encode(self._encoding))

    def marks(self, data: bytes) -> bytes:
        """One byte a whole unit of ``data``: itself when the unit is ASCII (or a byte), another one otherwise."""
        if self.size == 1:
            return self._letters.sub(lambda letters: b"\x80" * len(letters[0]), data) if self._letters else data
        text = self._text(data[: len(data) - len(data) % self.size])
        bytes_of = self._bytes_of
        marks = _NOT_ASCII.sub((lambda unit: bytes_of.get(unit[0], _OTHER)) if bytes_of else _OTHER, text)
        return marks.encode("latin-1")

    def shown(self, raw: bytes) -> str:
        """``raw`` as text; bytes that are not of the encoding as \\xNN."""
        return raw.decode(self._encoding, "backslashreplace")

    def _text(self, data: bytes) -> str:
        """A letter a unit."""
        if self.size == 2:  # as UTF-32, in which half a surrogate pair is a unit of its own
            wide, is_big = bytearray(2 * len(data)), self._encoding.endswith("be")
            wide[0::4], wide[1::4] = data[is_big::2], data[1 - is_big :: 2]
            return wide.decode("utf-32-le", "surrogatepass")
        return data.decode(self._encoding, "replace")

    def is_too_long(self, raw: bytes, *, is_whole: bool = True) -> bool:
        """Whether ``raw`` is longer than a record may be."""
        return self.length(raw, is_whole=is_whole) > self.record_bytes_max

    def length(self, raw: bytes, *, is_whole: bool = True) -> int:
        """How many bytes ``raw`` is in UTF-8, which a record's length is measured in; fewer when it is not too long.

        A byte that is of no letter counts as 3. What the end of ``raw`` may be the half of counts when it ``is_whole``.
        """
        if self.size == 1 or 3 * len(raw) <= self.record_bytes_max:
            return len(raw) // self.size
        decoder = codecs.getincrementaldecoder(self._encoding)(_THREE_BYTES)
        return len(decoder.decode(raw, is_whole).encode())


@cache
def _letters_of_two(encoding: str) -> re.Pattern[bytes] | None:
    """Matches letters of two bytes each, where the second byte of some is one of ASCII's; otherwise None."""
    if encoding.startswith("utf") or len(bytes(range(256)).decode(encoding, "replace")) == 256:
        return None
    known = [
        (first, second)
        for first in range(0x80, 0x100)
        if _length(bytes([first]), encoding) != 1
        for second in range(0x100)
        # In GB18030 the four bytes of a letter are as two letters of two.
        if _length(bytes([first, second]), encoding) or _length(bytes([first, second]) * 2, encoding)
    ]
    firsts = {first for first, _ in known}
    seconds = firsts | {second for _, second in known}
    if min(seconds, default=0x80) >= 0x80:
        return None
    first, second = (re.escape(bytes(sorted(each))) for each in (firsts, seconds))
    return re.compile(rb"(?:[%b][%b])+" % (first, second))


def _length(data: bytes, encoding: str) -> int:
    """How many letters ``data`` is; 0 when it is none."""
    return len(data.decode(encoding, "ignore")) if data.decode(encoding, "replace").find("\ufffd") < 0 else 0
