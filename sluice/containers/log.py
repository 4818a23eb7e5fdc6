"""What a container says, in its log."""

from __future__ import annotations

from sluice.base.plain_text import indented


def say(sentence: str) -> None:
    """A line in the container's log."""
    print(f"sluice: {indented(sentence)}", flush=True)
