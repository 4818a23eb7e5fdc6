"""What arrived in events, a micro-batch at a time, for whoever makes an event of Airflow's asset of each.

A micro-batch is given out once, and forgotten in the ledger only when Airflow has its event. Who begins anew, after a
restart or a kill, asks Airflow first which events it has: so none is lost and none comes twice.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from sluice.base import database, queries
from sluice.base.settings import Settings
from sluice.ledger import news
from sluice.ledger.news import Connection, News
from sluice.running import airflow_metadata

_log = logging.getLogger(__name__)

ASSET = "events"
TELLER = "asset"
WANTS = (news.LOADED, news.BATCH)
# Of so many micro-batches that wait, each has its event; older ones are told as one, after a pause.
SINGLY = 100
_PAGE = 10_000
# Airflow makes a run a day of whoever listens.
DAYS = 1000
# How often it says that it is still there.
_SEEN_SECONDS = 3600.0
# The clocks of Airflow and of the database may differ by so much.
_CLOCKS = timedelta(hours=1)

Payload = dict[str, Any]


@dataclass
class Arrival:
    """A micro-batch, or several after a pause: the news that it is of, files and then the batch itself.

    A stream that was killed may have loaded files without saying of which micro-batch: then there is no ``batch``.
    """

    files: list[News]
    batch: News | None

    @property
    def last(self) -> News:
        """The news after which it was whole: its id is the arrival's."""
        return self.batch or self.files[-1]

    @property
    def untold_ids(self) -> list[int]:
        """Of all of its news."""
        return [each.untold_id for each in (*self.files, *([self.batch] if self.batch else []))]

    @property
    def is_empty(self) -> bool:
        """Whether nothing came to events: all files of the micro-batch were set aside."""
        return not self.files and not (self.batch and self.batch.details.get("batches"))


class Arrivals:
    """Gives out what arrived, for as long as it lives; nobody else does meanwhile."""

    def __init__(self, settings: Settings, asset: str = ASSET) -> None:
        self._settings = settings
        self._asset = asset
        self._metadata = re.sub(
            r"^\w+(\+\w+)?://", "postgresql://", airflow_metadata.metadata_url(settings, os.environ)
        )
        self._connection: Connection | None = None
        self._given: set[str] = set()
        self._asked = 0.0

    def look(self) -> list[Payload]:
        """What arrived since the last look, the oldest first; nothing while somebody else gives it out.

        Raises psycopg.Error when a database is away; then nothing is lost, and the next look goes on.
        """
        try:
            connection = self._hold()
            return self._new(connection) if connection else []
        except psycopg.Error:
            self.close()
            raise

    def close(self) -> None:
        """Let somebody else do it."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _hold(self) -> Connection | None:
        """The connection that holds the teller's lock; None while another has it."""
        if self._connection is None:
            opened = database.connect(self._settings.writer_dsn, application_name="sluice-asset")
            if not news.hold(opened, TELLER):
                opened.close()
                return None
            news.ask(opened, TELLER, WANTS)
            self._connection, self._asked = opened, time.monotonic()
        if time.monotonic() > self._asked + _SEEN_SECONDS:
            news.ask(self._connection, TELLER, WANTS)
            self._asked = time.monotonic()
        return self._connection

    def _new(self, connection: Connection) -> list[Payload]:
        ended = queries.row(connection, "ledger/news.last_ended")["epoch"]
        found = news.untold(connection, TELLER, _PAGE)
        arrivals = list(_arrivals(found, ended))
        known = self._known_to_airflow(arrivals)
        over = [each for each in arrivals if each.is_empty or each.last.news_id in known]
        if over:
            news.told(connection, TELLER, [number for each in over for number in each.untold_ids])
        self._given -= known
        waiting = [each for each in arrivals if each not in over and each.last.news_id not in self._given]
        if len(waiting) > SINGLY:
            waiting = [_fold(connection, waiting[:-SINGLY]), *waiting[-SINGLY:]]
        self._given.update(each.last.news_id for each in waiting)
        files = news.files(connection, [file for each in waiting for file in each.files])
        return [_payload(each, files) for each in waiting]

    def _known_to_airflow(self, arrivals: Iterable[Arrival]) -> set[str]:
        """The ids of those of which Airflow has an event."""
        ids = {each.last.news_id: each.last.at for each in arrivals}
        if not ids:
            return set()
        with database.connect(
            self._metadata, application_name="sluice-asset", search_path=database.AIRFLOWS_PATH
        ) as metadata:
            since = min(ids.values()) - _CLOCKS
            rows = queries.all(metadata, "ledger/news.asset_events", asset=self._asset, since=since, ids=list(ids))
        return {row["id"] for row in rows}


