"""A connection to PostgreSQL that speaks Arrow: COPY from tables, and the named queries of include/sql/load."""

from __future__ import annotations

import json
import logging
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa
from psycopg import sql

from sluice.base import database, queries

_log = logging.getLogger(__name__)

UNIQUE_VIOLATION = "23505"


class WriterSession:
    """One transaction after the other, over a connection made when it is first needed and anew after an error.

    ``url`` is a postgresql URL; ``session`` are settings of PostgreSQL for each connection. Every method raises
    adbc_driver_manager.Error when the database says no or is away.
    """

    def __init__(self, url: str, application_name: str, **session: str) -> None:
        self._url = database.url_for_libpq(url, application_name)
        self._settings = database.session_settings(url, **session)
        self._connection: adbc.Connection | None = None

    @property
    def connection(self) -> adbc.Connection:
        """The connection itself, in a transaction as soon as it is used."""
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> adbc.Connection:
        connection = adbc.connect(self._url)
        try:
            with connection.cursor() as cursor:
                cursor.execute(queries.text("session.set_numbered"), (json.dumps(self._settings),))
                cursor.fetchall()
            connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection

    def run(self, name: str, *parameters: Any, **parts: sql.Composable) -> list[tuple[Any, ...]]:
        """Run query ``load/file.name``; its rows, if it has any. ``parts`` are its places in braces."""
        text = queries.compose(name, **parts).as_string() if parts else queries.text(name)
        with self.connection.cursor() as cursor:
            cursor.execute(text, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def table(self, name: str, *parameters: Any) -> pa.Table:
        """Run query ``load/file.name``; its rows as a table."""
        with self.connection.cursor() as cursor:
            cursor.execute(queries.text(name), parameters or None)
            return cursor.fetch_arrow_table()

    def change(self, name: str) -> int:
        """Run statement ``load/file.name``; how many rows it wrote."""
        with self.connection.cursor() as cursor:
            cursor.execute(queries.text(name))
            return int(cursor.rowcount)

    def copy(self, rows: pa.Table, table: str, *, schema: str | None = None) -> None:
        """COPY ``rows`` into ``schema.table``; without a schema, into the temporary table of that name."""
        with self.connection.cursor() as cursor:
            cursor.adbc_ingest(table, rows, mode="append", db_schema_name=schema, temporary=schema is None)

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
            try:
                connection.close()
            except adbc_driver_manager.Error as error:
                _log.debug("closing a broken connection: %s", error)
