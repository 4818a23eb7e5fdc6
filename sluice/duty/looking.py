"""One look at everything that somebody on duty looks after."""

from __future__ import annotations

from datetime import datetime

from sluice.base.settings import Settings
from sluice.duty import changes, feeds, health
from sluice.duty.changes import Change, Connection
from sluice.duty.conditions import Condition


def look(connection: Connection, settings: Settings, now: datetime) -> list[Condition]:
    """How everything is now, with nothing noted."""
    return [*health.conditions(connection, settings, now)[0], *feeds.conditions(connection, settings, now)]


def look_and_note(connection: Connection, settings: Settings, now: datetime) -> list[Change]:
    """Look, note, and return what has changed. How the pipeline is stays noted when the feeds cannot be looked at."""
    found, complete = health.conditions(connection, settings, now)
    noted = changes.note(connection, found, now, complete=complete)
    return [*noted, *changes.note(connection, feeds.conditions(connection, settings, now), now, complete=("feed",))]
