"""The wiring of report_sales and keep_house."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from airflow.sdk import DAG

from dags import keep_house, report_sales
from sluice.base.settings import SettingError, Settings
from sluice.reports import definitions
from sluice.running import airflow_metadata


@pytest.fixture(scope="module")
def reports() -> DAG:
    return report_sales.report_sales()


@pytest.fixture(scope="module")
def chores() -> DAG:
    return keep_house.keep_house()


def test_nothing_is_published_before_every_check(reports: DAG) -> None:
    checks = {task_id for task_id in reports.task_ids if task_id.startswith("check_")}
    assert checks == {f"check_{name}" for name in report_sales.STATEMENTS.checks()}
    assert reports.get_task("publish_reports").upstream_task_ids == checks
    assert reports.get_task("publish_reports").trigger_rule == "all_success"


def test_checks_are_never_retried(reports: DAG) -> None:
    checks = [task for task in reports.tasks if task.task_id.startswith("check_")]
    assert [(task.retries, task.retry_on_failure) for task in checks] == [(0, False)] * len(checks)


def test_what_fails_is_kept_for_the_status(reports: DAG) -> None:
    silent = {task.task_id for task in reports.tasks if not task.on_failure_callback}
    assert silent == {"tell_summary"}, "which is the last, and publishes nothing"


def test_all_reports_are_published_in_one_transaction(reports: DAG) -> None:
    publish = reports.get_task("publish_reports")
    assert (publish.autocommit, publish.split_statements) == (False, False)


def test_each_report_is_built_checked_published_and_dropped(reports: DAG) -> None:
    publish = "".join(reports.get_task("publish_reports").sql)
    build = "".join(script.as_string() for script in report_sales.STATEMENTS.build().values())
    for report in definitions.read():
        staging = f'"report_staging"."{report.name}__next"'
        assert f"CREATE UNLOGGED TABLE {staging} AS" in build
        assert staging in publish.partition("DROP TABLE")[2]
        assert (f'INSERT INTO "report"."{report.name}"' in publish) == report.is_published
        assert not report.key or reports.has_task(f"check_{report.name}")


def test_who_builds_is_filled_in_by_airflow_and_by_nobody_else(reports: DAG) -> None:
    scripts = reports.get_task("publish_reports").sql
    named = [word for script in scripts for word in re.findall(r"\{+.*?\}+", script)]
    assert set(named) == {"{{ run_id }}"}


def test_each_chore_is_its_own_leaf_so_that_no_failure_is_hidden(chores: DAG) -> None:
    names = {
        "merge_months",
        "expire_months",
        "analyze_events",
        "make_receipts",
        "seal_archive",
        "trim_batches",
        "trim_logs",
        "clean_metadata",
    }
    assert {task.task_id for task in chores.leaves} == names


@pytest.mark.parametrize("dag_id", ["report_sales", "keep_house"])
def test_runs_do_not_overlap_or_catch_up(dag_id: str, reports: DAG, chores: DAG) -> None:
    dag = {"report_sales": reports, "keep_house": chores}[dag_id]
    assert (dag.dag_id, dag.max_active_runs, dag.catchup) == (dag_id, 1, False)
    assert isinstance(dag.schedule, timedelta)


# --- what a task knows of Airflow's metadata


def test_the_setting_wins_over_what_airflow_hides_from_tasks() -> None:
    environ = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "airflow-db-not-allowed:///"}
    settings = Settings(airflow_database_url="postgresql+psycopg2://a:b@c/airflow")
    assert airflow_metadata.metadata_url(settings, environ) == "postgresql+psycopg2://a:b@c/airflow"


@pytest.mark.parametrize("hidden", ["airflow-db-not-allowed:///", "sqlite:////tmp/airflow.db", ""])
def test_metadata_that_is_not_known_says_the_remedy_and_no_password(hidden: str) -> None:
    with pytest.raises(SettingError, match="set SLUICE_AIRFLOW_DATABASE_URL"):
        airflow_metadata.metadata_url(Settings(), {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": hidden})


def test_the_rows_that_describe_dags_are_never_cleaned() -> None:
    assert not {"dag", "trigger", "connection", "variable"} & set(airflow_metadata.METADATA_TABLES)
