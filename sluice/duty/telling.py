"""Telling what changed: one message to each receiver with all that it does not know yet, noted when it confirms.

Killed between the two, the same changes are told again: at least once, and once as far as a confirmation can be kept.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sluice.base import database, poolers, queries
from sluice.base.crash_points import crash_point
from sluice.base.settings import Settings
from sluice.duty import looking, receivers, sentences
from sluice.duty.changes import Change, Connection
from sluice.duty.due import Noted, due
from sluice.duty.receivers import Message, Receiver
from sluice.watching.health import Level

_log = logging.getLogger(__name__)
# So many changes are in a message, the others are counted: receivers cut what is longer.
MOST = 20
_PAGE = "/plugin/sluice"


class UntoldError(RuntimeError):
    """A receiver has not confirmed a message: the next run tries again. The message names it, without its URL."""


@dataclass(frozen=True)
class Told:
    """How many messages were confirmed, and which receivers confirmed none."""

    messages: int = 0
    failed: tuple[Receiver, ...] = ()


def watch(settings: Settings, web_url: str, now: datetime) -> None:
    """Look, note, log each change, tell. ``web_url`` is Airflow's own address, for links.

    What has changed is told also when a part cannot be looked at. Raises UntoldError after all receivers were tried,
    and whatever looking has raised.
    """
    with database.connect(settings.writer_dsn, application_name="sluice-duty") as connection:
        try:
            for change in looking.look_and_note(connection, settings, now):
                _log.warning("%s", line_of(change))
        finally:
            told = tell(connection, settings, now, web_url)
    if told.failed:
        raise UntoldError(f"not confirmed by {', '.join(map(str, told.failed))}: it is tried again")


def tell(connection: Connection, settings: Settings, now: datetime, web_url: str = "") -> Told:
    """Tell each receiver what is due and it does not know; nothing while somebody else tells."""
    everybody = receivers.of(settings)
    if not everybody:
        return Told()
    poolers.refuse_shared_sessions(connection)  # the lock belongs to the session
    if not queries.row(connection, "ledger/duty.begin_telling")["begun"]:
        return Told()
    try:
        outcomes = {one: _tell(connection, settings, one, now, web_url) for one in everybody}
        queries.run(connection, "ledger/duty.settle", receivers=len(everybody))
    finally:
        if not connection.closed:
            queries.all(connection, "ledger/duty.end_telling")
    failed = tuple(one for one, confirmed in outcomes.items() if confirmed is False)
    return Told(sum(confirmed is True for confirmed in outcomes.values()), failed)


def untold(connection: Connection, receiver: int = 0) -> list[Noted]:
    """The changes that this receiver has not confirmed (0: that not all have), in order, whether they held or not."""
    return [Noted(**row) for row in queries.all(connection, "ledger/duty.untold", receiver=receiver)]


def message_of(changes: Sequence[Noted], settings: Settings, web_url: str = "") -> Message:
    """One message of these changes, in their order; ``changes`` holds at least one."""
    shown = changes[:MOST]
    parts = [_part(change, settings.shop_zone) for change in shown]
    if more := len(changes) - len(shown):
        parts.append(
            f"And {more:,} changes more: they stand in ledger.duty_changes, and what is wrong now on the page."
        )
    if address := settings.page_url or web_url:
        parts.append(f"The page: {address.rstrip('/')}{_PAGE}")
    parts.append(
        f"Changes {', '.join(str(change.change_id) for change in shown)}: a message that comes again has them again."
    )
    return Message(_title(changes), "\n\n".join(parts), _worst(changes))


def trial(settings: Settings, web_url: str) -> Message:
    """What `make alert-test` sends."""
    address = settings.page_url or web_url
    link = f"\n\nThe page: {address.rstrip('/')}{_PAGE}" if address else ""
    return Message("Sluice: a test", f"Somebody has tried whether alerts arrive. This one did.{link}", Level.QUIET)


def line_of(change: Change | Noted) -> str:
    """A change in one line, for a log."""
    said = sentences.sentence(change.kind, change.name, change.state)
    judged_by = sentences.figures(change.numbers)
    return f"change {change.change_id}: {said}" + (f" {judged_by}" if judged_by else "")


def _tell(connection: Connection, settings: Settings, receiver: Receiver, now: datetime, web_url: str) -> bool | None:
    """Whether the receiver confirmed; None when it is told nothing now."""
    changes = due(untold(connection, receiver.place), now, timedelta(seconds=settings.alert_hold_seconds))
    if not changes or _must_wait(connection, settings, receiver, changes, now):
        return None
    if not receiver.send(message_of(changes, settings, web_url)):
        _log.error("%s has not confirmed a message of %s changes: it is tried again", receiver, len(changes))
        return False
    crash_point("duty.after_send")
    told = [change.change_id for change in changes]
    queries.run(connection, "ledger/duty.confirm", receiver=receiver.place, now=now, changes=told)
    _log.info("%s has confirmed a message of %s changes", receiver, len(changes))
    return True


def _must_wait(
    connection: Connection, settings: Settings, receiver: Receiver, changes: Sequence[Noted], now: datetime
) -> bool:
    """Whether the last message is too young. What is bad does not wait behind something less: then the last one was."""
    last = queries.all(connection, "ledger/duty.last_told", receiver=receiver.place)
    if not last or now - last[0]["at"] >= timedelta(seconds=settings.alert_gap_seconds):
        return False
    was = {sentences.words(one["kind"], one["state"]).level for one in last}
    return Level.BAD in was or _worst(changes) != Level.BAD


def _part(change: Noted, zone: str) -> str:
    until = f" until {sentences.when(change.ended_at, zone)}" if change.ended_at else ""
    lines = [f"{sentences.sentence(change.kind, change.name, change.state)}"]
    lines.append(f"Since {sentences.when(change.since, zone)}{until}.")
    if judged_by := sentences.figures(change.numbers):
        lines.append(f"By: {judged_by}.")
    if what_to_do := sentences.remedy(change.kind, change.state):
        lines.append(f"What to do: {what_to_do}")
    return "\n".join(lines)


def _title(changes: Sequence[Noted]) -> str:
    if len(changes) == 1:
        only = changes[0]
        return f"Sluice: {sentences.sentence(only.kind, only.name, only.state)}"
    levels = [sentences.words(change.kind, change.state).level for change in changes]
    counts = {word: levels.count(level) for word, level in (("bad", Level.BAD), ("warning", Level.WARNING))}
    counts["well again"] = len(changes) - sum(counts.values())
    said = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
    return f"Sluice: {len(changes):,} changes ({said})"


def _worst(changes: Sequence[Noted]) -> Level:
    levels = [sentences.words(change.kind, change.state).level for change in changes]
    return max(levels, key=list(Level).index)
