"""What is wrong now, as the page and the command line show it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sluice.duty import changes, sentences
from sluice.duty.changes import Connection
from sluice.duty.conditions import Condition

# So many are named, the others are counted.
SHOWN = 50


def wrong(connection: Connection) -> dict[str, Any]:
    """What was found wrong at the last look, the newest first; whether there is more; and when that look was."""
    rows = changes.wrong(connection, SHOWN + 1)
    found = [
        condition(Condition(row["kind"], row["name"], row["state"], row["since"], row["numbers"]), row["since"])
        for row in rows[:SHOWN]
    ]
    return {"wrong": found, "is_more": len(rows) > SHOWN, "looked_at": changes.last_look(connection)}


def condition(one: Condition, since: datetime | None) -> dict[str, Any]:
    """One of them, with its words."""
    return {
        "kind": one.kind,
        "name": one.name,
        "state": one.state,
        "level": sentences.words(one.kind, one.state).level.value,
        "since": since,
        "numbers": one.numbers,
        "sentence": sentences.sentence(one.kind, one.name, one.state),
        "figures": sentences.figures(one.numbers),
        "remedy": sentences.remedy(one.kind, one.state),
    }
