"""Refreshes the tables of schema ``report`` from ``events``: build, check, publish, tell.

The SQL is in ``include/sql/reports`` and ``include/sql/checks``. Nothing that fails its checks is published; the
tables that failed stay as ``report_staging.<name>__next`` until the next run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.sql.operators.sql import SQLCheckOperator, SQLExecuteQueryOperator
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import chain, dag, task

from sluice.base.settings import SQL, load
from sluice.reports import summary
from sluice.reports.refresh import BUILD, CHECKS

READER = "sluice_reader"


def run_sql(task_id: str, files: list[str]) -> SQLExecuteQueryOperator:
    """A task that runs these files of include/sql in one transaction."""
    return SQLExecuteQueryOperator(
        task_id=task_id,
        conn_id=READER,
        sql=files,
        autocommit=False,
        split_statements=False,
        do_xcom_push=False,
        retries=2,
        retry_delay=timedelta(seconds=10),
    )


def check(name: str) -> SQLCheckOperator:
    """A quality gate. It is never retried: the staging tables would be the same."""
    return SQLCheckOperator(
        task_id=f"check_{name}", conn_id=READER, sql=f"checks/{name}.sql", retries=0, retry_on_failure=False
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
    template_searchpath=[str(SQL)],
    tags=["sluice"],
    doc_md=__doc__,
)
def report_sales() -> None:
    """Wire the refresh."""
    chain(
        run_sql("build_reports", [f"reports/{name}.sql" for name in BUILD]),
        [check(name) for name in CHECKS],
        run_sql("publish_reports", ["reports/publish.sql"]),
        tell_summary(),
    )


report_sales()
