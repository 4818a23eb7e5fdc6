"""Judges quarantined rows again under today's contracts and loads those that pass, exactly once.

Run it after a contract was corrected, or after `fields` of rejects were edited (`make rejects` shows them and how).
Its parameters narrow it down; without any it takes the whole quarantine. The task's result is the tally.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

from sluice.base.settings import load


@task(retries=2, retry_delay=timedelta(seconds=10))
def judge_rejects_again() -> dict[str, Any]:
    """Replay a file a transaction; what a killed run did stays done, and a retry does the rest."""
    from sluice.loading.replay import replay  # DuckDB and Arrow: not while Airflow parses this file

    params = get_current_context()["params"]
    tally = replay(load(), contract=params["contract"], rule=params["rule"], file_id=params["file_id"])
    return tally.as_dict()


@dag(
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params={
        "contract": Param(None, type=["null", "string"], description="Only rejects of this contract"),
        "rule": Param(None, type=["null", "string"], description="Only rejects that break this rule"),
        "file_id": Param(None, type=["null", "integer"], minimum=1, description="Only rejects of this file"),
    },
    description="Judge the quarantine again under today's contracts",
    doc_md=__doc__,
    tags=["sluice"],
)
def replay_quarantine() -> None:
    """Wire the one task."""
    judge_rejects_again()


replay_quarantine()
