"""What a container says, in its log."""

from __future__ import annotations


def say(sentence: str) -> None:
    """A line in the container's log."""
    print(f"sluice: {sentence}", flush=True)
