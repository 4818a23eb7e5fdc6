"""What a contract expects of its feed's files: when they come, and how much is in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time, timedelta

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
EVERY_DAY = frozenset(range(7))
WORKING_DAYS = frozenset(range(5))


@dataclass(frozen=True)
class Expectation:
    """A contract's property ``expect``. What is None it does not say, and is learned; ``zone`` is that of its days.

    A file comes ``every`` so often, or each day ``by`` a time of that zone; at most one of the two is given. ``days``
    are weekdays, Monday 0; ``but_holidays`` leaves out the days of SLUICE_HOLIDAYS. ``missing_after`` is how long after
    it was expected a file is missing and no longer late. ``rows`` is the least number of new rows, ``rejected`` the
    greatest share of rows set aside, ``volume`` the least share of the usual rows; both 0 to 1.
    """

    is_nothing: bool = False
    every: timedelta | None = None
    by: time | None = None
    zone: str = "UTC"
    days: frozenset[int] = EVERY_DAY
    but_holidays: bool = False
    missing_after: timedelta | None = None
    rows: int | None = None
    rejected: float | None = None
    volume: float | None = None

    @property
    def says_when(self) -> bool:
        """Whether it says when files come."""
        return self.every is not None or self.by is not None

    def is_of(self, day: date, holidays: frozenset[date]) -> bool:
        """Whether files are expected on this day of its zone."""
        return day.weekday() in self.days and not (self.but_holidays and day in holidays)
