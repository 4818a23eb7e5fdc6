"""Judges quarantined rows again under today's contracts and loads those that pass, exactly once.

Run it after a contract was corrected, or after `fields` of rejects were edited (`make rejects` shows them and how).
Its parameters narrow it down; without any it takes the whole quarantine. With `edits` it first writes these, all or
none, and judges exactly their rejects. The task's result is the tally.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from sluice.base.settings import load

EDITS = {
    "type": ["null", "array"],
    "maxItems": 100,
    "items": {
        "type": "object",
        "required": ["file_id", "record_number", "fields"],
        "additionalProperties": False,
        "properties": {
            "file_id": {"type": "integer", "minimum": 1},
            "record_number": {"type": "integer", "minimum": 1},
            "fields": {
                "type": "object",
                "minProperties": 1,
                "maxProperties": 4096,
                "additionalProperties": {"type": ["string", "null"], "maxLength": 65536},
            },
        },
    },
}


@task(retries=2, retry_delay=timedelta(seconds=10))
def judge_rejects_again() -> dict[str, Any]:
    """Replay a file a transaction; what a killed run did stays done, and a retry does the rest."""
    from sluice.loading import edits, replay  # DuckDB and Arrow: not while Airflow parses this file

    context = get_current_context()
    params, run = context["params"], context["dag_run"]
    chosen = {name: params[name] for name in ("contract", "rule", "file_id")}
    if not params["edits"]:
        return replay.replay(load(), **chosen).as_dict()
    if any(chosen.values()):
        raise AirflowFailException("edits name their records themselves: leave contract, rule and file_id empty")
    by_whom = f"{run.triggering_user_name or 'airflow'} (run {run.run_id})"
    try:
        return edits.edit_and_replay(load(), params["edits"], by_whom=by_whom, run=run.run_id)
    except edits.EditError as error:  # will not do by itself
        raise AirflowFailException(str(error)) from error


@dag(
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params={
        "contract": Param(None, type=["null", "string"], description="Only rejects of this contract"),
        "rule": Param(None, type=["null", "string"], description="Only rejects that break this rule"),
        "file_id": Param(None, type=["null", "integer"], minimum=1, description="Only rejects of this file"),
        "edits": Param(
            None,
            description="New values for fields of rejects, which are then judged again, and no others: "
            '[{"file_id": 7, "record_number": 3, "fields": {"price": "9.99"}}]',
            **EDITS,
        ),
    },
    description="Judge the quarantine again under today's contracts",
    doc_md=__doc__,
    tags=["sluice"],
)
def replay_quarantine() -> None:
    """Wire the one task."""
    judge_rejects_again()


replay_quarantine()
