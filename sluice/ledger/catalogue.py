"""The schema of a database as text: statements that would make it so, the same from PostgreSQL 14 to 18.

Read from PostgreSQL's catalogue by ``include/sql/catalogue.sql``. Owners are left out: all is the migrating login's.
"""

from __future__ import annotations

from typing import Any

import psycopg

from sluice.base import queries

SCHEMAS = ("ledger", "public", "report", "report_cells", "report_staging")
_PARTS = {
    "catalogue.schemas": "Schemas",
    "catalogue.tables": "Tables",
    "catalogue.partitions": "Partitions",
    "catalogue.references": "References",
    "catalogue.indexes": "Indexes",
    "catalogue.views": "Views",
    "catalogue.functions": "Functions",
    "catalogue.triggers": "Triggers",
    "catalogue.comments": "Comments",
    "catalogue.grants": "Grants",
}


def statements(connection: psycopg.Connection[dict[str, Any]]) -> dict[str, list[str]]:
    """What is in our schemas, in statements by part, in the order in which they could be run."""
    with connection.transaction():
        # Without a path every name is written with its schema.
        # Bounds of partitions are moments.
        connection.execute("SELECT set_config('search_path', '', true), set_config('timezone', 'UTC', true)")
        parts = {
            title: [row["statement"] for row in queries.all(connection, name, schemas=list(SCHEMAS))]
            for name, title in _PARTS.items()
        }
    return {title: lines for title, lines in parts.items() if lines}


def text(connection: psycopg.Connection[dict[str, Any]]) -> str:
    """The same as the text of a script."""
    parts = (f"-- {title}\n\n" + _between(lines).join(lines) for title, lines in statements(connection).items())
    return "SET check_function_bodies = off;\n\n" + "\n\n".join(parts) + "\n"


def _between(lines: list[str]) -> str:
    return "\n\n" if any("\n" in line for line in lines) else "\n"
