"""When the next file of a feed is due: by what its contract expects, whatever clocks and holidays do."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sluice.contracts.expectation import Expectation

# A file that landed in time is registered a moment later.
_REGISTERED = timedelta(minutes=1)
_MISSING_AFTER = timedelta(hours=2)
# An early file is of the next day from midnight on, or from so long before its deadline.
_EARLY = timedelta(hours=12)
_DAY = timedelta(days=1)
_MOST_DAYS = 1500

Holidays = frozenset[date]


@dataclass(frozen=True)
class Due:
    """When the next file is expected, and from when on it is late and missing; in UTC."""

    expected_at: datetime
    late_at: datetime
    missing_at: datetime


def moment(day: date, at: time, zone: ZoneInfo) -> datetime:
    """A time of a day of the zone, in UTC. One that a clock change skips is the hour after it, of two the later one."""
    wall = datetime.combine(day, at)
    return max(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def due(expect: Expectation, holidays: Holidays, last: datetime | None, since: datetime) -> Due | None:
    """When the file after the one of ``last`` is due; without any, the first one after ``since``.

    None when it expects files at no time, or on no day of the next years.
    """
    if expect.every is not None:
        return _after_interval(expect, expect.every, holidays, last or since)
    if expect.by is None:
        return None
    day = _next_day(expect, holidays, last, since)
    if day is None:
        return None
    deadline = _deadline(expect, day)
    missing_after = expect.missing_after or _MISSING_AFTER
    return Due(deadline, deadline + min(_REGISTERED, missing_after), deadline + missing_after)


def day_of(expect: Expectation, holidays: Holidays, at: datetime) -> date | None:
    """The expected day of a feed that comes daily which a file of ``at`` is of: the newest that has begun by then."""
    today = at.astimezone(ZoneInfo(expect.zone)).date() + _DAY
    days = (day for day in _days(today, -_DAY) if expect.is_of(day, holidays))
    return next((day for day in days if _begin(expect, day) <= at), None)


def deadline_of(expect: Expectation, day: date) -> datetime:
    """Until when the files of an expected day may come."""
    return _deadline(expect, day) + _REGISTERED


def _deadline(expect: Expectation, day: date) -> datetime:
    assert expect.by is not None
    return moment(day, expect.by, ZoneInfo(expect.zone))


def _begin(expect: Expectation, day: date) -> datetime:
    return min(moment(day, time(), ZoneInfo(expect.zone)), _deadline(expect, day) - _EARLY)


def _next_day(expect: Expectation, holidays: Holidays, last: datetime | None, since: datetime) -> date | None:
    """The first expected day that nothing has come for yet."""
    if last is None:
        first = since.astimezone(ZoneInfo(expect.zone)).date()
        days = (day for day in _days(first, _DAY) if expect.is_of(day, holidays))
        return next((day for day in days if _deadline(expect, day) > since), None)
    covered = day_of(expect, holidays, last)
    first = covered + _DAY if covered else last.astimezone(ZoneInfo(expect.zone)).date()
    return next((day for day in _days(first, _DAY) if expect.is_of(day, holidays)), None)


def _after_interval(expect: Expectation, every: timedelta, holidays: Holidays, last: datetime) -> Due | None:
    missing_after = expect.missing_after or every * 1.25
    late_after = min(every / 4, missing_after)
    moments = [_advanced(expect, holidays, last, every + more) for more in (timedelta(), late_after, missing_after)]
    expected_at, late_at, missing_at = moments
    if expected_at is None or late_at is None or missing_at is None:
        return None
    return Due(expected_at, late_at, missing_at)


def _advanced(expect: Expectation, holidays: Holidays, at: datetime, span: timedelta) -> datetime | None:
    """The moment ``span`` after ``at``, of which only expected days of its zone count."""
    zone = ZoneInfo(expect.zone)
    for day in _days(at.astimezone(zone).date(), _DAY):
        if expect.is_of(day, holidays):
            begin, end = max(at, moment(day, time(), zone)), moment(day + _DAY, time(), zone)
            if begin + span <= end:
                return begin + span
            span -= end - begin
    return None


def _days(first: date, step: timedelta) -> Iterator[date]:
    return itertools.islice((first + step * number for number in itertools.count()), _MOST_DAYS)
