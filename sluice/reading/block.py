"""What reading a file gives: blocks of consecutive records, each with its place and its own bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

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


class Places:
    """Where the rows of a block stand: ``find`` says on which lines, and where each starts and ends in ``buffer``.

    It is asked when somebody wants to know of a row: most blocks have none that is set aside.
    """

    def __init__(
        self, find: Callable[[], tuple[Integers, Integers, Integers]], buffer: bytes, dialect: Dialect
    ) -> None:
        self._find = find
        self._buffer = buffer
        self._dialect = dialect

    @cached_property
    def _found(self) -> tuple[Integers, Integers, Integers]:
        return self._find()

    @property
    def line_numbers(self) -> Integers:
        """The line on which each row starts, from 1."""
        return self._found[0]

    def raw(self, row: int) -> bytes:
        """The file's own bytes of a row, without its line end."""
        _, starts, ends = self._found
        return file_bytes(self._buffer[starts[row] : ends[row]], self._dialect)

    def of(self, rows: Integers) -> Places:
        """The places of some of the rows."""

        def find() -> tuple[Integers, Integers, Integers]:
            lines, starts, ends = self._found
            return lines[rows], starts[rows], ends[rows]

        return Places(find, self._buffer, self._dialect)


@dataclass
class Block:
    """Consecutive records of one file: ``columns`` of the readable ones, all as text, and the broken ones.

    ``record_numbers[i]`` (from 1; the header is not a record) belongs to row i of the columns c0, c1, …; ``places``
    say where it stands. ``stray_quotes`` are the rows that have a quote inside an unquoted field.
    """

    columns: pa.Table
    record_numbers: Integers
    places: Places = field(repr=False)
    broken: list[BrokenRecord]
    stray_quotes: Integers = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def line_numbers(self) -> Integers:
        """The line on which each row starts, from 1."""
        return self.places.line_numbers

    def raw(self, row: int) -> bytes:
        """The file's own bytes of readable row ``row``, without its line end."""
        return self.places.raw(row)

    @property
    def records(self) -> int:
        """How many records the block holds, broken ones included."""
        return len(self.record_numbers) + len(self.broken)
