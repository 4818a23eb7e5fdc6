"""The named queries of ``include/sql``: ``queries.one(connection, "ledger/streams.find_living")``.

A file of queries has a line ``-- name: x :: what it returns`` above each. One that is called with values by name writes
them as ``%(name)s`` and a percent sign as ``%%``. One that is called with values in order, over a raw cursor,
writes them as ``$1`` and a percent sign as it is.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from sluice.base.settings import SQL

HEADER = re.compile(r"^-- name: (\w+) :: (\S[^\n]*)\n", re.MULTILINE)

Row = TypeVar("Row")


def one(on: psycopg.Connection[Row] | psycopg.Cursor[Row], name: str, /, *values: Any, **named: Any) -> Row | None:
    """The first row of query ``name``, None without any. Raises psycopg.Error."""
    return _execute(on, name, values, named).fetchone()


def row(on: psycopg.Connection[Row] | psycopg.Cursor[Row], name: str, /, *values: Any, **named: Any) -> Row:
    """The first row of a query that always has one. Raises LookupError when it has none, psycopg.Error."""
    first = one(on, name, *values, **named)
    if first is None:
        raise LookupError(f"query {name} returned no row")
    return first


def all(  # noqa: A001 - the module's name stands before it
    on: psycopg.Connection[Row] | psycopg.Cursor[Row], name: str, /, *values: Any, **named: Any
) -> list[Row]:
    """The rows of query ``name``; none of a statement that returns nothing. Raises psycopg.Error."""
    cursor = _execute(on, name, values, named)
    return cursor.fetchall() if cursor.description else []


def run(on: psycopg.Connection[Any] | psycopg.Cursor[Any], name: str, /, *values: Any, **named: Any) -> int:
    """Run statement ``name``; how many rows it wrote. Raises psycopg.Error."""
    return _execute(on, name, values, named).rowcount


def wait_for_notice(connection: psycopg.Connection[Any], seconds: float) -> bool:
    """Wait until word comes of what ``connection`` listens to, at most so long; whether it came.

    Raises psycopg.Error.
    """
    return bool(list(connection.notifies(timeout=seconds, stop_after=1)))


def text(name: str) -> str:
    """The text of query ``name``: its file under include/sql, without .sql, a dot, and its name there."""
    file, _, query = name.partition(".")
    return _file(file)[query]


def compose(query: str, /, **parts: sql.Composable) -> sql.Composed:
    """``query`` with ``parts`` in the places of its text that have their names in braces: ``{table}``."""
    return sql.SQL(text(query)).format(**parts)


def parse(text: str) -> dict[str, str]:
    """The queries of the text of a .sql file, by name."""
    parts = HEADER.split(text)
    return {name: body.strip().rstrip(";") for name, body in zip(parts[1::3], parts[3::3], strict=True)}


def descriptions(text: str) -> dict[str, str]:
    """What the headers of a .sql file say that its queries return, by name."""
    return dict(HEADER.findall(text))


def script(path: Path) -> str:
    """The text of a .sql file that holds one script."""
    return path.read_text(encoding="utf-8")


def _execute(
    on: psycopg.Connection[Row] | psycopg.Cursor[Row], name: str, values: tuple[Any, ...], named: dict[str, Any]
) -> psycopg.Cursor[Row]:
    # A raw cursor leaves percent signs alone; any other one reads %% as % as soon as it is given values, even none.
    return on.execute(text(name), values if isinstance(on, psycopg.RawCursor) else named)


@functools.cache
def _file(file: str) -> dict[str, str]:
    return parse(script(SQL / f"{file}.sql"))
