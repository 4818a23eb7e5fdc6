"""Which of the noted changes a receiver is to be told now: those that held, and say something new."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sluice.duty.changes import QUIET


@dataclass(frozen=True)
class Noted:
    """A change after the last one of its subject that the receiver knows: a row of query ``ledger/duty.untold``.

    ``told``: the state that the receiver knows, None when it never heard of the subject; ``ended_at``: when the next
    change came; ``lately``: changes of the subject within the hour before, this one among them; ``since``: from when on
    it holds.
    """

    change_id: int
    kind: str
    name: str
    was: str | None
    state: str
    at: datetime
    ended_at: datetime | None
    told: str | None
    since: datetime
    lately: int
    numbers: dict[str, Any] = field(default_factory=dict)


def due(noted: Iterable[Noted], now: datetime, hold: timedelta) -> list[Noted]:
    """Those to be told now, in order.

    A change is told when its state held for ``hold``, twice as long when it is the second of its subject within the
    hour, and so on: what goes back and forth falls silent until it rests. States of which nobody need be told are one
    and the same; and what the receiver knows already is not said again.
    """
    told: dict[tuple[str, str], str | None] = {}
    found = []
    for one in noted:
        before = told.setdefault((one.kind, one.name), one.told if one.told is not None else one.was)
        if _held(one, now, hold) and not _is_same(before, one.state):
            told[one.kind, one.name] = one.state
            found.append(one)
    return found


def _held(one: Noted, now: datetime, hold: timedelta) -> bool:
    return (one.ended_at or now) - one.at >= hold * max(one.lately, 1)


def _is_same(before: str | None, state: str) -> bool:
    return before == state or ((before is None or before in QUIET) and state in QUIET)
