"""Brings the schema of a database up to date with ``include/sql/migrations``."""

from __future__ import annotations

import logging
import time
from typing import Any

import psycopg

from sluice.base import database, poolers, queries
from sluice.base.settings import SQL

_log = logging.getLogger(__name__)

_LOCK = 7_215_482_301
OLDEST_SERVER = 140_000
# Loads stand behind what a migration asks for: so long, and then they have their turn, and the migration another one.
_LOCK_TIMEOUT = "10s"
_ATTEMPTS = 30
_PAUSE = 1.0
_HELD = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
_REFUSED = (
    psycopg.errors.ObjectInUse,
    psycopg.errors.ObjectNotInPrerequisiteState,
    psycopg.errors.InsufficientPrivilege,
)


class MigrationError(RuntimeError):
    """The database cannot be migrated; the message names the remedy."""


def migrate(url: str) -> list[str]:
    """Apply each pending migration in a transaction of its own; return the names of those applied.

    Two migrators at once wait for each other (advisory lock). Raises MigrationError for a server older than 14, a
    database that is not in UTF-8, and a migration that others are in the way of or that finds what it would break (then
    it has changed nothing); SharedSessionsError for a pooler that shares sessions.
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


def _apply(connection: psycopg.Connection[dict[str, Any]], name: str, script: str) -> None:
    """In one transaction; tried again while others hold what it needs."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with connection.transaction():
                queries.run(connection, "migrations.be_patient", timeout=_LOCK_TIMEOUT)
                connection.execute(script)  # type: ignore[call-overload]
                queries.run(connection, "migrations.record_applied", name=name)
        except _HELD as error:
            others = _in_the_way(connection)
            if attempt == _ATTEMPTS:
                raise MigrationError(
                    f"migration {name} has changed nothing: in {attempt} attempts others never left the tables that it "
                    f"changes. Now they are {others}: stop what reads and loads, or end these sessions, and try again"
                ) from error
            _log.warning("migration %s: attempt %s: others use its tables: %s", name, attempt, others)
            time.sleep(_PAUSE)
        except _REFUSED as error:
            why, remedy = error.diag.message_primary, error.diag.message_hint or ""
            raise MigrationError(f"migration {name} has changed nothing: {why}. {remedy}".rstrip()) from error
        else:
            return


def _in_the_way(connection: psycopg.Connection[dict[str, Any]]) -> str:
    """The sessions that use our tables, those whose transactions began first."""
    rows = queries.all(connection, "migrations.in_the_way")
    return ", ".join(f"session {row['pid']} ({row['name']!r} of role {row['role']!r})" for row in rows) or "gone"
