"""What the cells of a table look like, and whether a line above them looks like names or like one more row."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sluice.contracts.profiling.nulls import is_null
from sluice.contracts.profiling.records import Record

_SIGN = r"(?:[$€£¥₹]|EUR|USD|GBP|CHF)?"
_CLOCK = r"[0-9:.+\-ZAPMapmUTC ]{1,25}"
_KINDS = {
    "number": re.compile(
        rf"[+-]?{_SIGN}\s?[+-]?(?:\d{{1,3}}(?:[.,' \u00a0\u202f]\d{{3}})+|\d+)?(?:[.,]\d+|(?<=\d))"
        rf"(?:[eE][+-]?\d+)?\s?(?:%|{_SIGN})"
    ),
    "moment": re.compile(
        rf"\d{{4}}[-/.]\d{{1,2}}(?:[-/.]\d{{1,2}})?(?:[T ]{_CLOCK})?"
        rf"|\d{{1,2}}([./-])\d{{1,2}}\1(?:\d{{4}}|\d{{2}})(?:,?[ T:]{_CLOCK})?"
        rf"|\d{{1,2}}[-/ ][A-Za-z]{{3,9}}[-/ ,]+\d{{2,4}}(?:,?[ T:]{_CLOCK})?"
        rf"|[A-Za-z]{{3,9}} \d{{1,2}}, \d{{4}}(?: {_CLOCK})?"
        r"|\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp][Mm])?"
    ),
    "uuid": re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    "boolean": re.compile(r"(?i:true|false)"),
    "mail": re.compile(r"[^@\s]+@[^@\s]+\.\w+"),
    "link": re.compile(r"https?://\S+"),
    "address": re.compile(r"\d{1,3}(?:\.\d{1,3}){3}"),
}
_UNIT = re.compile(r"\(.*\)|\[.*\]|<.*>|[%€$£°]|[A-Za-zµ°]{1,4}(?:/[A-Za-z0-9]{1,4})?")


def kind_of_cell(cell: str) -> str:
    """What the text is by itself: number, moment, uuid, …, or text."""
    cell = cell.strip()
    return next((kind for kind, pattern in _KINDS.items() if pattern.fullmatch(cell)), "text")


def is_unit(cell: str) -> bool:
    """Whether the text may be a unit, such as kg, (EUR), m/s."""
    return _UNIT.fullmatch(cell.strip()) is not None


@dataclass(frozen=True)
class Looks:
    """How the values of a column look: their ``kind``; of texts with digits their ``shape``, when nearly all have it.

    ``often`` are values that stand there again and again. A column without values looks like nothing (kind "").
    """

    kind: str
    shape: str = ""
    often: frozenset[str] = frozenset()
    has_blanks: bool = False
    always: bool = False

    def says(self, cell: str | None) -> int:
        """Of a cell above the values: 1 when it looks like one more of them, -1 when like a name, 0 when like both."""
        if not self.kind or cell is None or is_null(cell):
            return 0
        kind = kind_of_cell(cell)
        if self.kind != "text":
            return 1 if kind == self.kind else -1 if kind == "text" else 0
        if cell in self.often or kind in ("moment", "uuid", "mail", "link"):
            return 1
        if self.shape:
            return 1 if _shape(cell) == self.shape else -1
        return 0


def looks_of(records: Sequence[Record], width: int) -> list[Looks]:
    """How each of ``width`` columns looks in those records that have so many fields."""
    rows = [record for record in records if record.width == width]
    return [_looks([row.cells[i] for row in rows]) for i in range(width)]


def _looks(cells: Sequence[str | None]) -> Looks:
    counts = Counter(cell for cell in cells if cell is not None and not is_null(cell))
    rows = counts.total()
    if not rows:
        return Looks("")
    kinds, shapes = Counter[str](), Counter[str]()
    for cell, times in counts.items():
        kinds[kind_of_cell(cell)] += times
        shapes[_shape(cell)] += times
    [(kind, fitting)], [(shape, shaped)] = kinds.most_common(1), shapes.most_common(1)
    usual = rows / len(counts)
    often = frozenset(cell for cell, times in counts.items() if times > 1 and times * 2 >= usual)
    return Looks(
        kind=kind if fitting * 3 >= rows * 2 else "text",
        shape=shape if "9" in shape and shaped * 10 >= rows * 9 and rows > 1 else "",
        often=often,
        has_blanks=sum(times for cell, times in counts.items() if " " in cell.strip()) * 20 >= rows,
        always=rows * 20 >= len(cells) * 19,
    )


def _shape(cell: str) -> str:
    return re.sub(r"\d+", "9", cell.strip())


@dataclass(frozen=True)
class Evidence:
    """How many cells of a line look like names of the columns below, and how many like one more value of them."""

    names: int
    values: int


def evidence(record: Record, looks: Sequence[Looks]) -> Evidence:
    """What the cells of ``record`` say, each held against the column below it."""
    said = Counter(look.says(cell) for cell, look in zip(record.cells, looks, strict=False))
    return Evidence(names=said[-1], values=said[1])


def are_steps(cells: Sequence[str | None]) -> bool:
    """Whether the whole numbers among the cells, three or more, are years in order or grow by one: days, weeks."""
    numbers = [int(cell) for cell in cells if cell and cell.strip().isascii() and cell.strip().isdigit()]
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    are_years = len(numbers) >= 3 and all(1900 <= number <= 2100 for number in numbers) and 0 not in steps
    return (are_years and (min(steps) > 0 or max(steps) < 0)) or (len(numbers) >= 3 and steps == {1})
