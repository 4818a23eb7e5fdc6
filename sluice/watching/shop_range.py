"""Which days a figure of the shop is about, and which days it is held against: as many, just before."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

Span = Literal["today", "7d", "28d", "month", "own"]
_DAYS = {"today": 1, "7d": 7, "28d": 28}
# A range of one's own: by day it has so many bars, lists of it are made of so many days of cells.
MOST_DAYS = 366
MOST_DAYS_OF_LISTS = 31
FIRST, LAST = date(1900, 1, 1), date(2200, 1, 1)


class RangeError(ValueError):
    """No range of days; the message says why."""


@dataclass(frozen=True)
class Range:
    """Whole days of the shop's zone, both ends among them."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many."""
        return (self.last - self.first).days + 1

    @property
    def is_month(self) -> bool:
        """Whether it is a month of the calendar, all of it."""
        return self.first.day == 1 and self.last == _end_of_month(self.first)

    @property
    def before(self) -> Range:
        """As many days just before; of a month the month before."""
        end = self.first - timedelta(1)
        return Range(end.replace(day=1) if self.is_month else self.first - timedelta(self.days), end)


def chosen(span: Span, today: date, first: date | None = None, last: date | None = None) -> Range:
    """The range that somebody asks for on the day ``today``; ``first`` and ``last`` are for their own.

    Raises RangeError.
    """
    if span == "month":
        return Range(today.replace(day=1), _end_of_month(today))
    if span != "own":
        return Range(today - timedelta(_DAYS[span] - 1), today)
    if first is None or last is None:
        raise RangeError("a range of your own has a first and a last day")
    if not FIRST <= first <= last <= LAST:
        raise RangeError(f"the first day is not after the last one, and both are from {FIRST} to {LAST}")
    if (last - first).days >= MOST_DAYS:
        raise RangeError(f"a range has at most {MOST_DAYS} days")
    return Range(first, last)


def _end_of_month(day: date) -> date:
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])
