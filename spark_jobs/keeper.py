"""Keeps the stream's lease from a thread of its own, and hears when the stream must end."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg

from sluice.base import database, queries
from sluice.base.waiting import Waiting
from sluice.ledger import leases
from sluice.ledger.leases import EndedHow
from sluice.loading.retry_rules import FENCED, ORPHANED, cut, line_of

_log = logging.getLogger(__name__)

_END_GRACE_SECONDS = 20.0
_CONNECT_SECONDS = 3
# Between two sums of what was counted: a scrape reads no more rows than come in this time.
_SUM_UP_SECONDS = 30.0


class Keeper(threading.Thread):
    """Renews the lease several times per lease; sets ``stop`` and ``ended_how`` when the stream is to end.

    That is so when a stop was requested in the ledger, the set life is over, or the submitter is gone. A fenced stream,
    and one whose Spark is gone, ends its process at once: nothing that it still does could count.
    """

    def __init__(
        self, url: str, epoch: int, *, lease_seconds: float, life_seconds: float, submitter: int | None
    ) -> None:
        super().__init__(name="keeper", daemon=True)
        self._url = url
        self.epoch = epoch
        self._lease_seconds = lease_seconds
        self._ends_at = time.monotonic() + life_seconds
        self._sum_up_at = time.monotonic() + _SUM_UP_SECONDS
        self._submitter = submitter
        self._parent = os.getppid()
        self._connection: psycopg.Connection[dict[str, Any]] | None = None
        self._period = min(1.0, lease_seconds / 5)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._away = Waiting(_log, f"asked again every {self._period:g} s; the lease is renewed as soon as it answers")
        self._state = "running"
        self._unsaid: tuple[str, str | None] | None = None
        self.stop = threading.Event()
        self.ended_how = EndedHow.UNKNOWN

    def run(self) -> None:
        """Until ``close``."""
        while not self._over.wait(self._period):
            self._watch_processes()
            if time.monotonic() > self._ends_at:
                self.ask_to_stop(EndedHow.LIFE_OVER)
            if self.in_ledger(self._renew):
                self._say_unsaid()
                self._sum_up()

    def ask_to_stop(self, how: EndedHow) -> None:
        """Let the current micro-batch finish, claim no more files, then end."""
        if not self.stop.is_set():
            self.ended_how = how
            self.stop.set()
            self.in_ledger(lambda connection: leases.request_stop(connection, self.epoch))

    def say(self, state: str, error: str | None = None) -> None:
        """Tell the ledger what the stream does; when it is away, it is told as soon as it is back."""
        self._state = state
        before = self._unsaid
        self._unsaid = (state, before[1] if error is None and before else error)
        self._say_unsaid()

    def note(self, error: str) -> None:
        """Tell the ledger of an error that changes nothing of what the stream does."""
        self.say(self._state, error)

    def run_query(self, query: str, **values: Any) -> None:
        """Run a named query; when the database is away, it is left out."""
        self.in_ledger(lambda connection: queries.run(connection, query, **values))

    def close(self, how: EndedHow, because: str = "") -> None:
        """End the lease and the connection."""
        self._over.set()
        self._say_unsaid()
        self.in_ledger(lambda connection: leases.end(connection, epoch=self.epoch, how=how, because=because))
        if self.is_alive():
            self.join(2 * _CONNECT_SECONDS)
        if self._connection is not None:
            self._connection.close()

    def _renew(self, connection: leases.Connection) -> None:
        if leases.renew(connection, epoch=self.epoch, seconds=self._lease_seconds) and not self.stop.is_set():
            self.ended_how = EndedHow.ASKED
            self.stop.set()

    def _sum_up(self) -> None:
        if time.monotonic() >= self._sum_up_at:
            self.run_query("ledger/counts.sum_up")
            self._sum_up_at = time.monotonic() + _SUM_UP_SECONDS

    def _say_unsaid(self) -> None:
        if self._unsaid is not None:
            self.in_ledger(self._say_it)

    def _say_it(self, connection: leases.Connection) -> None:
        # Read under the lock: the other thread may have said something newer meanwhile.
        if (unsaid := self._unsaid) is not None:
            leases.say(connection, epoch=self.epoch, state=unsaid[0], error=unsaid[1])
            if self._unsaid is unsaid:
                self._unsaid = None

    def in_ledger(self, action: Callable[[leases.Connection], object]) -> bool:
        """Do it; False when the ledger is away, which the log hears when it begins and when it is over."""
        try:
            with self._lock:
                action(self._open())
        except leases.StreamFenced as fenced:
            _log.error("%s", fenced)
            os._exit(FENCED)
        except psycopg.Error as error:
            self._away.failed("the ledger does not answer", cut(line_of(error)))
            return False
        if (was := self._away.over()) and self._unsaid is None:
            # The stream itself may not have noticed.
            self._unsaid = (self._state, was)
        return True

    def _open(self) -> psycopg.Connection[dict[str, Any]]:
        if self._connection is None or self._connection.broken or self._connection.closed:
            # Not a name that a taker ends: the lease is kept while files are fenced off.
            name = f"sluice-keeper-{self.epoch}"
            self._connection = database.connect(self._url, application_name=name, connect_timeout=_CONNECT_SECONDS)
        return self._connection

    def _watch_processes(self) -> None:
        if os.getppid() != self._parent:
            _log.error("Spark is gone: this driver ends")
            self.in_ledger(lambda c: leases.end(c, epoch=self.epoch, how=EndedHow.SPARK_DIED))
            os._exit(ORPHANED)
        if self._submitter is not None and not _is_alive(self._submitter) and not self.stop.is_set():
            _log.warning("the submitter (process %s) is gone: the stream ends", self._submitter)
            self.ask_to_stop(EndedHow.SUBMITTER_DIED)
            threading.Timer(_END_GRACE_SECONDS, os._exit, [ORPHANED]).start()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
