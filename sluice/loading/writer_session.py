"""A connection to PostgreSQL that copies Arrow tables, and runs the named queries of include/sql/load."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pgpq
import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.rows import dict_row, tuple_row
from psycopg.types.string import TextLoader

from sluice.base import database, queries
from sluice.loading.errors import MonthMissingError

UNIQUE_VIOLATION = "23505"
# What is encoded, and sent, at a time: few enough rows that they stay in the processor's cache.
_ROWS = 8192


class WriterSession:
    """One transaction after the other, over a connection made when it is first needed and anew after an error.

    ``url`` is a postgresql URL; ``session`` are settings of PostgreSQL for each connection. Every method raises
    psycopg.Error when the database says no or is away.
    """

    def __init__(self, url: str, application_name: str, **session: str) -> None:
        self._url = url
        self._application_name = application_name
        self._settings = session
        self._connection: psycopg.Connection[Any] | None = None

    @property
    def connection(self) -> psycopg.Connection[Any]:
        """The connection itself, in a transaction as soon as it is used."""
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> psycopg.Connection[Any]:
        name, settings = self._application_name, self._settings
        connection = database.connect(
            self._url, application_name=name, autocommit=False, connect_timeout=None, **settings
        )
        # A pooler may hand a statement to a server that has not prepared it.
        connection.prepare_threshold = None
        for kind in ("json", "jsonb"):  # read as the text that it is
            connection.adapters.register_loader(kind, TextLoader)
        return connection

    def run(self, name: str, *parameters: Any, **parts: sql.Composable) -> list[tuple[Any, ...]]:
        """Run query ``load/file.name``; its rows, if it has any. ``parts`` are its places in braces."""
        with psycopg.RawCursor(self.connection, row_factory=tuple_row) as cursor:
            if not parts:
                return queries.all(cursor, name, *parameters)
            return cursor.execute(queries.compose(name, **parts), parameters).fetchall()

    def records(self, name: str, *parameters: Any) -> list[dict[str, Any]]:
        """Run query ``load/file.name``; its rows by name of column."""
        with psycopg.RawCursor(self.connection, row_factory=dict_row) as cursor:
            return queries.all(cursor, name, *parameters)

    def change(self, name: str, *parameters: Any, **parts: sql.Composable) -> int:
        """Run statement ``load/file.name``; how many rows it wrote. Raises MonthMissingError."""
        with psycopg.RawCursor(self.connection) as cursor, _told_from_a_check():
            if not parts:
                return queries.run(cursor, name, *parameters)
            return cursor.execute(queries.compose(name, **parts), parameters).rowcount

    def copy(self, rows: pa.Table, table: str, *, schema: str | None = None) -> None:
        """COPY ``rows`` into ``schema.table``; without a schema, into the temporary table of that name.

        Raises MonthMissingError.
        """
        columns = sql.SQL(", ").join(map(sql.Identifier, rows.column_names))
        into = sql.Identifier(schema or "pg_temp", table)
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(into, columns)
        with _told_from_a_check(), self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            for piece in _binary(rows):
                copy.write(piece)

    def commit(self) -> None:
        """Commit; when this raises, the outcome is unknown."""
        self.connection.commit()

    def rollback(self) -> None:
        """End the transaction, if there is one."""
        if self._connection is not None:
            self._connection.rollback()

    def disconnect(self) -> None:
        """Close the connection; what was not committed is rolled back by the server."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


@contextlib.contextmanager
def _told_from_a_check() -> Iterator[None]:
    """A row that no partition takes has the SQLSTATE of one that breaks a CHECK; but a CHECK has a name."""
    try:
        yield
    except psycopg.errors.CheckViolation as error:
        if error.diag.constraint_name is None and error.diag.table_name is not None:
            raise MonthMissingError(f"no partition of {error.diag.table_name} takes a row") from error
        raise


def _binary(rows: pa.Table) -> Iterator[bytes]:
    """The rows as PostgreSQL's binary COPY takes them."""
    encoder = pgpq.ArrowToPostgresBinaryEncoder(rows.schema)
    yield encoder.write_header()
    for batch in rows.to_batches(max_chunksize=_ROWS):
        yield encoder.write_batch(batch)
    yield encoder.finish()
