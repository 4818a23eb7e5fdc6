"""What a rule type is: one entry that reads its declaration, compiles it, compares two of it and documents itself.

A ``ColumnRule`` holds the values of one column, a ``ContractRule`` the row as a whole. ``registry`` asks every entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import duckdb

from sluice.contracts.model import Column, Contract

LOGICAL_TYPES = ("string", "integer", "number", "boolean", "timestamp", "date")


@dataclass(frozen=True)
class Change:
    """One difference between two versions of a contract. ``breaks``: "readers", "writers", or "" when compatible."""

    text: str
    breaks: str = ""


@dataclass(frozen=True)
class Check:
    """What is asked of each row: ``is_broken`` is SQL that is true for a row that breaks ``rule``, false or null else.

    ``is_type`` says that the value has not the form of its type, so that there is no value; ``is_of_sign``, that no
    number without a sign breaks it.
    """

    rule: str
    is_broken: str
    severity: str = "reject"
    is_type: bool = False
    is_of_sign: bool = False


class Place(StrEnum):
    """Where in a contract's column a rule is declared, under the rule's own name."""

    COLUMN = "column"
    OPTIONS = "logicalTypeOptions"
    CUSTOM = "customProperties"


class Comparison(Protocol):
    """What a change of a rule's declaration means. ``words`` say in the docs whom it breaks and when."""

    @property
    def words(self) -> str:
        """For the docs: whom it breaks, and when."""

    def changes(self, rule: str, before: Column, after: Column) -> Iterator[Change]:
        """The differences between two versions of a column, as far as ``rule`` is concerned."""


@dataclass(frozen=True)
class Narrowing:
    """Breaks writers where fewer values pass: a new declaration, or one that ``is_narrower(old, new)`` than before.

    ``when`` says for the docs when it is narrower.
    """

    when: str
    is_narrower: Callable[[Any, Any], bool]

    @property
    def words(self) -> str:
        """For the docs: whom it breaks, and when."""
        return f"writers, when {self.when}"

    def changes(self, rule: str, before: Column, after: Column) -> Iterator[Change]:
        """One change where the declarations differ; the rule that is gone breaks nobody."""
        old, new = before.declared.get(rule), after.declared.get(rule)
        if old != new:
            breaks = new is not None and (old is None or self.is_narrower(old, new))
            yield Change(
                f"column {before.name}: {rule} {shown(old)} → {shown(new)}",
                "writers" if breaks else "",
            )


@dataclass(frozen=True)
class OwnComparison:
    """For a rule whose changes are not simply narrower or wider."""

    words: str
    compare: Callable[[Column, Column], Iterator[Change]]

    def changes(self, rule: str, before: Column, after: Column) -> Iterator[Change]:
        """What ``compare`` says."""
        del rule
        return self.compare(before, after)


ANY_CHANGE = Narrowing("it is new or another one", lambda old, new: True)


def _as_it_is(value: Any, where: str) -> Any:
    del where
    return value


def _nothing(column: Column) -> None:
    del column


def _never(declared: Any) -> bool:
    return False


def _no_queries(column: Column, declared: Any) -> Iterable[str]:
    del column, declared
    return ()


@dataclass(frozen=True)
class ColumnRule:
    """A rule type that a column declares. A broken rule is named ``<column>.<name>``.

    - ``place`` and ``types``: where it is declared, and for which logical types it means something.
    - ``says``: when a row breaks it, for the table in docs/contracts.md.
    - ``is_broken(column, declared)``: SQL that is true for a row that breaks it. It must not raise for any row.
    - ``comparison``: whom a change of the declaration breaks.
    - ``read(value, where)``: the declaration as the other functions get it, or None when it says nothing. Raises
      ContractError that begins with ``where`` and tells the remedy.
    - ``implied(column)``: what holds where nothing is declared; None for nothing.
    - ``must_run(column, declared)``: SQL expressions, beside ``is_broken``, that a sound declaration lets run.
    - ``written``: for the table, where the declaration has another form than ``name``.
    - ``is_of_sign(declared)``: whether no number without a sign breaks it.
    """

    name: str
    place: Place
    says: str
    is_broken: Callable[[Column, Any], str]
    comparison: Comparison
    types: tuple[str, ...] = LOGICAL_TYPES
    read: Callable[[Any, str], Any] = _as_it_is
    implied: Callable[[Column], Any] = _nothing
    must_run: Callable[[Column, Any], Iterable[str]] = _no_queries
    written: str = ""
    is_type: bool = False
    is_of_sign: Callable[[Any], bool] = _never

    def asked_of(self, column: Column) -> Any:
        """What the column declares of this rule, or implies; None for nothing."""
        declared = column.declared.get(self.name)
        return self.implied(column) if declared is None else declared


@dataclass(frozen=True)
class ContractRule:
    """A rule type that looks at the whole row.

    ``wrong(contract)`` yields what is wrong with its declaration, ``problems(connection, contract)`` what is wrong with
    the SQL in it, ``changes(before, after)`` the differences between two versions of a contract.
    """

    name: str
    written: str
    says: str
    breaks: str
    checks: Callable[[Contract], Iterator[Check]]
    wrong: Callable[[Contract], Iterator[str]]
    problems: Callable[[duckdb.DuckDBPyConnection, Contract], Iterator[str]]
    changes: Callable[[Contract, Contract], Iterator[Change]]


def shown(value: object) -> str:
    """A declaration as a change's text shows it: in one line, of at most 60 letters."""
    if value is None:
        return "none"
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:57]}…"
