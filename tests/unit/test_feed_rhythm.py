"""What the calendar learns of files that came: interval, nights and weekends, amounts; silent until it knows enough."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.contracts.expectation import Expectation
from sluice.duty import amounts, rhythm
from sluice.duty.amounts import Delivery
from sluice.duty.arrivals import Arrival, Kind
from sluice.duty.rhythm import Seen

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 11, 2, tzinfo=BERLIN)
NEWEST = 200


def seen(moments: list[datetime], holidays: frozenset[date] = frozenset()) -> Seen:
    """What the calendar sees when the last of these files has come."""
    moments = sorted(each.astimezone(UTC) for each in moments)
    hours = {each.replace(minute=0, second=0, microsecond=0) for each in moments}
    first = moments[-1] - timedelta(hours=rhythm.HOURS)
    return Seen(moments[-NEWEST:], frozenset(each for each in hours if each >= first), BERLIN, holidays)


def wall(day: int, hour: float) -> datetime:
    """So many days and hours after Monday, by the clock of Berlin."""
    return (MONDAY + timedelta(days=day)).replace(hour=int(hour), minute=round(hour % 1 * 60))


def late_at(of: Seen) -> datetime:
    learned = rhythm.learn(of)
    assert learned is not None
    due = rhythm.due(learned, of)
    assert due is not None
    assert of.moments[-1] < due.expected_at <= due.late_at < due.missing_at
    return due.late_at.astimezone(BERLIN)


def office_hours(last_day: int, last_hour: float = 17.75) -> list[datetime]:
    """A file every 15 minutes from 8 to 18, Monday to Friday, until then."""
    days = [day for day in range(last_day + 1) if day % 7 < 5]
    moments = [wall(day, 8 + quarter / 4) for day in days for quarter in range(40)]
    return [each for each in moments if each <= wall(last_day, last_hour)]


def daily(last_day: int, weekdays: int = 5) -> list[datetime]:
    chance = random.Random(7)
    days = [day for day in range(last_day + 1) if day % 7 < weekdays]
    return [wall(day, 5.75) + timedelta(minutes=chance.randrange(20)) for day in days]


def test_a_file_that_does_not_come_by_day_is_late_soon() -> None:
    assert late_at(seen(office_hours(17, 11))) <= wall(17, 11.5)


@pytest.mark.parametrize(("last_day", "next_day"), [(15, 16), (18, 21)])  # a night, a weekend
def test_nobody_is_told_at_night_or_at_the_weekend_and_then_in_the_morning(last_day: int, next_day: int) -> None:
    assert wall(next_day, 8) < late_at(seen(office_hours(last_day))) <= wall(next_day, 10)


def test_on_a_holiday_a_feed_of_working_days_is_not_missed() -> None:
    monday = frozenset({wall(21, 0).date()})
    assert wall(22, 8) < late_at(seen(office_hours(18), monday)) <= wall(22, 10)
    assert wall(22, 5) < late_at(seen(daily(18), monday)) <= wall(22, 10)


def test_a_holiday_that_was_does_not_make_its_weekday_one() -> None:
    moments = [each for each in office_hours(17, 11) if each.date() != wall(10, 0).date()]
    assert late_at(seen(moments, frozenset({wall(10, 0).date()}))) <= wall(17, 11.5)


def test_a_daily_file_is_missed_on_its_day_and_not_at_the_weekend() -> None:
    assert late_at(seen(daily(16))).date() == wall(17, 0).date()
    assert late_at(seen(daily(18))).date() == wall(21, 0).date()
    assert late_at(seen(daily(19, weekdays=7))).date() == wall(20, 0).date()
    learned = rhythm.learn(seen(daily(16)))
    assert learned is not None
    assert learned.usual_time is not None
    assert "05:45" <= learned.usual_time <= "06:05"


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)])
def test_a_daily_file_is_not_late_on_the_day_when_clocks_change(day: date) -> None:
    moments = [
        datetime.combine(day - timedelta(days=ago), datetime.min.time(), BERLIN).replace(hour=6) for ago in range(1, 30)
    ]
    came = datetime.combine(day, datetime.min.time(), BERLIN).replace(hour=6)
    assert late_at(seen(moments)) > came
    # Nor does the change of the weeks before shift the days after it.
    after = [came + timedelta(days=number) for number in range(5)]
    assert late_at(seen([*moments, *after])).date() == day + timedelta(days=5)


def test_files_that_come_together_are_one_delivery() -> None:
    parts = [each + timedelta(seconds=20 * number) for each in daily(19, 7) for number in range(3)]
    learned = rhythm.learn(seen(parts))
    assert learned is not None
    assert (learned.deliveries, round(learned.interval / timedelta(hours=1))) == (20, 24)
    assert late_at(seen(parts)).date() == wall(20, 0).date()


def test_a_weekly_feed_is_learned_too() -> None:
    of = seen([wall(7 * week, 6) for week in range(12)])
    assert wall(84, 0) < late_at(of) < wall(86, 0)


def test_it_is_silent_until_it_has_seen_enough() -> None:
    assert rhythm.learn(seen(daily(8, 7))) is None
    assert rhythm.learn(seen(daily(9, 7))) is not None
    # A generator that runs for an afternoon, however many files it makes.
    assert rhythm.learn(seen([wall(0, 8) + timedelta(seconds=5 * number) for number in range(10_000)])) is None


def test_what_comes_irregularly_is_not_missed() -> None:
    chance = random.Random(3)
    moments = [wall(0, 0)]
    for _ in range(199):
        moments.append(moments[-1] + timedelta(hours=chance.expovariate(1 / 5)))
    assert rhythm.learn(seen(moments)) is None


def test_one_outage_among_many_files_changes_nothing() -> None:
    moments = [wall(0, 0) + timedelta(minutes=15 * number) for number in range(15 * 96) if not 700 < number < 760]
    last = moments[-1]
    assert last < late_at(seen(moments)) <= last + timedelta(minutes=40)


@given(st.integers(1, 3 * 24 * 60), st.integers(0, 2**32))
def test_a_feed_that_never_pauses_is_never_late_while_it_keeps_its_rhythm(minutes: int, seed: int) -> None:
    chance = random.Random(seed)
    interval = timedelta(minutes=minutes)
    files = max(20, round(timedelta(days=3) / interval))
    moments = [wall(0, 0) + interval * (number + chance.uniform(-0.1, 0.1)) for number in range(files)]
    of = seen(moments)
    learned = rhythm.learn(of)
    if learned is not None and (due := rhythm.due(learned, of)) is not None:
        assert due.late_at >= of.moments[-1] + interval * 1.1
        assert due.missing_at > due.late_at


# --- amounts


def delivered(*rows: int, rejected: int = 0, refused: bool = False) -> list[Delivery]:
    days: Iterator[datetime] = (wall(number, 6) for number in range(1000))
    found = [Delivery(at, each, each, 0, is_refused=False) for at, each in zip(days, rows, strict=False)]
    last = found[-1]
    return [*found[:-1], Delivery(last.at, last.rows, last.read, rejected, refused)]


USUAL = (1000, 1100, 900, 1050, 980, 1020, 990, 1010, 1000, 970, 1030)


def is_small(*rows: int, expect: Expectation | None = None) -> bool:
    held = amounts.judged(delivered(*rows), expect)
    assert held is not None
    return held.is_small


def is_dirty(rejected: int, *rows: int, expect: Expectation | None = None) -> bool:
    held = amounts.judged(delivered(*rows, rejected=rejected), expect)
    assert held is not None
    return held.is_dirty


def test_a_delivery_is_too_small_when_it_is_far_below_the_usual() -> None:
    assert is_small(*USUAL, 300)
    assert is_small(*USUAL, 0)
    assert not is_small(*USUAL, 600)
    assert not is_small(*USUAL, 5000)
    assert not is_small(1000, 1000, 1000, 1)  # too few to tell
    week = (1000, 1000, 1000, 1000, 1000, 200, 180)
    assert not is_small(*week, *week, *week, 190)  # weekends are quiet


def test_what_the_contract_says_of_rows_wins() -> None:
    assert not is_small(*USUAL, 300, expect=Expectation(rows=200))
    assert is_small(*USUAL, 1000, expect=Expectation(rows=1001))
    assert is_small(5, expect=Expectation(rows=10))
    assert is_small(*USUAL, 790, expect=Expectation(volume=0.8))
    assert not is_small(*USUAL, 810, expect=Expectation(volume=0.8))
    assert not is_small(1000, 1, expect=Expectation(volume=0.8))  # nothing is usual yet


def test_a_delivery_is_too_dirty_when_its_share_jumped_or_it_was_refused() -> None:
    assert is_dirty(100, *USUAL, 1000)
    assert not is_dirty(10, *USUAL, 1000)
    assert not is_dirty(2, *USUAL, 4)  # by chance
    assert not is_dirty(5, *USUAL, 120)
    assert is_dirty(21, *USUAL, 1000, expect=Expectation(rejected=0.02))
    assert not is_dirty(100, *USUAL, 1000, expect=Expectation(rejected=0.2))
    refused = amounts.judged(delivered(*USUAL, 0, refused=True), Expectation(rejected=1))
    assert refused is not None
    assert refused.is_dirty


def test_of_a_feed_of_many_files_one_that_is_odd_is_no_news() -> None:
    usual = [
        Delivery(wall(0, 6) + timedelta(seconds=5 * number), 1000, 1000, 0, is_refused=False) for number in range(60)
    ]
    last = usual[-1].at

    def then(*odd: Delivery) -> tuple[bool, bool]:
        held = amounts.judged([*usual[: -len(odd)], *odd], None)
        assert held is not None
        return held.is_small, held.is_dirty

    small = Delivery(last, 3, 3, 0, is_refused=False)
    assert then(small) == (False, False)
    assert then(Delivery(last, 0, 0, 0, is_refused=True)) == (False, False)
    late = Delivery(last + timedelta(minutes=20), 3, 3, 0, is_refused=False)
    assert then(late) == (True, False)


def test_bytes_that_were_there_already_bring_no_rows_when_new_ones_were_due() -> None:
    def arrived(*files: tuple[float, Kind]) -> list[int]:
        moments = [
            Arrival(wall(0, hour), place, f"{place}.csv", kind, 100 if kind is Kind.LOADED else 0)
            for place, (hour, kind) in enumerate(files)
        ]
        found = amounts.deliveries(moments, lambda one: one.file_id, repeats_count_after=timedelta(hours=2))
        return [each.rows for each in found]

    assert arrived((1, Kind.LOADED), (2, Kind.REPEATED)) == [100]
    assert arrived((1, Kind.LOADED), (5, Kind.REPEATED)) == [100, 0]
    assert arrived((1, Kind.LOADED), (5, Kind.OPEN)) == [100]
