"""What landed, kept apart from the pipeline: a copy of every file, taken while it still lies in the landing folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path

from tests.chaos.recount import Landing

_LOOK_SECONDS = 0.05  # a file lies there for SLUICE_SETTLE_SECONDS, a second, before the mover may take it


class Landings(threading.Thread):
    """Copies each file that appears in ``incoming`` to ``kept``. A file that goes before it is copied is ``missed``."""

    def __init__(self, incoming: Path, kept: Path) -> None:
        super().__init__(name="landings", daemon=True)
        self._incoming, self._kept = incoming, kept
        self._seen: set[tuple[str, int, int]] = set()
        self._found: list[Landing] = []
        self._over = threading.Event()
        self.missed: list[str] = []

    def run(self) -> None:
        """Until ``close``."""
        while not self._over.wait(_LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Copy what is new."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self._incoming) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.endswith(".part"):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    found = entry.stat()
                    identity = (entry.name, found.st_ino, found.st_mtime_ns)
                    if identity not in self._seen:
                        self._seen.add(identity)
                        self._copy(entry.name)

    def names(self) -> list[str]:
        """The names of all that landed so far."""
        return [landing.name for landing in list(self._found)]

    def all(self) -> list[Landing]:
        """Everything that landed so far."""
        return list(self._found)

    def land(self, source: Path, name: str) -> None:
        """Land a copy of ``source`` as producers do: under a hidden name first, then renamed."""
        hidden = self._incoming / f".{name}.part"
        shutil.copyfile(source, hidden)
        hidden.rename(self._incoming / name)

    def close(self) -> None:
        """Look a last time and end."""
        self._over.set()
        self.join(10)
        self.look()

    def _copy(self, name: str) -> None:
        target = self._kept / f"{len(self._found):06d}-{name[-100:]}"
        try:
            shutil.copyfile(self._incoming / name, target)
        except FileNotFoundError:
            self.missed.append(name)
            return
        self._found.append(Landing(name, target))
