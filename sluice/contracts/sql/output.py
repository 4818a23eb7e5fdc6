"""SQL of the rows of events, in the types that binary COPY takes."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping

from sluice.contracts.event_columns import EVENT_COLUMNS, SIGNED
from sluice.contracts.model import Column, Contract
from sluice.contracts.sql.json_text import as_json, json_pairs, json_text, plain_pairs
from sluice.contracts.sql.text import literal, quoted
from sluice.contracts.sql.values import text_of

_NULL_OF = {
    "uuid": "NULL::BLOB",
    "text": "NULL::VARCHAR",
    "timestamptz": "NULL::TIMESTAMPTZ",
    "numeric": "NULL::DECIMAL(20, 4)",
    "bigint": "NULL::BIGINT",
}


def is_cancellation(fills: Mapping[str, Column]) -> str:
    """SQL that is true for a row that is a cancellation."""
    return f"{as_copied(fills['event_type'])} = 'cancellation'"


def fills_of(contract: Contract) -> dict[str, Column]:
    """By column of events: the contract's column that fills it."""
    return {column.target: column for column in contract.columns if column.target}


def output(contract: Contract, made_already: Collection[str], plain: Collection[str]) -> Iterator[str]:
    """Select items of a row of events, in the order of its columns, but for those that are ``made_already``.

    The texts of the columns ``plain`` are never null and stand in JSON as they are.
    """
    fills = fills_of(contract)
    for target, kind in EVENT_COLUMNS.items():
        if target in made_already:
            continue
        value = as_copied(fills[target]) if target in fills else _NULL_OF[kind]
        if contract.cancellations == "positive" and target in SIGNED and target in fills:
            # Only what the rule lets pass: a negative one, in a row that is set aside, may have no positive.
            value = f"CASE WHEN {is_cancellation(fills)} AND {value} > 0 THEN -{value} ELSE {value} END"
        yield f"{value} AS {target}"
    pairs = json_pairs([], *_own_pairs(contract, plain), '"__file_extra"')
    # As binary jsonb: a version byte, then the text.
    yield f"encode(chr(1) || '{{' || {pairs} || '}}') AS extra"
    yield '"__file_id" AS file_id'
    yield "record_number"


def _own_pairs(contract: Contract, plain: Collection[str]) -> Iterator[str]:
    """The pairs of ``extra`` that the contract describes; those that stand together and are ``plain`` in one go."""
    own = [column for column in contract.columns if column.target is None]
    for are_plain, columns in itertools.groupby(own, key=lambda column: column.name in plain):
        if are_plain:
            yield plain_pairs([(column.name, _as_kept(column)) for column in columns])
        else:
            yield from (f"{literal(json_text(c.name) + ':')} || {as_json(_as_kept(c), c)}" for c in columns)


def as_copied(column: Column) -> str:
    """The column as the driver must get it for binary COPY: uuid as 16 bytes, text as it stands in the file."""
    value = quoted(column.name)
    if column.kind == "uuid":
        return value if column.transform is not None else f"unhex({value})"
    if column.kind == "numeric":
        return f"{value}::DECIMAL(20, 4)"
    if column.kind == "bigint":
        return f"{value}::BIGINT"
    return value if column.kind != "text" else _as_kept(column)


def _as_kept(column: Column) -> str:
    """The column as events keep it when no type of theirs is asked for: the file's own text."""
    is_other = column.transform is None and column.logical_type != "string"
    return text_of(column) if is_other else quoted(column.name)
