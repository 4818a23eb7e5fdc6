"""Which days and hours a series on the page has: the last ones of the shop's zone, or of a feed of old data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

DAYS = 28
HOURS = 48
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Span:
    """The 28 days up to the last one, and that one; the 48 hours up to the last one.

    ``as_of`` is the moment of the reports, in the shop's zone; ``end`` is its day, or the feed's last one long before.
    """

    as_of: datetime
    zone: str
    end: date

    @classmethod
    def up_to(cls, as_of: datetime, zone: str, last_day: str | None) -> Span:
        """``last_day``: the last day of which there is anything, as ``YYYY-MM-DD``, not after ``as_of``."""
        today = as_of.date()
        last = today if last_day is None else date.fromisoformat(last_day)
        return cls(as_of, zone, today if last >= today - timedelta(DAYS) else last)

    @property
    def is_old(self) -> bool:
        """Whether it ends before the day of the reports, because nothing came lately."""
        return self.end < self.as_of.date()

    @property
    def days(self) -> list[date]:
        """The days, the first one first."""
        return [self.end - timedelta(back) for back in range(DAYS, -1, -1)]

    @property
    def hours(self) -> list[datetime]:
        """The beginnings of the hours, without a zone, the first one first."""
        whole = self.as_of.replace(minute=0, second=0, microsecond=0)
        last = datetime.combine(self.end, time(23)) if self.is_old else whole
        return [last - timedelta(hours=back) for back in range(HOURS - 1, -1, -1)]

    def values(self) -> dict[str, Any]:
        """What the queries of include/sql/page.sql ask for, by name."""
        return {
            "zone": self.zone,
            "today": self.as_of.date(),
            "first_day": self.days[0],
            "last_day": self.end,
            "day_before": self.days[0] - timedelta(DAYS),
            "first_hour": f"{self.hours[0]:%Y-%m-%d %H:%M}",
            "last_hour": f"{self.hours[-1]:%Y-%m-%d %H:%M}",
        }


def day_word(day: date) -> str:
    """``Nov 30``."""
    return f"{_MONTHS[day.month - 1]} {day.day}"


def day_title(day: date) -> str:
    """``Mon 2026-11-30``."""
    return f"{WEEKDAYS[day.weekday()]} {day.isoformat()}"
