"""Bad surroundings: each is answered with one clear message that names the remedy, and the remedy works."""

from __future__ import annotations

import http.server
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.base.settings import PROJECT
from tests.compose.stack import Stack

SLOW = """
services:
  postgres:
    entrypoint: [bash, -c, 'sleep 60; exec docker-entrypoint.sh "$$@"', "--"]
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    made = Stack("sluice-odd")
    made.compose("down", "--volumes", "--timeout=10")
    made.compose("build", within=1800)
    yield made
    made.compose("down", "--volumes", "--timeout=10")


@pytest.fixture(autouse=True)
def fresh(stack: Stack) -> Iterator[None]:
    yield
    stack.compose("down", "--volumes", "--timeout=10")


def init(stack: Stack) -> tuple[bool, str]:
    """Whether the service init succeeds, and what it says."""
    done = stack.compose("up", "--no-color", "--exit-code-from=init", "init", check=False)
    said = stack.compose("logs", "--no-color", "--no-log-prefix", "init").stdout
    return done.returncode == 0, said


def test_a_port_that_is_taken_is_named_with_another_one_to_choose(stack: Stack) -> None:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        taken = Stack(stack.project, environment={"SLUICE_WEB_PORT": str(port)})
        done = taken.compose("up", "--no-color", "--exit-code-from=web-port", "web-port", check=False)
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode != 0
    assert f"port {port} of 127.0.0.1 is taken by another program" in done.stdout
    assert f"SLUICE_WEB_PORT={port + 1} docker compose up" in done.stdout
    done = taken.compose("up", "--no-color", "--exit-code-from=web-port", "web-port", check=False)
    assert done.returncode == 0, done.stdout


def test_a_volume_that_cannot_be_written_is_named_with_the_command_that_mends_it(stack: Stack) -> None:
    stack.compose("create")
    chown = [
        "docker",
        "run",
        "--rm",
        "--user",
        "root",
        "--entrypoint",
        "chown",
        "-v",
        "sluice-odd_landing:/volume",
        "sluice",
    ]
    subprocess.run([*chown, "root:root", "/volume"], check=True)
    # A volume that is empty would be given to the right user by the engine itself.
    touch = [word if word != "chown" else "touch" for word in chown]
    subprocess.run([*touch, "/volume/somebody-elses"], check=True)

    succeeded, said = init(stack)
    assert not succeeded
    assert "sluice: init: /var/lib/sluice/incoming cannot be written by user 10001" in said
    assert "Traceback" not in said

    remedy = said[said.index("docker run --rm") :].split(" (`docker volume ls`")[0]
    subprocess.run(remedy.replace("VOLUME", "sluice-odd_landing").split(), check=True)
    assert init(stack)[0]


def test_a_wrong_password_is_said_at_once_with_the_command_that_mends_it(stack: Stack) -> None:
    assert init(stack)[0]
    stack.compose("down")
    subprocess.run(["docker", "volume", "rm", "sluice-odd_secrets"], check=True, capture_output=True)

    succeeded, said = init(stack)
    assert not succeeded
    assert "refuses the password" in said
    assert "docker compose exec postgres /set-password" in said
    assert "Traceback" not in said

    stack.compose("exec", "-T", "postgres", "/set-password")
    assert init(stack)[0]


def test_a_database_that_takes_a_minute_is_waited_for_and_it_is_said(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "slow.yaml").write_text(SLOW)
    slow = Stack(stack.project, files=[*stack.files, tmp_path / "slow.yaml"])
    succeeded, said = init(slow)
    assert succeeded
    assert "waiting for PostgreSQL at postgres:5432" in said
    assert "answers after 6" in said


def test_the_engine_refuses_a_port_that_is_taken(stack: Stack) -> None:
    assert init(stack)[0]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        stack.environment["SLUICE_WEB_PORT"] = port
        done = stack.compose("up", "--detach", "--no-deps", "api-server", check=False)
    assert done.returncode != 0
    assert port in done.stdout, "the engine names the port; the service web-port, and docs/compose.md, the remedy"


def test_a_file_env_for_make_does_no_harm(stack: Stack) -> None:
    done = stack.compose("--env-file", str(PROJECT / ".env.example"), "config")
    assert "level=warning" not in done.stdout
    assert "SLUICE_HOME" not in done.stdout
    assert "SLUICE_DATABASE_URL" not in done.stdout
