"""A second reader of landed files, for the recount: it shares no code with the loader's, only the dialect's values.

It goes line by line over the bytes, with find() and a state; the loader's (sluice/reading/csv_records.py) goes over
whole chunks with NumPy and leaves the fields to Arrow. The rules are the same: a quote opens a field only at its start
and
closes it only before a separator, a line end or the end of the file; LF, CRLF and CR end a line; a record whose quotes
do not fit ends with its first line; empty lines are no records.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import zlib
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa

if TYPE_CHECKING:
    from sluice.reading.dialect import Dialect

_CHUNK = 1 << 20
_SHOWN_OF_A_LONG_LINE = 64 * 1024
_OTHER = b"\x80"  # stands for a letter that is not ASCII where letters have several bytes
_LINE_END = re.compile(rb"\r\n|\n|\r")
_NOT_ASCII = re.compile("[^\0-\x7f]")
_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_THREE_BYTES = "sluice.three_bytes"
_FRESH, _IN_QUOTES, _IN_PLAIN, _WHOLE, _BROKEN = range(5)


def _three_bytes_each(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\uffff" * (error.end - error.start), error.end


codecs.register_error(_THREE_BYTES, _three_bytes_each)


class DamagedFileError(ValueError):
    """The file's compression is broken; the message says how."""


@dataclass(frozen=True)
class Field:
    """One field: its text without quotes and escapes. ``was_plain`` says that it stood there just so."""

    text: str
    was_quoted: bool
    was_plain: bool


@dataclass(frozen=True)
class Record:
    """One record: ``raw`` are the file's own bytes without the line end; ``is_cut`` when they are too many to keep.

    ``fields`` is None when they cannot be told apart with certainty: its quotes do not fit, it holds NUL, or bytes that
    are not of the encoding.
    """

    number: int
    line: int
    raw: bytes
    is_cut: bool
    fields: list[Field] | None


@dataclass(frozen=True)
class Reading:
    """A whole file: its records after the header, those that were wanted, its size and sha256 as it lies on disk."""

    records: int
    wanted: dict[int, Record]
    size: int
    sha256: str


def read(
    path: Path,
    name: str,
    dialect: Dialect,
    wanted: Collection[int],
    *,
    record_bytes_max: int,
    fields_max: int | None = None,
) -> Reading:
    """Read the file at ``path``, whose landed ``name`` says how it is compressed, and keep the records ``wanted``.

    Of a record that has more than ``fields_max`` fields, one more than these are kept.

    Memory is bounded by some times ``record_bytes_max``, and by what is wanted. Raises OSError, DamagedFileError.
    """
    with open(path, "rb") as file:
        hashed = _Hashed(file)
        text = _Pushed(_decompressed(hashed, name))
        encoding = _encoding(text, dialect.encoding)
        scanner = _Scanner(dialect, encoding, record_bytes_max)
        records, kept = 0, {}
        for number, (line, marks, raw, is_cut) in enumerate(scanner.records(text)):
            records = number
            if number in wanted and number:
                fields = None if is_cut else scanner.fields(marks, raw, fields_max)
                kept[number] = Record(number, line, raw, is_cut, fields)
        hashed.drain()
    return Reading(records, kept, hashed.size, hashed.sha256.hexdigest())


class _Hashed:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.size = 0

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self.sha256.update(data)
        self.size += len(data)
        return data

    def drain(self) -> None:
        while self.read(_CHUNK):
            pass


def _decompressed(file: _Hashed, name: str) -> Iterator[bytes]:
    ending = name.lower().rpartition(".")[2]
    return {"gz": _gunzipped, "zst": _from_zstd}.get(ending, _as_it_is)(file)


