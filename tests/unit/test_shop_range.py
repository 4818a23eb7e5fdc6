"""Which days somebody asks for, and which they are held against."""

from __future__ import annotations

from datetime import date

import pytest

from sluice.watching.shop_range import MOST_DAYS, Range, RangeError, Span, chosen

TODAY = date(2026, 3, 15)


@pytest.mark.parametrize(
    ("span", "days", "before"),
    [
        ("today", ("2026-03-15", "2026-03-15"), ("2026-03-14", "2026-03-14")),
        ("7d", ("2026-03-09", "2026-03-15"), ("2026-03-02", "2026-03-08")),
        ("28d", ("2026-02-16", "2026-03-15"), ("2026-01-19", "2026-02-15")),
        ("month", ("2026-03-01", "2026-03-31"), ("2026-02-01", "2026-02-28")),
    ],
)
def test_a_range_is_held_against_as_many_days_before_and_a_month_against_a_month(
    span: Span, days: tuple[str, str], before: tuple[str, str]
) -> None:
    found = chosen(span, TODAY)
    assert found == Range(*map(date.fromisoformat, days))
    assert found.before == Range(*map(date.fromisoformat, before))


def test_a_range_of_one_s_own_that_is_a_whole_month_is_a_month() -> None:
    month = chosen("own", TODAY, date(2024, 2, 1), date(2024, 2, 29))
    assert month.is_month
    assert month.before == Range(date(2024, 1, 1), date(2024, 1, 31))
    assert not chosen("own", TODAY, date(2024, 2, 1), date(2024, 2, 28)).is_month


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (None, TODAY),
        (TODAY, None),
        (date(2026, 3, 16), TODAY),
        (date(1, 1, 1), date(1, 1, 2)),
        (date(9999, 12, 31), date(9999, 12, 31)),
        (date(2025, 1, 1), date.fromordinal(date(2025, 1, 1).toordinal() + MOST_DAYS)),
    ],
)
def test_what_is_no_range_is_refused(first: date | None, last: date | None) -> None:
    with pytest.raises(RangeError):
        chosen("own", TODAY, first, last)
