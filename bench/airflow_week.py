"""Airflow's own metadata after a week of a file every 2 seconds: how much it is, what cleaning takes, what pages take.

    python -m bench.airflow_week [--days 7] [--minutes 7] [--every 2] [--write]

A pipeline of its own runs for some minutes; the generator, a DAG too, lands the files. What its finished runs left in
the metadata is copied into the past, until the generator has run as often as it does in so many days. Pages are asked
for through the web server before, after, and when the metadata is cleaned, as the DAG keep_house does it: all that is
older than a day, and once more, as an hour later. At last all is cleaned but what active runs left: a table that is
long then grows without end.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import urllib.request
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from bench import report
from bench.pipeline import Pipeline
from sluice.base import database
from sluice.base.settings import load
from sluice.running import airflow_metadata
from sluice.running.pipeline import WEB_USER, Running

Connection = psycopg.Connection[dict[str, Any]]
ASKED = 20
LEFT_ROWS = 50  # a table that has more when all is cleaned is told
HOUR = timedelta(hours=1)
# What the home page, the list of DAGs and a DAG's own pages ask for; {run}: its newest run, {day}: a day ago.
PAGES = {
    "home: runs and tasks of a day": "/ui/dashboard/historical_metrics_data?start_date={day}",
    "home: DAGs by state": "/ui/dashboard/dag_stats",
    "the list of DAGs": "/ui/dags?dag_runs_limit=14&limit=50",
    "ingest_events: runs": "/ui/grid/runs/ingest_events?limit=10&order_by=-run_after",
    "ingest_events: grid": "/ui/grid/structure/ingest_events?limit=10&order_by=-run_after",
    "generate_events: runs": "/ui/grid/runs/generate_events?limit=10&order_by=-run_after",
    "generate_events: grid": "/ui/grid/structure/generate_events?limit=10&order_by=-run_after",
    "generate_events: tasks of a run": "/ui/grid/ti_summaries/generate_events?run_ids={run}",
    "generate_events: newest run": "/ui/dags/generate_events/latest_run",
    "generate_events: failed in a day": (
        "/api/v2/dags/generate_events/dagRuns/~/taskInstances?limit=14&order_by=-run_after&run_after_gte={day}&state=failed"
    ),
    "generate_events: table of runs": "/api/v2/dags/generate_events/dagRuns?limit=50&order_by=-run_after",
    "generate_events: table of tasks": (
        "/api/v2/dags/generate_events/dagRuns/~/taskInstances?limit=50&order_by=-start_date"
    ),
    "generate_events: calendar of a year": "/ui/calendar/generate_events?logical_date_gte={year}&granularity=daily",
    "generate_events: audit log": "/api/v2/eventLogs?dag_id=generate_events&limit=50&order_by=-when",
}
_TABLES = ("dag_run", "task_instance", "log", "xcom")
_SIZE = "SELECT pg_database_size(current_database()) AS n"
_ALL_TABLES = "SELECT tablename AS name FROM pg_tables WHERE schemaname = ANY (current_schemas(false)) ORDER BY 1"
_COLUMNS = """
    SELECT attname AS name, format_type(atttypid, NULL) AS type
    FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
    ORDER BY attnum
"""
_GENERATED = "SELECT count(*) AS n FROM finished WHERE dag_id = 'generate_events'"
_FINISHED = """
    CREATE TEMPORARY TABLE finished AS
    SELECT id, dag_id, run_id, run_after
    FROM dag_run
    WHERE state IN ('success', 'failed') AND end_date IS NOT NULL AND run_after > now() - make_interval(secs => %s)
"""


def main() -> None:
    """Measure; print the table, keep it with --write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--minutes", type=float, default=7.0)
    parser.add_argument("--every", type=float, default=2.0)
    parser.add_argument("--write", action="store_true")
    parsed = parser.parse_args()
    changes = {"SLUICE_GENERATOR": "on", "SLUICE_GENERATE_EVERY_SECONDS": f"{parsed.every:g}"}
    with Pipeline(**changes) as pipeline:
        pipeline.start()
        time.sleep(60 * parsed.minutes)
        measured = measure(pipeline, 60 * parsed.minutes, parsed.days, parsed.every)
    report.publish(report.result("airflow", every=parsed.every, days=parsed.days, **measured), keep=parsed.write)


def measure(pipeline: Pipeline, seconds: float, days: float, every: float) -> dict[str, Any]:
    """What the last ``seconds`` left in the metadata, as many times as make ``days`` of a file ``every`` so many."""
    running = pipeline.instance.running()
    assert running is not None
    web = Web(running, pipeline.instance.secrets()["web_password"])
    clean = partial(_cleaned, pipeline, pipeline.instance.environment(running, pipeline.environment))
    url = pipeline.instance.role_url("airflow", running.postgres_port)
    with database.connect(url, search_path=database.AIRFLOWS_PATH) as connection:
        asked = {"few": web.milliseconds()}
        copy_into_the_past(connection, seconds, days * 86_400, every)
        found = {"rows": _counts(connection), "runs": _runs(connection), "bytes": _one(connection, _SIZE)}
        print(found, flush=True)
        asked["many"] = web.milliseconds()
        now = datetime.now(UTC)
        found["cleaning"] = [clean(now), clean(now + HOUR)]
        asked["cleaned"] = web.milliseconds()
        found["left"] = _counts(connection)
        clean(now + timedelta(hours=pipeline.settings.keep_runs_hours) + HOUR)
        found["left_of_all"] = {table: rows for table, rows in _all_counts(connection).items() if rows > LEFT_ROWS}
    return found | {"pages": [{"page": page} | {when: asked[when][page] for when in asked} for page in PAGES]}


