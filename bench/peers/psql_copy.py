"""``psql \\copy``, the yardstick: over one connection, or over one per core."""

from __future__ import annotations

import os
import subprocess

from bench.peers.base import Job, Peer


class Copy(Peer):
    """One connection."""

    name = "\\copy"
    settings = "`\\copy … (FORMAT csv, HEADER)`, one transaction a file"
    in_project = True
    connections = 1

    def __init__(self) -> None:
        self._psql = "psql"

    def version(self) -> str:
        """Of psql."""
        return subprocess.check_output([self._psql, "--version"], text=True).split()[2]

    def warm(self, job: Job) -> None:
        """Nothing to do but remember which psql."""
        self._psql = job.psql

    def load(self, job: Job) -> None:
        """The files, dealt to the connections in turn."""
        shares = [job.files[number :: self.connections] for number in range(self.connections)]
        clients = [self._client(job, share) for share in shares]
        failed = [client for client in clients if client.wait() != 0]
        if failed:
            raise RuntimeError(f"psql ended with {failed[0].returncode}")

    def _client(self, job: Job, files: list[str]) -> subprocess.Popen[str]:
        columns = ", ".join(job.columns)
        script = "".join(f"\\copy {job.table} ({columns}) FROM '{path}' (FORMAT csv, HEADER)\n" for path in files)
        client = subprocess.Popen(
            [job.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1"],
            env=os.environ | job.server.libpq(),
            stdin=subprocess.PIPE,
            text=True,
        )
        assert client.stdin is not None
        client.stdin.write(script)
        client.stdin.close()
        return client


class CopyPerCore(Copy):
    """One connection per core."""

    connections = os.cpu_count() or 1
    name = f"\\copy, {connections} connections"
    settings = f"the same files in {connections} psql at once"
