"""Questions of the page to PostgreSQL: read only, each with an end, through a few connections that stay open."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Any

import psycopg

from sluice.base import database, queries
from sluice.base.settings import Settings

Connection = psycopg.Connection[dict[str, Any]]
TIMEOUT_MS = 250
CONNECT_SECONDS = 2


class AwayError(RuntimeError):
    """PostgreSQL does not answer, since the moment ``since``."""

    def __init__(self, since: datetime) -> None:
        super().__init__(f"the database does not answer since {since:%Y-%m-%d %H:%M:%S} UTC")
        self.since = since


class SlowError(RuntimeError):
    """A question took longer than it may."""


class Reader:
    """Asks as sluice_reader. May be used by several threads: each takes a connection for one question."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._idle: SimpleQueue[Connection] = SimpleQueue()
        self._away_since: datetime | None = None

    @contextlib.contextmanager
    def asking(self, milliseconds: int = TIMEOUT_MS) -> Iterator[Connection]:
        """A connection within a transaction that only reads, in one snapshot, each statement for so long at most.

        Raises AwayError when the server is away, SlowError when a statement took longer.
        """
        try:
            connection = self._take()
            try:
                with connection.transaction():
                    queries.run(connection, "watching/session.read_only")
                    queries.run(connection, "watching/session.bound", milliseconds=str(milliseconds))
                    yield connection
            finally:
                self._give_back(connection)
        except psycopg.errors.QueryCanceled as error:
            raise SlowError(f"it took longer than {milliseconds} ms") from error
        except psycopg.OperationalError as error:
            self._away_since = self._away_since or datetime.now(UTC)
            raise AwayError(self._away_since) from error
        self._away_since = None

    def close(self) -> None:
        """End the sessions."""
        with contextlib.suppress(Empty):
            while True:
                self._idle.get_nowait().close()

    def _take(self) -> Connection:
        with contextlib.suppress(Empty):
            return self._idle.get_nowait()
        opened = database.connect(
            self._settings.reader_dsn, application_name="sluice-page", connect_timeout=CONNECT_SECONDS
        )
        # A plan for any value would read all files for a contract that has few.
        opened.prepare_threshold = None
        return opened

    def _give_back(self, connection: Connection) -> None:
        if connection.closed or connection.broken:
            connection.close()
        else:
            self._idle.put(connection)
