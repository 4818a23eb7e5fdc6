"""Brings the embedded server back whenever it has ended, as often as it takes, and says what is in the way."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from sluice.base import disks
from sluice.running.embedded import EmbeddedError, Server

BACKOFF_SECONDS = 0.5
BACKOFF_MAX_SECONDS = 10.0
# A server that dies sooner than this after it answered has not recovered: the same outage goes on.
STEADY_SECONDS = 30.0


class ServerWatch:
    """``look`` never waits, so that everything else is watched on while the server cannot start.

    ``say`` is told in a sentence when the server ends, what keeps it from starting (each cause once) and when it is
    back. ``where`` names the folders whose disks are looked at. ``trouble`` is what keeps it away; empty when it
    answers.
    """

    def __init__(self, server: Server, say: Callable[[str], None], where: Mapping[str, Path]) -> None:
        self._server = server
        self._say = say
        self._where = where
        self._since: datetime | None = None
        self._ended = self._answered = self._not_before = time.monotonic()
        self._launched = False
        self._failures = 0
        self._said: set[str] = set()
        self.trouble = ""

    def look(self) -> bool:
        """One look, and the next step to bring the server back if it is away; whether ``trouble`` has changed."""
        before = self.trouble
        if self._since is None and self._server.process is not None:
            if (code := self._server.process.poll()) is None:
                return False
            self._has_ended(code)
        try:
            if not self._launched and time.monotonic() >= self._not_before:
                self._server.launch()
                self._launched = True
            if self._launched and self._server.answers():
                self._is_back()
        except (EmbeddedError, OSError) as error:
            self._put_off(error)
        return self.trouble != before

    def _has_ended(self, code: int) -> None:
        now = time.monotonic()
        self._since = datetime.now(UTC)
        self._ended = now
        if now - self._answered > STEADY_SECONDS:
            self._failures = 0
            self._said.clear()
        self._launched = False
        self._not_before = now + self._backoff() if self._failures else now
        self._complain(self._server.last_words("PANIC") or f"it ended with exit code {code}")

    def _put_off(self, error: Exception) -> None:
        self._launched = False
        self._failures += 1
        self._not_before = time.monotonic() + self._backoff()
        words = self._server.last_words("PANIC", "FATAL") if isinstance(error, EmbeddedError) else ""
        self._complain(words or str(error).strip())

    def _is_back(self) -> None:
        self._say(f"PostgreSQL is back after {time.monotonic() - self._ended:.0f} s")
        self._since, self._answered, self._launched = None, time.monotonic(), False
        self._failures += 1
        self.trouble = ""

    def _complain(self, words: str) -> None:
        assert self._since is not None
        cause = "; ".join([*disks.full(self._where), words])
        self.trouble = (
            f"PostgreSQL is away since {self._since:%Y-%m-%d %H:%M:%S} UTC ({cause}): it is started again by itself, "
            f"at least every {BACKOFF_MAX_SECONDS:g} s; nothing is lost, files wait where they are; its log is "
            f"{self._server.log}"
        )
        key = re.sub(r"\d+", "0", cause)
        if key not in self._said:
            self._said.add(key)
            self._say(self.trouble)

    def _backoff(self) -> float:
        return min(BACKOFF_MAX_SECONDS, BACKOFF_SECONDS * 2.0 ** min(self._failures - 1, 10))
