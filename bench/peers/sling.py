"""Sling's command line, from PyPI's wheel of its binary."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path

from bench.peers.base import COLUMNS, Job, Peer

_BINARY = "sling-linux-amd64"


class Sling(Peer):
    """One replication."""

    name = "Sling"
    settings = "one replication of all files, mode truncate (into the table that is there), types given"

    def missing(self) -> str:
        """The wheel holds the binary."""
        return "" if importlib.util.find_spec("sling_linux_amd64") else "sling_linux_amd64 is not installed"

    def version(self) -> str:
        """Of the wheel."""
        import importlib.metadata

        return importlib.metadata.version(_BINARY)

    def warm(self, job: Job) -> None:
        """Write the replication."""
        kinds = {"uuid": "string", "text": "text", "numeric(20,4)": "decimal(20,4)", "timestamptz": "timestampz"}
        options = {"columns": {name: kinds.get(kind, kind) for name, kind in COLUMNS.items()}, "empty_as_null": True}
        self._replication = Path(job.folder) / "league.json"
        self._replication.write_text(
            json.dumps(
                {
                    "source": "LOCAL",
                    "target": "BENCH",
                    "defaults": {"mode": "truncate", "object": f"public.{job.table}", "source_options": options},
                    "streams": {f"file://{Path(job.files[0]).parent}/events-*.csv": {}},
                }
            )
        )

    def load(self, job: Job) -> None:
        """Run it."""
        package = importlib.util.find_spec("sling_linux_amd64")
        assert package is not None
        assert package.origin is not None
        binary = Path(package.origin).parent / "bin" / _BINARY
        environment = os.environ | {
            "BENCH": f"{job.url}?sslmode=disable",
            "SLING_HOME_DIR": job.folder,
            "SLING_DISABLE_TELEMETRY": "true",
        }
        command = [str(binary), "run", "-r", str(self._replication)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"sling ended with {done.returncode}: {(done.stdout + done.stderr)[-2500:]}")
