"""The wiring of replay_quarantine and unload_file: run by hand only, with parameters that cannot be misread."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError

from dags import replay_quarantine, unload_file
from dags.replay_quarantine import EDITS
from sluice.loading import unload
from sluice.loading.edits import BYTES_MAX, MOST


@pytest.fixture(scope="module")
def replaying() -> DAG:
    return replay_quarantine.replay_quarantine()


@pytest.fixture(scope="module")
def unloading() -> DAG:
    return unload_file.unload_file()


def validate(dag: DAG, given: dict[str, Any]) -> None:
    """What Airflow does with the parameters of a run."""
    params = deepcopy(dag.params)
    params.update(given)
    params.validate()


def test_both_run_only_when_somebody_asks(replaying: DAG, unloading: DAG) -> None:
    assert [(dag.dag_id, dag.schedule) for dag in (replaying, unloading)] == [
        ("replay_quarantine", None),
        ("unload_file", None),
    ]


def test_a_replay_without_parameters_takes_everything(replaying: DAG) -> None:
    assert replaying.params.dump() == {"contract": None, "rule": None, "file_id": None, "edits": None}
    validate(replaying, {})


def edits(**changes: Any) -> dict[str, Any]:
    return {"edits": [{"file_id": 7, "record_number": 3, "fields": {"price": "9.99", "note": None}} | changes]}


def test_a_replay_takes_so_many_edits_as_are_written(replaying: DAG) -> None:
    validate(replaying, edits())
    assert (EDITS["maxItems"], EDITS["items"]["properties"]["fields"]["additionalProperties"]["maxLength"]) == (
        MOST,
        BYTES_MAX,
    )


@pytest.mark.parametrize(
    "given",
    [
        *({"file_id": 0}, {"file_id": "7"}, {"rule": 3}, {"edits": {}}, {"edits": [{}]}),
        *(edits(fields={}), edits(fields={"price": 9}), edits(fields={"price": "9" * 70_000}), edits(file_id="7")),
        *(edits(record_number=0), edits(raw="x"), {"edits": edits()["edits"] * 101}),
    ],
)
def test_a_replay_refuses_parameters_of_the_wrong_kind(replaying: DAG, given: dict[str, Any]) -> None:
    with pytest.raises(ParamValidationError):
        validate(replaying, given)


@pytest.mark.parametrize("given", [{}, {"file_id": 7}, {"reason": "wrong"}, {"file_id": 7, "reason": "x"}])
def test_an_unload_needs_a_file_and_a_reason(unloading: DAG, given: dict[str, Any]) -> None:
    with pytest.raises(ParamValidationError):
        validate(unloading, given)


def test_an_unload_takes_duplicates_or_only_tells_when_it_is_asked_to(unloading: DAG) -> None:
    assert (unloading.params["with_duplicates"], unloading.params["dry_run"]) == (False, False)
    validate(unloading, {"file_id": 7, "reason": "wrong", "with_duplicates": True, "dry_run": True})
    with pytest.raises(ParamValidationError):
        validate(unloading, {"file_id": 7, "reason": "wrong", "dry_run": "yes"})


def test_what_can_never_be_unloaded_is_not_tried_again(unloading: DAG) -> None:
    [rule] = unload_file.RETRY_POLICY.rules
    assert (rule.exception, rule.action.value) == (unload.UnloadError, "fail")
    assert unloading.get_task("take_back_file").retries == 2
