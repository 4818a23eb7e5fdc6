"""What of a file is no record: lines above the header, the header itself, a footer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sluice.proof.second_reader.units import Units


@dataclass(frozen=True)
class Layout:
    """How a feed lays out its files, as the contract says it.

    ``skip_lines`` lines at the top are passed over (a first line ``sep=;`` is one of them, or is passed over alone).
    ``header`` is ``first`` (so many records, ``header_lines``, that name the columns), ``ignore`` (so many lines,
    passed over), or ``none``. The longest run of records at the end that each begin with a match of ``footer`` is none.
    """

    skip_lines: int = 0
    header: str = "first"
    header_lines: int = 1
    footer: str | None = None

    @property
    def header_records(self) -> int:
        """How many records name the columns."""
        return self.header_lines if self.header == "first" else 0

    @property
    def ignored_lines(self) -> int:
        """How many lines below ``skip_lines``, empty ones and comments not counted, are passed over."""
        return self.header_lines if self.header == "ignore" else 0


class Footer:
    """Counts the records at the end, so far, that begin with ``pattern``; of no pattern none does."""

    def __init__(self, pattern: str | None, units: Units) -> None:
        self._begins = re.compile(pattern, re.DOTALL).match if pattern is not None else None
        self._units = units
        self.records = 0

    def pass_by(self, raw: bytes, *, is_cut: bool) -> None:
        """The next record; one that ``is_cut`` is never of the footer."""
        if self._begins is None:
            return
        is_of_it = not is_cut and self._begins(self._units.shown(raw))
        self.records = self.records + 1 if is_of_it else 0
