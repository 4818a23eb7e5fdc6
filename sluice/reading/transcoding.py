"""UTF-16 and UTF-32 as UTF-8, in which marks are single bytes, and back to the file's own bytes.

A byte b that is part of no letter (of half a surrogate pair, of a number beyond Unicode, or left over at the end)
becomes U+DC00 + b, which no letter does: it fails the record's check of its encoding later, and becomes b again where
the file's own bytes are asked for.
"""

from __future__ import annotations

import codecs
import itertools
import re
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sluice.reading.dialect import Dialect

_BYTE = 0xDC00
_NO_LETTERS = re.compile("([\udc00-\udcff]+)")


class Readable(Protocol):
    """What a chunk of bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; empty at the end."""


def text_of(stream: Readable, dialect: Dialect) -> Readable:
    """``stream``, whose bytes are of ``dialect.encoding``, as bytes of ``dialect.text_encoding``."""
    return _Transcoded(stream, dialect.encoding) if dialect.is_transcoded else stream


def file_bytes(text: bytes, dialect: Dialect) -> bytes:
    """The file's own bytes of ``text``, which is of ``dialect.text_encoding`` and cut between letters."""
    if not dialect.is_transcoded:
        return text
    encoding = without_mark(dialect.encoding)
    pieces = _NO_LETTERS.split(text.decode("utf-8", "surrogatepass"))
    pairs = itertools.zip_longest(pieces[::2], pieces[1::2], fillvalue="")
    return b"".join(letters.encode(encoding) + _bytes_of(rest) for letters, rest in pairs)


def shown(text: bytes, dialect: Dialect) -> str:
    """``text``, of ``dialect.text_encoding``, for a person to read; bytes that are not of the encoding as \\xNN."""
    if not dialect.is_transcoded:
        return text.decode(dialect.text_encoding, "backslashreplace")
    letters = text.decode("utf-8", "surrogatepass")
    return _NO_LETTERS.sub(lambda match: "\\x" + _bytes_of(match[0]).hex(" ").replace(" ", "\\x"), letters)


def without_mark(encoding: str) -> str:
    """``encoding`` as it is where no byte order mark stands; ``utf-16`` and ``utf-32`` alone mean little-endian."""
    name = codecs.lookup(encoding).name
    return name + "-le" if name in ("utf-16", "utf-32") else name


def _bytes_of(no_letters: str) -> bytes:
    """The bytes that ``no_letters``, all of U+DC00 + b, stands for."""
    return no_letters.encode("utf-16-le", "surrogatepass")[::2]


class _Transcoded:
    """Reads UTF-16 or UTF-32 as UTF-8."""

    def __init__(self, stream: Readable, encoding: str) -> None:
        self._stream = stream
        self._encoding = without_mark(encoding)
        self._unit = np.dtype(
            (">" if self._encoding.endswith("be") else "<") + ("u2" if "16" in self._encoding else "u4")
        )
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        """UTF-8 of the next ``size`` bytes of the file, as far as they are whole letters; empty at the end."""
        while raw := self._stream.read(size):
            data = self._rest + raw
            whole = self._whole(data)
            data, self._rest = data[:whole], data[whole:]
            if data:
                return self._text(data).encode("utf-8", "surrogatepass")
        data, self._rest = self._rest, b""
        return "".join(chr(_BYTE + byte) for byte in data).encode("utf-8", "surrogatepass")

    def _whole(self, data: bytes) -> int:
        """How many bytes of ``data`` need no further ones to be read."""
        size = self._unit.itemsize
        whole = len(data) - len(data) % size
        last = np.frombuffer(data, self._unit, whole // size)[-1:]
        return whole - size if size == 2 and (last & 0xFC00 == 0xD800).any() else whole

    def _text(self, data: bytes) -> str:
        try:
            return data.decode(self._encoding)
        except UnicodeDecodeError:
            units = np.frombuffer(data, self._unit)
        bad = _no_letters(units)
        # Each bad unit is spread over as many units as it has bytes, so that each byte gets a unit of its own.
        counts = np.where(bad, units.itemsize, 1)
        spread = np.repeat(units, counts)
        codes = np.frombuffer(data, np.uint8).reshape(len(units), -1)[bad].ravel()
        spread[np.repeat(bad, counts)] = codes.astype(np.uint16) + _BYTE
        return spread.tobytes().decode(self._encoding, "surrogatepass")


def _no_letters(units: npt.NDArray[np.unsignedinteger]) -> npt.NDArray[np.bool_]:
    """Which units of UTF-16 or UTF-32 are part of no letter; as many as ``units``."""
    high, low = units & ~np.uint32(0x3FF) == 0xD800, units & ~np.uint32(0x3FF) == 0xDC00
    if units.itemsize == 4:
        return high | low | (units > 0x10FFFF)
    before, after = np.concatenate(([False], high[:-1])), np.concatenate((low[1:], [False]))
    return (high & ~after) | (low & ~before)
