"""Builds a block of the records that were found: their places, the broken ones apart, the others as columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sluice.reading.block import Block, BrokenRecord, Flags, Integers, Places
from sluice.reading.columns import slow_columns, text_columns
from sluice.reading.dialect import Dialect
from sluice.reading.fields import is_null, requoted, split, text
from sluice.reading.lines import carriage_returns, count_line_ends, line_ends
from sluice.reading.parity_scan import scan
from sluice.reading.problems import problems
from sluice.reading.quote_proof import Proven
from sluice.reading.stretch import Stretch
from sluice.reading.transcoding import file_bytes

# So many fields beyond the header's are kept apart of a record that has more; its raw bytes have them all.
_FIELDS_BEYOND = 100
_NOT_APART = ("record.bad_quote", "record.too_long")


@dataclass
class BlockPlace:
    """How far a file has been read: the number of the next line, from 1, and of the last record, from 1."""

    line: int = 1
    record: int = 0

    def pass_lines(self, text: bytes) -> None:
        """Count the lines that end in ``text``."""
        self.line += count_line_ends(text)

    def line_numbers(self, buffer: bytes, starts: Integers, consumed: int) -> Integers:
        """The lines on which records start; passes those that end in ``buffer[:consumed]``."""
        at = _line_ends(buffer, consumed)
        lines = self.line + np.searchsorted(at, starts)
        self.line += len(at)
        return lines

    def record_numbers(self, is_record: Flags) -> Integers:
        """The records' numbers, which count on from the last one; what is no record has that of the one before."""
        numbers = self.record + np.cumsum(is_record)
        self.record += int(is_record.sum())
        return numbers


class BlockBuilder:
    """Builds the blocks of one file. ``width`` is how many fields a record must have."""

    def __init__(self, dialect: Dialect, place: BlockPlace, width: int) -> None:
        self._dialect = dialect
        self._place = place
        self._width = width

    def block(self, buffer: bytes, stretches: Sequence[Stretch], consumed: int) -> Block:
        """The block of ``stretches``, which take the first ``consumed`` bytes of ``buffer``."""
        records = Stretch.joined(stretches)
        lines = self._place.line_numbers(buffer, records.starts, consumed)
        numbers = self._place.record_numbers(records.is_record)
        rules = problems(buffer, stretches, records, self._width, self._dialect)
        clean = records.is_record
        clean[list(rules)] = False
        return Block(
            columns=self._columns(buffer, stretches, records, clean),
            record_numbers=numbers[clean],
            places=Places(lambda: (lines[clean], records.starts[clean], records.ends[clean]), buffer, self._dialect),
            broken=[self._broken(buffer, records, i, rules[i], int(numbers[i]), int(lines[i])) for i in sorted(rules)],
            stray_quotes=_rows_with_stray_quotes(stretches, clean),
        )

    def proven_block(self, buffer: bytes, proven: Proven) -> Block:
        """The block of what is ``proven`` of ``buffer``: all of it is readable rows."""
        first_line, first, rows = self._place.line, self._place.record + 1, proven.columns.num_rows
        self._place.line += proven.line_ends
        self._place.record += rows

        def find() -> tuple[Integers, Integers, Integers]:
            found = scan(buffer, 0, proven.end, self._dialect, is_last=True, record_bytes_max=proven.end).stretch
            assert found is not None
            is_record = found.is_record
            starts, ends = found.starts[is_record], found.ends[is_record]
            return first_line + np.searchsorted(_line_ends(buffer, proven.end), starts), starts, ends

        places = Places(find, buffer, self._dialect)
        return Block(proven.columns, np.arange(first, first + rows), places, broken=[])

    def _broken(self, buffer: bytes, records: Stretch, i: int, rule: str, number: int, line: int) -> BrokenRecord:
        raw = buffer[records.starts[i] : records.ends[i]]
        is_apart = rule not in _NOT_APART
        parts = split(raw, self._dialect, self._width + _FIELDS_BEYOND) if is_apart else []
        fields = [None if is_null(part, self._dialect) else text(part, self._dialect) for part in parts]
        width = int(records.widths[i]) if is_apart else 0
        return BrokenRecord(number, line, file_bytes(raw, self._dialect), rule, fields, width)

    def _columns(self, buffer: bytes, stretches: Sequence[Stretch], records: Stretch, clean: Flags) -> pa.Table:
        """The columns of the ``clean`` records; as they stand, or quoted anew where the parser reads them otherwise."""
        rows = int(clean.sum())
        pieces = list(_clean_pieces(buffer, stretches, clean)) if rows else []
        together = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        columns = text_columns(together, self._width, rows, self._dialect)
        if columns is None:
            spans = zip(records.starts[clean], records.ends[clean], strict=True)
            anew = b"".join(requoted(split(buffer[a:b], self._dialect), self._dialect) for a, b in spans)
            columns = text_columns(anew, self._width, rows, self._dialect)
        if columns is None:
            spans = zip(records.starts[clean], records.ends[clean], strict=True)
            columns = slow_columns((buffer[a:b] for a, b in spans), self._width, self._dialect)
        return columns


def _line_ends(buffer: bytes, consumed: int) -> Integers:
    """Where the last byte of each line end stands in ``buffer[:consumed]``."""
    codes = np.frombuffer(buffer, np.uint8, consumed)
    return np.flatnonzero(line_ends(codes, carriage_returns(buffer, 0, consumed), is_last=True))


def _clean_pieces(buffer: bytes, stretches: Sequence[Stretch], clean: Flags) -> Iterator[bytes]:
    """The bytes of the readable records alone, one after the other, in as few pieces as there can be."""
    index = 0
    for stretch in stretches:
        take = clean[index : index + len(stretch)]
        index += len(stretch)
        if stretch.rewritten is not None:
            yield stretch.rewritten if take[0] else b""
        elif take.all():
            yield buffer[stretch.starts[0] : stretch.nexts[-1]]
        else:
            edges = np.flatnonzero(np.diff(np.concatenate(([False], take, [False])).astype(np.int8)))
            for a, b in zip(edges[::2], edges[1::2], strict=True):
                yield buffer[stretch.starts[a] : stretch.nexts[b - 1]]


def _rows_with_stray_quotes(stretches: Sequence[Stretch], clean: Flags) -> Integers:
    """Which of the readable rows have a stray quote."""
    has_one = np.repeat([bool(stretch.stray_quote) for stretch in stretches], [len(stretch) for stretch in stretches])
    return np.flatnonzero(has_one[clean])
