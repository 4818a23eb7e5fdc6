"""What became of a file that has just landed."""

from __future__ import annotations

from typing import Any

from sluice.base import queries
from sluice.watching.reader import Connection


def of(connection: Connection, sha256: str, name: str) -> dict[str, Any] | None:
    """The newest file of these bytes and this name, with its state and tally; None until the mover has taken it."""
    return queries.one(connection, "watching/arrivals.newest", sha256=sha256, name=name)
