"""The calendar of feeds, as long as there is none: nothing is known of any feed."""

from __future__ import annotations

from datetime import datetime

from sluice.base.settings import Settings
from sluice.duty.changes import Connection
from sluice.duty.conditions import Condition


def conditions(connection: Connection, settings: Settings, now: datetime) -> list[Condition]:
    """None."""
    return []
