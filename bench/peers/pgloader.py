"""pgloader, from Debian: ``LOAD CSV`` of all files of a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bench.peers.base import COLUMNS, Job, Peer


class PgLoader(Peer):
    """One command file."""

    name = "pgloader"
    settings = "`LOAD CSV FROM ALL FILENAMES`, workers = 2, concurrency = 1, empty fields are null"
    install = "apt-get install pgloader"

    def missing(self) -> str:
        """The program is Debian's."""
        return "" if shutil.which("pgloader") else f"there is no pgloader: `{self.install}`"

    def version(self) -> str:
        """Of Debian's package; it calls itself 3.6.7~devel."""
        told = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "pgloader"], capture_output=True, text=True)
        return told.stdout or "?"

    def warm(self, job: Job) -> None:
        """Write the command file."""
        at = job.server
        there = ", ".join(f"{name} [null if blanks]" for name in COLUMNS)
        target = f"postgresql://{at.user}:{at.password}@{at.host}:{at.port}/{at.database}"
        self._command = Path(job.folder) / "league.load"
        self._command.write_text(
            f"LOAD CSV FROM ALL FILENAMES MATCHING ~/events-[0-9]+\\.csv/\n"
            f"  IN DIRECTORY '{Path(job.files[0]).parent}'\n"
            f"  HAVING FIELDS ({there})\n"
            f"  INTO {target}\n"
            f"  TARGET TABLE public.{job.table} ({', '.join(COLUMNS)})\n"
            "  WITH skip header = 1, fields terminated by ',', fields optionally enclosed by '\"',\n"
            "       fields escaped by double-quote, workers = 2, concurrency = 1;\n"
        )

    def load(self, job: Job) -> None:
        """Run it."""
        command = ["pgloader", "--root-dir", job.folder, str(self._command)]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
        if done.returncode != 0 or " error" in done.stdout.lower().replace("errors", ""):
            raise RuntimeError(f"pgloader ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
