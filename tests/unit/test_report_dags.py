"""The wiring of report_sales and keep_house."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from airflow.sdk import DAG

from dags import keep_house, report_sales
from sluice.base.settings import SQL, SettingError, Settings
from sluice.running import airflow_metadata


@pytest.fixture(scope="module")
def reports() -> DAG:
    return report_sales.report_sales()


@pytest.fixture(scope="module")
def chores() -> DAG:
    return keep_house.keep_house()


def test_nothing_is_published_before_every_check(reports: DAG) -> None:
    checks = {task_id for task_id in reports.task_ids if task_id.startswith("check_")}
    assert checks == {f"check_{path.stem}" for path in (SQL / "checks").glob("*.sql")}
    assert reports.get_task("publish_reports").upstream_task_ids == checks
    assert reports.get_task("publish_reports").trigger_rule == "all_success"


def test_checks_are_never_retried(reports: DAG) -> None:
    checks = [task for task in reports.tasks if task.task_id.startswith("check_")]
    assert [(task.retries, task.retry_on_failure) for task in checks] == [(0, False)] * len(checks)


def test_every_report_is_built_in_one_transaction(reports: DAG) -> None:
    build = reports.get_task("build_reports")
    assert (build.autocommit, build.split_statements) == (False, False)
    assert build.sql[0] == "reports/begin.sql"


def test_every_sql_file_that_a_task_names_is_there_and_none_is_left_over(reports: DAG) -> None:
    named: set[str] = set()
    for task in reports.tasks:
        sql = getattr(task, "sql", [])
        named |= {sql} if isinstance(sql, str) else set(sql)
    here = {str(path.relative_to(SQL)) for folder in ("reports", "checks") for path in (SQL / folder).glob("*.sql")}
    assert here - named == {"reports/summary.sql"}
    assert named <= here


def test_a_staging_table_is_built_published_and_dropped_under_one_name() -> None:
    build = "".join((SQL / "reports" / f"{name}.sql").read_text() for name in report_sales.BUILD)
    publish = (SQL / "reports" / "publish.sql").read_text()
    built = set(re.findall(r"CREATE UNLOGGED TABLE report_staging\.(\w+__next) AS", build))
    assert built == set(re.findall(r"report_staging\.(\w+__next)", publish.partition("DROP TABLE")[2]))
    migrations = "".join(path.read_text() for path in (SQL / "migrations").glob("*.up.sql"))
    tables = re.findall(r"CREATE TABLE report\.(\w+) ", migrations)
    assert tables
    assert {f"{name}__next" for name in tables} <= built
    assert all(f"INSERT INTO report.{name}\n" in publish or f"INSERT INTO report.{name} " in publish for name in tables)


def test_each_chore_is_its_own_leaf_so_that_no_failure_is_hidden(chores: DAG) -> None:
    names = {"make_receipts", "seal_archive", "trim_batches", "trim_logs", "clean_metadata"}
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
