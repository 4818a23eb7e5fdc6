"""The lanes of the stream: files of unlike size do not wait for one another.

A micro-batch ends with its longest file. So small and big files have a query each, with its own micro-batches and
checkpoint, under the one lease. A file's lane is set when it is registered; one whose name waits in a lane joins it, so
that revisions of a file come in their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sluice.base.settings import Settings

SMALL, BIG = "small", "big"

# What CSV packs to, roughly: a packed file counts as so many times its bytes.
_PACKED = 8


@dataclass(frozen=True)
class Lane:
    """One query of the stream: how many files it loads at a time, and where it keeps its checkpoint."""

    name: str
    tasks: int
    checkpoint: Path


def lanes(settings: Settings) -> tuple[Lane, Lane]:
    """The lanes: half as many tasks for big files as for small ones, and at least one."""
    folder = settings.checkpoint_dir
    return (
        Lane(SMALL, settings.stream_tasks, folder / SMALL),
        Lane(BIG, max(1, settings.stream_tasks // 2), folder / BIG),
    )


def lane_of(settings: Settings, name: str, size: int) -> str:
    """The lane of a file of ``size`` bytes."""
    packed = name.lower().endswith((".gz", ".zst"))
    return BIG if size * (_PACKED if packed else 1) > settings.big_file_bytes else SMALL


def local_master(settings: Settings) -> str:
    """Spark's master where none is set: this machine, with a slot for each task and one more; four attempts a task."""
    return f"local[{sum(lane.tasks for lane in lanes(settings)) + 1},4]"
