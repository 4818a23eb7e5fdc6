"""Separators and other texts of one or more bytes, found with NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sluice.reading.block import Flags, Integers

Codes = npt.NDArray[np.uint8]


def separators_in(codes: Codes, separator: bytes, escaped: Flags | None) -> tuple[Flags, Flags]:
    """Which bytes are the first ones of separators, and which the last; one array twice when they have one byte.

    A separator of which the first byte is ``escaped`` is none; of those that overlap the first counts.
    """
    size = len(separator)
    if size == 1:
        flags: Flags = codes == separator[0]
        if escaped is not None:
            flags &= ~escaped
        return flags, flags
    at = np.flatnonzero(codes[: max(0, len(codes) - size + 1)] == separator[0])
    at = at[starts_with(codes, at, separator)]
    if escaped is not None:
        at = at[~escaped[at]]
    at = _first_of_overlapping(at, size)
    firsts, lasts = np.zeros(len(codes), np.bool_), np.zeros(len(codes), np.bool_)
    firsts[at] = True
    lasts[at + (size - 1)] = True
    return firsts, lasts


def starts_with(codes: Codes, at: Integers, text: bytes) -> Flags:
    """At which of the positions ``at`` the whole of ``text`` stands."""
    found: Flags = at <= len(codes) - len(text)
    at = at[found]
    here = np.ones(len(at), np.bool_)
    for i, byte in enumerate(text):
        here &= codes[at + i] == byte
    found[found] = here
    return found


def _first_of_overlapping(at: Integers, size: int) -> Integers:
    """Those of ``at`` that stand after the end of the one before that counts."""
    gaps = np.diff(at)
    overlaps = gaps[gaps < size]
    if not len(overlaps):
        return at
    if (overlaps == 1).all():  # one character, repeated: in each run of them every size-th counts
        run_starts = np.flatnonzero(np.concatenate(([True], gaps > 1)))
        nth = np.arange(len(at)) - np.repeat(run_starts, np.diff(np.append(run_starts, len(at))))
        return at[nth % size == 0]
    kept, free = [], 0
    for position in at.tolist():
        if position >= free:
            kept.append(position)
            free = position + size
    return np.array(kept, np.int64)
