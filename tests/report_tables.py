"""What schema ``report`` publishes, as plain empty tables: a test may fill them with anything."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[dict[str, Any]]


def make(connection: Connection) -> None:
    """In the place of each table and view of schema ``report``, a table of its columns that everybody may read.

    ``connection`` is the owner's.
    """
    published = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'report'::regnamespace AND relkind IN ('r', 'v')"
    )
    with connection.transaction():
        connection.execute("CREATE SCHEMA plain")
        for row in published.fetchall():
            one = {"name": sql.Identifier(row["relname"])}
            statement = sql.SQL("CREATE TABLE plain.{name} AS TABLE report.{name} WITH NO DATA").format(**one)
            connection.execute(statement)
        connection.execute("DROP SCHEMA report CASCADE")
        connection.execute("ALTER SCHEMA plain RENAME TO report")
        connection.execute("GRANT USAGE ON SCHEMA report TO PUBLIC")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA report TO PUBLIC")


def add(connection: Connection, name: str, **values: object) -> None:
    """A row of ``report.<name>``; what is not given is NULL."""
    connection.execute(
        sql.SQL("INSERT INTO report.{} ({}) VALUES ({})").format(
            sql.Identifier(name),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(map(sql.Placeholder, values)),
        ),
        values,
    )
