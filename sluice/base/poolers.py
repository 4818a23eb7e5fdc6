"""Refuses a pooler that gives each transaction another session, as PgBouncer does with pool_mode = transaction.

What the pipeline's promises rest on belongs to a session: the locks that keep two movers and two housekeepings apart,
the temporary tables of a load, the name that an old stream's sessions are found by. A pool of whole sessions is fine.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from sluice.base import database
from sluice.base.settings import SettingError

# Two connections ask in this order. In a pool that is idle both get one server session; in one that takes turns a
# connection gets two; in a busy one this happens sooner or later.
_TURNS = (0, 1, 1, 0, 0, 1) * 4


class SharedSessionsError(SettingError):
    """The database's URL leads to a pooler that shares sessions; the message names it and the remedy."""


def refuse_shared_sessions(connection: psycopg.Connection[dict[str, Any]]) -> None:
    """Raise SharedSessionsError when ``connection``, an autocommit one, does not stay with one session of the server.

    PostgreSQL itself says at the login which session it is, and one more query shows that this is true. Somebody else
    says something else; then two more connections find out whether theirs are sessions of their own.
    """
    if _session_of(connection) == connection.info.backend_pid:
        return
    info = connection.info
    url = make_conninfo(info.dsn, password=info.password)
    with ExitStack() as stack:
        pair = [stack.enter_context(database.connect(url, application_name="sluice-probe")) for _ in range(2)]
        met: tuple[set[int], set[int]] = (set(), set())
        for turn in _TURNS:
            met[turn].add(_session_of(pair[turn]))
    if len(met[0]) > 1 or met[0] & met[1] or len(met[1]) > 1:
        raise SharedSessionsError(
            f"{info.host}:{info.port} (database {info.dbname}, user {info.user}) is a connection pooler that gives "
            "each transaction another session, as PgBouncer does with pool_mode = transaction: locks would not hold. "
            "Name PostgreSQL itself in SLUICE_DATABASE_URL, SLUICE_WRITER_URL and SLUICE_READER_URL, or a pool with "
            "pool_mode = session"
        )


def _session_of(connection: psycopg.Connection[dict[str, Any]]) -> int:
    # A prepared statement would be missing in another session.
    row = connection.execute("SELECT pg_backend_pid() AS pid", prepare=False).fetchone()
    assert row is not None
    return int(row["pid"])
