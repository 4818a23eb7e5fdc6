"""What all rooms share: settings, the reader's connections, the desk at which questions wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from sluice.base.settings import Settings
from sluice.watching.reader import TIMEOUT_MS, Connection, Reader
from sluice_ui.desk import FRESH_SECONDS, Desk, Fresh

P = ParamSpec("P")
T = TypeVar("T")


class Answers:
    """Asks functions of ``sluice.watching``, which take a connection first."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.desk = Desk()
        self._long = Desk(threads=1, most_waiting=2)
        self._reader = Reader(settings)

    async def ask(self, question: Callable[Concatenate[Connection, P], T], *asked: P.args, **named: P.kwargs) -> T:
        """The answer of one transaction. Raises BusyError, AwayError, SlowError, and what the question raises."""
        return await self.desk.ask(lambda: self.at_once(question, *asked, **named))

    async def ask_long(
        self, milliseconds: int, question: Callable[Concatenate[Connection, P], T], *asked: P.args, **named: P.kwargs
    ) -> T:
        """The same with another bound of each statement, at a desk of its own: one at a time, and nobody else waits."""

        def answer() -> T:
            with self._reader.asking(milliseconds) as connection:
                return question(connection, *asked, **named)

        return await self._long.ask(answer)

    def at_once(self, question: Callable[Concatenate[Connection, P], T], *asked: P.args, **named: P.kwargs) -> T:
        """The same in the caller's thread."""
        with self._reader.asking(TIMEOUT_MS) as connection:
            return question(connection, *asked, **named)

    def close(self) -> None:
        """End the sessions with the database that nobody uses just now."""
        self._reader.close()

    @property
    def reader(self) -> Reader:
        """For who asks several questions and tells itself what to do when there is no answer."""
        return self._reader

    def fresh(self, question: Callable[[Connection], Any], seconds: float = FRESH_SECONDS) -> Fresh:
        """One answer a second, or in so many, for all who ask."""
        return Fresh(self.desk, lambda: self.at_once(question), seconds)
