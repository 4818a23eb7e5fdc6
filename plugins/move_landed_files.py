"""Moves what has landed to processing and enters it in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator
from landed_file_sensor import is_scheduled

from sluice import database, landing, settings

if TYPE_CHECKING:
    from airflow.sdk import Context

BY_HAND_WAIT_SECONDS = 300.0


class MoveLandedFilesOperator(BaseOperator):
    """Returns the range of file_ids that it moved, ``{"first": …, "last": …}``, empty when it moved none.

    In a run made by hand the range is of everything that waits to be loaded by then, whoever moved it, and another
    mover at work is waited for.
    """

    def execute(self, context: Context) -> dict[str, int]:
        """Move; raises LandingError when the folders cannot be used, OperationalError when the database is away."""
        read = settings.load()
        with database.connect(read.writer_dsn, application_name="sluice-mover") as connection:
            if not is_scheduled(context):
                landing.move_landed(read, connection, BY_HAND_WAIT_SECONDS)
                return landing.waiting_range(connection) or {}
            moved = landing.move_landed(read, connection).moved
            return {"first": min(moved), "last": max(moved)} if moved else {}
