"""Letters of two bytes of which the second may look like ASCII, as in Shift-JIS, GBK and Big5: it is no mark there."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TwoByteLetters:
    """The bytes that such letters begin with, and those that may follow; a letter of four is two of two.

    A byte of ``firsts`` and one of ``seconds`` belong together even where no letter is known by them.
    """

    firsts: bytes
    seconds: bytes

    @property
    def pattern(self) -> bytes:
        """Matches such a letter, or a first byte that none follows."""
        return rb"[%b][%b]?+" % (self.firsts_pattern, re.escape(self.seconds))

    @property
    def firsts_pattern(self) -> bytes:
        """The first bytes, to stand in brackets."""
        return re.escape(self.firsts)

    def seconds_in(self, codes: Codes) -> Flags:
        """Which of ``codes``, which begin with a letter, are second bytes."""
        flags = seconds_of_pairs(_table(self.firsts)[codes])
        flags &= _table(self.seconds)[codes]
        return flags


def two_byte_letters(encoding: str, marks: str) -> TwoByteLetters | None:
    """Those of ``encoding``; None when none of ``marks``, which are ASCII, looks like a second byte."""
    if encoding.startswith("utf") or len(bytes(range(256)).decode(encoding, "replace")) == 256:
        return None  # halves of letters never look like ASCII, or each byte is a letter
    letters = _letters(encoding)
    return None if set(letters.seconds).isdisjoint(marks.encode()) else letters


@cache
def _letters(encoding: str) -> TwoByteLetters:
    alone = [byte for byte in range(0x80, 0x100) if not _is_text(bytes([byte]), encoding)]
    pairs = [
        pair
        for pair in map(bytes, itertools.product(alone, range(0x100)))
        if _is_text(pair, encoding) or _is_text(pair * 2, encoding)
    ]
    firsts = {pair[0] for pair in pairs}
    return TwoByteLetters(bytes(sorted(firsts)), bytes(sorted({pair[1] for pair in pairs} | firsts)))


def seconds_of_pairs(firsts: Flags) -> Flags:
    """Which bytes stand after one of ``firsts``; in a run of these every second one is such a byte itself."""
    at = np.flatnonzero(firsts)
    flags = np.zeros(len(firsts), np.bool_)
    if len(at):
        run_starts = np.flatnonzero(np.diff(at, prepend=-2) != 1)
        nth = np.arange(len(at)) - np.repeat(run_starts, np.diff(np.append(run_starts, len(at))))
        following = at[nth % 2 == 0] + 1
        flags[following[following < len(flags)]] = True
    return flags


def _table(those: bytes) -> Flags:
    table = np.zeros(256, np.bool_)
    table[list(those)] = True
    return table


def _is_text(data: bytes, encoding: str) -> bool:
    try:
        return bool(data.decode(encoding))
    except UnicodeDecodeError:
        return False
