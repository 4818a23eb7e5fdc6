"""What reading a file gives: blocks of consecutive records, each with its place and its own bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sluice.reading.dialect import Dialect
from sluice.reading.transcoding import file_bytes

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class BrokenRecord:
    """A record that cannot be read: ``raw`` is the file's own bytes, ``fields`` what could be told apart, or null.

    ``rule`` names what it breaks. ``record_number`` and ``line_number`` are as in Block. ``width`` is how many fields
    it has, 0 when they cannot be told apart; of very many, ``fields`` are the first.
    """

    record_number: int
    line_number: int
    raw: bytes
    rule: str
    fields: list[str | None]
    width: int


@dataclass
class Block:
    """Consecutive records of one file: ``columns`` of the readable ones, all as text, and the broken ones.

    ``record_numbers[i]`` and ``line_numbers[i]`` (both from 1; the header is not a record) belong to row i of the
    columns c0, c1, …; ``spans`` are where it starts and ends in ``buffer``. ``stray_quotes`` are the rows that have a
    quote inside an unquoted field.
    """

    columns: pa.Table
    record_numbers: Integers
    line_numbers: Integers
    broken: list[BrokenRecord]
    buffer: bytes = field(repr=False)
    spans: tuple[Integers, Integers] = field(repr=False)
    dialect: Dialect = field(repr=False)
    stray_quotes: Integers = field(default_factory=lambda: np.empty(0, np.int64))

    def raw(self, row: int) -> bytes:
        """The file's own bytes of readable row ``row``, without its line end."""
        starts, ends = self.spans
        return file_bytes(self.buffer[starts[row] : ends[row]], self.dialect)

    @property
    def records(self) -> int:
        """How many records the block holds, broken ones included."""
        return len(self.record_numbers) + len(self.broken)
