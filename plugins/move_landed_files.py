"""Moves what has landed to processing and enters it in the ledger, and stays a while for what lands next."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator
from landed_file_sensor import is_scheduled

from sluice.base import database, queries
from sluice.base.settings import Settings, load
from sluice.landing import folders, lookout, mover
from sluice.landing.notices import Notices
from sluice.ledger import contract_waits, leases, waiting_files

if TYPE_CHECKING:
    from airflow.sdk import Context

BY_HAND_WAIT_SECONDS = 300.0


class MoveLandedFilesOperator(BaseOperator):
    """Returns the range of file_ids that it moved, ``{"first": …, "last": …}``, empty when it moved none.

    A scheduled run's mover stays while a stream lives, for as long as a sensor does, and moves each file as it lands:
    to start a task for a file takes longer than to load it. The sensor of the next run lets it. Without a stream it
    ends at once, for the task after it is to submit one.

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
                queries.run(connection, "ledger/watch.tell_landed")
                contract_waits.release(settings, connection)
                return waiting_files.waiting_range(connection) or {}
            moved = self._move(settings, connection)
            if leases.pulse(connection).living:
                moved += self._stay(settings, connection)
            return {"first": min(moved), "last": max(moved)} if moved else {}

    def _stay(self, settings: Settings, connection: mover.Connection) -> list[int]:
        """Move what lands until a stream is to be submitted, or the time of a sensor is over."""
        moved: list[int] = []
        ends, look = time.monotonic() + settings.sensor_timeout_seconds, lookout.Lookout()
        with (
            lookout.on_watch(connection) as alone,
            contextlib.closing(Notices(settings.incoming_dir)) as notices,
        ):
            while alone and time.monotonic() < ends:
                found = look.look(settings, connection)
                if found is None:
                    notices.wait(settings.sense_seconds)
                elif found.work is lookout.Work.SUBMIT:
                    self.log.info("%s", found.reason)
                    break
                else:
                    new = self._move(settings, connection)
                    moved += new
                    if not new:  # what cannot be moved now is tried again, but not all the time
                        time.sleep(settings.sense_seconds)
        return moved

    def _move(self, settings: Settings, connection: mover.Connection) -> list[int]:
        try:
            moved = mover.move_landed(settings, connection).moved
        except folders.FoldersError as error:
            self.log.error("nothing is moved: %s", error)  # the stream that is submitted after this one says it too
            return []
        if moved:
            queries.run(connection, "ledger/watch.tell_landed")
        return moved
