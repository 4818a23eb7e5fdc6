"""What lasts is said once: when it begins, while it goes on failing once a minute, and when it is over."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

SAY_EVERY_SECONDS = 60.0


class News:
    """What was said last: so that a thing which lasts is said once, and again when it is another."""

    def __init__(self) -> None:
        self._last = ""

    def is_new(self, text: str) -> bool:
        """Whether it was not said last; it is from now on."""
        was, self._last = self._last, text
        return text != was

    def over(self) -> bool:
        """Whether something was said; nothing is from now on."""
        return self.is_new("")


class Waiting:
    """One wait after the other, told to ``log``. ``does`` says what is done about it and what becomes of the files."""

    def __init__(self, log: logging.Logger, does: str) -> None:
        self._log = log
        self._does = does
        self._what = self._more = ""
        self._since = datetime.now(UTC)
        self._begun = self._said = time.monotonic()
        self.message = ""

    def failed(self, what: str, detail: str, more: str = "") -> str:
        """Note a failure; the message: ``what`` is full or away, since when, what is done, ``detail`` of the last one.

        The time is that of the first failure of this kind in a row. ``more`` about it may change meanwhile.
        """
        now = time.monotonic()
        begins = what != self._what
        if begins:
            self._what, self._since, self._begun = what, datetime.now(UTC), now
        news, self._more = begins or more != self._more, more
        self.message = f"{what}{more}; since {self._since:%Y-%m-%d %H:%M:%S} UTC; {self._does} ({detail})"
        if news or now - self._said >= SAY_EVERY_SECONDS:
            self._said = now
            self._log.warning("%s%s", "" if begins else f"for {now - self._begun:.0f} s now: ", self.message)
        return self.message

    def over(self) -> str:
        """Nothing fails any more; the last message and how long it took, empty when nothing had failed."""
        if not self._what:
            return ""
        took = time.monotonic() - self._begun
        self._log.warning("back after %.0f s: %s", took, self._what)
        self._what = ""
        return f"{self.message}; over after {took:.0f} s"
