"""Airflow's own tables are found where its login looks for them, though our sessions look nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sluice.base import database
from sluice.base.settings import Settings
from sluice.ledger import roles
from sluice.running import airflow_metadata, heartbeat
from tests.loading import Connection

_TABLES = """
    CREATE TABLE public.job (job_type text, hostname text, state text, latest_heartbeat timestamptz);
    CREATE TABLE public.dag (dag_id text, is_paused boolean);
    INSERT INTO public.job VALUES ('SchedulerJob', 'here', 'running', now());
    INSERT INTO public.dag VALUES ('generate_events', false);
"""
_RUNS = """
    INSERT INTO dag_run (dag_id, run_id, run_type, state, start_date, run_after)
    SELECT dag_id, 'run-' || days_ago, 'scheduled', state, began, began
    FROM (VALUES
        ('stuck', 5, 'success'), ('stuck', 3, 'running'), ('stuck', 2, 'success'), ('stuck', 0, 'success'),
        ('well', 4, 'success'), ('well', 2, 'success'), ('well', 0, 'success')
    ) AS runs (dag_id, days_ago, state)
    CROSS JOIN LATERAL (SELECT now() - make_interval(days => days_ago) AS began) AS at;
    INSERT INTO task_instance (id, task_id, dag_id, run_id, try_number, pool, pool_slots, start_date)
    SELECT gen_random_uuid(), 'task', dag_id, run_id, 1, 'default_pool', 1, start_date FROM dag_run;
"""


def test_airflows_tables_are_found(connection: Connection, database_url: str) -> None:
    connection.execute(_TABLES)
    assert heartbeat.job_lives(database_url, "SchedulerJob", 60, "here")
    with database.connect(database_url, search_path=database.AIRFLOWS_PATH) as airflows:
        assert roles.generator_commands(airflows, wanted=False) == [["dags", "pause", "--yes", "generate_events"]]


def test_a_run_that_is_stuck_keeps_what_its_own_dag_needs_and_nothing_of_another(
    connection: Connection, database_url: str, settings: Settings, tmp_path: Path
) -> None:
    own = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url}
    environ = os.environ | own
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=environ, check=True, capture_output=True)
    connection.execute(_RUNS)
    airflow_metadata.clean_metadata(settings, environ=environ)
    for table in ("dag_run", "task_instance"):
        left = connection.execute(f"SELECT dag_id || ' ' || run_id AS run FROM {table} ORDER BY 1")  # type: ignore[call-overload]
        assert [row["run"] for row in left] == ["stuck run-0", "stuck run-2", "stuck run-3", "well run-0"]
