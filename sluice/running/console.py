"""What the launcher says: sentences, and one live line below them."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import suppress

from sluice.base.plain_text import indented


class Console:
    """Sentences one below another and, on a terminal, one live line below them that is written over."""

    def __init__(self, every: float = 5.0) -> None:
        self._terminal = sys.stdout.isatty()
        self._every = 1.0 if self._terminal else every
        self._last = 0.0

    def say(self, sentence: str) -> None:
        """Print ``sentence`` on a line of its own; a reader that went away is no error."""
        sentence = indented(sentence)
        with suppress(OSError):
            print(f"\r\033[K{sentence}" if self._terminal else sentence, flush=True)

    def due(self, cost: float) -> bool:
        """Whether the live line should be renewed; one that takes ``cost`` seconds to make comes more rarely."""
        return time.monotonic() - self._last >= max(self._every, 20 * cost)

    def live(self, line: str) -> None:
        """Show ``line`` as the live line."""
        self._last = time.monotonic()
        with suppress(OSError):
            if self._terminal:
                print(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
            else:
                print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
