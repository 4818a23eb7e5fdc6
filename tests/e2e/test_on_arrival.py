"""The DAG of docs/how-to/run-on-arrival.md runs because a file landed, and another one for the day of its events."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice.base import database
from sluice.base.settings import PROJECT, Settings
from sluice.running.instance import Instance
from tests import openlineage_schema
from tests.e2e.test_make_up import Pipeline, shop_file

PAGE = PROJECT / "docs" / "how-to" / "run-on-arrival.md"
UP_SECONDS = 420
SLOWLY = 240  # s: Airflow reads a new DAG twice before its trigger runs
LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"
SAID = "SELECT 1 FROM xcom WHERE dag_id = 'on_arrival' AND key = 'return_value'"
EVENTS = """
    SELECT
        told.extra -> 'payload' -> 'rows' AS rows,
        (SELECT array_agg(file ->> 'name') FROM json_array_elements(told.extra -> 'payload' -> 'files') file) AS files
    FROM asset_event AS told
    JOIN asset ON asset.id = asset_id
    WHERE asset.name = 'events'
    ORDER BY told.id
"""
BY_DAY = """
from datetime import UTC, datetime
from airflow.sdk import PartitionedAssetTimetable, dag, task
from events_asset import EVENTS_BY_DAY

@dag(schedule=PartitionedAssetTimetable(assets=EVENTS_BY_DAY), start_date=datetime(2026, 1, 1, tzinfo=UTC))
def count_a_day():
    @task
    def count(dag_run=None):
        return dag_run.partition_key
    count()

count_a_day()
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    """A running pipeline with the page's DAG beside its own, in a folder of the test's; nothing lands by itself."""
    [code] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    (tmp_path / "on_arrival.py").write_text(code)
    (tmp_path / "count_a_day.py").write_text(BY_DAY)
    bundles = [
        {"name": "dags-folder", "classpath": LOCAL, "kwargs": {}},
        {"name": "mine", "classpath": LOCAL, "kwargs": {"path": str(tmp_path)}},
    ]
    home = Path(tempfile.mkdtemp(prefix="sluice-e2e-"))
    running = Pipeline(
        home,
        SLUICE_GENERATE_ROWS="50",
        SLUICE_GENERATE_EVERY_SECONDS="3600",
        SLUICE_ASSET_BY_DAY="on",
        SLUICE_LINEAGE="lineage.jsonl",
        SLUICE_LINEAGE_EVERY_SECONDS="10",
        AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=json.dumps(bundles),
        AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL="5",
        AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL="5",
        AIRFLOW__SCHEDULER__PARSING_CLEANUP_INTERVAL="5",
    )
    try:
        up = running("up", f"--timeout={UP_SECONDS}", within=UP_SECONDS + 60)
        assert up.returncode == 0, up.stdout
        yield running
    finally:
        running("down")
        shutil.rmtree(home, ignore_errors=True)


def airflows(pipeline: Pipeline, query: str) -> list[dict[str, Any]]:
    """The rows of a query in Airflow's metadata."""
    instance = Instance(Settings(home=str(pipeline.home)))
    running = instance.running()
    assert running is not None
    url = instance.role_url("airflow", running.postgres_port)
    with database.connect(url, search_path=database.AIRFLOWS_PATH) as connection:
        return connection.execute(query).fetchall()  # type: ignore[call-overload, no-any-return]


def until(pipeline: Pipeline, query: str) -> list[dict[str, Any]]:
    """The rows of the query in Airflow's metadata, as soon as there are any."""
    deadline = time.monotonic() + SLOWLY
    while not (rows := airflows(pipeline, query)):
        assert time.monotonic() < deadline, f"nothing came of {query}"
        time.sleep(1)
    return rows


def load(pipeline: Pipeline, folder: Path, name: str) -> None:
    """A file of three rows, one of which is rejected."""
    path = shop_file(folder).rename(folder / name)
    loaded = pipeline("load", str(path), within=300)
    assert loaded.returncode == 0, loaded.stdout


def lineage_of(pipeline: Pipeline, name: str) -> dict[str, Any]:
    """The event that says what became of a file."""
    deadline = time.monotonic() + SLOWLY
    while time.monotonic() < deadline:
        path = pipeline.home / "lineage.jsonl"
        for line in path.read_text().splitlines() if path.exists() else []:
            told: dict[str, Any] = json.loads(line)
            assert openlineage_schema.errors(told) == []
            if told["eventType"] == "COMPLETE" and any(each["name"].endswith(name) for each in told["inputs"]):
                return told
        time.sleep(1)
    raise AssertionError(f"no lineage of {name}")


def test_dags_run_because_a_file_landed_and_its_lineage_is_told(pipeline: Pipeline, tmp_path: Path) -> None:
    until(pipeline, "SELECT id FROM trigger WHERE classpath LIKE '%MicroBatchTrigger' AND triggerer_id IS NOT NULL")
    asked = "SELECT count(*) FROM ledger.tellers WHERE teller = 'asset'"
    deadline = time.monotonic() + SLOWLY
    while pipeline("psql", "-XAtc", asked).stdout.strip() != "1":
        assert time.monotonic() < deadline, "the trigger does not look"
        time.sleep(1)

    load(pipeline, tmp_path, "first.csv")
    until(pipeline, SAID + " AND value::text LIKE '%first.csv%'")
    until(
        pipeline,
        "SELECT 1 FROM dag_run WHERE dag_id = 'count_a_day' AND state = 'success' AND partition_key = '2026-05-04'",
    )

    running = Instance(Settings(home=str(pipeline.home))).running()
    assert running is not None
    os.kill(running.pids["triggerer"], signal.SIGKILL)
    load(pipeline, tmp_path, "second.csv")
    until(pipeline, SAID + " AND value::text LIKE '%second.csv%'")
    # The generator's first file is among them when the trigger looked before it was loaded.
    told = [row for row in airflows(pipeline, EVENTS) if not row["files"][0].startswith("events-")]
    assert [row["files"] for row in told] == [["first.csv"], ["second.csv"]], "each micro-batch once, none lost"
    assert told[0]["rows"] == {"read": 3, "loaded": 2, "rejected": 1, "duplicate": 0}

    lineage = lineage_of(pipeline, "first.csv")
    assert lineage["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 2
    assert lineage["run"]["facets"]["parent"]["job"]["name"] == "ingest_events"
