"""What was found, noted: the present state of each subject, and each change of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from sluice.base import queries
from sluice.duty.conditions import FINE, Condition

Connection = psycopg.Connection[dict[str, Any]]
# Not enough was seen to judge; and: the subject is not there any more.
UNKNOWN, GONE = "unknown", "gone"
# States of which nobody need be told.
QUIET = frozenset({FINE, UNKNOWN, GONE})


@dataclass(frozen=True)
class Change:
    """A line of ``ledger.duty_changes``: the subject was in one state (None: never looked at), and is in another."""

    change_id: int
    kind: str
    name: str
    was: str | None
    state: str
    at: datetime
    numbers: dict[str, Any]

    @property
    def is_recovery(self) -> bool:
        """Whether it was wrong before, and is fine now."""
        return self.state == FINE and self.was is not None and self.was not in QUIET


def note(
    connection: Connection, conditions: Iterable[Condition], now: datetime, *, complete: Collection[str] = ()
) -> list[Change]:
    """Keep the present state of each condition's subject; the changes, in order: none when all is as it was.

    All of it is one transaction, and others who note wait. What is fine, or not known, when it is looked at for the
    first time is no change. ``complete``: kinds of which ``conditions`` name every subject there is; what else is known
    of these kinds is gone, and forgotten.
    """
    found = {(one.kind, one.name): one for one in conditions}
    with connection.transaction():
        queries.run(connection, "ledger/duty.hold")
        known = {(row["kind"], row["name"]): row for row in queries.all(connection, "ledger/duty.present")}
        changes = [_see(connection, one, known.get(subject), now) for subject, one in found.items()]
        lost = [row for subject, row in known.items() if subject[0] in complete and subject not in found]
        changes += [_forget(connection, row, now) for row in lost]
    return [change for change in changes if change]


def wrong(connection: Connection, most: int = 1000) -> list[dict[str, Any]]:
    """The lines of ``ledger.duty`` that are not as they should be, the newest first; no more than ``most``."""
    return queries.all(connection, "ledger/duty.wrong", quiet=list(QUIET), most=most)


def last_look(connection: Connection) -> datetime | None:
    """When somebody looked and noted last; None: nobody ever did."""
    at: datetime | None = queries.row(connection, "ledger/duty.last_look")["at"]
    return at


def _see(connection: Connection, found: Condition, known: dict[str, Any] | None, now: datetime) -> Change | None:
    is_same = known is not None and known["state"] == found.state
    since = known["since"] if known is not None and is_same else found.since or now
    subject = {"kind": found.kind, "name": found.name}
    state = {"state": found.state, "since": since, "numbers": Jsonb(found.numbers)}
    queries.run(connection, "ledger/duty.see", now=now, **subject, **state)
    if is_same or (known is None and found.state in QUIET):
        return None
    return _change(connection, found, known["state"] if known else None, now)


def _forget(connection: Connection, known: dict[str, Any], now: datetime) -> Change | None:
    queries.run(connection, "ledger/duty.forget", kind=known["kind"], name=known["name"])
    if known["state"] in QUIET:
        return None
    return _change(connection, Condition(known["kind"], known["name"], GONE), known["state"], now)


def _change(connection: Connection, found: Condition, was: str | None, now: datetime) -> Change:
    values = {"kind": found.kind, "name": found.name, "state": found.state, "numbers": Jsonb(found.numbers)}
    return Change(**queries.row(connection, "ledger/duty.note_change", was=was, now=now, **values))
