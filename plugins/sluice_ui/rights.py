"""Who may see and do what on the page: Airflow's own authentication and permissions, of Sluice's DAGs.

A monitor has no login, whose tokens expire: it has a token of its own, for its one endpoint.
"""

from __future__ import annotations

import hmac
from typing import Annotated

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, Header, HTTPException

# States, counts, timelines and sums: who may see the DAG.
LOOK = Depends(requires_access_dag("GET", param_dag_id="ingest_events"))
# What may name a person, rows and bytes of files: who may bring rows back, which shows them too.
SEE_ROWS = Depends(requires_access_dag("POST", DagAccessEntity.RUN, "replay_quarantine"))
# Land a file: who may have landed files loaded.
LAND = Depends(requires_access_dag("POST", DagAccessEntity.RUN, "ingest_events"))


class MonitorToken:
    """Lets through who sends SLUICE_METRICS_TOKEN. While none is set, there is no such endpoint."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def __call__(self, authorization: Annotated[str, Header()] = "") -> None:
        """Raises HTTPException: 404 while no token is set, 401 for another one."""
        if not self._token:
            raise HTTPException(404, "no monitor is told anything: set SLUICE_METRICS_TOKEN")
        scheme, _, sent = authorization.partition(" ")
        # How long this takes tells nothing of the token.
        is_it = hmac.compare_digest(sent.strip().encode("utf-8", "replace"), self._token)
        if scheme.lower() != "bearer" or not is_it:
            raise HTTPException(401, "the token is another one", {"WWW-Authenticate": "Bearer"})
