"""Whether it is well: judged from numbers alone, so that the badge, the strip and the card say the same.

Three things are judged: the load (does a stream live?), freshness (how long does a file wait?), and proof (did the last
recount hold?). What mends itself is a warning; a failure is what somebody must look at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sluice.ledger.leases import EndedHow

# A file that waits for so long is late; for so long, while none is loaded, somebody must look.
LATE_SECONDS = 60.0
STUCK_SECONDS = 600.0
# A missing stream is submitted by itself within so long, when files wait.
SUBMITTED_SECONDS = 120.0
# What has waited for less, and what is loaded within so long, is no backlog.
_MOMENT_SECONDS = 10.0
# Rates that differ by less are the same.
_SAME = 0.05
# These ends are meant; any other one is followed by another stream, and this one by none before somebody corrects it.
_MEANT = (EndedHow.ASKED, EndedHow.DRAINED, EndedHow.LIFE_OVER, EndedHow.SIGNAL, EndedHow.RESTORED)
_FOR_PEOPLE = (EndedHow.ENVIRONMENT,)


class Level(StrEnum):
    """How it is; a worse one stands later."""

    QUIET = "quiet"  # nothing to judge
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True)
class Judgement:
    """How one thing is, and why, in a sentence."""

    of: str
    level: Level
    reason: str


class Pace(StrEnum):
    """How loading keeps up with what arrives."""

    IDLE = "idle"
    KEEPING_UP = "keeping up"
    CATCHING_UP = "catching up"
    FALLING_BEHIND = "falling behind"
    STANDING_STILL = "standing still"


@dataclass(frozen=True)
class Flow:
    """Files over some last seconds: how many arrived and were finished; how many wait now, the oldest how long."""

    arrived: int
    finished: int
    waiting: int
    seconds: float
    oldest_seconds: float | None = None

    @property
    def pace(self) -> Pace:
        """By the rates, and by whether what waits is more than a moment's work."""
        if not self.waiting:
            return Pace.KEEPING_UP if self.arrived or self.finished else Pace.IDLE
        waited = self.oldest_seconds or 0.0
        if not self.finished:
            return Pace.STANDING_STILL if waited > LATE_SECONDS else Pace.KEEPING_UP
        if waited <= _MOMENT_SECONDS or self.waiting <= max(1, self.finished / self.seconds * _MOMENT_SECONDS):
            return Pace.KEEPING_UP
        if self.finished > self.arrived * (1 + _SAME):
            return Pace.CATCHING_UP
        return Pace.FALLING_BEHIND

    @property
    def is_stuck(self) -> bool:
        """A file has waited for long, and none is loaded."""
        return (self.oldest_seconds or 0.0) > STUCK_SECONDS and not self.finished

    @property
    def is_behind(self) -> bool:
        """More arrives than is loaded, and what waits is late."""
        return self.pace is Pace.FALLING_BEHIND and (self.oldest_seconds or 0.0) > LATE_SECONDS

    @property
    def seconds_left(self) -> float | None:
        """How long it takes until nothing waits, if it goes on like this; None while it does not catch up."""
        gained = self.finished - self.arrived
        return self.waiting * self.seconds / gained if self.pace is Pace.CATCHING_UP and gained > 0 else None


def load(stream: Mapping[str, Any] | None, *, oldest_seconds: float | None, held: int) -> Judgement:
    """``stream``: the newest of the ledger; ``oldest_seconds``: how long the oldest file waits that could be loaded;
    ``held``: files that wait for a contract."""
    said = _stream(stream, oldest_seconds)
    if held and said.level in (Level.QUIET, Level.GOOD):
        what = "1 file waits" if held == 1 else f"{held:,} files wait"
        return Judgement("load", Level.WARNING, f"{what} for a contract that can be used")
    return said


def _stream(stream: Mapping[str, Any] | None, oldest_seconds: float | None) -> Judgement:
    if stream is not None and stream["living"]:
        return _living(stream)
    if stream is None:
        ended, how = "no stream has been submitted yet", None
    elif stream["ended_at"] is None:
        ended, how = f"stream {stream['epoch']} is lost: its lease lapsed", None
    else:
        ended = f"stream {stream['epoch']} ended: {stream['ended_because'] or 'no reason given'}"
        how = EndedHow(stream["ended_how"])
    if how in _FOR_PEOPLE:
        return Judgement("load", Level.BAD, ended)
    if oldest_seconds is not None and oldest_seconds > SUBMITTED_SECONDS:
        return Judgement("load", Level.BAD, f"files wait and no stream lives: {ended}")
    if oldest_seconds is not None or (stream is not None and how not in _MEANT):
        return Judgement("load", Level.WARNING, f"{ended}; ingest_events submits the next one by itself")
    return Judgement("load", Level.QUIET, f"{ended}; ingest_events submits one when a file lands")


def _living(stream: Mapping[str, Any]) -> Judgement:
    if stream["state"] == "waiting":
        why = (stream["last_error"] or "no reason given").strip()
        return Judgement("load", Level.WARNING, f"the stream waits: {why}")
    if stream["state"] == "submitted":
        return Judgement("load", Level.WARNING, "the stream is starting")
    return Judgement("load", Level.GOOD, "the stream is alive")


def freshness(flow: Flow, *, p95: float | None) -> Judgement:
    """``p95``: seconds from landed to queryable of the files of the last minutes; None when there were none."""
    oldest_seconds = flow.oldest_seconds
    if flow.is_stuck:
        waited = _minutes(oldest_seconds or 0.0)
        return Judgement("freshness", Level.BAD, f"a file has waited for {waited}, and none is loaded")
    if flow.is_behind:
        return Judgement("freshness", Level.WARNING, f"falling behind: {flow.waiting:,} files wait")
    if oldest_seconds is not None and oldest_seconds > LATE_SECONDS:
        return Judgement("freshness", Level.WARNING, f"a file has waited for {_minutes(oldest_seconds)}")
    if p95 is None and flow.waiting:
        return Judgement("freshness", Level.QUIET, "nothing was loaded lately; what waits has come just now")
    if p95 is None:
        return Judgement("freshness", Level.QUIET, "nothing was loaded lately, and nothing waits")
    if p95 > LATE_SECONDS:
        return Judgement("freshness", Level.WARNING, f"files became queryable {_minutes(p95)} after they landed (p95)")
    return Judgement("freshness", Level.GOOD, f"files are queryable {p95:.1f} s after they land (p95)")


def proof(recount: Mapping[str, Any] | None) -> Judgement:
    """``recount``: the last one that was noted."""
    if recount is None:
        return Judgement("proof", Level.QUIET, "nobody has recounted yet: make reconcile")
    if not recount["holds"]:
        places = "1 place" if recount["problems"] == 1 else f"{recount['problems']:,} places"
        return Judgement(
            "proof", Level.BAD, f"the last recount found rows unaccounted for, in {places}: make reconcile"
        )
    return Judgement("proof", Level.GOOD, f"the last recount held, of {recount['rows']:,} rows")


def worst(*judged: Judgement) -> Judgement:
    """The first of the worst."""
    ranks = list(Level)
    return max(judged, key=lambda one: ranks.index(one.level))


def _minutes(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.0f} h"
