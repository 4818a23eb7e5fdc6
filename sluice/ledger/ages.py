"""How long ago is too long: the clock is the database's, or a ``now`` that is given."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from sluice.base import queries

Connection = psycopg.Connection[dict[str, Any]]

HOUR = 3600.0
DAY = 24 * HOUR


def cutoff(connection: Connection, seconds: float, now: datetime | None) -> datetime:
    """The moment ``seconds`` before now."""
    moment: datetime = queries.row(connection, "ledger/housekeeping.cutoff", seconds=seconds, now=now)["cutoff"]
    return moment
