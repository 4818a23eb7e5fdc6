"""SQL that makes values of the file's texts: trimmed, mapped, cast where the format is right.

A format check precedes each cast: a cast alone turns '1.239' into 1.24 and 'T10:00' into today.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from sluice.contracts.model import Column, Contract, normal
from sluice.contracts.sql.numbers import number
from sluice.contracts.sql.text import literal, matches, quoted
from sluice.contracts.sql.times import moment

# 32 hex digits, with all of a uuid's hyphens or none of them.
UUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32}"


def typed_as(column: Column) -> str:
    """The DuckDB type that the column's values have in expressions."""
    whole, decimals = column.digits
    decimal = f"DECIMAL({whole + decimals}, {decimals})"
    if column.transform is not None and column.target is not None:
        events = {"uuid": "BLOB", "text": "VARCHAR", "timestamptz": "TIMESTAMPTZ", "bigint": column.integer}
        return events.get(column.kind, decimal)
    if column.logical_type == "integer":
        return f"DECIMAL({whole}, 0)" if column.kind == "numeric" else column.integer
    if column.logical_type == "number":
        return "DOUBLE" if column.is_float else decimal
    return {"timestamp": "TIMESTAMPTZ", "date": "TIMESTAMPTZ", "boolean": "BOOLEAN"}.get(column.logical_type, "VARCHAR")


def places_of(contract: Contract, header: Sequence[str]) -> list[tuple[Column, int]]:
    """The columns that a file with this header has, and the number of each one's field."""
    places = {normal(name): i for i, name in enumerate(header) if name.strip()}
    found = ((column, [places[name] for name in column.names if name in places]) for column in contract.read_columns)
    return [(column, fields[0]) for column, fields in found if fields]


def is_as_it_stands(column: Column, *, is_bare: bool) -> bool:
    """Whether events get the file's own text, of which nothing is made, when it ``is_bare`` (has no blanks to trim)."""
    is_text = column.kind == "text" and column.transform is None and not column.value_map
    return is_text and (is_bare or not (column.trim or has_format(column)))


def texts(contract: Contract, places: Mapping[str, int], bare: Collection[int]) -> Iterator[str]:
    """Select items of the file's texts; ``places`` are the fields by column, ``bare`` those that need no trimming."""
    for column in contract.read_columns:
        at = places.get(column.name)
        text = "NULL::VARCHAR" if at is None else f"c{at}"
        if at is not None and at not in bare and (column.trim or has_format(column)):
            text = _trimmed(text)
        yield f"{text} AS {text_of(column)}"
        if column.value_map:
            yield f"{_mapped(column, text)} AS {source_of(column)}"


def _trimmed(text: str) -> str:
    """``text`` without blanks around it, null when nothing is left; trim() itself is dear, and rarely needed."""
    padded = f"starts_with({text}, ' ') OR ends_with({text}, ' ')"
    return f"CASE WHEN {padded} THEN nullif(trim({text}), '') WHEN {text} <> '' THEN {text} END"


def has_format(column: Column) -> bool:
    """Whether not every text is a value of the column."""
    return column.logical_type != "string" or column.kind == "uuid"


def _mapped(column: Column, text: str) -> str:
    whens = " ".join(
        f"WHEN {literal(theirs)} THEN {'NULL' if ours is None else literal(ours)}"
        for theirs, ours in column.value_map.items()
    )
    return f"CASE {text} {whens} ELSE {text} END"


def text_of(column: Column) -> str:
    """The column as it stands in the file; its value itself when nothing is made of it."""
    return quoted(f"__text:{column.name}" if column.value_map or has_format(column) else column.name)


def source_of(column: Column) -> str:
    """What the column's value is made of: its text, mapped by its value map."""
    return quoted(f"__mapped:{column.name}") if column.value_map else text_of(column)


def typed_columns(contract: Contract, shaped: Collection[str]) -> Iterator[str]:
    """Select items of the columns of the file that are not simply text.

    No pattern is held against the texts of the columns ``shaped``: they all match it.
    """
    for column in contract.read_columns:
        if text_of(column) != quoted(column.name):
            value = _typed_well(column) if column.name in shaped else _typed(column)
            yield f"{value} AS {quoted(column.name)}"


def _typed_well(column: Column) -> str:
    source = source_of(column)
    return (
        f"replace(lower({source}), '-', '')" if column.kind == "uuid" else f"try_cast({source} AS {typed_as(column)})"
    )


def _typed(column: Column) -> str:
    source = source_of(column)
    if column.kind == "uuid":
        return f"CASE WHEN {matches(source, UUID)} THEN replace(lower({source}), '-', '') END"
    if column.logical_type in ("integer", "number"):
        return number(column, source, typed_as(column))
    if column.logical_type in ("timestamp", "date"):
        return moment(column, source)
    if column.logical_type == "boolean":
        return f"CASE lower({source}) WHEN 'true' THEN true WHEN 'false' THEN false END"
    return source
