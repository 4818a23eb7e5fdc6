"""Airflow's own tables are found where its login looks for them, though our sessions look nowhere else."""

from __future__ import annotations

from sluice.base import database
from sluice.ledger import roles
from sluice.running import heartbeat
from tests.loading import Connection

_TABLES = """
    CREATE TABLE public.job (job_type text, hostname text, state text, latest_heartbeat timestamptz);
    CREATE TABLE public.dag (dag_id text, is_paused boolean);
    INSERT INTO public.job VALUES ('SchedulerJob', 'here', 'running', now());
    INSERT INTO public.dag VALUES ('generate_events', false);
"""


def test_airflows_tables_are_found(connection: Connection, database_url: str) -> None:
    connection.execute(_TABLES)
    assert heartbeat.job_lives(database_url, "SchedulerJob", 60, "here")
    with database.connect(database_url, search_path=database.AIRFLOWS_PATH) as airflows:
        assert roles.generator_commands(airflows, wanted=False) == [["dags", "pause", "--yes", "generate_events"]]