def _as_it_is(file: _Hashed) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _gunzipped(file: _Hashed) -> Iterator[bytes]:
    """Members one after the other; each chunk bounded, however much a byte of the file becomes."""
    data, member, begun = b"", zlib.decompressobj(wbits=31), False
    try:
        while data or (data := file.read(_CHUNK)):
            if chunk := member.decompress(data, _CHUNK):
                yield chunk
            begun = True
            data = member.unused_data if member.eof else member.unconsumed_tail
            if member.eof:
                member, begun = zlib.decompressobj(wbits=31), False
        if begun:
            raise DamagedFileError("the compressed data breaks off")
    except zlib.error as error:
        raise DamagedFileError(f"the compressed data is damaged: {error}") from error


def _from_zstd(file: _Hashed) -> Iterator[bytes]:
    """The standard library of the Python versions that Sluice runs on has no zstd."""
    try:
        with pa.CompressedInputStream(pa.PythonFile(_Readable(file), "r"), "zstd") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
    except (OSError, EOFError) as error:
        raise DamagedFileError(f"the compressed data is damaged: {error}") from error


class _Readable:
    """What pyarrow wants of a file."""

    closed = False

    def __init__(self, file: _Hashed) -> None:
        self.read = file.read

    def close(self) -> None:
        """The reader that opened the file closes it."""


