"""Questions of the page to PostgreSQL: read only, each with an end, through a few connections that stay open."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
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
# A server that is frozen, or cut off without a word, ends no statement. A question of a few statements that takes so
# much longer than they may is given up together with its session.
SILENT_SECONDS = 10.0
_STATEMENTS = 4


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
                patience = SILENT_SECONDS + _STATEMENTS * milliseconds / 1000
                with _hung_up_after(patience, connection), connection.transaction():
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
            while True:
                if _is_open(idle := self._idle.get_nowait()):
                    return idle
                idle.close()
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


def _is_open(idle: Connection) -> bool:
    """Whether the server has said nothing to a session that asked nothing: it says something when it ends."""
    poll = select.poll()
    poll.register(idle.fileno(), select.POLLIN)
    return not poll.poll(0)


@contextlib.contextmanager
def _hung_up_after(seconds: float, connection: Connection) -> Iterator[None]:
    """Cut the session when the block takes longer: who waits for the server in it gets psycopg.OperationalError."""
    # A number of its own, which nobody else gets meanwhile.
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        timer = threading.Timer(seconds, _hang_up, [line])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _hang_up(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
