"""What each rule that a record can break means, in words for people, and which of the file's columns it looks at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sluice.contracts.model import Column, Contract, normal
from sluice.contracts.rules.column_rules import COLUMN_RULES
from sluice.contracts.rules.contract_rules import CONTRACT_RULES
from sluice.contracts.rules.rule_types import ColumnRule, shown

# Rules that are in no contract; docs/contracts.md says more about each.
OF_NO_CONTRACT = {
    "record.too_long": "the line is longer than a record may be (SLUICE_RECORD_BYTES_MAX); only its beginning was kept",
    "record.invalid_bytes": "it has bytes that are not of the file's encoding",
    "record.bad_quote": "a quoted field is not closed before its record ends",
    "record.too_few_fields": "it has fewer fields than the header",
    "record.too_many_fields": "it has more fields than the header",
    "record.stray_quote": "a quote stands inside an unquoted field, so that its fields may be shifted",
    "record.nul_byte": "it has a NUL byte, which PostgreSQL cannot hold",
    "event_id.conflict": "another row has this event_id, with other content",
    "event_time.expired": "it is of a month that is no longer kept (SLUICE_KEEP_EVENTS_MONTHS)",
}
# Derived columns may be made of derived columns: so deep at most is looked for those of the file.
_DEPTH = 8
# Of the values that a rule allows so many are told.
_LISTED = 20


@dataclass(frozen=True)
class Explained:
    """A rule in ``words``; ``columns`` are the names, normalised, that the header may have for what it looks at."""

    words: str
    columns: frozenset[str] = frozenset()


def explain(rule: str, contract: Contract | None) -> Explained:
    """What ``rule`` means under today's ``contract``; None: the contract is not known."""
    return next(_found(rule, contract), Explained("the contract of today has no rule of this name"))


def _found(rule: str, contract: Contract | None) -> Iterator[Explained]:
    """Meanings of the rule, the most certain first."""
    if contract is not None:
        for predicate in contract.predicates:
            if predicate.name == rule:
                said = f"{predicate.description.rstrip('.')}: " if predicate.description else ""
                yield Explained(f"{said}it must be true that {shown(predicate.sql)}", _of_sql(contract, predicate.sql))
    column_name, _, name = rule.rpartition(".")
    if words := OF_NO_CONTRACT.get(rule):
        yield Explained(words, _of_target(contract, column_name) if contract else frozenset())
    for contract_rule in CONTRACT_RULES:
        if contract_rule.name == rule:
            yield Explained(contract_rule.says)
    for column_rule in COLUMN_RULES:
        if column_rule.name == name and column_name:
            yield _of_column(column_rule, column_name, contract)


def _of_column(rule: ColumnRule, column_name: str, contract: Contract | None) -> Explained:
    column = next((each for each in contract.columns if each.name == column_name), None) if contract else None
    if column is None or contract is None:
        return Explained(f"{column_name}, {rule.name}: {rule.says}", frozenset({normal(column_name)}))
    says = "its text cannot be read as one" if rule.is_type and column.transform is None else rule.says
    return Explained(f"{column_name}{_declared(rule, column)}: {says}", _of_file(contract, [column]))


def _declared(rule: ColumnRule, column: Column) -> str:
    if rule.is_type:
        return f" is a {column.logical_type}" + (f" written {' or '.join(column.formats)}" if column.formats else "")
    value = rule.asked_of(column)
    if value is True or value is None:
        return f" is {rule.name}" if value else f", {rule.name}"
    return f" has {rule.name} {_listed(value) if isinstance(value, tuple) else shown(value)}"


def _listed(values: tuple[object, ...]) -> str:
    more = f" and {len(values) - _LISTED:,} more" if len(values) > _LISTED else ""
    return ", ".join(shown(value) for value in values[:_LISTED]) + more


def _of_target(contract: Contract, target: str) -> frozenset[str]:
    return _of_file(contract, [column for column in contract.columns if column.target == target])


def _of_sql(contract: Contract, sql: str) -> frozenset[str]:
    return _of_file(contract, named_in(contract, sql))


def _of_file(contract: Contract, columns: Iterable[Column], depth: int = _DEPTH) -> frozenset[str]:
    """The names of these columns in a header; of derived ones, of the columns that they are derived from."""
    names: set[str] = set()
    for column in columns:
        if column.transform is None:
            names.update(column.names)
        elif depth:
            others = [each for each in named_in(contract, column.transform) if each is not column]
            names |= _of_file(contract, others, depth - 1)
    return frozenset(names)


def named_in(contract: Contract, sql: str) -> list[Column]:
    """The columns whose names stand in ``sql``: what to look at, not a proof."""
    return [each for each in contract.columns if re.search(rf"(?<!\w){re.escape(each.name)}(?!\w)", sql, re.IGNORECASE)]
