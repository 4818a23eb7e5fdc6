"""Whether a scheduler still schedules: its heartbeat in Airflow's database tells, its process does not.

A scheduler whose database went away leaves its loop and waits for its running tasks to end. That of the stream does not
end: so the process lives on, for hours, and schedules nothing any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg

from sluice.base import database, queries

BEAT_SECONDS = 15.0
EVERY_SECONDS = 5.0
LOST_SECONDS = 30.0
# A scheduler that outlived an outage beats soon after it; one that did not is waiting for its tasks by then.
BACK_SECONDS = 10.0
START_SECONDS = 180.0


def job_lives(url: str, job: str, seconds: float, hostname: str | None = None) -> bool:
    """Whether an Airflow job (SchedulerJob, …) gave a sign of life within ``seconds``, on ``hostname`` or any host.

    ``url`` is of Airflow's database; raises psycopg.Error when it does not answer.
    """
    with database.connect(url, application_name="sluice-pulse", search_path=database.AIRFLOWS_PATH) as connection:
        beat = queries.one(connection, "embedded.job_lives", job_type=job, hostname=hostname, seconds=seconds)
        return beat is not None


class Watchdog:
    """Watches one scheduler from its start on; ``beats(seconds)``: whether it gave a sign of life within so many."""

    def __init__(self, beats: Callable[[float], bool]) -> None:
        self._beats = beats
        self._due = 0.0
        self._lost_at = time.monotonic() + START_SECONDS
        self._has_beaten = self._is_away = False
        self._counts_from = float("-inf")

    def is_lost(self) -> bool:
        """Whether no sign of life came for too long while the database answered; asks at most every 5 s."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + EVERY_SECONDS
        try:
            beats = self._beats(min(BEAT_SECONDS, now - self._counts_from))
        except psycopg.Error:
            self._is_away = True
            self._lost_at = max(self._lost_at, now + LOST_SECONDS)
            return False
        if self._is_away:
            self.database_came_back()
        elif beats:
            self._has_beaten = True
            self._lost_at = now + LOST_SECONDS
        return now >= self._lost_at

    def database_came_back(self) -> None:
        """The database was away: only a beat from now on tells that the scheduler outlived that."""
        self._is_away = False
        if self._has_beaten:
            self._counts_from = time.monotonic()
            self._lost_at = self._counts_from + BACK_SECONDS
            self._due = self._counts_from + BACK_SECONDS / 2
