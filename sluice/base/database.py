"""Connections to PostgreSQL."""

from __future__ import annotations

import json
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from sluice.base import queries
from sluice.base.settings import SettingError

# A network that is cut without a word, or a machine that is frozen, is noticed and not waited for without end. A server
# that takes nothing for two minutes while a file is copied (a lock, a disk that stalls) may still come to it. What the
# URL says itself wins.
PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 120_000,
}

# And the server notices a client that is frozen in a transaction, or whose machine is gone, on any server: its
# transaction is rolled back then, and what it held (a file's rows, a lock) is free. No name is looked for where another
# role may have put something of its own under it: our SQL names the schema of everything but temporary tables.
SESSION = {
    "search_path": "pg_catalog, pg_temp",
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

# Airflow's own database, whose tables stand where its login looks for them.
AIRFLOWS_PATH = '"$user", public'


def connect(
    url: str,
    *,
    application_name: str = "sluice",
    autocommit: bool = True,
    connect_timeout: int | None = None,
    **session: str,
) -> psycopg.Connection[dict[str, Any]]:
    """Open a connection whose rows are dicts; raises psycopg.OperationalError when the server is away.

    ``connect_timeout`` is in seconds; without it, what ``url`` says, or 10. ``session`` are settings of PostgreSQL.
    """
    given = _parts(url)
    patience: dict[str, Any] = {key: value for key, value in PATIENCE.items() if key not in given}
    if connect_timeout is not None:
        patience["connect_timeout"] = connect_timeout
    connection = psycopg.connect(
        url, autocommit=True, row_factory=dict_row, application_name=application_name, **patience
    )
    try:
        queries.run(connection, "session.set_named", settings=json.dumps(session_settings(url, **session)))
        queries.run(connection, "session.commit_durably")
        connection.autocommit = autocommit
    except BaseException:
        connection.close()
        raise
    return connection


def session_settings(url: str, **more: str) -> dict[str, str]:
    """What each session of ours asks of PostgreSQL, whatever the server's own settings say; the URL's options win."""
    options = _parts(url).get("options", "")
    return {name: value for name, value in (SESSION | more).items() if name not in options}


def _parts(url: str) -> dict[str, Any]:
    try:
        return conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # its message quotes the password
        raise SettingError(
            "the database URL cannot be read: write postgresql://user:password@host:port/database, with % and other "
            "signs of the password percent-encoded"
        ) from None
