"""When the files of a feed usually come, learned from those that came: robust, and silent until enough were seen.

A rhythm is an interval that most files keep. Nights, weekends and the like are pauses: whether a file is missed at some
hour, or on some day, the same hour and day of the weeks before decide. On a holiday those of Sunday do.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from sluice.duty.schedule import Due, Holidays, moment

# So many deliveries must have been seen, over so long.
ENOUGH = 10
_LONG_ENOUGH = timedelta(days=1)
# The hours in which files came are known for so long.
HOURS = 14 * 24
_HOUR, _DAY, _WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
# So much of the intervals are near the usual one, within these bounds of it.
_REGULAR = 0.75
_NEAR = (0.5, 1.75)
# Files that come together are closer to one another than this part of the long intervals.
_TOGETHER = 0.05
# Nobody is told of a file that is later by less.
_PATIENCE = timedelta(minutes=10)
_PATIENT = 1.125
_SIGMAS = 4 * 1.4826
# From this interval on it is days that come or not, from the next one on neither days nor hours tell anything.
_BY_DAY, _BY_ITSELF = timedelta(hours=12), timedelta(hours=28)


@dataclass(frozen=True)
class Rhythm:
    """How a feed's deliveries usually follow one another.

    ``interval`` is the median of those near it, ``late_after`` the longest wait that is usual, with patience. Files
    that are no further apart than ``together`` are one delivery; ``deliveries`` were seen. ``usual_time`` is their
    median time of day, of feeds that come about daily.
    """

    interval: timedelta
    late_after: timedelta
    together: timedelta
    deliveries: int
    usual_time: str | None = None

    @property
    def missing_after(self) -> timedelta:
        """How long after it is late a file is missing."""
        return max(self.interval, _PATIENCE)


@dataclass(frozen=True)
class Seen:
    """What was seen of a feed: when files came (the oldest first), and in which hours of the last weeks, all in UTC."""

    moments: Sequence[datetime]
    hours: Collection[datetime]
    zone: ZoneInfo
    holidays: Holidays = frozenset()


def learn(seen: Seen) -> Rhythm | None:
    """The rhythm of what was seen; None when it was too few, or they come irregularly."""
    moments = seen.moments
    if len(moments) < ENOUGH or is_young(seen):
        return None
    found = _regular(moments, timedelta())
    if found is None:
        gaps = sorted(later - earlier for earlier, later in itertools.pairwise(moments))
        together = gaps[int(0.9 * (len(gaps) - 1))] * _TOGETHER
        found = _regular(deliveries(moments, together), together)
    if found is None or not timedelta(hours=20) <= found.interval <= _BY_ITSELF:
        return found
    begins = deliveries(moments, found.together)
    return Rhythm(found.interval, found.late_after, found.together, found.deliveries, _usual_time(begins, seen.zone))


def is_young(seen: Seen) -> bool:
    """Whether what was seen is of less than a day."""
    first = min([*seen.hours, *seen.moments[:1]], default=None)
    return first is None or seen.moments[-1] - first < _LONG_ENOUGH


def deliveries(moments: Sequence[datetime], together: timedelta) -> list[datetime]:
    """The first moment of each delivery."""
    return [
        at for number, at in enumerate(moments) if not number or not together or at - moments[number - 1] > together
    ]


def due(rhythm: Rhythm, seen: Seen) -> Due | None:
    """When the next delivery is due; None when nothing says on which day or at which hour it is."""
    last = seen.moments[-1]
    late_at = _late_at(rhythm, seen, last + rhythm.late_after)
    if late_at is None:
        return None
    expected_at = max(last + rhythm.interval, late_at - (rhythm.late_after - rhythm.interval))
    return Due(expected_at, late_at, late_at + rhythm.missing_after)


def _regular(moments: Sequence[datetime], together: timedelta) -> Rhythm | None:
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    if len(moments) < ENOUGH or not (usual := statistics.median_low(gaps)):
        return None
    near = [gap for gap in gaps if _NEAR[0] * usual <= gap <= _NEAR[1] * usual]
    if len(near) < _REGULAR * len(gaps):
        return None
    interval = statistics.median_low(near)
    spread = statistics.median_low([abs(gap - interval) for gap in near])
    longest = max(*near, interval + spread * _SIGMAS, interval * _PATIENT, interval + _PATIENCE)
    return Rhythm(interval, longest, together, len(moments))


def _usual_time(moments: Sequence[datetime], zone: ZoneInfo) -> str:
    """The median time of day, around midnight too."""
    minutes = [local.hour * 60 + local.minute for local in (at.astimezone(zone) for at in moments)]
    pivot = minutes[-1]
    middle = int(statistics.median((each - pivot + 720) % 1440 - 720 for each in minutes)) + pivot
    return f"{middle % 1440 // 60:02d}:{middle % 60:02d}"


def _late_at(rhythm: Rhythm, seen: Seen, candidate: datetime) -> datetime | None:
    """The first moment from ``candidate`` on at which a file is missed, going by the weeks before."""
    if rhythm.interval > _BY_ITSELF:
        return candidate
    if rhythm.interval >= _BY_DAY:
        return _late_by_day(seen, candidate)
    return _late_by_hour(rhythm, seen, candidate)


def _late_by_day(seen: Seen, candidate: datetime) -> datetime | None:
    came = {at.astimezone(seen.zone).date() for at in seen.moments}
    local = candidate.astimezone(seen.zone)
    for number in range(HOURS // 24 + 1):
        day = local.date() + timedelta(days=number)
        before = _days_before(day, seen.holidays, min(came))
        if before and came.issuperset(before):
            return moment(day, local.time().replace(tzinfo=None), seen.zone)
    return None


def _days_before(day: date, holidays: Holidays, first: date) -> list[date]:
    """Days of the two weeks before that were what this one is, a holiday or a weekday, as far as they were seen."""
    back = timedelta(days=day.weekday() + 1) if day in holidays else _WEEK
    days = [day - back, day - back - _WEEK]
    return [each for each in days if each >= first and (day in holidays or each not in holidays)]


def _late_by_hour(rhythm: Rhythm, seen: Seen, candidate: datetime) -> datetime | None:
    """By the hours of the weeks before: at once when files came then and went on coming; otherwise when they begin."""
    hours = math.ceil(rhythm.interval / _HOUR)
    # A slow feed leaves hours out; it comes within half an interval.
    around = math.ceil(hours / 2) if hours >= 3 else 0
    hour = candidate.replace(minute=0, second=0, microsecond=0)
    goes_on = around or any(_usually(seen, hour + number * _HOUR, 0) for number in range(1, hours + 1))
    if goes_on and _usually(seen, hour, around):
        return candidate
    slack = rhythm.late_after - rhythm.interval
    for number in range(1, HOURS + 1):
        if _usually(seen, hour + number * _HOUR, around):
            return max(candidate, hour + (number + around + 1) * _HOUR + slack)
    return None


def _usually(seen: Seen, hour: datetime, around: int) -> bool:
    """Whether files came at this hour of the weeks before, or so many hours around it."""
    first = min(seen.hours, default=None)
    if first is None:
        return False
    local = (hour + around * _HOUR).astimezone(seen.zone).date()
    days = _days_before(local, seen.holidays, date.min)
    before = [hour - (local - day) for day in days if hour - (local - day) - around * _HOUR >= first]
    if before:
        return all(_came(seen, each, around) for each in before)
    return _usually_of_late(seen, hour, around, first)


def _usually_of_late(seen: Seen, hour: datetime, around: int, first: datetime) -> bool:
    """The same of a feed that is younger than a week: it never paused, or came at this hour of the last days."""
    last = seen.moments[-1].replace(minute=0, second=0, microsecond=0)
    span = int((last - first) / _HOUR)
    if all(_came(seen, first + number * _HOUR, max(around, 1)) for number in range(span + 1)):
        return True
    local = hour.astimezone(seen.zone).date()
    days = [hour - number * _DAY for number in range(1, 7)]
    days = [each for each in days if first <= each < last]
    is_working = local.weekday() < 5 and local not in seen.holidays
    return is_working and len(days) >= 2 and all(_came(seen, each, around) for each in days)


def _came(seen: Seen, hour: datetime, around: int) -> bool:
    return any(hour + number * _HOUR in seen.hours for number in range(-around, around + 1))


def hours_of(until: datetime, ago: Collection[int]) -> frozenset[datetime]:
    """Hours by how many before ``until``, itself one, they began."""
    return frozenset((until - number * _HOUR).astimezone(UTC) for number in ago)
