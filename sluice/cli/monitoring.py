"""Commands for monitors."""

from __future__ import annotations

import argparse
import contextlib
import sys

from sluice.cli.command import command
from sluice.cli.shared import reached
from sluice.running.pipeline import InstanceError, Pipeline
from sluice.watching.reader import Reader


@command("metrics", "print what Prometheus is told, as text")
def metrics(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Whether the database answers is one of the figures: this is no error."""
    from sluice.duty import metrics  # its imports are only needed here

    settings = pipeline.settings
    with contextlib.suppress(InstanceError):
        settings = reached(pipeline)
    reader = Reader(settings)
    sys.stdout.buffer.write(metrics.exposition(settings, reader))
    sys.stdout.flush()
    reader.close()
    return 0
