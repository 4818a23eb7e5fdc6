"""Moves what has landed to processing and enters it in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator
from landed_file_sensor import is_scheduled

from sluice.base import database
from sluice.base.settings import load
from sluice.landing import folders, mover
from sluice.ledger import contract_waits, waiting_files

if TYPE_CHECKING:
    from airflow.sdk import Context

BY_HAND_WAIT_SECONDS = 300.0


class MoveLandedFilesOperator(BaseOperator):
    """Returns the range of file_ids that it moved, ``{"first": …, "last": …}``, empty when it moved none.

    In a run made by hand the range is of everything that waits to be loaded by then, whoever moved it, and another
    mover at work is waited for.
    """

    def execute(self, context: Context) -> dict[str, int]:
        """Move; raises LandingError when the folders cannot be used, OperationalError when the database is away.

        While the folders are not there it moves nothing; a run made by hand then raises FoldersError.
        """
        settings = load()
        with database.connect(settings.writer_dsn, application_name="sluice-mover") as connection:
            if not is_scheduled(context):
                mover.move_landed(settings, connection, BY_HAND_WAIT_SECONDS)
                contract_waits.release(settings, connection)
                return waiting_files.waiting_range(connection) or {}
            try:
                moved = mover.move_landed(settings, connection).moved
            except folders.FoldersError as error:
                self.log.error("nothing is moved: %s", error)  # the stream that is submitted after this one says it too
                return {}
            return {"first": min(moved), "last": max(moved)} if moved else {}
