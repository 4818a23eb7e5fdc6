"""The rule types that a column declares, one entry each. docs/how-to/add-a-rule.md shows how to add one."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

from sluice.contracts.event_columns import MUST_BE_FILLED
from sluice.contracts.model import Column
from sluice.contracts.properties import file_text
from sluice.contracts.rules.rule_types import ANY_CHANGE, Change, ColumnRule, Narrowing, OwnComparison, Place
from sluice.contracts.sql.derived import MOMENTS, attempt
from sluice.contracts.sql.text import literal, matches, quoted
from sluice.contracts.sql.values import UUID, has_format, source_of, text_of, typed_as

_NUMBERS = ("integer", "number")
_TIMES = ("timestamp", "date")


def content_of(column: Column) -> str:
    """SQL of the column's text: as it stands in the file, or as a derived value is written."""
    return f"{quoted(column.name)}::VARCHAR" if column.transform is not None else text_of(column)


def _no_value(column: Column, _: Any) -> str:
    value = quoted(column.name)
    if column.transform is not None:
        return f"({attempt(column)} IS NULL)"
    if column.kind == "timestamptz":
        return f"({source_of(column)} IS NOT NULL AND ({value} BETWEEN {MOMENTS}) IS NOT TRUE)"
    return f"({source_of(column)} IS NOT NULL AND {value} IS NULL)"


def _needs_format(column: Column) -> bool | None:
    return True if column.transform is not None or has_format(column) else None


def _type_changes(before: Column, after: Column) -> Iterator[Change]:
    name = before.name
    if before.logical_type != after.logical_type:
        yield Change(f"column {name}: logicalType {before.logical_type} → {after.logical_type}", "readers")
    else:
        yield from _size_changes(before, after)
    for pattern in before.formats:
        if pattern not in after.formats and after.formats:
            yield Change(f"column {name}: format {pattern} is no longer read", "writers")
    if after.formats and not before.formats:
        yield Change(f"column {name}: ISO times are no longer read", "writers")
    elif set(after.formats) - set(before.formats):
        yield Change(f"column {name}: more formats are read")


def _size_changes(before: Column, after: Column) -> Iterator[Change]:
    """Changes of the physical type, as far as it says which numbers there are."""
    name = before.name
    if before.integer != after.integer:
        yield Change(f"column {name}: integer {before.integer} → {after.integer}", "readers")
    if before.is_float != after.is_float:
        yield Change(f"column {name}: is_float {before.is_float} → {after.is_float}", "readers")
    if before.digits != after.digits:
        has_more = all(old <= new for old, new in zip(before.digits, after.digits, strict=True))
        text = "numbers may have more digits" if has_more else f"digits {before.digits} → {after.digits}"
        yield Change(f"column {name}: {text}", "" if has_more else "readers")


def _is_blank(column: Column, _: Any) -> str:
    if column.transform is not None:
        return f"({attempt(column)}.v IS NULL AND {attempt(column)} IS NOT NULL)"
    return f"(coalesce({source_of(column)}, '') = '')"


def _is_always_required(column: Column) -> bool | None:
    return True if column.target in MUST_BE_FILLED else None


def _required_changes(before: Column, after: Column) -> Iterator[Change]:
    if after.required and not before.required:
        yield Change(f"column {before.name} is required now", "writers")
    if before.required and not after.required:
        yield Change(f"column {before.name} may be null now", "readers")


def listed_texts(column: Column) -> tuple[str, ...] | None:
    """The texts of the file that the column's contract lists as all that there are; None when it lists none."""
    listed: tuple[str, ...] | None = column.declared.get("enum")
    return listed


def _enum(entries: Any, where: str) -> tuple[str, ...] | None:
    return tuple(file_text(entry.value, where) for entry in entries) or None


def _enum_changes(before: Column, after: Column) -> Iterator[Change]:
    name, old, new = before.name, before.declared.get("enum", ()), after.declared.get("enum", ())
    fewer = sorted(set(old) - set(new)) if new else []
    if new and (fewer or not old):
        yield Change(f"column {name}: enum no longer allows {', '.join(fewer) or 'other values'}", "writers")
    if more := sorted(set(new) - set(old)) if old else []:
        yield Change(f"column {name}: enum also allows {', '.join(more)}")
    if old and not new:
        yield Change(f"column {name}: any value is allowed now")


def _compared(column: Column, comparison: str) -> str:
    """A comparison that counts as broken when numbers of that size cannot be compared."""
    if column.kind == "text" and column.logical_type in _NUMBERS:
        return f"coalesce(TRY({comparison}), {quoted(column.name)} IS NOT NULL)"
    return f"({comparison})"


