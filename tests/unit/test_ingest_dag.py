"""The DAG ingest_events as Airflow reads it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from sluice.base.settings import PROJECT, Settings
from sluice.landing import mover


@pytest.fixture(scope="module")
def dag() -> Any:
    """The DAG, read from its file without an error."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(PROJECT / "dags" / "ingest_events.py"))
    assert bag.import_errors == {}
    assert list(bag.dags) == ["ingest_events"]
    return bag.dags["ingest_events"]


def test_files_are_sensed_then_moved_then_the_stream_is_submitted(dag: Any) -> None:
    assert [task.task_id for task in dag.topological_sort()] == ["sense_files", "move_files", "submit_stream"]
    assert dag.get_task("move_files").upstream_task_ids == {"sense_files"}
    assert dag.get_task("submit_stream").upstream_task_ids == {"move_files"}


def test_runs_overlap_so_that_one_stays_with_the_stream_while_others_move(dag: Any) -> None:
    assert (dag.schedule, dag.catchup, dag.max_active_runs) == (timedelta(seconds=1), False, 3)


def test_one_sensor_at_a_time_pokes_often_and_gives_up_softly(dag: Any) -> None:
    from airflow.providers.standard.sensors.filesystem import FileSensor

    sensor = dag.get_task("sense_files")
    assert isinstance(sensor, FileSensor)
    assert (sensor.mode, sensor.deferrable, sensor.max_active_tis_per_dag) == ("poke", False, 1)
    assert (sensor.poke_interval, sensor.timeout) == (Settings.sense_seconds, Settings.sensor_timeout_seconds)
    assert sensor.soft_fail
    assert all(task.trigger_rule == "all_success" for task in dag.tasks)


def test_a_retry_starts_a_new_driver_of_the_stream(dag: Any) -> None:
    from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

    submit = dag.get_task("submit_stream")
    assert isinstance(submit, SparkSubmitOperator)
    assert (submit.durable, submit.retries) == (False, 2)
    assert submit.application == str(PROJECT / "spark_jobs" / "stream_events.py")


def test_what_is_the_same_on_every_attempt_is_not_retried(dag: Any) -> None:
    from submit_stream import FilesStillLandedError

    from sluice.ledger.leases import StreamStoppedError

    policy = dag.get_task("submit_stream").retry_policy
    actions = {
        type(error): policy.evaluate(error, 1, 3).action.value
        for error in (
            psycopg.OperationalError(),
            mover.LandingError(),
            FilesStillLandedError(),
            StreamStoppedError(),
            RuntimeError(),
        )
    }
    assert actions == {
        psycopg.OperationalError: "retry",
        mover.LandingError: "fail",
        FilesStillLandedError: "fail",
        StreamStoppedError: "fail",
        RuntimeError: "default",
    }


def test_the_dag_says_what_it_does(dag: Any) -> None:
    assert "one stream loads" in dag.doc_md
