"""Service web-port: says what to do when the web UI's port is taken."""

from __future__ import annotations

import http.client
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Sequence

from sluice.base.settings import load
from sluice.running.pipeline import InstanceError

UI_SECONDS = 120.0


def check_port(_: Sequence[str] = ()) -> int:
    """Service web-port, in the host's network: whether the UI's port is free, or answered by our own UI already.

    Nothing waits for it: Docker itself refuses the port later, but cannot say what to do about it.
    """
    port = load().web_port
    deadline = time.monotonic() + UI_SECONDS
    while _is_taken(port):
        answers = _answers_as_airflow(port)
        if answers:
            return 0
        # A UI of ours that is starting gives no answer yet; another program gives another one.
        if answers is False or time.monotonic() > deadline:
            raise InstanceError(
                f"port {port} of 127.0.0.1 is taken by another program: end it, or choose another port: "
                f"`SLUICE_WEB_PORT={port + 1} docker compose up`"
            )
        time.sleep(1)
    return 0


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _answers_as_airflow(port: int) -> bool | None:
    """Whether the web UI answers there; None when nothing does."""
    url = f"http://127.0.0.1:{port}/api/v2/monitor/health"
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return "metadatabase" in json.load(answer)
    except (urllib.error.HTTPError, ValueError):
        return False
    except (OSError, http.client.HTTPException):
        return None
