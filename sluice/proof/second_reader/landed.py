"""A landed file's bytes for the second reader: hashed as they lie on disk, decompressed, byte order mark taken off."""

from __future__ import annotations

import codecs
import hashlib
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

CHUNK = 1 << 20
_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)


class DamagedFileError(ValueError):
    """The file's compression is broken; the message says how."""


class Hashed:
    """Reads a file; ``size`` and ``sha256`` are of the bytes that were read so far."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.size = 0

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; empty at the end. Raises OSError."""
        data = self._file.read(size)
        self.sha256.update(data)
        self.size += len(data)
        return data

    def drain(self) -> None:
        """Read on to the end, so that size and hash are the whole file's."""
        while self.read(CHUNK):
            pass


def decompressed(file: Hashed, name: str) -> Iterator[bytes]:
    """Chunks of bounded size of ``file``, whose landed ``name`` says how it is compressed.

    Raises OSError, DamagedFileError.
    """
    ending = name.lower().rpartition(".")[2]
    return {"gz": _gunzipped, "zst": _from_zstd}.get(ending, _as_it_is)(file)


def without_byte_order_mark(chunks: Iterator[bytes], otherwise: str) -> tuple[Iterator[bytes], str]:
    """The chunks after a byte order mark, and the encoding that it says, or ``otherwise``; little-endian when open."""
    start = b""
    while len(start) < 4 and (chunk := next(chunks, b"")):
        start += chunk
    for mark, encoding in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return _with_start(start[len(mark) :], chunks), encoding
    name = codecs.lookup(otherwise).name
    return _with_start(start, chunks), f"{name}-le" if name in ("utf-16", "utf-32") else name


def _with_start(start: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if start:
        yield start
    yield from chunks


def _as_it_is(file: Hashed) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def _gunzipped(file: Hashed) -> Iterator[bytes]:
    """Members one after the other; each chunk bounded, however much a byte of the file becomes."""
    data, member, begun = b"", zlib.decompressobj(wbits=31), False
    try:
        while data or (data := file.read(CHUNK)):
            if chunk := member.decompress(data, CHUNK):
                yield chunk
            begun = True
            data = member.unused_data if member.eof else member.unconsumed_tail
            if member.eof:
                member, begun = zlib.decompressobj(wbits=31), False
        if begun:
            raise DamagedFileError("the compressed data breaks off")
    except zlib.error as error:
        raise DamagedFileError(f"the compressed data is damaged: {error}") from error


def _from_zstd(file: Hashed) -> Iterator[bytes]:
    """The standard library of the Python versions that Sluice runs on has no zstd."""
    try:
        with pa.CompressedInputStream(pa.PythonFile(_Readable(file), "r"), "zstd") as stream:
            while chunk := stream.read(CHUNK):
                yield chunk
    except (OSError, EOFError) as error:
        raise DamagedFileError(f"the compressed data is damaged: {error}") from error


class _Readable:
    """What pyarrow wants of a file."""

    closed = False

    def __init__(self, file: Hashed) -> None:
        self.read = file.read

    def close(self) -> None:
        """The reader that opened the file closes it."""
