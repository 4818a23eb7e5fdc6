"""The rules that rows are held against, as SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sluice.contracts.event_columns import SIGNED
from sluice.contracts.model import Column, Contract
from sluice.contracts.sql.derived import MOMENTS, attempt
from sluice.contracts.sql.output import fills_of, is_cancellation
from sluice.contracts.sql.text import literal, matches, quoted
from sluice.contracts.sql.values import UUID, has_format, source_of, text_of, typed_as

# Each bound, and the comparison that breaks it.
BOUNDS = {"minimum": "<", "maximum": ">", "exclusiveMinimum": "<=", "exclusiveMaximum": ">="}


def type_rules(contract: Contract) -> Iterator[tuple[str, str]]:
    """(rule, predicate that is true when it is broken) for every column whose values have a format."""
    for column in contract.columns:
        value = quoted(column.name)
        if column.transform is not None:
            yield f"{column.name}.type", f"({attempt(column)} IS NULL)"
        elif column.kind == "timestamptz":
            yield (
                f"{column.name}.type",
                f"({source_of(column)} IS NOT NULL AND ({value} BETWEEN {MOMENTS}) IS NOT TRUE)",
            )
        elif has_format(column):
            yield f"{column.name}.type", f"({source_of(column)} IS NOT NULL AND {value} IS NULL)"


def content_rules(contract: Contract) -> Iterator[tuple[str, str]]:
    for column in contract.columns:
        yield from column_rules(column)
    yield from _sign_rule(contract)
    for rule in contract.rules:
        if rule.severity != "warn":
            yield rule.name, is_broken(rule.predicate)


def _sign_rule(contract: Contract) -> Iterator[tuple[str, str]]:
    """A cancellation has the sign that the contract says: its quantity, its total, or its price in place of a total."""
    fills = fills_of(contract)
    wrong = ">" if contract.cancellations == "negative" else "<"
    signs = [f"coalesce({quoted(fills[name].name)} {wrong} 0, false)" for name in SIGNED if name in fills]
    if "price" in fills:
        no_total = f"{quoted(fills['total_amount'].name)} IS NULL" if "total_amount" in fills else "true"
        signs.append(f"coalesce({quoted(fills['price'].name)} < 0 AND {no_total}, false)")
    if signs:
        yield "cancellation.sign", f"({is_cancellation(fills)} AND ({' OR '.join(signs)}))"


def column_rules(column: Column) -> Iterator[tuple[str, str]]:
    """(rule, predicate that is true when it is broken) for what the contract says of the column's content."""
    name, value = column.name, quoted(column.name)
    text = f"{value}::VARCHAR" if column.transform is not None else text_of(column)
    if column.required or column.target in ("event_type", "event_time", "event_id"):
        filled = value if column.transform is not None else source_of(column)
        blank = f"coalesce({filled}, '') = ''" if _is_text(column) else f"{filled} IS NULL"
        yield (
            f"{name}.required",
            f"({blank})"
            if column.transform is None
            else f"({attempt(column)}.v IS NULL AND {attempt(column)} IS NOT NULL)",
        )
    if column.enum:
        yield f"{name}.enum", f"({text} NOT IN ({', '.join(map(literal, column.enum))}))"
    options = column.options
    for option, comparison in BOUNDS.items():
        if option in options:
            yield f"{name}.{option}", _compared(column, f"{value} {comparison} {_bound(options[option])}")
    if "multipleOf" in options:
        yield f"{name}.multipleOf", _compared(column, f"{value} % {_bound(options['multipleOf'])} <> 0")
    for option, comparison in (("minLength", "<"), ("maxLength", ">")):
        if option in options:
            yield f"{name}.{option}", f"(length({text}) {comparison} {int(options[option])})"
    if "pattern" in options:
        yield f"{name}.pattern", f"(NOT {matches(text, options['pattern'])})"
    if options.get("format") == "uuid" and column.logical_type == "string":
        yield f"{name}.format", f"(NOT {matches(text, UUID)})"


def _compared(column: Column, comparison: str) -> str:
    """A comparison that counts as broken when numbers of that size cannot be compared."""
    if column.kind == "text" and column.logical_type in ("integer", "number"):
        return f"coalesce(TRY({comparison}), {quoted(column.name)} IS NOT NULL)"
    return f"({comparison})"


def null_row(column: Column) -> list[str]:
    """Select items that stand for ``column`` of a row that has nothing, under every name that rules use."""
    value = f"NULL::{typed_as(column)} AS {quoted(column.name)}"
    if column.transform is not None:
        return [value, f"NULL::STRUCT(v {typed_as(column)}) AS {attempt(column)}"]
    texts = {text_of(column), source_of(column)} - {quoted(column.name)}
    return [value, *(f"NULL::VARCHAR AS {text}" for text in texts)]


def _is_text(column: Column) -> bool:
    return column.transform is None or typed_as(column) == "VARCHAR"


def is_broken(predicate: str) -> str:
    """Whether a predicate is false for a row, or raises; unknown is not broken, as in a CHECK constraint."""
    return f"coalesce(TRY(coalesce(NOT ({predicate}\n), false)), true)"


def _bound(value: object) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"({value})" if is_number else literal(value)


def any_of(rules: Sequence[tuple[str, str]]) -> str:
    return " OR ".join(f"coalesce({sql}, false)" for _, sql in rules) or "false"
