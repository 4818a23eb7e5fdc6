"""What the launcher leaves word of in the state folder, for whoever asks; a disk that is full is asked again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from sluice.base import disks
from sluice.running import status
from sluice.running.instance import Instance
from sluice.running.pipeline import Running

AGAIN_SECONDS = 10.0


class Telling:
    """Writes what runs and what keeps it; ``say`` is told once when the folder cannot be written, once when it can."""

    def __init__(self, instance: Instance, folders: dict[str, Path], say: Callable[[str], None]) -> None:
        self._instance = instance
        self._folders = folders
        self._say = say
        self._untold_since: float | None = None
        self._again_at = 0.0

    def tell(self, running: Running, trouble: str) -> None:
        """Leave word. A disk that cannot take it now is no error, because the pipeline itself can go on."""
        self._again_at = time.monotonic() + AGAIN_SECONDS
        try:
            self._instance.tell(running)
            status.tell_trouble(self._instance, trouble)
        except OSError as error:
            if self._untold_since is None:
                self._untold_since = time.monotonic()
                self._say(
                    f"the state folder cannot be written ({'; '.join(disks.full(self._folders)) or error}): free "
                    f"space; until then `make status` may show old process ids, and it is tried again every "
                    f"{AGAIN_SECONDS:g} s by itself"
                )
            return
        if self._untold_since is not None:
            self._say(f"the state folder takes files again, after {time.monotonic() - self._untold_since:.0f} s")
            self._untold_since = None

    def is_due(self) -> bool:
        """Whether the last word could not be left, and it is time to try again."""
        return self._untold_since is not None and time.monotonic() > self._again_at
