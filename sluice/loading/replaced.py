"""The database that a restore has replaced: it stays for a while, and then goes, being as large as the living one.

It stays longer where it alone has the rows of files whose bytes are gone, or where the last recount found rows
unaccounted for: then somebody may need it.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from sluice.base import database, queries
from sluice.base.settings import Settings
from sluice.loading import left_behind
from sluice.loading.restore import REPLACED

Connection = psycopg.Connection[dict[str, Any]]

_log = logging.getLogger(__name__)


def drop_when_due(settings: Settings, *, now: datetime | None = None) -> bool:
    """Drop it after SLUICE_KEEP_REPLACED_HOURS; whether it was dropped. The log says why it stays."""
    with database.connect(settings.writer_dsn, application_name="sluice-housekeeping") as ledger:
        why = why_it_stays(settings, ledger, now=now)
        if why is None:
            return False
        if not why:
            try:
                queries.run(ledger, "restore.drop_replaced_unless_used")
            except psycopg.errors.ObjectInUse:
                why = "somebody is connected to it"
        _log.info("%s %s", REPLACED, f"stays: {why}" if why else "is dropped")
        return not why


def why_it_stays(settings: Settings, ledger: Connection, *, now: datetime | None = None) -> str | None:
    """Why it is not dropped yet, in a sentence; empty when it may be; None when there is none.

    ``ledger`` is the writer's, or the owner's.
    """
    found = queries.one(ledger, "restore.replaced")
    if found is None:
        return None
    if found["since"] is None:
        return "an earlier release has left it; the next restore drops it, or the superuser does: DROP DATABASE"
    until = found["since"] + timedelta(hours=settings.keep_replaced_hours)
    if (now or datetime.now(UTC)) < until:
        return f"until {until:%Y-%m-%d %H:%M} UTC (SLUICE_KEEP_REPLACED_HOURS={settings.keep_replaced_hours:g})"
    recount = queries.one(ledger, "ledger/status.proof")
    if recount is not None and not recount["holds"]:
        return "the last recount found rows unaccounted for: `make reconcile` names them"
    with database.connect(make_conninfo(settings.writer_dsn, dbname=REPLACED)) as replaced:
        lost = left_behind.lost_files(settings, ledger, replaced)
    if lost:
        return f"it alone has the rows of {len(lost):,} files whose bytes are gone: `make copy-sealed` copies them over"
    return ""
