"""One supervised process: started, started again when it died, ended when it does nothing any more."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sluice.running import processes
from sluice.running.console import Console
from sluice.running.heartbeat import Watchdog
from sluice.running.logs import rotate

START_AGAIN_SECONDS = 10.0


@dataclass
class Child:
    """One supervised process: what it runs, how often it died lately, when it may start again."""

    name: str
    command: list[str]
    log: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    started: float = 0.0
    not_before: float = field(default=0.0)
    rotate_at: float = 0.0
    watchdog: Watchdog | None = None
    beats: Callable[[float], bool] | None = None

    def start(self) -> None:
        """Start it, in a session of its own; the kernel tells it to end when the launcher dies. OSError: it cannot."""
        self._rotate()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=processes.follow_parent(signal.SIGTERM),
            )
        self.started = time.monotonic()
        self.watchdog = Watchdog(self.beats) if self.beats else None

    def watch(self, console: Console) -> bool:
        """Start it again if it died, later each time; True when it was started."""
        assert self.process is not None
        code = self.process.poll()
        if code is None:
            self._rotate()
            if self.watchdog is not None and self.watchdog.is_lost():
                console.say(f"{self.name} does nothing any more: it is ended; its log is {self.log}")
                self._end_session()
            return False
        if not self.not_before:
            self._end_session()
            self.deaths = self.deaths + 1 if time.monotonic() - self.started < 60 else 1
            wait = min(30.0, 2.0 ** min(self.deaths - 1, 10))
            self.not_before = time.monotonic() + wait
            console.say(f"{self.name} ended (exit code {code}): starting it again in {wait:g} s; its log is {self.log}")
        if time.monotonic() < self.not_before:
            return False
        try:
            self.start()
        except OSError as error:
            self.not_before = time.monotonic() + START_AGAIN_SECONDS
            console.say(f"{self.name} cannot be started ({error}): trying again in {START_AGAIN_SECONDS:g} s")
            return False
        self.not_before = 0.0
        return True

    def _rotate(self) -> None:
        """A disk that has no room for the old part is asked again later."""
        if time.monotonic() >= self.rotate_at:
            try:
                rotate(self.log)
            except OSError:
                self.rotate_at = time.monotonic() + 60

    def _end_session(self) -> None:
        """End what the dead process left: a scheduler's workers would idle on, and its tasks be run a second time."""
        assert self.process is not None
        processes.end(processes.session(self.process.pid), signal.SIGTERM, 3)
        processes.end(processes.session(self.process.pid), signal.SIGKILL, 3)
