"""Line ends: LF, CRLF and a lone CR each end a line."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from sluice.reading.block import Flags

LF, CR = 10, 13
LINE_END = re.compile(rb"\r\n|\n|\r")


def count_line_ends(text: bytes, begin: int = 0, end: int | None = None) -> int:
    """How many lines end in ``text[begin:end]``; a CR that is its last byte ends one."""
    end = len(text) if end is None else end
    # Python looks at each byte by itself to count one, NumPy at many at once.
    ends = int(np.count_nonzero(np.frombuffer(text, np.uint8, end - begin, begin) == LF)) if end > begin else 0
    if text.find(b"\r", begin, end) < 0:
        return ends
    return ends + text.count(b"\r", begin, end) - text.count(b"\r\n", begin, end)


def carriage_returns(buffer: bytes, begin: int, stop: int) -> Flags | None:
    """Which bytes of ``buffer[begin:stop]`` are CR; None when none is, as in most files, which find() tells fastest."""
    if buffer.find(b"\r", begin, stop) < 0:
        return None
    return np.frombuffer(buffer, np.uint8, stop - begin, begin) == CR


def line_ends(codes: npt.NDArray[np.uint8], returns: Flags | None, *, is_last: bool) -> Flags:
    """Which bytes are the last one of a line end. ``returns`` are the CRs among ``codes``, or None.

    A CR as the last byte ends a line by itself only when the file ends there (``is_last``): an LF may follow.
    """
    ends = codes == LF
    if returns is None:
        return ends
    lone = returns.copy()
    lone[:-1] &= codes[1:] != LF
    if not is_last:
        lone[-1:] = False
    ends |= lone
    return ends
