"""Finds the records of a CSV file strictly: where each begins and ends, on which line, and what is wrong with it.

A quote opens a field only at the field's start, and closes it only before a separator, a line end or the end of the
file; a doubled quote inside is a quote. LF, CRLF and a lone CR each end a line. A record whose quoting is broken ends
at its first line end, so a stray quote costs one record and not the rest of the file. Empty lines and comments are not
records, nor is what the layout says stands above and below them.

Most records are proven to be well quoted many at once, and parsed as they stand (quote_proof). What the proof cannot
vouch for is found with NumPy over whole chunks (parity_scan), and what that pass cannot vouch for goes through a
regular expression, record by record (slow_path). See docs/decisions/0003-own-record-scanner.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from sluice.reading.block import Block
from sluice.reading.block_builder import BlockBuilder, BlockPlace
from sluice.reading.buffered import Buffered
from sluice.reading.dialect import Dialect
from sluice.reading.footer import Footer
from sluice.reading.header_lines import names_of, separator_named
from sluice.reading.layout import Layout
from sluice.reading.lines import CR, LF
from sluice.reading.parity_scan import scan
from sluice.reading.quote_proof import Proof, Proven
from sluice.reading.slow_path import SlowPath
from sluice.reading.stretch import Stretch
from sluice.reading.transcoding import Readable, text_of

# After a record that needed a closer look so many more are read one by one, then the scan tries again, over this many
# bytes first: where such records are many, a scan of all that is in hand would be in vain each time.
_SLOW_RUN = 64
_FIRST_WINDOW = 64 * 1024
# Longer than any line that names the separator.
_BEGINNING = 64
PLAIN = Layout()


class RecordReader:
    """Reads one file's records in chunks of constant size.

    ``stream`` starts at the first byte after a byte order mark. Memory is bounded by ``chunk_bytes`` and
    ``record_bytes_max``: a longer record is set aside with its first 64 KiB as its raw text. What ``stream.read``
    raises is passed on. ``footer_records`` are how many the footer has, once all are read.
    """

    def __init__(
        self,
        stream: Readable,
        dialect: Dialect,
        layout: Layout = PLAIN,
        *,
        chunk_bytes: int = 16 << 20,
        record_bytes_max: int = 16 << 20,
    ) -> None:
        self._dialect = dialect
        self._layout = layout
        self._input = Buffered(text_of(stream, dialect), chunk_bytes)
        self._record_bytes_max = record_bytes_max
        self._place = BlockPlace()
        self._footer = Footer(layout, dialect, record_bytes_max)
        self.footer_records = 0

    def header(self) -> list[str] | None:
        """Pass over what stands above the records; the names in it, of which there are none unless it is to name them.

        None when the file has no header, or it cannot be read, or line 1 names another separator than the dialect's.
        """
        layout, named = self._layout, self.separator_named()
        if named not in (None, self._dialect.separator):
            return None
        self._skip_lines(max(layout.skip_lines, named is not None))
        if layout.header == "ignore":
            for _ in range(layout.header_lines):
                self._skip_blank_lines()
                self._skip_lines(1)
        if not layout.names_columns:
            return []
        records = [record for _ in range(layout.header_lines) if (record := self._header_record())]
        return names_of(records, self._dialect) if len(records) == layout.header_lines else None

    def separator_named(self) -> str | None:
        """The separator that line 1 names, such as ``sep=;``; None when it is another line. Nothing was read before."""
        while len(self._input.buffer) < _BEGINNING and self._input.fill():
            pass
        return separator_named(self._input.buffer[:_BEGINNING], self._dialect)

    def _skip_lines(self, count: int) -> None:
        for _ in range(count):
            self._place.line += self._input.skip_line()

    def _skip_blank_lines(self) -> None:
        """Pass over empty lines and comments."""
        chunks, comment = self._input, self._dialect.comment_bytes or b"\n"
        while len(chunks.buffer) < len(comment) and chunks.fill():
            pass
        while chunks.buffer and (chunks.buffer[0] in (LF, CR) or chunks.buffer.startswith(comment)):
            self._skip_lines(1)
            while len(chunks.buffer) < len(comment) and chunks.fill():
                pass

    def _header_record(self) -> bytes | None:
        """The next record; None when there is none or its quoting breaks."""
        while self._input.buffer or self._input.fill():
            first = self._slow_path().record(0) if self._input.buffer else None
            if first is None:
                self._input.fill()
                continue
            record = self._input.buffer[: first.ends[0]] if first.is_record[0] else b""
            self._place.pass_lines(self._input.buffer[: first.nexts[0]])
            self._input.drop(int(first.nexts[0]))
            if record:
                return None if first.problem else record
        return None

    def blocks(self, width: int) -> Iterator[Block]:
        """The records after the header, chunk by chunk; a record that has not ``width`` fields is broken."""
        builder = BlockBuilder(self._dialect, self._place, width)
        proof = Proof.of(self._dialect, self._layout, width, self._record_bytes_max)
        for found, consumed in self._found(proof):
            buffer = self._input.buffer
            if isinstance(found, Proven):
                yield builder.proven_block(buffer, found)
            else:
                yield builder.block(buffer, found, consumed)

    def count(self) -> int:
        """How many records follow the header, readable or not."""
        all_of_them = (found for found, _ in self._found(None) if not isinstance(found, Proven))
        return sum(int(one.is_record.sum()) for stretches in all_of_them for one in stretches)

    def _found(self, proof: Proof | None) -> Iterator[tuple[Proven | list[Stretch], int]]:
        """Complete records at the buffer's start, proven ones or stretches, and how many bytes they take together."""
        chunks = self._input
        while True:
            if proof and (proven := proof.read(chunks.buffer, is_last=chunks.is_last)):
                yield proven, proven.end
                chunks.drop(proven.end)
                if not proven.is_cut:
                    chunks.fill()
                continue
            stretches, consumed = self._search()
            stretches, consumed, held = self._footer.held_back(chunks.buffer, stretches, consumed)
            if consumed:
                yield stretches, consumed
                chunks.drop(consumed)
            elif held:
                if chunks.is_last:
                    self.footer_records = held
                    return
            elif len(chunks.buffer) > self._record_bytes_max and not chunks.buffer.endswith(b"\r"):
                # One record, too long already, whose end is not in hand; a CR at the end may be half of its line end.
                size = len(chunks.buffer)
                if not chunks.buffer.startswith(self._dialect.comment_bytes or b"\n"):
                    yield [self._slow_path().long_record(0, size, size)], size
                chunks.drop(size)
                self._place.line += chunks.skip_line()
            if chunks.is_last and not chunks.buffer:
                return
            if not consumed or not chunks.is_last:
                chunks.fill()

    def _search(self) -> tuple[list[Stretch], int]:
        """Every complete record in hand, and how many bytes they take together."""
        buffer, is_last, slow_path = self._input.buffer, self._input.is_last, self._slow_path()
        stretches: list[Stretch] = []
        position, window, size = 0, len(buffer), len(buffer)
        while position < size:
            stop = min(size, position + window)
            scanned = scan(
                buffer,
                position,
                stop,
                self._dialect,
                is_last=is_last and stop == size,
                record_bytes_max=self._record_bytes_max,
            )
            if scanned.stretch is not None:
                stretches.append(scanned.stretch)
                position = int(scanned.stretch.nexts[-1])
            is_too_long = stop == size and size - position > self._record_bytes_max
            if not scanned.is_suspicious and not is_too_long:
                if stop == size:
                    break  # what is left is the beginning of a record
                window *= 2
                continue
            for _ in range(_SLOW_RUN):
                one = slow_path.record(position) if position < size else None
                if one is None:
                    return stretches, position
                stretches.append(one)
                position = int(one.nexts[0])
            window = _FIRST_WINDOW
        return stretches, position

    def _slow_path(self) -> SlowPath:
        return SlowPath(self._input.buffer, self._dialect, self._record_bytes_max, self._input.is_last)
