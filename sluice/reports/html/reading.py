"""What the page and its CSV files read: one snapshot, as a role that reads, with an end to every query."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row, tuple_row

from sluice.base import queries
from sluice.reports.html.pictures import Rows

_log = logging.getLogger(__name__)
# One more row than a file takes tells that there are more.
CSV_ROWS = 20_000
_ROWS_AT_A_TIME = 1000
# Refreshes wait for the page: what has not begun by then is left out of it.
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Answer:
    """Rows, the SQL that gave them as anybody may run it again, and why there are none where that failed."""

    rows: Rows
    sql: str
    error: str = ""


@dataclass(frozen=True)
class Refreshed:
    """The refresh that published what is read: its moment in the shop's zone, and what it counted."""

    as_of: datetime
    zone: str
    events: int
    sales: int


class Snapshot:
    """A transaction that reads all of it as of one moment, and writes nothing."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        # It puts values into the text by itself: what is shown is what was run.
        self._cursor = psycopg.ClientCursor(connection, row_factory=dict_row)
        self._deadline = time.monotonic() + PATIENCE_SECONDS
        # What could not be read, by query: what PostgreSQL said.
        self.failures: dict[str, str] = {}

    def refreshed(self) -> Refreshed | None:
        """The last refresh; None before the first one. Raises psycopg.Error."""
        row = queries.one(self._cursor, "page.refresh")
        if row is None:
            return None
        return Refreshed(datetime.fromisoformat(row["as_of"]), row["zone"], row["events"], row["sales"])

    def ask(self, name: str, **values: Any) -> Answer:
        """The rows of query ``name``. What fails fails alone; raises psycopg.Error when the connection is lost."""
        statement = self._cursor.mogrify(queries.text(name), values)
        try:
            self._refuse_when_late()
            with self._connection.transaction():
                return Answer(self._cursor.execute(statement).fetchall(), statement)
        except psycopg.Error as error:
            return Answer([], statement, self.note(name, error))

    def table(self, name: str) -> Generator[tuple[Any, ...], None, None]:
        """The names of the columns of query ``name``, then its rows, a thousand at a time. Raises psycopg.Error."""
        self._refuse_when_late()
        with (
            self._connection.transaction(),
            psycopg.ServerCursor(self._connection, "page_table", row_factory=tuple_row) as cursor,
        ):
            cursor.itersize = _ROWS_AT_A_TIME
            cursor.execute(queries.text(name))
            yield tuple(column.name for column in cursor.description or ())
            yield from cursor

    def note(self, name: str, error: psycopg.Error) -> str:
        """Remember why query ``name`` could not be read, and say it. Raises ``error`` when the connection is lost."""
        if self._connection.broken:
            raise error
        _log.warning("%s cannot be read: %s", name, str(error).strip())
        self.failures[name] = str(error).strip().partition("\n")[0]
        return self.failures[name]

    def _refuse_when_late(self) -> None:
        if time.monotonic() > self._deadline:
            raise psycopg.errors.QueryCanceled(f"left out, for the page has taken {PATIENCE_SECONDS:g} s")


@contextmanager
def snapshot(connection: psycopg.Connection[Any]) -> Iterator[Snapshot]:
    """A snapshot until the block ends; ``connection`` is in no transaction before. Raises psycopg.Error."""
    with connection.transaction():
        connection.execute(queries.text("page.begin"))
        yield Snapshot(connection)
