"""Tells lineage to whom SLUICE_LINEAGE names: what became of files and reports, as OpenLineage's run events.

It is told beside the loads and never by them: a task reads what is new from the ledger (``sluice.ledger.news``), tells
it, and deletes what was taken. A backend that is slow or away holds up that task alone; what it did not take is told
later, with the same ids of runs.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from dataclasses import dataclass

from sluice.base import database, queries
from sluice.base.settings import Settings
from sluice.contracts.folder import read_contracts
from sluice.duty import lineage_backend, lineage_events
from sluice.duty.lineage_backend import Backend, BackendAwayError, EventRefusedError
from sluice.duty.lineage_events import Known
from sluice.ledger import news
from sluice.ledger.news import Connection, News
from sluice.reports import definitions

_log = logging.getLogger(__name__)

TELLER = "lineage"
WANTS = (news.LOADED, news.REJECTED, news.CHANGED, news.WITHDRAWN, news.REFRESHED)
BATCH = 100
# One run tells for so long at most, in seconds; the next one goes on.
PATIENCE_SECONDS = 45.0


@dataclass
class Told:
    """How many news were told and refused; whether some are left; why it stopped, when the backend was away."""

    told: int = 0
    refused: int = 0
    more: bool = False
    away: str = ""


def tell(settings: Settings, *, patience: float = PATIENCE_SECONDS, backend: Backend | None = None) -> Told:
    """Tell what is new, the oldest first. The first call of all begins: what happened before it is told to nobody.

    Raises SettingError when SLUICE_LINEAGE names nobody, psycopg.Error when the database is away.
    """
    to = backend or lineage_backend.backend(settings)
    ends, told = time.monotonic() + patience, Told()
    try:
        with database.connect(settings.writer_dsn, application_name="sluice-lineage") as connection:
            if not news.hold(connection, TELLER):
                _log.info("another one tells lineage right now")
                return told
            news.ask(connection, TELLER, WANTS)
            while not told.away and (found := news.untold(connection, TELLER, BATCH)):
                told.more = time.monotonic() > ends
                if told.more:
                    break
                _tell(settings, connection, found, to, told, ends)
    finally:
        to.close()
    return told


def _tell(settings: Settings, connection: Connection, found: list[News], to: Backend, told: Told, ends: float) -> None:
    """Tell ``found`` one after the other, and forget those that were taken, or refused for good."""
    known = _known(settings, connection, found)
    done: list[int] = []
    try:
        for each in found:
            if time.monotonic() > ends:
                break
            try:
                to.tell(lineage_events.events_of(each, known))
                told.told += 1
            except EventRefusedError as error:
                _log.warning("news %s (%s, file %s) is not told: %s", each.untold_id, each.kind, each.file_id, error)
                told.refused += 1
            done.append(each.untold_id)
    except BackendAwayError as error:
        told.away, told.more = str(error), True
    finally:
        news.told(connection, TELLER, done)


def _known(settings: Settings, connection: Connection, found: list[News]) -> Known:
    files = news.files(connection, found)
    broken: dict[int, dict[str, int]] = defaultdict(dict)
    for row in queries.all(connection, "ledger/news.broken_rules", file_ids=list(files)):
        broken[row["file_id"]][row["rule"]] = row["rows"]
    reports: dict[str, list[lineage_events.Row]] = defaultdict(list)
    if any(each.kind == news.REFRESHED for each in found):
        names = [report.name for report in definitions.read() if report.kind is not definitions.Kind.CELLS]
        for row in queries.all(connection, "ledger/news.columns", relations=names):
            reports[row["relation"]].append(row)
    ledger_id = queries.row(connection, "ledger/news.ledger_id")["ledger_id"]
    return Known(settings, ledger_id, read_contracts(settings.contracts_dir), files, broken, reports)
