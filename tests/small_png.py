"""A browser's screenshot in a third of its bytes: with the 256 colours that it has most of."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB_OF_8_BITS, _PALETTE_OF_8_BITS = bytes([8, 2, 0, 0, 0]), bytes([8, 3, 0, 0, 0])
_MOST_COLOURS = 256


def smaller(png: bytes, rows: int) -> bytes:
    """Its upper ``rows`` with a palette; ``png`` has three channels of 8 bits, and is not interlaced."""
    pixels = read(png)[:rows]
    height, width, _ = pixels.shape
    colours, places = _palette(pixels.reshape(-1, 3))
    lines = np.hstack([np.zeros((height, 1), np.uint8), places.reshape(height, width).astype(np.uint8)])
    header = struct.pack(">II", width, height) + _PALETTE_OF_8_BITS
    chunks = (
        (b"IHDR", header),
        (b"PLTE", colours.tobytes()),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def read(png: bytes) -> Pixels:
    """Rows of pixels of red, green and blue. Raises ValueError for a PNG of another kind."""
    chunks = list(_chunks(png))
    header = dict(chunks)[b"IHDR"]
    if header[8:] != _RGB_OF_8_BITS:
        raise ValueError(f"not a PNG of three channels of 8 bits: {header!r}")
    width, height = struct.unpack(">II", header[:8])
    raw = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    lines = np.frombuffer(raw, np.uint8).reshape(height, 1 + 3 * width)
    made = np.zeros((height + 1, width, 3), np.uint8)
    for number, line in enumerate(lines):
        made[number + 1] = _unfiltered(int(line[0]), line[1:].reshape(width, 3), made[number])
    return made[1:]


def _unfiltered(kind: int, line: Pixels, above: Pixels) -> Pixels:
    if kind == 0:
        return line
    if kind == 1:
        return np.cumsum(line, axis=0, dtype=np.uint8)
    if kind == 2:
        return line + above
    guess = _average if kind == 3 else _paeth
    channels = [_guessed(guess, line[:, one].tolist(), above[:, one].tolist()) for one in range(3)]
    return np.array(channels, np.uint8).T


def _guessed(guess: Callable[[int, int, int], int], line: list[int], above: list[int]) -> list[int]:
    left, corner, made = 0, 0, []
    for value, up in zip(line, above, strict=True):
        left = (value + guess(left, up, corner)) & 255
        corner = up
        made.append(left)
    return made


def _average(left: int, up: int, corner: int) -> int:
    return (left + up) // 2


def _paeth(left: int, up: int, corner: int) -> int:
    return min((left, up, corner), key=lambda one: abs(left + up - corner - one))


def _palette(pixels: Pixels) -> tuple[Pixels, npt.NDArray[np.intp]]:
    """The most frequent colours, and for each pixel the place of its own or of the nearest one."""
    colours, places, counts = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    kept = colours[np.argsort(-counts, kind="stable")[:_MOST_COLOURS]]
    apart = colours[:, None].astype(np.int32) - kept[None].astype(np.int32)
    return kept, (apart**2).sum(axis=2).argmin(axis=1)[places.reshape(-1)]


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        at += 12 + size


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
