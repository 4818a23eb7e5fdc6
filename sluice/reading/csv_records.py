"""Finds the records of a CSV file strictly: where each begins and ends, on which line, and what is wrong with it.

A quote opens a field only at the field's start, and closes it only before a separator, a line end or the end of the
file; a doubled quote inside is a quote. LF, CRLF and a lone CR each end a line. A record whose quoting is broken ends
at its first line end, so a stray quote costs one record and not the rest of the file. Empty lines are not records.

Records are found with NumPy over whole chunks; only what that pass cannot vouch for goes through a regular
expression, record by record. See docs/decisions/0003-own-record-scanner.md.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from sluice.reading.block import Block, BrokenRecord, Integers
from sluice.reading.dialect import LINE_END, Dialect
from sluice.reading.transcoding import Readable, file_bytes, shown, text_of

LF, CR = 10, 13
RAW_OF_A_LONG_RECORD = 64 * 1024
# So many fields beyond the header's are kept apart of a record that has more; its raw bytes have them all.
_FIELDS_BEYOND = 100
_SLOW_RUN = 64
_FIRST_WINDOW = 64 * 1024


@dataclass
class _Found:
    """Records found in one stretch of a buffer; positions are absolute in the buffer."""

    starts: Integers
    ends: Integers
    nexts: Integers
    widths: Integers
    rewritten: bytes | None = None
    problem: str = ""
    stray_quote: str = ""


def _one(start: int, end: int, following: int, width: int, **more: Any) -> _Found:
    starts, ends, nexts, widths = (np.array([n], np.int64) for n in (start, end, following, width))
    return _Found(starts, ends, nexts, widths, **more)


class RecordReader:
    """Reads one file's records in chunks of constant size.

    ``stream`` starts at the first byte after a byte order mark. Memory is bounded by ``chunk_bytes`` and
    ``record_bytes_max``: a longer record is set aside with its first 64 KiB as its raw text.
    """

    def __init__(
        self, stream: Readable, dialect: Dialect, *, chunk_bytes: int = 16 << 20, record_bytes_max: int = 16 << 20
    ) -> None:
        self._dialect = dialect
        self._stream = text_of(stream, dialect)
        self._chunk_bytes = chunk_bytes
        self._record_bytes_max = record_bytes_max
        self._buffer = b""
        self._eof = False
        self._line = 1
        self._record = 0

    def header(self) -> list[str] | None:
        """The names in the first record that is no empty line; None when the file has none or it cannot be read."""
        while self._fill() or self._buffer:
            found = self._one_record(0)
            if found is None:
                continue
            start, end, following = int(found.starts[0]), int(found.ends[0]), int(found.nexts[0])
            raw = self._buffer[start:end]
            self._line += _line_ends(self._buffer[start:following])
            self._buffer = self._buffer[following:]
            if raw:
                return None if found.problem else [self._text(part) for part in self._split(raw)]
        return None

    def blocks(self, width: int) -> Iterator[Block]:
        """The records after the header, chunk by chunk; a record that has not ``width`` fields is broken."""
        for found, consumed in self._stretches():
            yield self._block(found, consumed, width)

    def count(self) -> int:
        """How many records follow the header, readable or not."""
        return sum(int((one.ends > one.starts).sum()) for found, _ in self._stretches() for one in found)

    def _stretches(self) -> Iterator[tuple[list[_Found], int]]:
        """Stretches of complete records at the buffer's start, and how many bytes each takes."""
        while True:
            found, consumed = self._scan()
            if found or consumed:
                yield found, consumed
                self._buffer = self._buffer[consumed:]
            elif len(self._buffer) > self._record_bytes_max and not self._buffer.endswith(b"\r"):
                size = len(self._buffer)
                yield [self._long_record(0, size, size)], size
                self._buffer = b""
                self._skip_line()
            if self._eof and not self._buffer:
                return
            if not consumed or not self._eof:
                self._fill()

    def _fill(self) -> bool:
        if self._eof:
            return False
        chunk = self._stream.read(self._chunk_bytes)
        self._eof = not chunk
        self._buffer += chunk
        return True

    def _scan(self) -> tuple[list[_Found], int]:
        """Every complete record of the buffer, and how many bytes they take."""
        found: list[_Found] = []
        position, window, size = 0, len(self._buffer), len(self._buffer)
        while position < size:
            stop = min(size, position + window)
            vouched = self._many_records(position, stop, final=self._eof and stop == size)
            if vouched is not None:
                found.append(vouched)
                position, window = int(vouched.nexts[-1]), window * 2
                self._suspicious |= stop == size and size - position > self._record_bytes_max
                if stop == size and position < size and not self._suspicious:
                    return found, position
                if not self._suspicious:
                    continue
            elif stop < size and not self._suspicious:
                window *= 2
                continue
            elif not self._suspicious and size - position <= self._record_bytes_max:
                return found, position
            for _ in range(_SLOW_RUN):
                if position >= size:
                    break
                one = self._one_record(position)
                if one is None:
                    return found, position
                found.append(one)
                position = int(one.nexts[0])
            window = _FIRST_WINDOW
        return found, position

    def _many_records(self, begin: int, stop: int, *, final: bool) -> _Found | None:
        """The complete records in ``buffer[begin:stop]`` up to the first whose quoting needs a closer look.

        Sets ``_suspicious`` when such a record was met.
        """
        dialect, buffer = self._dialect, self._buffer
        self._suspicious = False
        codes = np.frombuffer(buffer, np.uint8, stop - begin, begin)
        line_ends = codes == LF
        has_cr = buffer.find(b"\r", begin, stop) >= 0
        if has_cr:
            line_ends |= _lone_carriage_returns(codes, final)
        separators = codes == ord(dialect.separator)
        quotes = codes == ord(dialect.quote) if buffer.find(dialect.quote.encode(), begin, stop) >= 0 else None
        limit = len(codes)
        open_at_end, escaped = False, None
        if dialect.escape is not None:
            escaped = _escaped(codes, ord(dialect.escape))
            open_at_end = bool(codes[-1] == ord(dialect.escape) and not escaped[-1])
            line_ends &= ~escaped
            separators &= ~escaped
            quotes = None if quotes is None else quotes & ~escaped
        if quotes is not None:
            inside = (np.cumsum(quotes, dtype=np.uint8) & 1).astype(bool)
            open_at_end |= bool(inside[-1])
            edges = separators | line_ends | quotes
            if has_cr:
                edges |= codes == CR if escaped is None else (codes == CR) & ~escaped
            offender = _first_offending_quote(edges, np.flatnonzero(quotes))
            line_ends &= ~inside
            separators &= ~inside
            if offender is not None:
                self._suspicious, limit = True, offender
        last = np.flatnonzero(line_ends)
        last = last[last < limit]
        nexts = last + 1
        if final and not self._suspicious and len(codes) > (nexts[-1] if len(nexts) else 0):
            if open_at_end:
                self._suspicious = True
            else:
                last, nexts = np.append(last, len(codes)), np.append(nexts, len(codes))
        if not len(nexts):
            return None
        starts = np.concatenate(([0], nexts[:-1]))
        ends = last.copy()
        if has_cr:
            within = np.minimum(last, len(codes) - 1)
            after_cr = codes[last - 1] == CR if escaped is None else (codes[last - 1] == CR) & ~escaped[last - 1]
            ends -= (last < len(codes)) & (codes[within] == LF) & (last > starts) & after_cr
        too_long = np.flatnonzero(ends - starts > self._record_bytes_max)
        if len(too_long):
            self._suspicious = True
            starts, ends, nexts = (positions[: too_long[0]] for positions in (starts, ends, nexts))
        if not len(nexts):
            return None
        at = np.flatnonzero(separators)
        widths = np.searchsorted(at, ends) - np.searchsorted(at, starts) + 1
        return _Found(starts + begin, ends + begin, nexts + begin, widths)

    def _one_record(self, start: int) -> _Found | None:
        """The record at ``start``; None when its end is not in the buffer yet.

        One that is longer than a record may be ends with its first line, whatever else is in the buffer.
        """
        found = self._fields_of(start)
        end = int(found.ends[0]) if found else len(self._buffer)
        return found if end - start <= self._record_bytes_max else self._over_long(start)

    def _over_long(self, start: int) -> _Found | None:
        found = self._cut_at_line_end(start)
        if found and found.ends[0] - start > self._record_bytes_max:
            return self._long_record(start, int(found.ends[0]), int(found.nexts[0]))
        return found

    def _fields_of(self, start: int) -> _Found | None:
        """The record at ``start``, field by field; None when its end is not in the buffer yet."""
        buffer, dialect, size = self._buffer, self._dialect, len(self._buffer)
        quote, separator = ord(dialect.quote), ord(dialect.separator)
        position, literal_quote = start, False
        parts: list[bytes] = []
        while True:
            quoted = position < size and buffer[position] == quote
            match = (dialect.quoted_field if quoted else dialect.plain_field).match(buffer, position)
            stop = match.end() if match else size
            if stop >= size and not self._eof:
                return None
            if match is None or (stop < size and buffer[stop] not in (separator, LF, CR)):
                dangling_escape = match is not None and not quoted
                return None if dangling_escape and not self._eof else self._cut_at_line_end(start)
            part = match.group()
            literal_quote |= not quoted and quote in part
            parts.append(part)
            if stop < size and buffer[stop] == separator:
                position = stop + 1
                continue
            following = self._after_line_end(stop)
            if following is None:
                return None
            if not literal_quote:
                return _one(start, stop, following, len(parts), rewritten=buffer[start:stop] + b"\n")
            stray_quote = self._stray_quote(start, stop, parts)
            return _one(start, stop, following, len(parts), rewritten=self._rewritten(parts), stray_quote=stray_quote)

    def _stray_quote(self, start: int, stop: int, parts: list[bytes]) -> str:
        """What quotes inside unquoted fields do to the record ``buffer[start:stop]``: warn, reject, or ''.

        When a separator was lost before a quote, a separator inside the quotes makes up for it, and the fields are
        shifted without being too few: the quote then begins a quoted field that ends well in a later field.
        """
        strays = list(self._strays(start, parts))
        if not strays:
            return ""
        if self._dialect.stray_quote is not None:
            return self._dialect.stray_quote
        is_shifted = any(after < end and self._reaches_over(at, end, stop) for at, after, end in strays)
        return "reject" if is_shifted else "warn"

    def _strays(self, start: int, parts: list[bytes]) -> Iterator[tuple[int, int, int]]:
        """Where quotes that stand together in an unquoted field begin and end, and where the field ends."""
        quote = self._dialect.quote.encode()
        for part in parts:
            end = start + len(part)
            runs = self._dialect.stray_quotes.finditer(self._buffer, start, end) if part[:1] != quote else ()
            yield from ((run.start(), run.end(), end) for run in runs if run[1])
            start = end + 1

    def _reaches_over(self, start: int, separator: int, stop: int) -> bool:
        """Whether a quoted field could begin at ``start`` that closes well beyond ``separator``, before ``stop``."""
        match = self._dialect.quoted_field.match(self._buffer, start, stop)
        end = match.end() if match else 0
        return end > separator and (end == stop or self._buffer[end] == ord(self._dialect.separator))

    def _after_line_end(self, stop: int) -> int | None:
        buffer, size = self._buffer, len(self._buffer)
        if stop >= size:
            return size
        if buffer[stop] == CR and stop + 1 >= size and not self._eof:
            return None
        return stop + (2 if buffer[stop : stop + 2] == b"\r\n" else 1)

    def _cut_at_line_end(self, start: int) -> _Found | None:
        match = LINE_END.search(self._buffer, start)
        if not self._eof and (match is None or (match.group() == b"\r" and match.end() == len(self._buffer))):
            return None
        end, following = (match.start(), match.end()) if match else (len(self._buffer),) * 2
        return _one(start, end, following, 0, problem="record.bad_quote")

    def _rewritten(self, parts: list[bytes]) -> bytes:
        """The record with its unquoted fields that hold a quote quoted properly."""
        quote = self._dialect.quote.encode()

        def doubled(found: re.Match[bytes]) -> bytes:
            return found.group(1) or quote * 2

        pattern = self._dialect.quote_or_escaped
        safe = [
            quote + pattern.sub(doubled, part) + quote if quote in part and part[:1] != quote else part
            for part in parts
        ]
        return self._dialect.separator.encode().join(safe) + b"\n"

    def _long_record(self, start: int, stop: int, following: int) -> _Found:
        end = min(stop, start + RAW_OF_A_LONG_RECORD)
        while self._dialect.is_transcoded and end < stop and self._buffer[end] & 0xC0 == 0x80:
            end -= 1  # half a letter has no bytes of the file
        return _one(start, end, following, 0, problem="record.too_long")

    def _skip_line(self) -> None:
        """Pass over the rest of a record that is too long, in constant memory."""
        while True:
            match = LINE_END.search(self._buffer)
            if match and (match.end() < len(self._buffer) or match.group() != b"\r" or self._eof):
                self._buffer = self._buffer[match.end() :]
                self._line += 1
                return
            self._buffer = self._buffer[-1:] if match else b""
            if not self._fill():
                return

    def _block(self, found: list[_Found], consumed: int, width: int) -> Block:
        starts = np.concatenate([np.empty(0, np.int64), *(one.starts for one in found)])
        ends = np.concatenate([np.empty(0, np.int64), *(one.ends for one in found)])
        nexts = np.concatenate([np.empty(0, np.int64), *(one.nexts for one in found)])
        widths = np.concatenate([np.empty(0, np.int64), *(one.widths for one in found)])
        lines = self._line_numbers(starts, consumed)
        is_record = ends > starts
        numbers = self._record + np.cumsum(is_record)
        self._record += int(is_record.sum())

        problems = self._problems(found, starts, ends, widths, is_record, width)
        clean = is_record.copy()
        clean[list(problems)] = False
        broken = [
            self._broken(
                int(numbers[i]), int(lines[i]), int(starts[i]), int(ends[i]), problems[i], int(widths[i]), width
            )
            for i in sorted(problems)
        ]
        columns = self._columns(self._clean_bytes(found, starts, nexts, clean, is_record), width, int(clean.sum()))
        if columns is None:
            rows = [self._rewritten(self._split(self._buffer[starts[i] : ends[i]])) for i in np.flatnonzero(clean)]
            columns = self._columns(b"".join(rows), width, int(clean.sum()))
        if columns is None:
            raise AssertionError("the parser and the record scanner disagree on the number of records")
        return Block(
            columns,
            numbers[clean],
            lines[clean],
            broken,
            self._buffer,
            (starts[clean], ends[clean]),
            self._dialect,
            _stray_quotes(found, clean),
        )

    def _line_numbers(self, starts: Integers, consumed: int) -> Integers:
        codes = np.frombuffer(self._buffer, np.uint8, consumed)
        line_ends = codes == LF
        if self._buffer.find(b"\r", 0, consumed) >= 0:
            line_ends |= _lone_carriage_returns(codes, True)
        at = np.flatnonzero(line_ends)
        lines = self._line + np.searchsorted(at, starts)
        self._line += len(at)
        return lines

    def _problems(
        self,
        found: list[_Found],
        starts: Integers,
        ends: Integers,
        widths: Integers,
        is_record: npt.NDArray,
        width: int,
    ) -> dict[int, str]:
        problems: dict[int, str] = {}
        for i in map(int, np.flatnonzero(is_record & (widths != width))):
            problems[i] = "record.too_few_fields" if widths[i] < width else "record.too_many_fields"
        index = 0
        for one in found:
            if one.problem and is_record[index]:
                problems[index] = one.problem
            elif one.stray_quote == "reject":
                problems.setdefault(index, "record.stray_quote")
            index += len(one.starts)
        if not len(starts):
            return problems
        first, last = int(starts[0]), int(ends[-1])
        for position in self._nul_positions(first, last):
            problems.setdefault(int(np.searchsorted(starts, position, "right")) - 1, "record.nul_byte")
        for i in self._undecodable(starts, ends):
            if problems.get(i) != "record.too_long":  # whose raw bytes are not all there, and may end in half a letter
                problems[i] = "record.invalid_bytes"
        return problems

    def _nul_positions(self, first: int, last: int) -> Integers:
        if self._buffer.find(b"\0", first, last) < 0:
            return np.empty(0, np.int64)
        return np.flatnonzero(np.frombuffer(self._buffer, np.uint8, last - first, first) == 0) + first

    def _undecodable(self, starts: Integers, ends: Integers) -> Iterator[int]:
        """Indices of the records whose bytes are not of the encoding.

        After one, few records are looked at together, then more again: an error copies all that was looked at.
        """
        view, at, many = memoryview(self._buffer), 0, len(starts)
        while at < len(starts):
            stop = min(at + many, len(starts))
            try:
                codecs.decode(view[starts[at] : ends[stop - 1]], self._dialect.text_encoding)
                at, many = stop, many * 2
            except UnicodeDecodeError as error:
                at = int(np.searchsorted(starts, starts[at] + error.start, "right"))
                many = _SLOW_RUN
                yield at - 1

    def _broken(self, number: int, line: int, start: int, end: int, rule: str, width: int, header: int) -> BrokenRecord:
        raw = self._buffer[start:end]
        is_one = rule in ("record.bad_quote", "record.too_long")
        parts = [] if is_one else self._split(raw, header + _FIELDS_BEYOND)
        fields = [None if self._is_null(part) else self._text(part) for part in parts]
        return BrokenRecord(number, line, file_bytes(raw, self._dialect), rule, fields, 0 if is_one else width)

    def _is_null(self, part: bytes) -> bool:
        return part[:1] != self._dialect.quote.encode() and shown(part, self._dialect) in self._dialect.nulls

    def _text(self, part: bytes) -> str:
        """A field's text for a person to read; bytes that are not of the encoding show as \\xNN."""
        text, quote = shown(part, self._dialect), self._dialect.quote
        is_quoted = len(text) > 1 and text[0] == text[-1] == quote
        text = text[1:-1] if is_quoted else text
        if self._dialect.escape is None:
            return text.replace(quote * 2, quote) if is_quoted else text
        pair = re.escape(quote * 2) if is_quoted else "(?!)"
        return re.sub(f"{re.escape(self._dialect.escape)}.|{pair}", lambda found: found[0][1:], text, flags=re.DOTALL)

    def _split(self, record: bytes, most: int | None = None) -> list[bytes]:
        """The fields of one well-quoted record, as they stand in the file; the first ``most`` of them."""
        dialect, position = self._dialect, 0
        parts: list[bytes] = []
        while True:
            quoted = record[position : position + 1] == dialect.quote.encode()
            match = (dialect.quoted_field if quoted else dialect.plain_field).match(record, position)
            if match is None:
                return [*parts, record[position:]]
            if match.end() < len(record) and record[match.end()] != ord(dialect.separator):
                return [*parts, record[position:]]
            parts.append(match.group())
            if match.end() >= len(record) or len(parts) == most:
                return parts
            position = match.end() + 1

    def _clean_bytes(
        self, found: list[_Found], starts: Integers, nexts: Integers, clean: npt.NDArray, is_record: npt.NDArray
    ) -> bytes:
        """The bytes of the readable records alone, one after the other."""
        if not clean.any():
            return b""
        pieces: list[bytes] = []
        index = 0
        for one in found:
            count = len(one.starts)
            take = clean[index : index + count]
            if one.rewritten is not None:
                pieces += [one.rewritten] if take[0] else []
            elif take.all():
                pieces.append(self._buffer[one.starts[0] : one.nexts[-1]])
            else:
                edges = np.flatnonzero(np.diff(np.concatenate(([False], take, [False])).astype(np.int8)))
                pieces += [
                    self._buffer[one.starts[a] : one.nexts[b - 1]] for a, b in zip(edges[::2], edges[1::2], strict=True)
                ]
            index += count
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _columns(self, clean: bytes, width: int, rows: int) -> pa.Table | None:
        """The readable records as text columns c0, c1, …; None when the parser does not count ``rows`` of them."""
        names = [f"c{i}" for i in range(width)]
        schema = pa.schema([(name, pa.string()) for name in names])
        if not rows:
            return schema.empty_table()
        if codecs.lookup(self._dialect.text_encoding).name not in ("utf-8", "ascii"):
            clean = clean.decode(self._dialect.text_encoding).encode()
        if self._dialect.escape or not clean.endswith(b"\n"):
            clean += b"\n"  # without it, the parser calls an empty last field quoted when the one before it is
        if clean.startswith(codecs.BOM_UTF8):
            clean = codecs.BOM_UTF8 + clean  # the parser takes one off, but here it is part of a value
        dialect = self._dialect
        table = pyarrow.csv.read_csv(
            pa.BufferReader(clean),
            read_options=pyarrow.csv.ReadOptions(use_threads=False, column_names=names, block_size=len(clean) + 1),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=dialect.separator,
                quote_char=dialect.quote,
                escape_char=dialect.escape or False,
                newlines_in_values=dialect.quote.encode() in clean,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=schema,
                null_values=list(dialect.nulls),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        return table if table.num_rows == rows else None


def _stray_quotes(found: list[_Found], clean: npt.NDArray) -> Integers:
    """Which of the readable rows have a stray quote."""
    sizes = [len(one.starts) for one in found]
    has = np.repeat(np.array([bool(one.stray_quote) for one in found], np.bool_), sizes)
    return np.flatnonzero(has[clean])


def _line_ends(data: bytes) -> int:
    return sum(1 for _ in LINE_END.finditer(data))


def _lone_carriage_returns(codes: npt.NDArray[np.uint8], final: bool) -> npt.NDArray[np.bool_]:
    """Where a CR ends a line by itself; the last byte is one only when nothing can follow it."""
    lone = codes == CR
    lone[:-1] &= codes[1:] != LF
    if not final:
        lone[-1:] = False
    return lone


def _escaped(codes: npt.NDArray[np.uint8], escape: int) -> npt.NDArray[np.bool_]:
    """Which bytes an escape character stands before; in a run of escapes every second one is escaped itself."""
    at = np.flatnonzero(codes == escape)
    mask = np.zeros(len(codes), np.bool_)
    if len(at):
        run_starts = np.flatnonzero(np.diff(at, prepend=-2) != 1)
        nth = np.arange(len(at)) - np.repeat(run_starts, np.diff(np.append(run_starts, len(at))))
        following = at[nth % 2 == 0] + 1
        mask[following[following < len(codes)]] = True
    return mask


def _first_offending_quote(edges: npt.NDArray[np.bool_], at: Integers) -> int | None:
    """Position of the first quote that neither opens nor closes a field nor is one of a pair; None when all fit.

    ``edges`` are the bytes that a quote may stand beside: separators, line ends and other quotes, none of them escaped.
    """
    opening, closing = at[::2], at[1::2]
    bad_opening = opening[~edges[opening - 1] & (opening > 0)]
    closing = closing[closing < len(edges) - 1]
    bad_closing = closing[~edges[closing + 1]]
    bad = [int(group[0]) for group in (bad_opening, bad_closing) if len(group)]
    return min(bad) if bad else None