def days(settings: Settings, file_ids: Iterable[int]) -> list[str]:
    """The days (UTC) of the rows that these files have in events, as 2026-11-30, in order; the first 1,000 of them.

    Raises psycopg.Error.
    """
    with database.connect(settings.reader_dsn, application_name="sluice-asset") as connection:
        rows = queries.all(connection, "ledger/news.days", file_ids=list(file_ids), most=DAYS + 1)
    if len(rows) > DAYS:
        _log.warning("files have arrived with events of more than %s days: the first are told", DAYS)
    return [row["day"] for row in rows[:DAYS]]


def _arrivals(found: Iterable[News], ended: int) -> Iterator[Arrival]:
    """Files with the micro-batch that they came in: of an epoch and a lane, one micro-batch follows the other."""
    files: dict[tuple[Any, Any], list[News]] = defaultdict(list)
    for each in found:
        stream = (each.details["epoch"], each.details["lane"])
        if each.kind == news.LOADED:
            files[stream].append(each)
        else:
            yield Arrival(files.pop(stream, []), each)
    for (epoch, _), orphans in files.items():
        if epoch is None:  # rows that were copied over after a restore: there may be more of them at the next look
            yield from (Arrival([each], None) for each in orphans)
        elif epoch <= ended:
            yield Arrival(orphans, None)


def _fold(connection: Connection, arrivals: list[Arrival]) -> Arrival:
    """Make one of several, in the ledger: who begins anew finds the one."""
    last = arrivals[-1].last
    rows: dict[str, int] = defaultdict(int)
    file_ids: list[int] = []
    batches = 0
    for each in arrivals:
        batches += each.batch.details.get("batches", 1) if each.batch else 1
        file_ids += _file_ids(each)
        for name, number in _rows(each).items():
            rows[name] += number
    details = {**last.details, "batches": batches, "file_ids": file_ids, "rows": dict(rows)}
    others = [number for each in arrivals for number in each.untold_ids if number != last.untold_id]
    with connection.transaction():
        news.told(connection, TELLER, others)
        news.fold(connection, last, details)
    _log.info("%s micro-batches that nobody was told of become one event", batches)
    return Arrival([], News(last.untold_id, last.news_id, news.BATCH, last.at, None, details))


def _file_ids(arrival: Arrival) -> list[int]:
    before = arrival.batch.details.get("file_ids", []) if arrival.batch else []
    return [*before, *(file.file_id for file in arrival.files if file.file_id is not None)]


def _rows(arrival: Arrival) -> dict[str, int]:
    """The arrival's rows by what became of them."""
    rows = dict(arrival.batch.details.get("rows", {})) if arrival.batch else {}
    for name in ("read", "loaded", "rejected", "duplicate"):
        rows[name] = rows.get(name, 0) + sum(int(file.details[f"rows_{name}"]) for file in arrival.files)
    return rows


def _payload(arrival: Arrival, files: dict[int, dict[str, Any]]) -> Payload:
    """What a consumer is told: which micro-batch, its files, its rows, and the first and last moment of its events."""
    details = arrival.last.details
    listed = [_file(file, files[file.file_id]) for file in arrival.files if file.file_id in files]
    first = [each["first_event_time"] for each in listed if each["first_event_time"]]
    last = [each["last_event_time"] for each in listed if each["last_event_time"]]
    return {
        "id": arrival.last.news_id,
        "at": arrival.last.at.isoformat(),
        "epoch": details["epoch"],
        "lane": details["lane"],
        "batch": details.get("batch"),
        "batches": details.get("batches", 1),
        "file_ids": _file_ids(arrival),
        "files": listed,
        "rows": _rows(arrival),
        "first_event_time": min(first, default=None),
        "last_event_time": max(last, default=None),
    }


def _file(file: News, row: dict[str, Any]) -> Payload:
    return {
        "file_id": file.file_id,
        "name": row["name"],
        "contract": row["contract"],
        "rows_loaded": file.details["rows_loaded"],
        "rows_rejected": file.details["rows_rejected"],
        "rows_duplicate": file.details["rows_duplicate"],
        "first_event_time": _text(row["first_event_time"]),
        "last_event_time": _text(row["last_event_time"]),
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
