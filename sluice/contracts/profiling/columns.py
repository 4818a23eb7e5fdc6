"""What the values of one column have in common: what nearly all of them are, and which are not."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb
import numpy as np
import numpy.typing as npt

from sluice.contracts.profiling.moments import Moments, moments
from sluice.contracts.profiling.nearly_all import Misfits, are_nearly_all, rows_that
from sluice.contracts.profiling.nulls import null_words
from sluice.contracts.profiling.numbers import NumberFormat, looks_like_accounting, number_format

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NAME_OF_A_TIME = re.compile(
    r"(time|date|datum|zeit|day|tag|moment|stamp|(^|[^a-z])(ts|at|on|am|when))$", re.IGNORECASE
)


@dataclass(frozen=True)
class ColumnProfile:
    """What the sample's values of one column have in common.

    ``kind`` is string, boolean, integer, number, float or timestamp: what nearly all values are. ``misfits`` are the
    rows whose values are not, None when all are. ``counts`` are, by value, how many rows have it; nulls and the words
    that stand for null (``null_words``) are not among them. ``accounting`` is a negative number as accountants write
    it, which keeps the column from being one of numbers; ``almost`` are the moments that at least half of the values
    are, but not nearly all.
    """

    name: str
    kind: str
    null_share: float
    counts: Mapping[str, int]
    number: NumberFormat | None = None
    moments: Moments | None = None
    null_words: frozenset[str] = frozenset()
    is_uuid: bool = False
    misfits: Misfits | None = None
    accounting: str | None = None
    almost: Moments | None = None

    @property
    def rows(self) -> int:
        """How many rows have a value."""
        return sum(self.counts.values())

    @property
    def distinct(self) -> int:
        """How many different values there are."""
        return len(self.counts)

    @property
    def examples(self) -> tuple[str, ...]:
        """The first different values."""
        return tuple(itertools.islice(self.counts, 3))

    @property
    def values(self) -> tuple[str, ...]:
        """All different values, in the order of the file."""
        return tuple(self.counts)

    @property
    def is_unique(self) -> bool:
        """Whether every row has a value of its own."""
        return self.null_share == 0 and self.rows > 1 and self.distinct == self.rows

    @property
    def is_named_like_a_time(self) -> bool:
        """Whether the name is one of a moment, such as order_date."""
        return _NAME_OF_A_TIME.search(self.name) is not None


def column_profile(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    texts: Sequence[str | None],
    lines: npt.NDArray[np.int64],
    *,
    prefers_commas: bool,
) -> ColumnProfile:
    """What ``texts`` have in common; ``lines`` are the lines of the file on which their records begin."""
    counts = Counter(text for text in texts if text is not None)
    column = column_of(connection, name, counts, len(texts) - counts.total(), prefers_commas=prefers_commas)
    return _with_misfits(column, texts, lines) if column.rows else column


def column_of(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    counts: Mapping[str, int],
    nulls: int,
    *,
    prefers_commas: bool,
) -> ColumnProfile:
    """What values have in common of which ``counts`` says how many rows have each, beside ``nulls`` rows without any.

    Its misfits are not looked for: nothing says on which lines they are.
    """
    words = null_words(counts)
    filled = {value: rows for value, rows in counts.items() if value not in words}
    total, rows = sum(counts.values()) + nulls, sum(filled.values())
    column = ColumnProfile(
        name=name,
        kind="string",
        null_share=1 - rows / total if total else 0.0,
        counts=filled,
        null_words=words,
    )
    return _typed(connection, column, prefers_commas) if rows else column


def _typed(connection: duckdb.DuckDBPyConnection, column: ColumnProfile, prefers_commas: bool) -> ColumnProfile:
    trimmed: Counter[str] = Counter()
    for value, rows in column.counts.items():
        trimmed[value.strip(" ")] += rows
    if all(_UUID.fullmatch(value) for value in trimmed):
        return replace(column, is_uuid=True)
    if are_nearly_all(rows_that(_is_boolean, trimmed), column.rows):
        return replace(column, kind="boolean")
    number = number_format(trimmed, prefers_commas=prefers_commas)
    is_compact = number is not None and number.kind == "integer" and column.is_named_like_a_time
    if number is not None and not is_compact:
        return replace(column, kind=number.kind, number=number)
    found = moments(connection, trimmed, is_named_so=column.is_named_like_a_time)
    if found is not None and found.is_usual:
        return replace(column, kind="timestamp", moments=found)
    if number is not None:
        return replace(column, kind=number.kind, number=number)
    return replace(column, accounting=_accounting(trimmed, prefers_commas), almost=found)


def _accounting(counts: Mapping[str, int], prefers_commas: bool) -> str | None:
    """A negative number in parentheses or with its minus behind, where all values are numbers but for such."""
    first = looks_like_accounting(counts)
    plain: Counter[str] = Counter()
    for value, rows in counts.items():
        plain[value.strip("()-").strip()] += rows
    return first if first and number_format(plain, prefers_commas=prefers_commas) else None


def _is_boolean(value: str) -> bool:
    return value.lower() in ("true", "false")


def _fits(column: ColumnProfile, value: str) -> bool:
    if column.moments is not None:
        return value in column.moments.fitting
    if column.number is not None:
        return column.number.fits(value)
    return column.kind != "boolean" or _is_boolean(value)


def writes_commas(column: ColumnProfile) -> bool:
    """Whether the column's values are written as where a comma stands before decimals: 9,50 or 24.12.2025."""
    if column.moments is not None:
        return any(re.match("dd?[.]MM?[.]", form) for form in column.moments.formats)
    return column.number is not None and column.number.decimal_separator == ","


def misfits_of(column: ColumnProfile) -> set[str]:
    """Those of the column's values that are not what nearly all are."""
    return {value for value in column.counts if not _fits(column, value.strip(" "))}


def _with_misfits(column: ColumnProfile, texts: Sequence[str | None], lines: npt.NDArray[np.int64]) -> ColumnProfile:
    bad = misfits_of(column)
    if not bad:
        return column
    first = next(i for i, text in enumerate(texts) if text in bad)
    rows = sum(column.counts[value] for value in bad)
    return replace(column, misfits=Misfits(rows, str(texts[first]), int(lines[first])))
