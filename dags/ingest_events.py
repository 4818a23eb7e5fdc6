"""DAG ingest_events: landed files are sensed and moved to processing, and one stream loads them.

One run stays with the stream for as long as it lives; the runs after it only sense and move. A run made by hand, or by
``airflow dags test ingest_events``, moves what has landed, sees it loaded and ends.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule, chain, dag
from landed_file_sensor import LandedFileSensor
from move_landed_files import MoveLandedFilesOperator
from submit_stream import FilesStillLandedError, SubmitStreamOperator

from sluice.base.settings import SettingError
from sluice.landing.folders import FoldersError
from sluice.landing.mover import LandingError
from sluice.ledger.leases import StreamStoppedError

RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=psycopg.OperationalError,
            action=RetryAction.RETRY,
            retry_delay=timedelta(seconds=5),
            reason="the database is away or restarts, files stay where they are until it is back",
        ),
        RetryRule(
            exception=[LandingError, FoldersError, SettingError],
            action=RetryAction.FAIL,
            reason="folders and settings are the same on every attempt",
        ),
        RetryRule(
            exception=FilesStillLandedError,
            action=RetryAction.FAIL,
            reason="it has waited and tried for as long as it was allowed to",
        ),
        RetryRule(
            exception=StreamStoppedError,
            action=RetryAction.FAIL,
            reason="the environment is wrong: a later run submits a stream, after a pause that grows to 5 minutes",
        ),
    ]
)


@dag(
    schedule=timedelta(seconds=1),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    # One with the stream, one whose mover stays, one that senses. The scheduler looks at each all the time.
    max_active_runs=3,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5), "retry_policy": RETRY_POLICY},
    description="Sense and move landed files; submit the stream that loads them when none lives",
    doc_md=__doc__,
    tags=["sluice"],
)
def ingest_events() -> None:
    """Wire sensor, mover and submitter."""
    sense_files = LandedFileSensor(task_id="sense_files")
    move_files = MoveLandedFilesOperator(task_id="move_files")
    submit_stream = SubmitStreamOperator(task_id="submit_stream", moved=move_files.output)
    chain(sense_files, move_files, submit_stream)


ingest_events()
