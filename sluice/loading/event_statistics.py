"""What PostgreSQL knows of ``events`` as a whole, for the plans of the reports: autovacuum sees its months only."""

from __future__ import annotations

import logging

import psycopg

from sluice.base.settings import Settings
from sluice.loading.writer_session import WriterSession

_log = logging.getLogger(__name__)

# A month that is being made is not waited for; and a load that needs a new month comes again later.
_LOCK_TIMEOUT = "1s"


def analyze_when_due(settings: Settings) -> bool:
    """Analyse the whole table when a fifth of its rows came or went, or after a week; whether that was done.

    Raises psycopg.Error when the database is away.
    """
    session = WriterSession(settings.writer_dsn, "sluice-statistics", lock_timeout=_LOCK_TIMEOUT)
    try:
        [(is_unknown,)] = session.run("load/months.is_unknown")
        if not is_unknown:
            return False
        session.run("load/months.analyze")
        session.commit()
    except psycopg.errors.LockNotAvailable as error:
        _log.info("table events is in use, it is analysed the next time: %s", error)
        return False
    finally:
        session.disconnect()
    _log.info("table events is analysed")
    return True
