"""One member loads the files, in a process of its own, and is measured: wall time, CPU time, what is in the table."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from bench import cpu
from bench.peers.base import Job
from bench.peers.members import member
from bench.server import Bench
from sluice.base.settings import PROJECT

PEERS_PYTHON = PROJECT / ".bench-venv" / "bin" / "python"

PATIENCE_SECONDS = 60
NOT_INSTALLED = "not there: `make bench-peers` installs it"


class PlayError(RuntimeError):
    """A member could not load the files; the message is its own."""


class HungError(PlayError):
    """A member did not come to an end."""


class MissingError(PlayError):
    """A member is not there; the message says what is, and how to get it."""


@dataclass(frozen=True)
class Play:
    """One load, as measured."""

    seconds: float
    client_cpu: float  # seconds
    server_cpu: float  # seconds
    rows: int  # that are in the table afterwards
    checksum: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Member:
    """A living process of one member; as a context manager, it ends."""

    def __init__(self, name: str) -> None:
        self.peer = member(name)
        python = sys.executable if self.peer.in_project else str(PEERS_PYTHON)
        if not Path(python).exists():
            raise MissingError(NOT_INSTALLED)
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed at the end of the block)
        self._process = subprocess.Popen(
            [python, "-m", "bench.peers.run", name],
            cwd=PROJECT,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        self.version = ""

    def __enter__(self) -> Member:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None:
            for pid in reversed(cpu.descendants(self._process.pid)):
                os.kill(pid, 9)
        self._process.communicate()
        self.log.close()

    def play(self, bench: Bench, job: Job) -> Play:
        """Load once. Raises PlayError."""
        if missing := self._heard()["missing"]:
            raise MissingError(f"not there: {missing}")
        self._tell(job.text())
        self.version = self._heard()["ready"]
        client, server, begun = cpu.seconds(self._process.pid), cpu.seconds(bench.pid), time.monotonic()
        self._tell("go")
        self._heard()
        wall = time.monotonic() - begun
        client, server = cpu.seconds(self._process.pid) - client, cpu.seconds(bench.pid) - server
        self._tell("end")
        self._process.wait()
        return Play(wall, client, server, *bench.content(job.table))

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], PATIENCE_SECONDS)[0]:
            raise HungError(f"hung: no end within {PATIENCE_SECONDS} s")
        line = self._process.stdout.readline()
        words: dict[str, Any] = json.loads(line) if line else {"error": "it ended without a word"}
        if "error" in words:
            self.log.seek(0)
            raise PlayError(f"{words['error']}\n{self.log.read()[-3000:]}")
        return words


def play(here: Bench, name: str, files: list[Path], table: str = "league", **more: Any) -> tuple[Play, str]:
    """Empty the tables, checkpoint, let member ``name`` load ``files``; what was measured, and its version.

    ``table`` is for those that have none of their own; ``more`` of a ``Job`` is passed on.
    """
    here.empty(table)
    with Member(name) as one:
        folder = str(here.folder / f"of-{name}")
        into = one.peer.table or table
        job = Job([str(path) for path in files], into, here.url, folder, here.psql, **more)
        return one.play(here, job), one.version


def _environment() -> dict[str, str]:
    """This one, without settings of Sluice's or of PostgreSQL's clients."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("SLUICE_", "PG"))}
