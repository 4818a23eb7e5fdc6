"""Makes pending receipts beside the stream, from a thread of its own, while no file waits to be loaded."""

from __future__ import annotations

import logging
import threading

import psycopg

from sluice.base import database
from sluice.base.waiting import Waiting
from sluice.ledger import receipts
from sluice.loading.retry_rules import cut, line_of

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_AFTER_FAILURE_SECONDS = 15.0


class ReceiptMaker(threading.Thread):
    """Looks once a second; one receipt is one short transaction, and before each the ledger is asked for waiting files.

    Nothing depends on it: when it fails it says so and goes on later, and housekeeping makes what it left.
    """

    def __init__(self, url: str) -> None:
        super().__init__(name="receipts", daemon=True)
        self._url = url
        self._over = threading.Event()
        self._failing = Waiting(_log, f"tried again every {_AFTER_FAILURE_SECONDS:g} s; loading does not wait for it")

    def run(self) -> None:
        """Until ``close``."""
        pause = 0.0
        while not self._over.wait(pause):
            try:
                with database.connect(self._url, application_name="sluice-receipts") as connection:
                    self._make(connection)
                return
            except psycopg.OperationalError:
                pass  # the database is away: the stream itself says so
            except psycopg.Error as error:
                self._failing.failed("no receipt can be made", cut(line_of(error)))
            pause = _AFTER_FAILURE_SECONDS

    def close(self) -> None:
        """Make no more; one that is being made is left to end, or to be rolled back with the process."""
        self._over.set()

    def _make(self, connection: receipts.Connection) -> None:
        pause = 0.0
        while not self._over.wait(pause):
            pause = 0.0 if receipts.make_next(connection) else _LOOK_SECONDS
            self._failing.over()
