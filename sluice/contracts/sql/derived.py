"""SQL of the derived columns: what transformLogic says, stage by stage.

What an expression raises (an overflow, a bad cast) costs the row that raised it, never the block.
"""

from __future__ import annotations

from collections.abc import Iterator

from sluice.contracts.model import Column, Contract
from sluice.contracts.sql.text import listed, matches, quoted
from sluice.contracts.sql.values import UUID, source_of, text_of, typed_as

# Within the years 1 to 9999 in every time zone: Python and others know no moments beyond.
MOMENTS = "TIMESTAMPTZ '0001-01-02 00:00:00Z' AND TIMESTAMPTZ '9999-12-30 00:00:00Z'"


def derived_levels(contract: Contract) -> list[list[Column]]:
    """The derived columns in order, in as few stages as lets each name those before it."""
    levels: list[list[Column]] = []
    for column in contract.derived_columns:
        expression = (column.transform or "").casefold()
        if not levels or any(before.name.casefold() in expression for before in levels[-1]):
            levels.append([])
        levels[-1].append(column)
    return levels


def derived_stages(contract: Contract) -> Iterator[str]:
    """The stages of the query that make the derived columns: made, tried in the column's type, and taken out."""
    before = "typed"
    for number, level in enumerate(derived_levels(contract), start=1):
        # The line break ends a comment that the expression may end in.
        made = [f"TRY({{'v': ({column.transform}\n)}}) AS {_made(column)}" for column in level]
        yield f""", made_{number} AS (
    SELECT *, {listed(made)}
    FROM {before}
), tried_{number} AS (
    SELECT *, {listed([f"{_tried(column)} AS {attempt(column)}" for column in level])}
    FROM made_{number}
), derived_{number} AS (
    SELECT *, {listed([f"{attempt(column)}.v AS {quoted(column.name)}" for column in level])}
    FROM tried_{number}
)"""  # noqa: S608
        before = f"derived_{number}"


def last_stage(contract: Contract) -> str:
    """The stage that has every column of the contract."""
    levels = derived_levels(contract)
    return f"derived_{len(levels)}" if levels else "typed"


def null_row(column: Column) -> list[str]:
    """Select items that stand for ``column`` of a row that has nothing, under every name that rules use."""
    value = f"NULL::{typed_as(column)} AS {quoted(column.name)}"
    if column.transform is not None:
        return [value, f"NULL::STRUCT(v {typed_as(column)}) AS {attempt(column)}"]
    texts = {text_of(column), source_of(column)} - {quoted(column.name)}
    return [value, *(f"NULL::VARCHAR AS {text}" for text in texts)]


def _made(column: Column) -> str:
    return quoted(f"__made:{column.name}")


def attempt(column: Column) -> str:
    """The name of a derived value in a struct, which is null where there could be none."""
    return quoted(f"__tried:{column.name}")


def _tried(column: Column) -> str:
    """The derived value in a struct; null instead of the struct when making it raised, or its type would change it."""
    made = f"{_made(column)}.v"
    value, is_same = _as_typed(column, made)
    return f"TRY(CASE WHEN {_made(column)} IS NOT NULL AND coalesce({is_same}, true) THEN {{'v': {value}}} END)"


def _as_typed(column: Column, made: str) -> tuple[str, str]:
    """SQL of what an expression made as the column's own type, and of whether nothing is lost by that."""
    kind = typed_as(column)
    value = f"CAST({made} AS {kind})"
    if kind == "BLOB":
        text = f"CAST({made} AS VARCHAR)"
        return f"unhex(replace({text}, '-', ''))", matches(text, UUID)
    if kind == "TIMESTAMPTZ":
        return value, f"nanosecond({made}) % 1000 = 0 AND {value} BETWEEN {MOMENTS}"
    if kind == "DOUBLE":
        is_exact = f"typeof({made}) IN ('DOUBLE', 'FLOAT') OR CAST({value} AS DECIMAL(38, 10)) = {made}"
        return value, f"isfinite({value}) AND ({is_exact})"
    if kind == "VARCHAR":
        return value, f"NOT contains({value}, chr(0))"  # PostgreSQL holds no NUL
    return value, f"{value} = {made}" if kind.startswith("DECIMAL") else "true"
