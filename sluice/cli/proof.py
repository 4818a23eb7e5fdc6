"""Commands that prove: counted again, or compared with what was written down."""

from __future__ import annotations

import argparse
import json
import os

from sluice.base import database
from sluice.cli.command import argument, command
from sluice.cli.shared import reached
from sluice.ledger import receipts
from sluice.running.pipeline import InstanceError, Pipeline


@command(
    "reconcile",
    "recount conservation from the files and the tables",
    argument("--days", type=float, help="only files that were loaded or changed in the last so many days"),
)
def reconcile_all(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Exit code 1 when the sums do not agree."""
    from sluice.proof import reconcile  # its imports are heavy, and only needed here

    settings = reached(pipeline)
    os.environ |= {
        "SLUICE_DATABASE_URL": settings.database_url,
        "SLUICE_WRITER_URL": settings.writer_url,
        "SLUICE_READER_URL": settings.reader_url,
    }
    code: int = reconcile.main(parsed.days)
    return code


@command(
    "receipt",
    "verify one file's rows against its receipt; print both as JSON",
    argument("file_id", type=int),
)
def receipt(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Exit code 1 when the rows are not those of the receipt."""
    with database.connect(reached(pipeline).reader_dsn) as connection:
        verified = receipts.verify(connection, parsed.file_id)
    if verified is None:
        raise InstanceError(f"there is no file {parsed.file_id}: the files are in ledger.files")
    print(json.dumps(verified, indent=2))
    return 1 if verified["holds"] is False else 0
