"""Data contracts: what a feed's rows must be, read from ``include/contracts/*.odcs.yaml``.

The files follow the Open Data Contract Standard v3 (https://bitol-io.github.io/open-data-contract-standard/).
docs/contracts.md shows how each part of the standard is used here.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sluice.contracts.event_columns import EVENT_COLUMNS
from sluice.contracts.expectation import Expectation
from sluice.reading.dialect import Dialect
from sluice.reading.layout import Layout

SEVERITIES = ("warn", "reject", "fail")
REVISIONS = ("append", "replace", "reject")
CANCELLATIONS = ("negative", "positive")
DRIFTS = ("warn", "reject")
# What an expression may name besides the contract's own columns.
RECORD_NAMES = ("record_number", "file_sha256")
_LANDED_AT = re.compile(r"\blanded_at\s*\(", re.IGNORECASE)


class ContractError(ValueError):
    """A contract file cannot be used; the message names the file, the place and the remedy."""


class HeaderError(ValueError):
    """A header fits no contract; the message names the header and the contracts it was held against."""


class NoContractError(HeaderError):
    """No contract fits the header, which ``is_read`` when at least one of them can read it."""

    def __init__(self, message: str, *, is_read: bool) -> None:
        super().__init__(message)
        self.is_read = is_read


@dataclass(frozen=True)
class Column:
    """One column of a feed. ``target`` is a column of events, or None: then the value goes to ``extra``.

    ``digits`` bounds a number's digits before and after the point; ``integer`` is the DuckDB type of an integer;
    ``is_float`` allows exponents. ``thousands_separator`` may stand between groups of three digits, one of ``currency``
    before or after the number. ``value_map`` maps the file's texts to others, None to null. ``declared`` is, by rule
    type, what the contract says of it; ``options`` are the standard's logicalTypeOptions as they stand.
    """

    name: str
    target: str | None
    logical_type: str
    digits: tuple[int, int] = (16, 4)
    integer: str = "BIGINT"
    is_float: bool = False
    required: bool = False
    unique: bool = False
    aliases: tuple[str, ...] = ()
    declared: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    formats: tuple[str, ...] = ()
    value_map: Mapping[str, str | None] = field(default_factory=dict)
    decimal_separator: str = "."
    thousands_separator: str = ""
    currency: tuple[str, ...] = ()
    trim: bool = False
    transform: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every header name that means this column, normalised."""
        return tuple(normal(name) for name in (self.name, *self.aliases))

    @property
    def kind(self) -> str:
        """What the value is for PostgreSQL: the type of the column of events, or text."""
        return EVENT_COLUMNS[self.target] if self.target else "text"


@dataclass(frozen=True)
class Predicate:
    """A rule in the author's own SQL, which every good row fulfils; unknown counts as fulfilled, as in a CHECK."""

    name: str
    sql: str
    severity: str
    description: str = ""


@dataclass(frozen=True, eq=False)
class Contract:
    """What a feed's rows must be, and how they become rows of ``events``. Equal only to itself.

    ``report_currency`` is that of its amounts, in three capital letters, or empty: not said. ``sales`` is whether its
    purchases and cancellations are sales, None when it does not say; ``expect`` what it expects of its files, or None.
    """

    name: str
    version: str
    columns: tuple[Column, ...]
    predicates: tuple[Predicate, ...]
    dialect: Dialect
    timezone: str
    budget_rows: int | None
    budget_percent: float | None
    revision: str
    cancellations: str
    drift: str
    report_currency: str
    sales: bool | None
    path: Path
    layout: Layout
    files: tuple[str, ...]
    expect: Expectation | None = None

    def takes(self, file_name: str) -> bool:
        """Whether files of this name may be the contract's: ``files`` fits it, or is empty.

        ``files`` are shell patterns; case does not matter, nor whether .gz or .zst is left out.
        """
        name = file_name.casefold()
        names = {name, name.removesuffix(".gz"), name.removesuffix(".zst")}
        return not self.files or any(
            fnmatch.fnmatchcase(each, pattern.casefold()) for pattern in self.files for each in names
        )

    @functools.cached_property
    def own_header(self) -> list[str]:
        """The names of the file's columns, in the contract's order."""
        return [column.name for column in self.read_columns]

    @functools.cached_property
    def read_columns(self) -> tuple[Column, ...]:
        """The columns that come from the file."""
        return tuple(column for column in self.columns if column.transform is None)

    @functools.cached_property
    def derived_columns(self) -> tuple[Column, ...]:
        """The columns that are derived from those of the file, and from derived ones before them."""
        return tuple(column for column in self.columns if column.transform is not None)

    @property
    def counts_sales(self) -> bool:
        """Whether reports count its purchases and cancellations as sales: they do unless it says otherwise."""
        return self.sales is not False

    @functools.cached_property
    def is_timed_by_arrival(self) -> bool:
        """Whether event_time is made of the moment at which the file landed: then it is no part of a row's content."""
        return any(c.target == "event_time" and _LANDED_AT.search(c.transform or "") for c in self.derived_columns)

    def missing(self, header: Iterable[str]) -> list[str]:
        """Names of the required columns that ``header`` lacks; of all columns when none is required."""
        names = {normal(name) for name in header}
        required = [column for column in self.read_columns if column.required] or self.read_columns
        return [column.name for column in required if not names.intersection(column.names)]

    def matched(self, header: Iterable[str]) -> int:
        """How many columns of the contract ``header`` has."""
        names = {normal(name) for name in header}
        return sum(1 for column in self.read_columns if names.intersection(column.names))


def normal(name: str) -> str:
    """A header name as it is compared: without surrounding blanks, letters folded."""
    return name.strip().casefold()


def can_be_described(name: str) -> bool:
    """Whether a contract can describe a column of this name; the others go to extra by themselves."""
    return bool(normal(name)) and not normal(name).startswith("__") and normal(name) not in RECORD_NAMES


def more_than_once(names: Iterable[Any]) -> list[Any]:
    """Those of ``names`` that stand there again, sorted."""
    return sorted(name for name, times in Counter(names).items() if times > 1)
