"""What is said before a DAG is tested: Airflow itself reads the DAGs."""

from __future__ import annotations

import pytest

from sluice.base.settings import PROJECT
from sluice.running import dag_params
from sluice.running.dag_params import DagParamsError


def problem(dag_id: str, conf: str) -> str:
    """What the process says that ``check`` starts: Airflow is imported once for all tests."""
    return dag_params.find_problem(dag_id, conf, PROJECT / "dags")


def test_a_dag_without_its_parameters_asks_for_them() -> None:
    with pytest.raises(DagParamsError) as error:
        dag_params.check("unload_file", "")
    said = str(error.value)
    assert said == problem("unload_file", "")
    assert "file_id: missing (The file, as ledger.files numbers it)" in said
    assert "reason: missing (Why, for those who come after)" in said
    assert (
        """make dags-test DAG=unload_file CONF='{"file_id": 7, "reason": "…"}'; it also takes with_duplicates (false)"""
        in said
    )
    assert "\n" not in said


@pytest.mark.parametrize(
    ("conf", "says"),
    [
        ("{file_id: 7}", "is not JSON"),
        ("[7]", "is not a JSON object"),
        ('{"file_id": "seven", "reason": "a typo"}', "file_id: 'seven' is not of type 'integer'"),
        ('{"file_id": 7, "reason": "a typo", "why": 1}', "it has no parameter 'why'"),
    ],
)
def test_parameters_that_cannot_be_used_are_named(conf: str, says: str) -> None:
    assert says in problem("unload_file", conf)


def test_what_a_dag_may_be_given_is_named_with_its_defaults() -> None:
    said = problem("replay_quarantine", "{")
    assert said.endswith(
        "make dags-test DAG=replay_quarantine; it also takes contract (null), rule (null), file_id (null), edits (null)"
    )


def test_an_unknown_dag_names_the_known_ones() -> None:
    said = problem("ingest", "")
    assert "there is no DAG 'ingest'; there are: backup, generate_events, ingest_events, keep_house" in said


def test_parameters_that_are_right_and_dags_without_any_pass() -> None:
    dag_params.check("unload_file", '{"file_id": 7, "reason": "a typo"}')
    assert problem("replay_quarantine", "") == ""
