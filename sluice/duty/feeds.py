"""The calendar of feeds: whether the files of each contract come when they should, and hold what they should.

What a contract expects wins; where it says nothing, what its files did before tells. Nothing is kept: each answer is
made of the newest files, by index, so that it costs the same however many there are.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psycopg

from sluice.base import queries
from sluice.base.settings import Settings
from sluice.contracts.expectation import Expectation
from sluice.contracts.model import Contract
from sluice.duty import amounts, arrivals, expected, holidays, rhythm, schedule
from sluice.duty.amounts import Amounts
from sluice.duty.arrivals import Arrival
from sluice.duty.conditions import FINE, Condition
from sluice.duty.rhythm import Rhythm, Seen
from sluice.duty.schedule import Due, Holidays

Connection = psycopg.Connection[dict[str, Any]]
KIND = "feed"
LATE, MISSING, TOO_SMALL, TOO_DIRTY, UNKNOWN = "late", "missing", "too_small", "too_dirty", "unknown"
# A stream that begins after none ran for so long has so much time for what landed meanwhile, before a file is missed.
_PAUSE, _CATCHES_UP = timedelta(minutes=10), timedelta(minutes=5)
_STREAMS = 50


@dataclass(frozen=True)
class _Feed:
    """What is known of one feed at the moment ``now``. ``since``: when its contract was written last."""

    contract: Contract
    files: Sequence[Arrival]
    seen: Seen
    now: datetime
    since: datetime
    looking_since: datetime | None

    @property
    def expect(self) -> Expectation | None:
        return self.contract.expect


def conditions(connection: Connection, settings: Settings, now: datetime) -> list[Condition]:
    """How the feed of each contract is at the moment ``now``, which has a zone, by name.

    States: FINE, "late", "missing", "too_small", "too_dirty"; "unknown" when nothing says when its files come. numbers
    are of ``expected.NUMBERS``. Raises SettingError for a list of holidays that cannot be read, psycopg.Error.
    """
    now = now.astimezone(UTC)
    days = holidays.read(settings)
    contracts = expected.contracts(connection, settings)
    files = arrivals.arrivals(
        connection, [contract for contract, _ in contracts], now, with_generated=settings.generator
    )
    hours = _hours(connection, [each for each, _ in contracts if not (each.expect and each.expect.says_when)], now)
    looking = queries.row(connection, "duty/feeds.looking", now=now, pause=_PAUSE.total_seconds(), most=_STREAMS)[
        "since"
    ]
    return [
        _condition(_Feed(contract, files[contract.name], seen, now, since, looking))
        for contract, since in contracts
        for seen in [_seen(contract, files[contract.name], hours.get(contract.name, frozenset()), days)]
    ]


def _hours(connection: Connection, contracts: Sequence[Contract], now: datetime) -> dict[str, frozenset[datetime]]:
    """By contract's name the hours of the last weeks in which files of it came."""
    until = now.replace(minute=0, second=0, microsecond=0)
    found: dict[str, list[int]] = {contract.name: [] for contract in contracts}
    for row in queries.all(connection, "duty/feeds.hours", contracts=[*found], until=until, hours=rhythm.HOURS):
        found[row["contract"]].append(row["ago"])
    return {name: rhythm.hours_of(until, ago) for name, ago in found.items()}


