"""Refreshes the tables of schema ``report`` from ``events``: build, check, publish, tell.

The SQL of each report is in its file of ``include/sql/reports``. Nothing that fails its checks
is published; the tables that failed stay as ``report_staging.<name>__next`` until the next run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from airflow.providers.common.sql.operators.sql import SQLCheckOperator, SQLExecuteQueryOperator
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import chain, dag, task
from psycopg import sql

from sluice.base.settings import load
from sluice.reports import definitions, refresh, summary
from sluice.reports.statements import OF_THE_READER, Statements

READER = "sluice_reader"
STATEMENTS = Statements(definitions.read(), OF_THE_READER, "{{ run_id }}")


def note_failure(context: dict[str, Any], report: str | None = None) -> None:
    """Keep why a task failed for `make status`; ``report`` is the one that the task checks."""
    with PostgresHook(postgres_conn_id=READER).get_conn() as connection:
        refresh.note_failure(connection, context.get("exception"), report)


@task(retries=2, retry_delay=timedelta(seconds=10), on_failure_callback=note_failure)
def build_reports(run_id: str | None = None) -> None:
    """Build all staging tables in one transaction. Airflow fills ``run_id`` in."""
    statements = Statements(definitions.read(), OF_THE_READER, str(run_id))
    with PostgresHook(postgres_conn_id=READER).get_conn() as connection:
        connection.execute(statements.begin())
        refresh.build(connection, statements)


def run_sql(task_id: str, scripts: list[sql.Composed]) -> SQLExecuteQueryOperator:
    """A task that runs these scripts in one transaction."""
    return SQLExecuteQueryOperator(
        task_id=task_id,
        conn_id=READER,
        sql=[script.as_string() for script in scripts],
        autocommit=False,
        split_statements=False,
        do_xcom_push=False,
        retries=2,
        retry_delay=timedelta(seconds=10),
        on_failure_callback=note_failure,
    )


def check(name: str, query: sql.Composed) -> SQLCheckOperator:
    """A quality gate. It is never retried: the staging tables would be the same."""
    return SQLCheckOperator(
        task_id=f"check_{name}",
        conn_id=READER,
        sql=query.as_string(),
        retries=0,
        retry_on_failure=False,
        on_failure_callback=partial(note_failure, report=name),
    )


@task
def tell_summary() -> None:
    """Say the published numbers in the task log."""
    hook = PostgresHook(postgres_conn_id=READER)
    with hook.get_conn() as connection:
        for line in summary.lines(connection):
            hook.log.info("%s", line)


@dag(
    schedule=timedelta(seconds=load().report_every_seconds),
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["sluice"],
    doc_md=__doc__,
)
def report_sales() -> None:
    """Wire the refresh."""
    chain(
        build_reports(),
        [check(name, query) for name, query in STATEMENTS.checks().items()],
        run_sql("publish_reports", STATEMENTS.publish()),
        tell_summary(),
    )


report_sales()