def _number(value: object) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"({value})" if is_number else literal(value)


def _moments(column: Column, bound: Any) -> Iterator[str]:
    """A bound of moments must be one: DuckDB looks at it only when there is a moment to compare."""
    if typed_as(column) == "TIMESTAMPTZ":
        yield f"CAST({literal(bound)} AS TIMESTAMPTZ)"


def _unless(is_wider: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Narrower unless it is wider; what cannot be compared counts as narrower."""
    return lambda old, new: isinstance(old, str) != isinstance(new, str) or not is_wider(new, old)


_AT_LEAST = Narrowing("it is new or higher", _unless(operator.lt))
_AT_MOST = Narrowing("it is new or lower", _unless(operator.gt))


def _bound(
    name: str, broken_by: str, comparison: Narrowing, says: str, is_of_sign: Callable[[Any], bool] = lambda bound: False
) -> ColumnRule:
    return ColumnRule(
        name=name,
        place=Place.OPTIONS,
        types=(*_NUMBERS, *_TIMES),
        says=says,
        is_broken=lambda column, bound: _compared(column, f"{quoted(column.name)} {broken_by} {_number(bound)}"),
        must_run=_moments,
        comparison=comparison,
        is_of_sign=lambda bound: isinstance(bound, int | float) and is_of_sign(bound),
    )


def _length(name: str, broken_by: str, comparison: Narrowing, says: str) -> ColumnRule:
    return ColumnRule(
        name=name,
        place=Place.OPTIONS,
        types=("string",),
        says=says,
        is_broken=lambda column, length: f"(length({content_of(column)}) {broken_by} {int(length)})",
        comparison=comparison,
    )


# In the order in which a reject lists what its row breaks.
COLUMN_RULES = (
    ColumnRule(
        name="type",
        place=Place.COLUMN,
        written="`logicalType`, `physicalType`, custom `formats`",
        says="the text is no value of the type, or the expression of a derived column raises or gives a value that the "
        "type would change",
        implied=_needs_format,
        is_broken=_no_value,
        comparison=OwnComparison("readers, when it is another one; writers, when a format is gone", _type_changes),
        is_type=True,
    ),
    ColumnRule(
        name="required",
        place=Place.COLUMN,
        says="there is no value",
        read=lambda value, _: value or None,
        implied=_is_always_required,
        is_broken=_is_blank,
        comparison=OwnComparison("writers, when it is new; readers, when it is gone", _required_changes),
    ),
    ColumnRule(
        name="enum",
        place=Place.COLUMN,
        says="the text is none of those",
        read=_enum,
        is_broken=lambda column, texts: f"({content_of(column)} NOT IN ({', '.join(map(literal, texts))}))",
        comparison=OwnComparison("writers, when it is new or a text is gone", _enum_changes),
    ),
    _bound("minimum", "<", _AT_LEAST, "the value is below it", lambda bound: bound <= 0),
    _bound("maximum", ">", _AT_MOST, "the value is above it"),
    _bound("exclusiveMinimum", "<=", _AT_LEAST, "the value is it or below it", lambda bound: bound < 0),
    _bound("exclusiveMaximum", ">=", _AT_MOST, "the value is it or above it"),
    ColumnRule(
        name="multipleOf",
        place=Place.OPTIONS,
        types=_NUMBERS,
        says="the number is no multiple of it",
        is_broken=lambda column, of: _compared(column, f"{quoted(column.name)} % {_number(of)} <> 0"),
        comparison=ANY_CHANGE,
    ),
    _length("minLength", "<", _AT_LEAST, "the text has fewer letters"),
    _length("maxLength", ">", _AT_MOST, "the text has more letters"),
    ColumnRule(
        name="pattern",
        place=Place.OPTIONS,
        types=("string",),
        says="the regular expression (RE2) does not match all of the text",
        is_broken=lambda column, pattern: f"(NOT {matches(content_of(column), pattern)})",
        comparison=ANY_CHANGE,
    ),
    ColumnRule(
        name="format",
        place=Place.OPTIONS,
        types=("string",),
        written="`logicalTypeOptions: {format: uuid}`",
        says="the text is no uuid",
        read=lambda value, _: value if value == "uuid" else None,
        is_broken=lambda column, _: f"(NOT {matches(content_of(column), UUID)})",
        comparison=ANY_CHANGE,
    ),
)
