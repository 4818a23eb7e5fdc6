"""A landed file's bytes: hashed while they are read, decompressed when the name says so, byte order mark taken off."""

from __future__ import annotations

import codecs
import hashlib
import io
import os
import zlib
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from sluice.reading.kinds import kind_of

HEADER_BYTES_MAX = 1 << 20
_MAGIC = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd"}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class UnreadableFileError(ValueError):
    """The file is not what its name says (its compression is broken); the message says where and what to do."""


class _HashedFile(io.RawIOBase):
    """Reads a file, hashing every byte once."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._file: BinaryIO = os.fdopen(descriptor, "rb", buffering=0)
        self._hash = hashlib.sha256()
        self.bytes_read = 0
        self.error: OSError | None = None

    def readable(self) -> bool:
        """As io asks."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes, which go into the hash. Raises OSError, and keeps it as ``error``."""
        try:
            data = self._file.read(size)
        except OSError as error:
            self.error = error
            raise
        self._hash.update(data)
        self.bytes_read += len(data)
        return data

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """As io asks: the same into ``buffer``."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def drain(self) -> None:
        """Read on to the end, so that the hash is the whole file's."""
        while self.read(1 << 20):
            pass

    def beginning(self) -> bytes:
        """The first bytes, wherever reading stands."""
        return os.pread(self._file.fileno(), 64 * 1024, 0)

    def hexdigest(self) -> str:
        """Hash of what was read so far."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """As io asks."""
        self._file.close()
        super().close()


class LandedBytes:
    """The text bytes of the file at ``path``; ``read`` goes on after the byte order mark, if there is one.

    ``name`` decides on decompression (.gz, .zst). ``marked_encoding`` is what the mark says, or None. Both opening and
    reading raise OSError when the file cannot be read now, UnreadableFileError when its compressed data is broken.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._raw = _HashedFile(path)
        self._name = name
        try:
            self._text = self._decompressed()
            self._head = b""
            self._peek(4)
            mark = next(((mark, encoding) for mark, encoding in _MARKS if self._head.startswith(mark)), None)
            self.marked_encoding = mark[1] if mark else None
            self._head = self._head[len(mark[0]) :] if mark else self._head
        except BaseException:
            self._raw.close()
            raise

    def __enter__(self) -> LandedBytes:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    def head(self, size: int = HEADER_BYTES_MAX) -> bytes:
        """Up to ``size`` bytes from the start, which ``read`` will give again."""
        self._peek(size)
        return self._head[:size]

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; empty at the end."""
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self._read(size)

    def digest(self) -> tuple[int, str]:
        """Size and sha256 (hex) of the file as it lies on disk; reads what was not read yet."""
        self._raw.drain()
        return self._raw.bytes_read, self._raw.hexdigest()

    def _peek(self, size: int) -> None:
        while len(self._head) < size and (data := self._read(size - len(self._head))):
            self._head += data

    def _decompressed(self) -> io.RawIOBase | pa.CompressedInputStream:
        kind = {"gz": "gzip", "zst": "zstd"}.get(self._name.lower().rpartition(".")[2])
        return pa.CompressedInputStream(pa.PythonFile(self._raw, "r"), kind) if kind else self._raw

    def _read(self, size: int) -> bytes:
        try:
            return self._text.read(size)
        except (OSError, EOFError, zlib.error) as error:
            if self._raw.error is not None:  # the disk's, not the decompressor's: the bytes may be whole
                raise self._raw.error from None
            if isinstance(self._text, io.RawIOBase):
                raise
            raise UnreadableFileError(self._why_damaged(error)) from error

    def _why_damaged(self, error: Exception) -> str:
        ending = self._name[self._name.rindex(".") :]
        beginning = self._raw.beginning()
        if beginning.startswith(_MAGIC[ending.lower()]):
            return (
                f"the compressed data breaks off or is damaged after {self._raw.bytes_read} bytes ({error}): "
                "compress it again and land it again"
            )
        kind = kind_of(beginning, self._name.removesuffix(ending))
        it_is = f"is {kind.what}: {kind.remedy}" if kind else f"begins as text: name it without {ending}, land it again"
        return f"the file is not compressed as its name says ({ending}): it {it_is}"
