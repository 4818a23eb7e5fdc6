"""Checks the SQL that a contract's author wrote, expression by expression, before any record meets it.

An expression sees one record and nothing else: no other row, no table, no clock that would let a replay derive another
value than the first load.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb

from sluice.base import queries
from sluice.base.settings import SQL
from sluice.contracts.model import RECORD_NAMES, Column
from sluice.contracts.sql.text import quoted
from sluice.contracts.sql.values import typed_as

_ALLOWED = {
    "BETWEEN",
    "CASE",
    "CAST",
    "COLLATE",
    "COLUMN_REF",
    "COMPARISON",
    "CONJUNCTION",
    "CONSTANT",
    "FUNCTION",
    "LAMBDA",
    "OPERATOR",
    "TYPE",
}
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_FITS = {
    "VARCHAR": ("",),
    "BLOB": ("VARCHAR", "UUID"),
    "TIMESTAMPTZ": ("TIMESTAMP", "DATE"),
    "BOOLEAN": ("BOOLEAN",),
    "DOUBLE": (*_INTEGERS, "DECIMAL", "DOUBLE", "FLOAT"),
    "DECIMAL": (*_INTEGERS, "DECIMAL", "DOUBLE", "FLOAT"),
    **dict.fromkeys(("SMALLINT", "INTEGER", "BIGINT", "HUGEINT"), _INTEGERS),
}


def parsed(connection: duckdb.DuckDBPyConnection, column: Column) -> Any:
    """DuckDB's own tree of a derived column's expression."""
    [(text,)] = connection.execute("SELECT json_serialize_sql($1)", [f"SELECT {column.transform}\n"]).fetchall()
    return json.loads(text)["statements"]


def problems(
    connection: duckdb.DuckDBPyConnection, expression: str, columns: list[Column], wanted: str, *, is_derived: bool
) -> Iterator[str]:
    """What is wrong with an expression over ``columns`` that must give the type ``wanted``: reason and remedy."""
    names = {column.name.casefold(): column.name for column in columns} | dict.fromkeys(RECORD_NAMES, "")
    if problem := next(_shape_problems(connection, expression, set(names), is_derived=is_derived), None):
        yield problem
        return
    query = query_of(expression, columns)
    if problem := why_not(connection, query):
        yield problem
        return
    made_type = type_of(connection, query)
    fits = made_type.startswith(_FITS[wanted.split("(")[0]])
    if not fits and wanted == "BLOB":
        yield f"it is of type {made_type}, but a uuid as text is needed: feed_id('feed', …) makes one of any text"
    elif not fits:
        yield f"it is of type {made_type}, but {wanted} is needed: say how to convert it, such as CAST(… AS {wanted})"


def query_of(expression: str, columns: Sequence[Column]) -> str:
    """The expression over one record that has nothing in ``columns``."""
    nulls = [f"NULL::{typed_as(column)} AS {quoted(column.name)}" for column in columns]
    nulls += ["NULL::BIGINT AS record_number", "NULL::VARCHAR AS file_sha256"]
    return f"SELECT ({expression}\n) AS value FROM (SELECT {', '.join(nulls)})"  # noqa: S608


def type_of(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    """The DuckDB type of what ``query`` makes."""
    [(_, made_type, *_rest)] = connection.execute(f"DESCRIBE {query}").fetchall()
    return str(made_type)


def why_not(connection: duckdb.DuckDBPyConnection, query: str) -> str | None:
    """Why ``query`` does not run; None when it does."""
    try:
        connection.sql(query).to_arrow_table()  # fetchall would need pytz for moments
    except duckdb.Error as error:
        return str(error).strip().split("\n\n")[0].replace("\n", " ")
    return None


def _shape_problems(
    connection: duckdb.DuckDBPyConnection, expression: str, names: set[str], *, is_derived: bool
) -> Iterator[str]:
    [(text,)] = connection.execute("SELECT json_serialize_sql($1)", [f"SELECT {expression}\n"]).fetchall()
    parsed = json.loads(text)
    if parsed["error"]:
        yield f"{parsed['error_message']}: correct the SQL"
        return
    node = parsed["statements"][0]["node"]
    selected = node.get("select_list", [])
    is_one = len(parsed["statements"]) == len(selected) == 1 and node["from_table"]["type"] == "EMPTY"
    if not is_one or node["where_clause"] or node["modifiers"] or selected[0]["alias"]:
        yield "it must be one expression over the contract's columns, without FROM, WHERE or AS"
        return
    names = names | set(_lambda_names(selected))
    for part in parts_of(selected):
        yield from _part_problems(connection, part, names, is_derived=is_derived)


def _part_problems(
    connection: duckdb.DuckDBPyConnection, part: dict[str, Any], names: set[str], *, is_derived: bool
) -> Iterator[str]:
    if part["class"] not in _ALLOWED:
        yield f"{part['class'].lower()} is not possible here: an expression sees one record and nothing else"
    elif part["class"] == "COLUMN_REF" and part["column_names"][0].casefold() not in names:
        yield f"there is no column {part['column_names'][0]!r}: it may name {', '.join(sorted(names))}"
    elif part["class"] == "FUNCTION":
        kinds, is_steady, is_volatile = _functions(connection).get(part["function_name"].lower(), (set(), True, False))
        if kinds and not kinds & {"scalar", "macro"}:
            yield f"{part['function_name']} looks at several rows: an expression sees one record and nothing else"
        elif is_volatile or (is_derived and not is_steady):
            yield f"{part['function_name']} gives another value each time, so that a replay would not give the same row"


def parts_of(tree: Any) -> Iterator[dict[str, Any]]:
    """Every expression in a tree of DuckDB's, from the outside in."""
    if isinstance(tree, list):
        for item in tree:
            yield from parts_of(item)
    elif isinstance(tree, dict):
        if "class" in tree:
            yield tree
        for item in tree.values():
            yield from parts_of(item)


def _lambda_names(tree: Any) -> Iterator[str]:
    for part in parts_of(tree):
        if part["class"] == "LAMBDA":
            for name in parts_of(part.get("lhs")):
                yield from (text.casefold() for text in name.get("column_names", []))


@functools.cache
def _functions(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[set[str], bool, bool]]:
    """By function name: its kinds, whether a replay gives the same value, whether each call may give another."""
    rows = connection.execute(queries.script(SQL / "load" / "judge_functions.sql")).fetchall()
    return {name: (set(kinds), is_steady, is_volatile) for name, kinds, is_steady, is_volatile in rows}