def _cleaned(pipeline: Pipeline, environment: dict[str, str], now: datetime) -> float:
    started = time.monotonic()
    airflow_metadata.clean_metadata(load(pipeline.environment), now=now, environ=environment)
    return time.monotonic() - started


def copy_into_the_past(connection: Connection, seconds: float, back: float, every: float) -> None:
    """Copy what the runs of the last ``seconds`` left as often as fills ``back`` seconds with a file ``every`` so many.

    A busy scheduler runs the generator less often. No two runs of a DAG may be of one moment.
    """
    connection.execute(_FINISHED, [seconds])
    span = every * _one(connection, _GENERATED) + 0.000001
    for table in _TABLES:
        connection.execute(_copy(connection, table), {"seconds": span, "copies": round(back / span)})
        connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(table)))


def _copy(connection: Connection, table: str) -> sql.Composed:
    """The rows of ``table`` of finished runs: moments shifted, numbers of their own, under the copies of the runs."""
    taken, given = [], []
    for column in connection.execute(_COLUMNS, [table]):
        if (value := _copied(table, column["name"], column["type"])) is not None:
            taken.append(sql.Identifier(column["name"]))
            given.append(value)
    statement = sql.SQL("""
        INSERT INTO {table} ({taken})
        SELECT {given}
        FROM finished
        JOIN {table} AS row ON row.dag_id = finished.dag_id AND row.run_id = finished.run_id
        CROSS JOIN generate_series(1, %(copies)s) AS copy
        {copied}
        ORDER BY copy DESC, finished.run_after
    """)
    copied = (
        "JOIN dag_run AS copied ON copied.dag_id = row.dag_id AND copied.run_id = row.run_id || '-' || copy"
        if table == "xcom"
        else ""
    )
    parts = {"taken": sql.SQL(", ").join(taken), "given": sql.SQL(", ").join(given)}
    return statement.format(table=sql.Identifier(table), copied=sql.SQL(copied), **parts)


def _copied(table: str, name: str, kind: str) -> sql.Composable | None:
    """What a column of a copy gets; None: its default."""
    if name == "id":
        return sql.SQL("gen_random_uuid()") if kind == "uuid" else None
    if name == "run_id":
        return sql.SQL("row.run_id || '-' || copy")
    if name == "dag_run_id":
        return sql.SQL("copied.id")
    if kind.startswith("timestamp"):
        return sql.SQL("row.{} - copy * make_interval(secs => %(seconds)s)").format(sql.Identifier(name))
    return sql.SQL("row.{}").format(sql.Identifier(name))


def _counts(connection: Connection, tables: Iterable[str] = _TABLES) -> dict[str, int]:
    count = sql.SQL("SELECT count(*) AS n FROM {}")
    return {table: _one(connection, count.format(sql.Identifier(table))) for table in tables}


def _all_counts(connection: Connection) -> dict[str, int]:
    """Rows of each table of the metadata."""
    return _counts(connection, [row["name"] for row in connection.execute(_ALL_TABLES)])


def _runs(connection: Connection) -> dict[str, int]:
    runs = connection.execute("SELECT dag_id, count(*) AS n FROM dag_run GROUP BY dag_id ORDER BY dag_id")
    return {row["dag_id"]: row["n"] for row in runs}


def _one(connection: Connection, query: Any) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row["n"])


class Web:
    """The pipeline's web server, logged in."""

    def __init__(self, running: Running, password: str) -> None:
        self._url = running.url
        body = json.dumps({"username": WEB_USER, "password": password}).encode()
        self._headers = {"Content-Type": "application/json"}
        self._headers["Authorization"] = f"Bearer {json.loads(self._ask('/auth/token', body))['access_token']}"

    def milliseconds(self) -> dict[str, dict[str, float]]:
        """Median and 95th percentile of each page's answer."""
        now = datetime.now(UTC)
        run = json.loads(self._ask(PAGES["generate_events: newest run"]))["run_id"]
        told = {
            "run": quote(run),
            "day": quote((now - timedelta(days=1)).isoformat()),
            "year": quote((now - timedelta(days=365)).isoformat()),
        }
        return {name: self._asked(path.format(**told)) for name, path in PAGES.items()}

    def _asked(self, path: str) -> dict[str, float]:
        times = [self._timed(path) for _ in range(ASKED)]
        return {"p50": statistics.median(times), "p95": statistics.quantiles(times, n=20)[-1]}

    def _timed(self, path: str) -> float:
        started = time.monotonic()
        self._ask(path)
        return (time.monotonic() - started) * 1000

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(self._url + path, data=body, headers=self._headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            found: bytes = answer.read()
        return found


if __name__ == "__main__":
    main()