def _seen(contract: Contract, files: Sequence[Arrival], hours: frozenset[datetime], days: Holidays) -> Seen:
    try:
        zone = ZoneInfo(contract.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # DuckDB knows names that Python does not
        zone = ZoneInfo("UTC")
    return Seen([one.at for one in files], hours, zone, days)


def _condition(feed: _Feed) -> Condition:
    numbers = _of_last(feed)
    if feed.expect and feed.expect.is_nothing:
        return Condition(KIND, feed.contract.name, FINE, None, numbers | {"by": "contract", "expects": "nothing"})
    says_when = bool(feed.expect and feed.expect.says_when)
    learned = None if says_when else rhythm.learn(feed.seen)
    due = _due(feed, learned)
    held = _amounts(feed, learned)
    numbers |= _of_due(feed, learned, due) | (held.numbers() if held else {})
    state, since = _state(feed, due, held)
    return Condition(KIND, feed.contract.name, state, since, numbers)


def _due(feed: _Feed, learned: Rhythm | None) -> Due | None:
    if feed.expect and feed.expect.says_when:
        return schedule.due(feed.expect, feed.seen.holidays, feed.files[-1].at if feed.files else None, feed.since)
    return rhythm.due(learned, feed.seen) if learned else None


def _amounts(feed: _Feed, learned: Rhythm | None) -> Amounts | None:
    """What the newest delivery was judged by; while a day's files may still come, that day is not too small."""
    key, repeats = _grouping(feed, learned)
    found = amounts.deliveries(feed.files, key, repeats_count_after=repeats)
    held = amounts.judged(found, feed.expect)
    if held is None or not held.is_small or not (feed.expect and feed.expect.by):
        return held
    day = schedule.day_of(feed.expect, feed.seen.holidays, held.newest.at)
    if day is None or feed.now >= schedule.deadline_of(feed.expect, day):
        return held
    return amounts.judged(found[:-1], feed.expect)


def _grouping(feed: _Feed, learned: Rhythm | None) -> tuple[Callable[[Arrival], Hashable], timedelta | None]:
    """What tells files of one delivery, and from when on bytes that were there already are one without rows."""
    expect = feed.expect
    if expect and expect.by:
        return lambda one: schedule.day_of(expect, feed.seen.holidays, one.at), timedelta()
    if expect and expect.every:
        return lambda one: one.file_id, expect.every / 2
    if learned is None:
        return lambda one: one.file_id, None
    if not learned.together:
        return lambda one: one.file_id, learned.interval / 2
    begins = rhythm.deliveries(feed.seen.moments, learned.together)
    return lambda one: bisect.bisect_right(begins, one.at), learned.interval / 2


def _state(feed: _Feed, due: Due | None, held: Amounts | None) -> tuple[str, datetime | None]:
    """The worst that is true: a file that is not there before one that is not as it should be."""
    if due and feed.now >= due.late_at:
        if feed.looking_since and feed.now < feed.looking_since + _CATCHES_UP:
            return UNKNOWN, None
        return (MISSING, due.missing_at) if feed.now >= due.missing_at else (LATE, due.late_at)
    if held and held.is_dirty:
        return TOO_DIRTY, held.newest.at
    if held and held.is_small:
        return TOO_SMALL, held.newest.at
    if due is None:
        return UNKNOWN, None
    return FINE, feed.files[-1].at if feed.files else None


def _of_last(feed: _Feed) -> dict[str, Any]:
    if not feed.files:
        return {"files_seen": 0}
    last = feed.files[-1]
    return {
        "files_seen": len(feed.files),
        "file_id": last.file_id,
        "file": last.name,
        "file_is": str(last.kind),
        "file_at": last.at.isoformat(),
    }


def _of_due(feed: _Feed, learned: Rhythm | None, due: Due | None) -> dict[str, Any]:
    """When the next file is expected, and what says so."""
    numbers: dict[str, Any] = {"by": "contract" if not learned and due else "learned" if due else None}
    if due:
        moments = {"expected_at": due.expected_at, "late_at": due.late_at, "missing_at": due.missing_at}
        numbers |= {name: at.isoformat() for name, at in moments.items()}
    if feed.expect:
        numbers["expects"] = expected.in_words(feed.expect)
    if learned:
        numbers |= {
            "interval_seconds": learned.interval.total_seconds(),
            "late_after_seconds": learned.late_after.total_seconds(),
            "deliveries_seen": learned.deliveries,
            "usual_time": learned.usual_time,
            "zone": str(feed.seen.zone),
        }
    if feed.looking_since and feed.now < feed.looking_since + _CATCHES_UP:
        numbers["looking_since"] = feed.looking_since.isoformat()
    return numbers if due else numbers | {"cause": _cause(feed, learned)}


def _cause(feed: _Feed, learned: Rhythm | None) -> str:
    if not feed.files:
        return "no_file"
    if learned or (feed.expect and feed.expect.says_when):
        return "no_day"
    if len(feed.files) < rhythm.ENOUGH:
        return "few_files"
    return "young" if rhythm.is_young(feed.seen) else "irregular"
