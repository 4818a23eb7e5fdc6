"""Commands about the reports."""

from __future__ import annotations

import argparse

from sluice.base import database
from sluice.cli.command import command
from sluice.cli.shared import reached, say
from sluice.reports import refresh, summary
from sluice.running.pipeline import Pipeline


@command("rebuild-reports", "count all reports from nothing; whoever reads sees the old numbers until it is done")
def rebuild_reports(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Loads go on meanwhile; the refreshes of DAG report_sales wait."""
    settings = reached(pipeline)
    with database.connect(settings.reader_dsn, application_name="sluice-rebuild") as connection:
        done = refresh.refresh(connection, settings, "make rebuild-reports", anew=True)
        say(f"counted {done.units:,} days of feeds anew, in {done.seconds:.1f} s")
        for line in summary.lines(connection):
            say(line)
    return 0
