"""When the next file is due by what a contract expects: zones, clock changes, working days, holidays."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.base.settings import SettingError, Settings
from sluice.contracts.expectation import WORKING_DAYS, Expectation
from sluice.duty import holidays
from sluice.duty.schedule import Due, day_of, due, moment

BERLIN = "Europe/Berlin"
DAILY = Expectation(by=time(6), zone=BERLIN)
WORKED = Expectation(by=time(6), zone=BERLIN, days=WORKING_DAYS, but_holidays=True)
CHRISTMAS = frozenset({date(2026, 12, 25)})
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def at(text: str, zone: str = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def expected(expect: Expectation, last: str | None, days: frozenset[date] = CHRISTMAS) -> datetime:
    found = due(expect, days, last and at(last), at("2026-11-01 00:00"))
    assert found is not None
    return found.expected_at


@pytest.mark.parametrize(
    ("expect", "last", "next_one"),
    [
        (DAILY, "2026-11-20 05:50", "2026-11-21 06:00"),
        (DAILY, "2026-11-20 07:30", "2026-11-21 06:00"),  # late for the 20th
        (DAILY, "2026-11-20 17:59", "2026-11-21 06:00"),
        (DAILY, "2026-11-20 18:00", "2026-11-22 06:00"),  # twelve hours before: it is of the 21st
        (Expectation(by=time(23), zone=BERLIN), "2026-11-20 00:00", "2026-11-21 23:00"),  # any hour of its day
        (WORKED, "2026-11-20 05:50", "2026-11-23 06:00"),  # a Friday
        (WORKED, "2026-11-21 12:00", "2026-11-23 06:00"),  # on the Saturday after it
        (WORKED, "2026-11-22 18:00", "2026-11-24 06:00"),  # on Sunday evening, for Monday
        (WORKED, "2026-12-24 05:50", "2026-12-28 06:00"),  # before Christmas, a Friday, and a weekend
        (DAILY, "2026-12-24 05:50", "2026-12-25 06:00"),  # holidays are worked by who does not say working days
        (DAILY, None, "2026-11-01 06:00"),
        (Expectation(by=time(6), zone=BERLIN, days=frozenset({2})), "2026-11-20 05:50", "2026-11-25 06:00"),
    ],
)
def test_a_daily_file_is_due_on_the_next_day_that_counts(expect: Expectation, last: str | None, next_one: str) -> None:
    assert expected(expect, last) == at(next_one)


@pytest.mark.parametrize(
    ("by", "last", "utc"),
    [
        (time(6), "2026-03-28 05:50", "2026-03-29T04:00"),  # summer time has begun in the night
        (time(6), "2026-10-24 05:50", "2026-10-25T05:00"),  # and has ended
        (time(2, 30), "2026-03-28 02:10", "2026-03-29T01:30"),  # 02:30 is skipped: the hour after it, 03:30
        (time(2, 30), "2026-10-24 02:10", "2026-10-25T01:30"),  # 02:30 comes twice: the later one
    ],
)
def test_a_deadline_is_that_of_the_wall_clock_when_clocks_change(by: time, last: str, utc: str) -> None:
    found = expected(Expectation(by=by, zone=BERLIN), last)
    assert found == datetime.fromisoformat(utc).replace(tzinfo=UTC)


def test_a_file_is_late_after_its_deadline_and_missing_two_hours_later_or_as_is_said() -> None:
    found = due(DAILY, frozenset(), at("2026-11-20 05:50"), LONG_AGO)
    deadline = at("2026-11-21 06:00")
    assert found == Due(deadline, deadline + timedelta(minutes=1), deadline + timedelta(hours=2))
    said = Expectation(by=time(6), zone=BERLIN, missing_after=timedelta(minutes=30))
    found = due(said, frozenset(), at("2026-11-20 05:50"), LONG_AGO)
    assert found
    assert found.missing_at == deadline + timedelta(minutes=30)


def test_an_interval_is_late_after_a_quarter_more_and_missing_when_the_next_is_late_too() -> None:
    last, quarter = at("2026-11-20 12:00"), timedelta(minutes=15)
    found = due(Expectation(every=quarter), frozenset(), last, LONG_AGO)
    assert found == Due(last + quarter, last + quarter * 1.25, last + quarter * 2.25)


@pytest.mark.parametrize(
    ("last", "minutes", "next_one"),
    [
        ("2026-11-20 23:50", 15, "2026-11-23 00:05"),  # Friday night: the weekend does not count
        ("2026-11-21 12:00", 15, "2026-11-23 00:15"),
        ("2026-11-20 12:00", 15, "2026-11-20 12:15"),
        ("2026-12-24 23:00", 120, "2026-12-28 01:00"),
    ],
)
def test_of_an_interval_only_the_time_of_expected_days_counts(last: str, minutes: int, next_one: str) -> None:
    expect = Expectation(every=timedelta(minutes=minutes), zone=BERLIN, days=WORKING_DAYS, but_holidays=True)
    assert expected(expect, last) == at(next_one)


def test_an_interval_is_as_long_on_the_day_when_clocks_change() -> None:
    expect = Expectation(every=timedelta(hours=4), zone=BERLIN, days=frozenset({6}))
    last = at("2026-03-29 00:00")  # a day of 23 hours
    assert expected(expect, "2026-03-29 00:00") == last + timedelta(hours=4)
    assert expected(expect, "2026-03-29 22:00") == at("2026-04-05 02:00")


@given(
    st.integers(0, 730 * 86_400),
    st.times(),
    st.sampled_from([BERLIN, "UTC", "America/Havana", "Australia/Lord_Howe"]),
)
def test_a_file_of_any_moment_covers_a_day_and_the_next_deadline_is_of_a_later_one(
    seconds: int, by: time, zone: str
) -> None:
    expect = Expectation(by=by.replace(second=0, microsecond=0), zone=zone, days=WORKING_DAYS, but_holidays=True)
    landed = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    covered, found = day_of(expect, CHRISTMAS, landed), due(expect, CHRISTMAS, landed, LONG_AGO)
    assert covered is not None
    assert found is not None
    next_day = found.expected_at.astimezone(ZoneInfo(zone)).date()
    assert covered < next_day
    assert expect.is_of(next_day, CHRISTMAS)
    assert found.expected_at <= found.late_at <= found.missing_at
    assert found.expected_at == moment(next_day, expect.by or time(), ZoneInfo(zone))


def test_days_that_never_come_are_not_waited_for() -> None:
    monday = Expectation(by=time(6), days=frozenset({0}), but_holidays=True)
    all_mondays = frozenset(date(2020, 1, 6) + timedelta(days=7 * number) for number in range(2000))
    assert due(monday, all_mondays, None, at("2026-11-20 00:00")) is None


def test_the_list_of_holidays_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "days.txt"
    path.write_text("# ours\n2026-12-25 # Christmas\n\n  2027-01-01\n")
    assert holidays.read(Settings(holidays=str(path))) == {date(2026, 12, 25), date(2027, 1, 1)}
    assert holidays.read(Settings()) == frozenset()


@pytest.mark.parametrize("line", ["2026-13-01", "20261225", "25.12.2026", "2026-W52-5", "christmas"])
def test_a_line_that_is_no_day_is_refused_with_file_line_and_remedy(tmp_path: Path, line: str) -> None:
    path = tmp_path / "days.txt"
    path.write_text(f"2026-12-25\n{line}\n")
    with pytest.raises(SettingError) as raised:
        holidays.read(Settings(holidays=str(path)))
    assert f"{path}, line 2: {line!r} is no day: write it as 2026-12-25" in str(raised.value)


def test_a_list_of_holidays_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"SLUICE_HOLIDAYS: .*/gone.txt cannot be read \(No such file"):
        holidays.read(Settings(holidays=str(tmp_path / "gone.txt")))
