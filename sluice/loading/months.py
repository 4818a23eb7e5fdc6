"""The months of ``events``: its partitions. Each is there before a row that belongs in it is copied.

What holds a row is looked up in what this process knows; PostgreSQL is asked once a connection, and when a month is
missing. A month is made in a session of its own: whoever loads meanwhile waits for nothing. The setting
SLUICE_EVENTS_PARTITION says how large the next one is; those that are there stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg.rows import tuple_row

from sluice.base import database, queries

Run = Callable[..., list[tuple[Any, ...]]]
Moments = npt.NDArray[np.int64]
_EVER = np.iinfo(np.int64)
_DAY = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Nobody's load holds what a new month needs for longer; a lock that somebody else holds is not waited for.
_LOCK_TIMEOUT = "1s"


@dataclass(frozen=True)
class Month:
    """A partition: events from ``begins`` and before ``ends``, in microseconds since 1970; ``low`` and ``high`` are the
    same as PostgreSQL reads them."""

    name: str
    begins: int
    ends: int
    low: str
    high: str

    @property
    def bounds(self) -> tuple[str, str]:
        """For a query."""
        return self.low, self.high


class Months:
    """What a process knows of the months, and how it makes one. ``url`` is the writer's, ``size`` the setting's."""

    def __init__(self, url: str, size: str) -> None:
        self._url = url
        self._size = size
        self._known: list[Month] = []
        self._begins = np.empty(0, np.int64)
        self._ends = np.empty(0, np.int64)

    def forget(self) -> None:
        """Ask PostgreSQL when a month is needed next: one may have gone."""
        self._known = []

    def all(self, run: Run) -> list[Month]:
        """All that there are, in order; ``run(name, *parameters)`` runs a query of include/sql/load."""
        rows = run("load/months.known")
        self._known = [
            Month(name, _EVER.min if begins is None else begins, _EVER.max if ends is None else ends, low, high)
            for name, begins, ends, low, high in rows
        ]
        self._begins = np.array([month.begins for month in self._known], np.int64)
        self._ends = np.array([month.ends for month in self._known], np.int64)
        return self._known

    def of(self, run: Run, moments: Moments) -> list[Month]:
        """The months of these moments (microseconds since 1970), in order; those that are missing are made."""
        if not self._known:
            self.all(run)
        places, missing = self._places(moments)
        if missing.size:
            self._make(run, missing)
            self.all(run)
            places, _ = self._places(moments)
        return [self._known[place] for place in np.unique(places)]

    def _places(self, moments: Moments) -> tuple[Moments, Moments]:
        """Where in the known months the moments lie; and the days, since 1970, of those that none holds."""
        places = np.searchsorted(self._begins, moments, side="right") - 1
        held = (places >= 0) & (moments < np.take(self._ends, places, mode="clip"))
        return places[held], np.unique(moments[~held] // _DAY)

    def _make(self, run: Run, days: Moments) -> None:
        with database.connect(self._url, application_name="sluice-months", lock_timeout=_LOCK_TIMEOUT) as connection:
            # A hundred years of months take half a minute, and the file's own session must not seem dead for that long.
            make(connection, days.tolist(), self._size, after_each=lambda: run("load/load.say_alive"))


def make(
    connection: psycopg.Connection[Any],
    days: Iterable[int],
    size: str,
    *,
    although_expired: bool = False,
    after_each: Callable[[], object] = lambda: None,
) -> None:
    """See to it that there are partitions for these days, which are counted since 1970-01-01 and in order.

    None is made for days that have expired, unless it is wanted ``although_expired``.
    """
    ends: int | None = _EVER.min
    with psycopg.RawCursor(connection, row_factory=tuple_row) as cursor:
        for day in days:
            if ends is None or day * _DAY < ends:
                continue
            for (until,) in queries.all(cursor, "load/months.make", day, size, although_expired):
                ends = until
            after_each()


@dataclass
class FileMonths:
    """The months that a file's rows lie in, and the least and the greatest of their moments."""

    months: Months
    held: dict[int, Month] = field(default_factory=dict)
    _first: int | None = None
    _last: int | None = None

    def add(self, run: Run, rows: pa.Table) -> None:
        """See to it that there are months for these rows of ``events``."""
        if not rows.num_rows:
            return
        column = rows["event_time"]
        least, greatest = (int(value) for value in _ends_of(column))
        # Most files lie within one month: then the two ends are enough.
        found = self.months.of(run, np.array([least, greatest], np.int64))
        if len(found) > 1:
            found = self.months.of(run, _micros(column))
        self.held |= {month.begins: month for month in found}
        self._first = least if self._first is None else min(self._first, least)
        self._last = greatest if self._last is None else max(self._last, greatest)

    @property
    def all(self) -> list[Month]:
        """In order."""
        return [self.held[begins] for begins in sorted(self.held)]

    @property
    def first(self) -> datetime | None:
        """The least moment; None without rows."""
        return _moment(self._first)

    @property
    def last(self) -> datetime | None:
        """The greatest moment; None without rows."""
        return _moment(self._last)


def _ends_of(column: pa.ChunkedArray) -> tuple[int, int]:
    ends = pc.min_max(column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()))
    return ends["min"].as_py(), ends["max"].as_py()


def _micros(column: pa.ChunkedArray) -> Moments:
    return column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)
