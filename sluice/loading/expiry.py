"""Drops the months of ``events`` that are older than SLUICE_KEEP_EVENTS_MONTHS.

First the cut rises, in a transaction of its own: from then on a load rejects what is older. Then each month that lies
before it goes in one transaction: its rows are counted while nobody writes to it, the files that lose them say so
(``rows_expired``, receipt, audit), and its partition is dropped. So a process that dies anywhere leaves all of a month
or nothing of it.

Only the last step needs what loads need. It waits for half a second at most, and lets go of all that until its next
attempt. docs/decisions/0017-months-expire.md says why.

A month is held only when the reports have counted its last changes (ledger.report_changes): then nothing can change it
any more, and what they have counted of it stays right without its rows.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg

from sluice.base.crash_points import crash_point
from sluice.base.settings import Settings
from sluice.loading.months import Month, Months
from sluice.loading.writer_session import WriterSession

_log = logging.getLogger(__name__)

# Of a month that somebody writes to. Those who come for the same month wait behind, and no others.
_LOCK_TIMEOUT = "1s"
_ATTEMPTS = 5
_HELD = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)


class ExpiryError(RuntimeError):
    """A month cannot be dropped, and will not be by itself; the message says why and what to do."""


@dataclass
class Expired:
    """The moment before which events are not kept, the months that were dropped, and what was in them.

    ``left``: months that others use, or whose changes the reports have not counted, for the next time; ``stuck``: those
    that something stands on, and what.
    """

    before: str = ""
    months: list[str] = field(default_factory=list)
    rows: int = 0
    left: list[str] = field(default_factory=list)
    stuck: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def expire(settings: Settings) -> Expired | None:
    """Drop what is older than the kept months; None when all is kept, or while a merge reads the months.

    Raises ExpiryError for a month that something else stands on, after all others were dropped; psycopg.Error when the
    database is away: what was dropped before stays so.
    """
    if not settings.keep_events_months:
        return None
    session = WriterSession(settings.writer_dsn, "sluice-expiry", lock_timeout=_LOCK_TIMEOUT)
    try:
        [(alone,)] = session.run("load/merge.begin_alone")
        session.commit()
        if not alone:
            _log.info("a merge reads the months: nothing is dropped this time")
            return None
        return _Expiry(settings, session).run()
    finally:
        session.disconnect()


class _Expiry:
    """One look for months that have expired, over one session."""

    def __init__(self, settings: Settings, session: WriterSession) -> None:
        self._settings = settings
        self._session = session
        self._expired = Expired()

    def run(self) -> Expired:
        """Raise the cut, drop what lies before it."""
        run, expired = self._session.run, self._expired
        self._session.change("load/expiry.raise_cut", self._settings.keep_events_months)
        self._session.commit()
        [(expired.before, cut)] = run("load/expiry.cut")
        known = Months(self._settings.writer_dsn, self._settings.events_partition).all(run)
        self._session.commit()
        for month in known:
            if month.ends <= cut:
                self._drop(month)
        _log.info("expired: %s", expired)
        if expired.stuck:
            raise ExpiryError(
                "; ".join(f"month {name} cannot be dropped: {why}" for name, why in expired.stuck.items())
                + ": drop what stands on it, or keep more months with SLUICE_KEEP_EVENTS_MONTHS"
            )
        return expired

    def _drop(self, month: Month) -> None:
        try:
            rows = self._in_one_transaction(month)
        except psycopg.errors.DependentObjectsStillExist as error:
            self._session.rollback()
            self._expired.stuck[month.name] = error.diag.message_detail or str(error)
        except psycopg.errors.ObjectInUse as error:
            self._session.rollback()
            _log.warning("month %s is kept, it is dropped the next time: %s", month.name, error.diag.message_primary)
            self._expired.left.append(month.name)
        except _HELD as error:
            self._session.rollback()
            _log.warning("month %s is in use, it is dropped the next time: %s", month.name, error)
            self._expired.left.append(month.name)
        else:
            _log.warning(
                "month %s is dropped with %s rows: it is older than %s", month.name, rows, self._expired.before
            )
            self._expired.months.append(month.name)
            self._expired.rows += rows

    def _in_one_transaction(self, month: Month) -> int:
        run = self._session.run
        run("load/expiry.hold_month", month.name)
        run("load/expiry.make_expiring")
        self._session.change("load/expiry.count_rows", *month.bounds)
        crash_point("expiry.after_count")
        [(rows,)] = run("load/expiry.note", month.name, *month.bounds)
        self._settle_patiently(month)
        crash_point("expiry.before_commit")
        self._session.commit()
        crash_point("expiry.after_commit")
        return int(rows)

    def _settle_patiently(self, month: Month) -> None:
        """What loads may wait for: each attempt lets go of it, and of nothing that was counted."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._session.connection.transaction():
                    self._settle(month)
                return
            except _HELD:
                if attempt == _ATTEMPTS:
                    raise
                _log.info("month %s: attempt %s: others use it", month.name, attempt)
                time.sleep(0.2 * attempt)

    def _settle(self, month: Month) -> None:
        run = self._session.run
        run("load/expiry.be_brief")
        run("load/expiry.hold_files")
        self._session.change("load/expiry.settle", month.name, self._expired.before)
        crash_point("expiry.after_settle")
        run("load/expiry.drop_month", month.name)
