"""The reports as DAG report_sales refreshes them, without Airflow; and events that a test puts in by itself."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql

from sluice.base import database
from sluice.base.settings import Settings
from sluice.reports import definitions
from sluice.reports import refresh as refreshing
from sluice.reports.definitions import Kind
from tests.loading import make_months

Connection = psycopg.Connection[dict[str, Any]]
DAY = "2025-06-01"
# As a load leaves it: with what is there of the file. That its tally grows is what notes it for the reports. No
# contract lets other years in.
_FILE = """
    INSERT INTO ledger.files AS file (
        file_id, name, path, sha256, bytes, state, contract, rows_read, rows_loaded, rows_rejected, rows_duplicate,
        landed_at, loaded_at, first_event_time, last_event_time
    ) OVERRIDING SYSTEM VALUE
    SELECT
        %(file_id)s, 'of a test.csv', '', encode(sha256(convert_to(%(file_id)s::text, 'UTF8')), 'hex'), 1, 'loaded',
        %(feed)s, count(*), count(*), 0, 0, now(), now(),
        CASE WHEN min(event_time) BETWEEN '0001-01-01Z' AND '9999-12-31Z' THEN min(event_time) END,
        CASE WHEN max(event_time) BETWEEN '0001-01-01Z' AND '9999-12-31Z' THEN max(event_time) END
    FROM public.events
    WHERE file_id = %(file_id)s
    ON CONFLICT (file_id) DO UPDATE SET
        rows_read = excluded.rows_read,
        rows_loaded = excluded.rows_loaded,
        first_event_time = excluded.first_event_time,
        last_event_time = excluded.last_event_time
"""


def refresh(reader: Connection, settings: Settings, run_id: str = "by-hand", **how: bool) -> refreshing.Refreshed:
    """What the DAG does, as the reader."""
    return refreshing.refresh(reader, settings, run_id, **how)


def refresh_as_the_reader(settings: Settings, run_id: str = "scheduled") -> refreshing.Refreshed:
    """The same, over a connection of its own."""
    with database.connect(settings.reader_dsn) as reader:
        return refresh(reader, settings, run_id)


def published(*kinds: Kind) -> list[str]:
    """The names of the reports and views; with ``kinds`` only of these."""
    wanted = kinds or (Kind.REPORT, Kind.VIEW)
    return [report.name for report in definitions.read() if report.kind in wanted]


def rows(connection: Connection, name: str, schema: str = "report") -> list[dict[str, Any]]:
    """What stands under that name, in the order of its columns."""
    query = sql.SQL("SELECT * FROM {table} AS report ORDER BY report").format(table=sql.Identifier(schema, name))
    return connection.execute(query).fetchall()


def everything(connection: Connection) -> dict[str, list[Any]]:
    """All that the reports say, moments as text: no client knows each that PostgreSQL has."""
    found = {}
    for name in published():
        query = sql.SQL("SELECT to_jsonb(report)::text AS row FROM {} AS report ORDER BY report")
        said = connection.execute(query.format(sql.Identifier("report", name)))
        found[name] = [json.loads(row["row"], parse_float=Decimal) for row in said]
    return found


def add_event(
    connection: Connection, kind: str, when: str, *, feed: str = "events", file_id: int = 1, **values: object
) -> None:
    """One event of a loaded file of ``feed``; ``when`` is a time of ``DAY``, in UTC; what is not given is NULL."""
    event = {"event_type": kind, "event_time": f"{DAY} {when}+00"} | values
    add_events(connection, [event], feed=feed, file_id=file_id)


def add_events(
    connection: Connection, events: Sequence[Mapping[str, object]], *, feed: str = "events", file_id: int = 1
) -> None:
    """Events of a loaded file, as a load leaves them: with the tally of the file, in one transaction.

    All have the same columns, and moments in the month of ``DAY``, before 2000, or from 2100 on.
    """
    make_months(connection, DAY)
    filled = [{"event_id": uuid.uuid4(), "file_id": file_id, "record_number": 1} | dict(event) for event in events]
    insert = sql.SQL("INSERT INTO public.events ({}) VALUES ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, filled[0])), sql.SQL(", ").join(map(sql.Placeholder, filled[0]))
    )
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(insert, filled)
        cursor.execute(_FILE, {"file_id": file_id, "feed": feed})
