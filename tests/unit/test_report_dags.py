"""The wiring of report_sales and keep_house."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import DAG

from dags import keep_house, report_sales
from sluice.base.settings import SettingError, Settings
from sluice.running import airflow_metadata


@pytest.fixture(scope="module")
def reports() -> DAG:
    return report_sales.report_sales()


@pytest.fixture(scope="module")
def chores() -> DAG:
    return keep_house.keep_house()


def test_a_refresh_is_one_task_after_which_it_is_told_and_compared(reports: DAG) -> None:
    assert {task.task_id for task in reports.roots} == {"refresh_reports"}
    assert {task.task_id for task in reports.leaves} == {"tell_summary", "write_page", "compare_one_day"}


def test_a_refresh_is_tried_again_and_a_comparison_is_not(reports: DAG) -> None:
    assert reports.get_task("refresh_reports").retries == 2
    assert reports.get_task("compare_one_day").retries == 0


def test_what_fails_is_kept_for_the_status(reports: DAG) -> None:
    silent = {task.task_id for task in reports.tasks if not task.on_failure_callback}
    assert silent == {"tell_summary"}, "which counts nothing"


def test_each_chore_is_its_own_leaf_so_that_no_failure_is_hidden(chores: DAG) -> None:
    names = {
        "merge_months",
        "expire_months",
        "analyze_events",
        "make_receipts",
        "seal_archive",
        "trim_batches",
        "trim_logs",
        "forget_uploads",
        "drop_replaced_database",
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
