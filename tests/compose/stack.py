"""The stack of docker-compose.yaml as a test drives it: commands, the ledger, files of the test's own, crashes."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sluice.base.settings import PROJECT

SERVICES = {"postgres", "api-server", "scheduler", "dag-processor", "triggerer", "spark-master", "spark-worker"}
HEADER = (
    "event_id,event_type,user_id,product_id,category,price,timestamp,session_id,ip_address,user_agent,"
    "search_query,search_results_count,quantity,total_amount,payment_method"
)
# Runs in a container, where the landing zone is: FIRST number, FILES, ROWS a file.
LAND = """
import os, sys
first, files, rows = map(int, sys.argv[1:4])
for file in range(first, first + files):
    lines = [sys.argv[4]] + [
        f"00000000-0000-4000-8000-{file * 1000 + row:012d},product_view,u{row},p1,shoes,9.99,"
        f"2026-11-22T10:00:00Z,s{file},10.0.0.1,,,,,,"
        for row in range(rows)
    ]
    path = f"/var/lib/sluice/incoming/own-{file}.csv"
    with open(path + ".part", "w") as part:
        part.write("\\n".join(lines) + "\\n")
    os.rename(path + ".part", path)
"""
ROWS_A_FILE = 1000


class StackError(AssertionError):
    """The stack did not do what it should; the message holds what it printed."""


@dataclass
class Stack:
    """One compose project. ``environment`` is added to this process's own."""

    project: str
    files: list[Path] = field(default_factory=lambda: [PROJECT / "docker-compose.yaml"])
    environment: dict[str, str] = field(default_factory=dict)
    landed: int = 0

    def compose(self, *arguments: str, check: bool = True, within: float = 600) -> subprocess.CompletedProcess[str]:
        """Run `docker compose …`; what it printed is in ``stdout``."""
        files = [word for file in self.files for word in ("--file", str(file))]
        # Neither settings nor a file .env of whoever runs the test may interfere.
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SLUICE_", "COMPOSE_"))}
        done = subprocess.run(
            ["docker", "compose", "--project-name", self.project, "--env-file", "/dev/null", *files, *arguments],
            env=kept | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=within,
        )
        if check and done.returncode != 0:
            raise StackError(
                f"docker compose {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-6000:]}"
            )
        return done

    def ps(self) -> list[dict[str, Any]]:
        """The containers of the project."""
        lines = self.compose("ps", "--all", "--format", "json").stdout.splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def unhealthy(self) -> list[str]:
        """Services that are not all running and healthy."""
        found = {one["Service"] for one in self.ps()}
        bad = {one["Service"] for one in self.ps() if one["Service"] in SERVICES and one["Health"] != "healthy"}
        return sorted((SERVICES - found) | bad)

    def wait_healthy(self, within: float = 300) -> float:
        """Seconds until every service is healthy."""
        return self.wait("every service is healthy", lambda: not self.unhealthy(), within)

    def wait(self, what: str, is_so: Callable[[], bool], within: float) -> float:
        """Seconds until ``is_so``; raises StackError with the state of things after ``within`` seconds."""
        begun = time.monotonic()
        while not is_so():
            if time.monotonic() - begun > within:
                states = "\n".join(f"{one['Service']}: {one['State']} {one['Health']}" for one in self.ps())
                logs = self.compose("logs", "--tail=40", "--no-color", check=False).stdout[-12000:]
                raise StackError(f"not so within {within:g} s: {what}\n{states}\n{self.ledger_text()}\n{logs}")
            time.sleep(0.5)
        return time.monotonic() - begun

    def sql(self, query: str) -> list[list[str]]:
        """Rows of ``query`` as texts; nothing while the database is away."""
        words = ["psql", "-XAtq", "-F", "\t", "-U", "postgres", "-d", "sluice", "-v", "ON_ERROR_STOP=1", "-c", query]
        done = self.compose("exec", "-T", "postgres", *words, check=False)
        return [line.split("\t") for line in done.stdout.splitlines()] if done.returncode == 0 else []

    def number(self, query: str) -> int:
        """The one number of ``query``; -1 while the database is away."""
        rows = self.sql(query)
        return int(rows[0][0]) if rows and rows[0][0].isdigit() else -1

    def ledger_text(self) -> str:
        """Streams and files, for people."""
        streams = "SELECT epoch, state, host, last_error, ended_because FROM ledger.streams ORDER BY epoch DESC LIMIT 5"
        return str(self.sql(streams)) + str(self.sql("SELECT state, count(*) FROM ledger.files GROUP BY state"))

    def land(self, files: int) -> None:
        """Land so many files, of ROWS_A_FILE rows each, with ids that no other row has."""
        words = [str(self.landed), str(files), str(ROWS_A_FILE), HEADER]
        self.compose("exec", "-T", "scheduler", "python", "-c", LAND, *words)
        self.landed += files

    def own_rows(self) -> int:
        """How many rows of the test's own files are in events; an id cannot be there twice."""
        return self.number("SELECT count(*) FROM events WHERE event_id < '00000000-0000-4000-8001-000000000000'")

    def generated_since(self, file_id: int) -> int:
        """Generated files loaded of those that were registered after ``file_id``."""
        return self.number(
            "SELECT count(*) FROM ledger.files "
            f"WHERE file_id > {file_id} AND state = 'loaded' AND name NOT LIKE 'own-%'"
        )

    def last_file(self) -> int:
        """The newest file_id."""
        return self.number("SELECT coalesce(max(file_id), 0) FROM ledger.files")

    def kill(self, service: str, *, user: str = "sluice", index: int = 1) -> None:
        """What a crash does: everything in the container but its init is killed, and with it the container."""
        words = ["--user", user, f"--index={index}", service, "bash", "-c", "kill -9 -1"]
        self.compose("exec", "-T", *words, check=False)

    def reconcile(self) -> str:
        """What `python -m sluice reconcile` says in a container; raises StackError when conservation is broken."""
        return self.compose("exec", "-T", "scheduler", "python", "-m", "sluice", "reconcile").stdout.strip()
