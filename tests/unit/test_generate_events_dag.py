"""The DAG generate_events as Airflow reads it, each time in a process of its own with its own environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sluice.base.settings import PROJECT

_READ = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder="dags/generate_events.py")
dag = bag.dags["generate_events"]
loaded = sorted({"faker", "pyarrow", "numpy"} & set(sys.modules))
print("READ " + json.dumps({
    "errors": bag.import_errors, "ids": list(bag.dags), "tasks": dag.task_ids, "seconds": dag.schedule.total_seconds(),
    "catchup": dag.catchup, "max_active_runs": dag.max_active_runs, "paused": dag.is_paused_upon_creation,
    "doc": dag.doc_md, "loaded": loaded}))
"""


def read_dag(folder: Path, **environment: str) -> dict[str, Any]:
    """What Airflow finds in the DAG file under these SLUICE_ variables."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(("SLUICE_", "AIRFLOW_"))}
    airflow = {"AIRFLOW_HOME": str(folder), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "PYTHONPATH": str(PROJECT)}
    ran = subprocess.run(
        [sys.executable, "-c", _READ],
        cwd=PROJECT,
        env={**others, **airflow, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line for line in ran.stdout.splitlines() if line.startswith("READ ")]
    assert found, ran.stdout + ran.stderr
    answer: dict[str, Any] = json.loads(found[0].removeprefix("READ "))
    return answer


@pytest.fixture(scope="module")
def by_default(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return read_dag(tmp_path_factory.mktemp("airflow"))


def test_the_file_holds_one_dag_of_one_task(by_default: dict[str, Any]) -> None:
    assert by_default["errors"] == {}
    assert (by_default["ids"], by_default["tasks"]) == (["generate_events"], ["write_batch"])


def test_runs_never_overlap_and_are_never_made_up_for(by_default: dict[str, Any]) -> None:
    assert (by_default["catchup"], by_default["max_active_runs"]) == (False, 1)


def test_it_runs_every_five_seconds_from_the_start(by_default: dict[str, Any]) -> None:
    assert (by_default["seconds"], by_default["paused"]) == (5.0, False)


def test_reading_the_file_makes_no_pools(by_default: dict[str, Any]) -> None:
    assert "faker" not in by_default["loaded"]


def test_schedule_and_pause_follow_the_settings(tmp_path: Path) -> None:
    dag = read_dag(tmp_path, SLUICE_GENERATE_EVERY_SECONDS="0.5", SLUICE_GENERATOR="off", SLUICE_GENERATE_ROWS="77")
    assert (dag["errors"], dag["seconds"], dag["paused"]) == ({}, 0.5, True)
    assert "77 rows" in dag["doc"]
    assert "Every 0.5 s" in dag["doc"]
