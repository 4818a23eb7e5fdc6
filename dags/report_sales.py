"""Keeps the reports of schema ``report`` up with ``events``: counts anew what changed, tells, and once a day compares.

The SQL of each report is in its file of ``include/sql/reports``. A refresh is one transaction: it publishes
all of it, or leaves the old numbers.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowSkipException

from sluice.base.settings import load
from sluice.reports import comparison, refresh, summary
from sluice.reports.html import writing

READER = "sluice_reader"


def note_failure(context: dict[str, Any]) -> None:
    """Keep why a task failed, for `make status`."""
    with PostgresHook(postgres_conn_id=READER).get_conn() as connection:
        refresh.note_failure(connection, context.get("exception"))


@task(retries=2, retry_delay=timedelta(seconds=10), on_failure_callback=note_failure)
def refresh_reports(run_id: str | None = None, dag_run: Any = None) -> None:
    """Count what changed since the last refresh. Airflow fills the parameters in.

    A run of the schedule is skipped while refreshes have had their share of the time; somebody's own never is.
    """
    settings = load()
    with PostgresHook(postgres_conn_id=READER).get_conn() as connection:
        if dag_run and dag_run.run_type == "scheduled" and (seconds := refresh.due_in(connection, settings)):
            share = f"SLUICE_REPORT_SHARE={settings.report_share:g}"
            raise AirflowSkipException(f"the last refresh took long: {share} of the time is over in {seconds} s")
        refresh.refresh(connection, settings, str(run_id))


@task
def tell_summary() -> None:
    """Say the published numbers in the task log."""
    hook = PostgresHook(postgres_conn_id=READER)
    with hook.get_conn() as connection:
        for line in summary.lines(connection):
            hook.log.info("%s", line)


@task(on_failure_callback=note_failure)
def write_page() -> None:
    """Write the page of the day and its CSV files, and say where; fails in the end when some could not be read."""
    hook = PostgresHook(postgres_conn_id=READER)
    with hook.get_conn() as connection:
        written = writing.write(load(), connection)
    for line in written.lines():
        hook.log.info("%s", line)
    written.check()


@task(on_failure_callback=note_failure)
def compare_one_day(run_id: str | None = None) -> None:
    """Once a day count a random day and report again; fails when what stands is something else."""
    with PostgresHook(postgres_conn_id=READER).get_conn() as connection:
        comparison.tell(comparison.compare(connection, load(), str(run_id), when_due=86_400) or {})


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
    refresh_reports() >> [tell_summary(), write_page(), compare_one_day()]


report_sales()
