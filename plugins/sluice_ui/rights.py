"""Who may see and do what on the page: Airflow's own authentication and permissions, of Sluice's DAGs."""

from __future__ import annotations

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends

# States, counts, timelines and sums: who may see the DAG.
LOOK = Depends(requires_access_dag("GET", param_dag_id="ingest_events"))
# What may name a person, rows and bytes of files: who may bring rows back, which shows them too.
SEE_ROWS = Depends(requires_access_dag("POST", DagAccessEntity.RUN, "replay_quarantine"))
# Land a file: who may have landed files loaded.
LAND = Depends(requires_access_dag("POST", DagAccessEntity.RUN, "ingest_events"))
