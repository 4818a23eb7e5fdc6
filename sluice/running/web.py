"""The web UI of Airflow: its port, and what it says of the health of Airflow's parts."""

from __future__ import annotations

import json
import socket
import urllib.request

from sluice.running import embedded
from sluice.running.instance import InstanceError


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


def unhealthy(url: str) -> list[str]:
    """The components that Airflow does not call healthy yet; all of them as long as the api-server does not answer."""
    names = {"scheduler": "scheduler", "dag_processor": "dag-processor", "triggerer": "triggerer"}
    try:
        with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=5) as answer:
            health = json.load(answer)
    except (OSError, ValueError):
        return ["api-server", *names.values()]
    return [name for key, name in names.items() if (health.get(key) or {}).get("status") != "healthy"]
