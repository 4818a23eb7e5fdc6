"""What landed, kept apart from the pipeline: a copy of every file, taken as soon as it is seen.

The mover takes a file that was renamed in within some hundredths of a second. So what landed here is copied before, and
of the generator's files also what lies in processing already, until it is loaded: nobody writes to it there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path

from sluice.ledger import file_names
from tests.chaos.recount import Landing

_LOOK_SECONDS = 0.02


class Landings(threading.Thread):
    """Copies each file that appears in ``incoming`` to ``kept``. A file that goes before it is copied is ``missed``."""

    def __init__(self, incoming: Path, processing: Path, kept: Path) -> None:
        super().__init__(name="landings", daemon=True)
        self._incoming, self._processing, self._kept = incoming, processing, kept
        self._lock = threading.Lock()
        self._seen: set[tuple[int, int]] = set()
        self._found: list[Landing] = []
        self._over = threading.Event()
        self.missed: list[str] = []

    def run(self) -> None:
        """Until ``close``."""
        while not self._over.wait(_LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Copy what is new, first where it landed, then where it was moved meanwhile."""
        with self._lock:
            for name in _names(self._incoming):
                if not name.startswith(".") and not name.endswith(".part"):
                    self._keep(self._incoming / name, name)
            for name in _names(self._processing):
                if moved := file_names.parse(name):
                    self._keep(self._processing / name, moved.landed_name)

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
        with self._lock:
            self._keep(hidden, name)
        hidden.rename(self._incoming / name)

    def close(self) -> None:
        """Look a last time and end."""
        self._over.set()
        self.join(10)
        self.look()

    def _keep(self, path: Path, name: str) -> None:
        """Copy it, unless that was done: a rename changes neither its inode nor when it was written."""
        target = self._kept / f"{len(self._found):06d}-{name[-100:]}"
        with contextlib.suppress(FileNotFoundError):
            found = path.stat()
            identity = (found.st_ino, found.st_mtime_ns)
            if identity in self._seen:
                return
            try:
                shutil.copyfile(path, target)
            except FileNotFoundError:
                if path.parent == self._processing:
                    self.missed.append(name)
                return  # it was moved: it is looked for where it lies now
            self._seen.add(identity)
            self._found.append(Landing(name, target))


def _names(folder: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return os.listdir(folder)
    return []
