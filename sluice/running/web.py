"""The web UI of Airflow: its port, and what it says of the health of Airflow's parts."""

from __future__ import annotations

import json
import socket
import urllib.request

from sluice.running import embedded
from sluice.running.pipeline import InstanceError


def port_to_use(wanted: int) -> int:
    """``wanted`` when it is free, any free port for 0; raises InstanceError for one that is taken."""
    if wanted == 0:
        return embedded.free_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise InstanceError(
                f"port {wanted} of 127.0.0.1, for the web UI, cannot be used ({error.strerror}): stop the program that "
                "has it, or set SLUICE_WEB_PORT to another one (0: any free one)"
            ) from error
    return wanted


def health(url: str) -> dict[str, bool]:
    """Which parts of Airflow are healthy, as its api-server at ``url`` says; only that it is not, when it is silent."""
    try:
        with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=5) as answer:
            said = json.load(answer)
    except (OSError, ValueError):
        return {"api-server": False}
    jobs = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}
    healthy = {name: (said.get(key) or {}).get("status") == "healthy" for name, key in jobs.items()}
    return {"api-server": True} | healthy
