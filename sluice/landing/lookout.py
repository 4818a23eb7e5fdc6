"""Looking out for work: files that may be moved or tidied, a stream that is missing. Sensor and mover share it."""

from __future__ import annotations

import contextlib
import enum
import logging
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg

from sluice.base import queries
from sluice.base.settings import Settings
from sluice.base.waiting import News
from sluice.landing import folders, incoming, tidy
from sluice.ledger import leases

Connection = psycopg.Connection[dict[str, Any]]

# A missing stream is seen so soon; files are seen at each look.
LEDGER_EVERY_SECONDS = 2.0
STRAYS_EVERY_SECONDS = 30.0
_ON_WATCH = 7_215_482_304
_log = logging.getLogger(__name__)


class Work(enum.Enum):
    """What is to be done."""

    MOVE = "move"
    SUBMIT = "submit"


class Found(NamedTuple):
    """Work, and why for people."""

    work: Work
    reason: str


class Lookout:
    """One who looks often: at the folder each time, at the ledger when there is something to do, or now and then."""

    def __init__(self) -> None:
        self._wrong = News()
        self._next_ledger = 0.0
        self._next_strays = 0.0

    def look(self, settings: Settings, connection: Connection) -> Found | None:
        """What is to be done now; None when it is nothing. Raises psycopg.OperationalError.

        While the folders are not there, which is logged, no file is to be moved.
        """
        can_move = incoming.any_takeable(settings)
        if not can_move and time.monotonic() < self._next_ledger:
            return None
        self._next_ledger = time.monotonic() + LEDGER_EVERY_SECONDS
        pulse = leases.pulse(connection)
        are_there = self._folders_are_there(settings, connection)
        if are_there and can_move:
            return Found(Work.MOVE, "landed files can be moved")
        if not pulse.living and pulse.due:
            return Found(Work.SUBMIT, f"no stream lives{', and landed files wait' if pulse.waiting else ''}")
        if are_there and time.monotonic() >= self._next_strays:
            self._next_strays = time.monotonic() + STRAYS_EVERY_SECONDS
            if strays := tidy.strays(settings, connection):
                return Found(Work.MOVE, f"{len(strays)} files in processing are to be tidied")
        return None

    def _folders_are_there(self, settings: Settings, connection: Connection) -> bool:
        try:
            folders.check(settings, connection)
        except folders.FoldersError as error:
            if self._wrong.is_new(str(error)):
                _log.error("files stay in incoming: %s", error)
            return False
        if self._wrong.over():
            _log.info("the folders are back")
        return True


@contextlib.contextmanager
def on_watch(connection: Connection) -> Iterator[bool]:
    """Be the mover that stays and moves what lands, until the end of the block; False when another one is it."""
    alone = queries.row(connection, "ledger/watch.begin", key=_ON_WATCH)["begun"]
    try:
        yield alone
    finally:
        if alone:
            # A broken connection has released the lock already, and must not hide the error that broke it.
            with contextlib.suppress(psycopg.OperationalError):
                queries.run(connection, "ledger/watch.end", key=_ON_WATCH)


def is_watched(connection: Connection) -> bool:
    """Whether a mover stays and moves what lands: nobody needs to send another one."""
    return bool(queries.row(connection, "ledger/watch.is_kept", key=_ON_WATCH)["is_kept"])
