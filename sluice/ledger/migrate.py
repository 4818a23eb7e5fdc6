"""Brings the schema of a database up to date with ``include/sql/migrations``."""

from __future__ import annotations

from typing import Any

import psycopg

from sluice.base import database, poolers, queries
from sluice.base.settings import SQL

_LOCK = 7_215_482_301
OLDEST_SERVER = 140_000


class MigrationError(RuntimeError):
    """The database cannot be migrated; the message names the remedy."""


def migrate(url: str) -> list[str]:
    """Apply each pending migration in a transaction of its own; return the names of those applied.

    Two migrators at once wait for each other (advisory lock). Raises MigrationError for a server older than 14 and a
    database that is not in UTF-8, SharedSessionsError for a pooler that shares sessions.
    """
    applied = []
    with database.connect(url, application_name="sluice-migrate") as connection:
        _check(connection)
        connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        queries.run(connection, "migrations.create_history")
        done = {row["name"] for row in queries.all(connection, "migrations.applied_names")}
        for path in sorted((SQL / "migrations").glob("*.up.sql")):
            name = path.name.removesuffix(".up.sql")
            if name not in done:
                _apply(connection, name, path.read_text(encoding="utf-8"))
                applied.append(name)
        connection.execute(queries.script(SQL / "grants.sql"))
    return applied


def _check(connection: psycopg.Connection[dict[str, Any]]) -> None:
    if connection.info.server_version < OLDEST_SERVER:
        raise MigrationError(
            f"PostgreSQL {connection.info.server_version // 10_000} is too old: Sluice needs 14 or later"
        )
    if (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
        raise MigrationError(
            f"database {connection.info.dbname} is in {encoding}, which cannot hold every text of a file: make one in "
            "UTF-8, CREATE DATABASE … ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0, and name it in SLUICE_DATABASE_URL"
        )
    poolers.refuse_shared_sessions(connection)


def _apply(connection: psycopg.Connection[Any], name: str, script: str) -> None:
    with connection.transaction():
        connection.execute(script)  # type: ignore[call-overload]
        queries.run(connection, "migrations.record_applied", name=name)