class _Pushed:
    """Chunks, of which the first bytes can be looked at before."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.head = b""

    def __iter__(self) -> Iterator[bytes]:
        if self.head:
            yield self.head
        yield from self._chunks

    def peek(self, size: int) -> bytes:
        while len(self.head) < size and (chunk := next(self._chunks, b"")):
            self.head += chunk
        return self.head[:size]


def _encoding(text: _Pushed, otherwise: str) -> str:
    """What a byte order mark says, which is taken off, or what the contract says."""
    start = text.peek(4)
    for mark, encoding in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            text.head = text.head[len(mark) :]
            return encoding
    name = codecs.lookup(otherwise).name
    return f"{name}-le" if name in ("utf-16", "utf-32") else name


Line = tuple[bytes, bytes, bool]  # one byte a unit, which is ASCII where the unit is; the file's bytes; whether cut


class _Scanner:
    """Finds records and fields. Units are bytes, or two or four of them in UTF-16 and UTF-32."""

    def __init__(self, dialect: Dialect, encoding: str, record_bytes_max: int) -> None:
        self._separator, self._quote = dialect.separator.encode(), dialect.quote.encode()
        self._escape = dialect.escape.encode() if dialect.escape else b""
        self._encoding = encoding
        self._unit = {"utf-16": 2, "utf-32": 4}.get(encoding[:6], 1)
        self._bytes_max = record_bytes_max
        stops = re.escape(self._separator + b"\r\n" + self._escape)
        self._plain_stop = re.compile(b"[" + stops + b"]")

    def records(self, chunks: _Pushed) -> Iterator[tuple[int, bytes, bytes, bool]]:
        """(line number, marks, bytes, whether cut) of each record, the header too."""
        quote, escape = self._quote, self._escape or self._quote
        lines, waiting = self._lines(chunks), deque[Line]()
        number = 0
        while line := waiting.popleft() if waiting else next(lines, None):
            number += 1
            marks, raw, is_cut = line
            content = raw if is_cut else self._content(marks, raw)
            if is_cut or self._size(content) > self._bytes_max:
                yield number, marks, content[:_SHOWN_OF_A_LONG_LINE], True
            elif quote in marks or escape in marks:
                marks, raw, more = self._record(line, lines, waiting)
                if marks:
                    yield number, marks, raw, False
                number += more
            elif content:
                yield number, marks.rstrip(b"\r\n"), content, False

    def _record(self, first: Line, lines: Iterator[Line], waiting: deque[Line]) -> tuple[bytes, bytes, int]:
        """The record that begins with a line, as marks and bytes, and how many lines more it takes.

        Lines that were looked at in vain go back to ``waiting``.
        """
        taken = [first]
        state, end = self._scan(first[0], _FRESH)
        size = self._size(first[1])
        while state in (_IN_QUOTES, _IN_PLAIN):
            line = waiting.popleft() if waiting else next(lines, None)
            if line is None:
                state, end = (_WHOLE if state == _IN_PLAIN else _BROKEN), len(taken[-1][0])
                break
            taken.append(line)
            size += self._size(line[1])
            state, end = self._scan(line[0], state)
            if line[2] or (state in (_IN_QUOTES, _IN_PLAIN) and size > self._bytes_max):
                state = _BROKEN
        whole = sum(len(line[0]) for line in taken[:-1]) + end
        marks, raw = (b"".join(line[part] for line in taken) for part in (0, 1))  # type: ignore[misc]
        if state == _BROKEN or self._size(raw[: whole * self._unit]) > self._bytes_max:
            waiting.extendleft(reversed(taken[1:]))
            return first[0].rstrip(b"\r\n"), self._content(*first[:2]), 0
        return marks[:whole], raw[: whole * self._unit], len(taken) - 1

    def _content(self, marks: bytes, raw: bytes) -> bytes:
        """A line's bytes without its end."""
        return raw[: len(raw) - (len(marks) - len(marks.rstrip(b"\r\n"))) * self._unit]

    def _scan(self, line: bytes, state: int) -> tuple[int, int]:
        """The state after a line, and where the record ends in it when it is whole."""
        at = 0
        while True:
            if state == _FRESH and line.startswith(self._quote, at):
                state, at = _IN_QUOTES, at + 1
            if state == _IN_QUOTES:
                at = self._closed(line, at)
                if at < 0:
                    return _IN_QUOTES, 0
                if at == len(line) or line[at] in b"\r\n":
                    return _WHOLE, at
                if not line.startswith(self._separator, at):
                    return _BROKEN, 0
            else:
                at = self._plain_end(line, at)
                if at < 0:
                    return _BROKEN, 0
                if at > len(line):
                    return _IN_PLAIN, 0
                if at == len(line) or line[at] in b"\r\n":
                    return _WHOLE, at
            state, at = _FRESH, at + 1

    def _closed(self, line: bytes, at: int) -> int:
        """Where a quoted field is over, just after its closing quote; -1 when it is not in this line."""
        while True:
            quote = line.find(self._quote, at)
            if self._escape:
                escape = line.find(self._escape, at, quote if quote >= 0 else len(line))
                if escape >= 0:
                    at = escape + 2
                    continue
            if quote < 0:
                return -1
            if not line.startswith(self._quote, quote + 1):
                return quote + 1
            at = quote + 2

    def _plain_end(self, line: bytes, at: int) -> int:
        """Where an unquoted field is over: at a separator, a line end, the end of the file.

        Beyond the line when its line end is escaped; -1 when nothing follows an escape character.
        """
        while found := self._plain_stop.search(line, at):
            if found.group() != self._escape:
                return found.start()
            at = found.end() + 1
            if at > len(line):
                return -1
            if at == len(line):
                return at + 1
        return len(line)

    def fields(self, marks: bytes, raw: bytes, most: int | None) -> list[Field] | None:
        """The fields of a whole record, one more than ``most`` of them; None when it is not certain which."""
        found: list[Field] = []
        at = 0
        while True:
            quoted = marks.startswith(self._quote, at)
            end = self._closed(marks, at + 1) if quoted else self._field_end(marks, at)
            if end < 0 or (quoted and end < len(marks) and not marks.startswith(self._separator, end)):
                return None
            field = self._field(raw[at * self._unit : (end * self._unit if end < len(marks) else None)], quoted)
            if field is None:
                return None
            found.append(field)
            if end >= len(marks) or (most is not None and len(found) > most):
                return found
            at = end + 1

    def _field_end(self, marks: bytes, at: int) -> int:
        while True:
            end = self._plain_end(marks, at)
            if not 0 <= end < len(marks) or marks.startswith(self._separator, end):
                return min(end, len(marks))
            at = end + 1  # a line end that was escaped before

    def _field(self, raw: bytes, quoted: bool) -> Field | None:
        try:
            text = raw.decode(self._encoding)
        except UnicodeDecodeError:
            return None
        if "\0" in text:
            return None
        inside = text[1:-1] if quoted else text
        value = _unescaped(inside, self._quote.decode() if quoted else "", self._escape.decode())
        return Field(value, quoted, not quoted and value == text and self._quote.decode() not in text)

    def _lines(self, chunks: _Pushed) -> Iterator[Line]:
        """The lines with their ends; of one that is longer than a record may be, the first bytes."""
        rest, skipping = b"", False
        for chunk in chunks:
            rest += chunk
            if skipping:
                rest, skipping = self._after_line_end(rest)
                if skipping:
                    continue
            marks = self._marks(rest)
            lines = marks.splitlines(keepends=True)
            if lines and not marks.endswith(b"\n"):
                lines.pop()  # it may go on, and a CR may be half of CRLF
            used = sum(map(len, lines)) * self._unit
            yield from self._with_bytes(lines, rest[:used])
            rest = rest[used:]
            if self._size(rest, is_whole=False) > self._bytes_max and not marks.endswith(b"\r"):
                yield _OTHER * (_SHOWN_OF_A_LONG_LINE // self._unit), rest[:_SHOWN_OF_A_LONG_LINE], True
                rest, skipping = rest[len(rest) - len(rest) % self._unit :], True
        if rest and not skipping:
            odd = _OTHER if len(rest) % self._unit else b""
            yield from self._with_bytes((self._marks(rest) + odd).splitlines(keepends=True), rest)

    def _with_bytes(self, lines: list[bytes], raw: bytes) -> Iterator[Line]:
        at = 0
        for line in lines:
            after = at + len(line) * self._unit
            yield line, line if self._unit == 1 else raw[at:after], False
            at = after

    def _size(self, raw: bytes, *, is_whole: bool = True) -> int:
        """How many bytes these are in UTF-8, which a record's length is measured in; fewer when that is not too many.

        A byte that is of no letter counts as 3. What the end of ``raw`` may be the half of counts when it ``is_whole``.
        """
        if self._unit == 1 or 3 * len(raw) <= self._bytes_max:
            return len(raw) // self._unit
        decoder = codecs.getincrementaldecoder(self._encoding)(_THREE_BYTES)
        return len(decoder.decode(raw, is_whole).encode())

    def _after_line_end(self, data: bytes) -> tuple[bytes, bool]:
        """What follows the first line end, and whether it is still to come."""
        marks = self._marks(data)
        found = _LINE_END.search(marks)
        if found and not (found.group() == b"\r" and found.end() == len(marks)):
            return data[found.end() * self._unit :], False
        kept = found.start() * self._unit if found else len(data) - len(data) % self._unit
        return data[kept:], True

    def _marks(self, data: bytes) -> bytes:
        """One byte a unit: itself when the unit is ASCII (or a byte)."""
        if self._unit == 1:
            return data
        data = data[: len(data) - len(data) % self._unit]
        if self._unit == 2:  # as UTF-32, in which half a surrogate pair is a unit of its own
            wide, is_big = bytearray(2 * len(data)), self._encoding.endswith("be")
            wide[0::4], wide[1::4] = data[is_big::2], data[1 - is_big :: 2]
            text = wide.decode("utf-32-le", "replace")
        else:
            text = data.decode(self._encoding, "replace")
        return _NOT_ASCII.sub("\x80", text).encode("latin-1")


def _unescaped(text: str, quote: str, escape: str) -> str:
    """``text`` with pairs of ``quote`` as one, and what an escape character stands before without it."""
    if not escape:
        return text.replace(quote * 2, quote) if quote else text
    pair = re.escape(quote * 2) if quote else "(?!)"
    return re.sub(f"{re.escape(escape)}.|{pair}", lambda found: found.group()[1:], text, flags=re.DOTALL)
