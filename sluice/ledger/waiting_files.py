"""The files that are registered and wait to be loaded."""

from __future__ import annotations

from typing import Any

import psycopg

from sluice.base import queries

Connection = psycopg.Connection[dict[str, Any]]


def waiting_range(connection: Connection) -> dict[str, int] | None:
    """The lowest and the highest file_id that waits to be loaded, as first and last; None when none waits."""
    row = queries.one(connection, "ledger/files.find_waiting_range")
    return row if row is not None and row["first"] is not None else None


def still_landed(connection: Connection, first: int, last: int) -> int:
    """How many files of this range of file_ids still wait to be loaded."""
    return int(queries.row(connection, "ledger/files.count_still_landed", first=first, last=last)["files"])


def oldest_still_landed(connection: Connection, first: int, last: int, most: int = 5) -> list[str]:
    """The names of the files of this range of file_ids that wait the longest, oldest first."""
    rows = queries.all(connection, "ledger/files.find_still_landed", first=first, last=last, most=most)
    return [f"{row['name']} (file {row['file_id']})" for row in rows]
