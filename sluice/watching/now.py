"""The state of the pipeline in one moment."""

from __future__ import annotations

from typing import Any

from sluice.base import queries
from sluice.base.settings import Settings
from sluice.watching.reader import Connection


def snapshot(connection: Connection, settings: Settings) -> dict[str, Any]:
    """What room Now shows."""
    return {"rows_per_second": queries.row(connection, "ledger/status.rate")["rows_per_second"]}
