"""The pipeline on this machine: its state folder, and who runs it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import asdict
from typing import IO

import psutil

from sluice.base import permissions
from sluice.base.settings import Settings
from sluice.running import credentials, embedded
from sluice.running.pipeline import Pipeline, Running


class Instance(Pipeline):
    """The pipeline in the state folder of ``settings``; making one touches nothing."""

    database_host = "127.0.0.1"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.postgres_dir = self.home / "postgres"
        self.secrets_path = self.home / "secrets.json"

    def make_folders(self) -> None:
        """Make the folders that are missing, and close those that are there to other users, as the settings say.

        Producers pass through the state folder to ``incoming``, and PostgreSQL to its data when it runs as a user of
        its own, because this one is root.
        """
        settings = self.settings
        through = permissions.PASSABLE if os.geteuid() == 0 else 0
        permissions.make_private(self.home, settings, permissions.PASSABLE if settings.incoming_group else through)
        permissions.make_private(self.postgres_dir, settings, through)
        folders = (self.run_dir, self.log_dir, self.airflow_home, settings.checkpoint_dir)
        for folder in (*folders, settings.processing_dir, settings.archive_dir):
            permissions.make_private(folder, settings)
        permissions.make_incoming(settings)
        self.airflow_home.chmod(0o700)

    def lock(self) -> IO[str] | None:
        """Become the one who runs this pipeline, until the file is closed; None when another does."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        file = (self.run_dir / "lock").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file

    def lives(self) -> bool:
        """Whether a launcher (or the one who clears up after it) lives now."""
        if not self.run_dir.is_dir():
            return False
        if (file := self.lock()) is None:
            return True
        file.close()
        return False

    def running(self) -> Running | None:
        """What the living launcher says of itself; None when there is none, or it has not said anything yet."""
        return self.last_said() if self.lives() else None

    def last_said(self) -> Running | None:
        """What the last launcher said of itself, be it alive or not."""
        try:
            return Running(**json.loads((self.run_dir / "instance.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def tell(self, running: Running) -> None:
        """Say what runs: ``running`` replaces what was said before."""
        credentials.write_private(self.run_dir / "instance.json", json.dumps(asdict(running)))

    def forget(self) -> None:
        """Nothing runs any more."""
        (self.run_dir / "instance.json").unlink(missing_ok=True)

    def processes(self, running: Running) -> dict[str, bool]:
        """Which of the processes live."""
        living = {name: psutil.pid_exists(pid) for name, pid in running.pids.items()}
        return living | {"postgres": embedded.running(self.postgres_dir / "pgdata") is not None}

    def secrets(self) -> dict[str, str]:
        """Passwords and keys, made at the first call and kept in ``secrets.json`` (0600)."""
        return credentials.kept(self.secrets_path, credentials.new())


def now() -> float:
    """Seconds since 1970."""
    return time.time()
