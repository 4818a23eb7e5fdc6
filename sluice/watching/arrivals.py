"""What became of a file that has just landed."""

from __future__ import annotations

from typing import Any

from sluice.base import queries
from sluice.watching.reader import Connection


def last(connection: Connection) -> int:
    """The greatest number of a file so far; 0 without any."""
    return int(queries.row(connection, "watching/arrivals.last")["file_id"])


def of(connection: Connection, sha256: str, name: str, after: int = 0) -> dict[str, Any] | None:
    """The newest file of these bytes and this name, with its state and tally; None until the mover has taken it.

    ``after``: ``last`` before it landed, so that a file of these bytes that came to an end earlier is not taken for it.
    """
    return queries.one(connection, "watching/arrivals.newest", sha256=sha256, name=name, after=after)
