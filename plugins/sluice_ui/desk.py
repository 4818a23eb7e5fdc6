"""Where questions wait: few threads of the page's own, so that a slow database never holds up Airflow's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")
THREADS = 2
MOST_WAITING = 8
FRESH_SECONDS = 1.0


class BusyError(RuntimeError):
    """More questions wait than may."""


class Desk:
    """Asks in threads: two at once, eight waiting at most, unless told otherwise."""

    def __init__(self, threads: int = THREADS, most_waiting: int = MOST_WAITING) -> None:
        self._threads = threads
        self._most = threads + most_waiting
        self._limiter: anyio.CapacityLimiter | None = None  # made where the event loop is
        self._waiting = 0

    async def ask(self, question: Callable[..., T], *asked: Any) -> T:
        """The answer. Raises BusyError, and what the question raises."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._threads)
        if self._waiting >= self._most:
            raise BusyError("many ask just now")
        self._waiting += 1
        try:
            return await anyio.to_thread.run_sync(question, *asked, limiter=self._limiter)
        finally:
            self._waiting -= 1


class Fresh:
    """One answer for all who ask within a second: ten browsers cost as much as one.

    What fails fails for all of them, and is asked again a second later: where the database is slow or away, each would
    have to wait for those before it otherwise. ``seconds``: another age up to which an answer is given again, for what
    costs more.
    """

    def __init__(self, desk: Desk, question: Callable[[], Any], seconds: float = FRESH_SECONDS) -> None:
        self._desk = desk
        self._question = question
        self._seconds = seconds
        self._lock: anyio.Lock | None = None
        self._answer: Any = None
        self._error: Exception | None = None
        self._until = 0.0

    async def answer(self) -> Any:
        """The last one, or a new one. Raises what Desk.ask does."""
        if self._lock is None:
            self._lock = anyio.Lock()
        async with self._lock:
            if time.monotonic() >= self._until:
                await self._ask()
        if self._error is not None:
            raise self._error
        return self._answer

    async def _ask(self) -> None:
        self._answer, self._error = None, None
        try:
            self._answer = await self._desk.ask(self._question)
            self._until = time.monotonic() + self._seconds
        except Exception as error:
            self._error = error
            self._until = time.monotonic() + FRESH_SECONDS
