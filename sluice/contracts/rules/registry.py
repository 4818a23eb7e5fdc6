"""All rule types, and what the rest asks of them: nothing outside of this package knows a rule by its name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import duckdb
from open_data_contract_standard.model import SchemaProperty

from sluice.contracts.model import Column, Contract, ContractError
from sluice.contracts.rules.column_rules import COLUMN_RULES
from sluice.contracts.rules.contract_rules import CONTRACT_RULES
from sluice.contracts.rules.rule_types import LOGICAL_TYPES, Change, Check, Place

# Of logicalTypeOptions, what says how a value is read, and is no rule.
READING_OPTIONS: Mapping[str, frozenset[str]] = {
    "number": frozenset({"format"}),
    "integer": frozenset({"format"}),
    "timestamp": frozenset({"format", "timezone", "defaultTimezone"}),
    "date": frozenset({"format", "timezone", "defaultTimezone"}),
}


def options_of(logical_type: str) -> set[str]:
    """What may stand in the ``logicalTypeOptions`` of a column of this type."""
    rules = {rule.name for rule in COLUMN_RULES if rule.place is Place.OPTIONS and logical_type in rule.types}
    return rules | READING_OPTIONS.get(logical_type, frozenset())


def custom_names() -> list[str]:
    """The custom properties of a column that are rules."""
    return [rule.name for rule in COLUMN_RULES if rule.place is Place.CUSTOM]


def declared(item: SchemaProperty, logical_type: str, custom: Mapping[str, Any]) -> dict[str, Any]:
    """By rule: what a column of the contract file declares. Raises ContractError for what cannot be understood."""
    places: dict[Place, Mapping[str, Any]] = {
        Place.COLUMN: {rule.name: getattr(item, rule.name, None) for rule in COLUMN_RULES},
        Place.OPTIONS: dict(item.logicalTypeOptions or {}),
        Place.CUSTOM: custom,
    }
    declarations: dict[str, Any] = {}
    for rule in COLUMN_RULES:
        value = places[rule.place].get(rule.name)
        if value is None or (rule.place is Place.OPTIONS and logical_type not in rule.types):
            continue
        if logical_type not in rule.types and logical_type in LOGICAL_TYPES:
            raise ContractError(
                f"{item.name}: {rule.name} means nothing for a {logical_type}: it is for {', '.join(rule.types)}"
            )
        declarations[rule.name] = rule.read(value, f"{item.name}: {rule.name}")
    return {name: value for name, value in declarations.items() if value is not None}


def checks(contract: Contract, well_typed: Collection[str] = (), without_sign: Collection[str] = ()) -> list[Check]:
    """What is asked of each row, in the order in which a reject lists it: types first.

    The columns ``well_typed`` are known to have values of their types, those ``without_sign`` no number below zero:
    that is not asked of them.
    """
    asked = [
        check
        for column in contract.columns
        for check in column_checks(column)
        if not (check.is_type and column.name in well_typed) and not (check.is_of_sign and column.name in without_sign)
    ]
    asked.sort(key=lambda check: not check.is_type)
    return [*asked, *(check for rule in CONTRACT_RULES for check in rule.checks(contract))]


def column_checks(column: Column) -> Iterator[Check]:
    """What is asked of the column's values."""
    for rule in COLUMN_RULES:
        if (value := rule.asked_of(column)) is not None:
            broken, is_of_sign = rule.is_broken(column, value), rule.is_of_sign(value)
            yield Check(f"{column.name}.{rule.name}", broken, is_type=rule.is_type, is_of_sign=is_of_sign)


def must_run(column: Column) -> Iterator[tuple[str, str]]:
    """(rule, SQL) of what must run over a row that has nothing, so that the column's declarations are sound."""
    for check in column_checks(column):
        yield check.rule, check.is_broken
    for rule in COLUMN_RULES:
        if (value := rule.asked_of(column)) is not None:
            for sql in rule.must_run(column, value):
                yield f"{column.name}.{rule.name}", sql


def wrong(contract: Contract) -> Iterator[str]:
    """What is wrong with the declarations of rules that look at the whole row."""
    for rule in CONTRACT_RULES:
        yield from rule.wrong(contract)


def problems(connection: duckdb.DuckDBPyConnection, contract: Contract) -> Iterator[str]:
    """What is wrong with the SQL of rules that look at the whole row."""
    for rule in CONTRACT_RULES:
        yield from rule.problems(connection, contract)


def contract_changes(before: Contract, after: Contract) -> Iterator[Change]:
    """The differences that rules over the whole row make."""
    for rule in CONTRACT_RULES:
        yield from rule.changes(before, after)


def column_changes(before: Column, after: Column) -> Iterator[Change]:
    """The differences that the column's rules make."""
    for rule in COLUMN_RULES:
        yield from rule.comparison.changes(rule.name, before, after)
