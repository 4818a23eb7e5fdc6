"""Tells lineage to the backend or the file that SLUICE_LINEAGE names, as OpenLineage's events (docs/lineage.md).

Without that setting it has no schedule. It reads what is new from the ledger, beside the loads: a backend that is slow
or away fails this DAG's run and nothing else, and the next run tells what it missed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException

from sluice.base.settings import load

SETTINGS = load()


@task(execution_timeout=timedelta(minutes=5))
def tell() -> dict[str, int]:
    """Tell what is new; how many news were told and refused. Fails when the backend was away."""
    from sluice.duty import lineage  # OpenLineage's client and DuckDB: not while Airflow parses this file

    told = lineage.tell(load())
    if told.away:
        raise AirflowFailException(f"{told.told} told; the next run goes on where this one stopped: {told.away}")
    return {"told": told.told, "refused": told.refused}


@dag(
    schedule=timedelta(seconds=SETTINGS.lineage_every_seconds) if SETTINGS.lineage else None,
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    description="Tell what became of files and reports to a backend for OpenLineage",
    tags=["sluice"],
    doc_md=__doc__,
)
def tell_lineage() -> None:
    """Wire the one task."""
    tell()


tell_lineage()
