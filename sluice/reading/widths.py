"""How many fields the records of a file have: a file of which none has as many as the header has another header."""

from __future__ import annotations

from collections import Counter

from sluice.reading.block import Block


class Widths:
    """Counts the records of each width, in memory bounded by the number of different widths."""

    def __init__(self) -> None:
        self._records: Counter[int] = Counter()
        self._first_line: dict[int, int] = {}

    def add(self, block: Block) -> None:
        """Count the block's records; those whose fields cannot be told apart have no width."""
        self._records[block.columns.num_columns] += len(block.record_numbers)
        for record in block.broken:
            if record.width:
                self._records[record.width] += 1
                self._first_line.setdefault(record.width, record.line_number)

    def misfit(self, header: int, *, is_in_file: bool = True) -> str:
        """What is wrong, and what to do, when there are widths and none is the header's, otherwise nothing.

        ``is_in_file`` unless the names are the contract's columns.
        """
        if self._records[header] or not self._records.total():
            return ""
        likely = max(self._first_line, key=lambda width: (self._records[width], -self._first_line[width]))
        first = f"line {self._first_line[likely]:,} is the first of {likely:,} fields"
        if not is_in_file:
            return (
                f"no record has as many fields as the contract has columns, {header:,}, and the file no header: most "
                f"records have {likely:,} ({first}): describe each field of a record in the contract, in their order"
            )
        return (
            f"no record has as many fields as the header: the header has {header:,}, most records have {likely:,}; "
            f"{first}: if it is the true header, take the "
            "lines above it away, otherwise give the header and the rows the same number of fields"
        )
