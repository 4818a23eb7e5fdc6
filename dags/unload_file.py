"""Takes one loaded file back: its rows leave `events` and the reports in one transaction, and `ledger.audit` keeps who
wanted it and why. Rows that another file had as well stay, as that file's. When other files landed with the same bytes,
the oldest of them is loaded in its place, unless `with_duplicates` takes them back too. Loads wait until it is done.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, Param, RetryAction, RetryRule, dag, get_current_context, task

from sluice.base.settings import load
from sluice.loading import unload

RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=unload.UnloadError,
            action=RetryAction.FAIL,
            reason="a file that cannot be unloaded now will not be by itself",
        )
    ]
)


@task(retries=2, retry_delay=timedelta(seconds=10), retry_policy=RETRY_POLICY)
def take_back_file() -> dict[str, Any]:
    """Unload the file; the result says what left and what came back."""
    context = get_current_context()
    params, run = context["params"], context["dag_run"]
    by_whom = f"{run.triggering_user_name or 'airflow'} (run {run.run_id})"
    return unload.unload_file(
        load(),
        params["file_id"],
        params["reason"],
        by_whom=by_whom,
        with_duplicates=params["with_duplicates"],
        dry_run=params["dry_run"],
    ).as_dict()


@dag(
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    params={
        "file_id": Param(type="integer", minimum=1, description="The file, as ledger.files numbers it"),
        "reason": Param(type="string", minLength=unload.REASON_MIN, description="Why, for those who come after"),
        "with_duplicates": Param(False, type="boolean", description="Also the files that landed with the same bytes"),
        "dry_run": Param(False, type="boolean", description="Only tell what would leave, and what would stay"),
    },
    description="Take a loaded file's rows out of events and the reports",
    doc_md=__doc__,
    tags=["sluice"],
)
def unload_file() -> None:
    """Wire the one task."""
    take_back_file()


unload_file()
