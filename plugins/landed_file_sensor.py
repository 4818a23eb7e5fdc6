"""The sensor of ingest_events: it fires when there is something to move, or a stream to bring back."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import psycopg
from airflow.providers.standard.sensors.filesystem import FileSensor

from sluice.base import database
from sluice.base.settings import Settings, load
from sluice.landing import incoming, lookout, predicate
from sluice.landing.notices import Notices
from sluice.ledger import leases

if TYPE_CHECKING:
    from airflow.sdk import Context

BY_HAND_PATIENCE_SECONDS = 10.0


def is_scheduled(context: Context) -> bool:
    """Whether the run was made by the schedule: those stream on. One made by hand loads what is there and ends."""
    return bool(context["dag_run"].run_type == "scheduled")


class LandedFileSensor(FileSensor):
    """Waits until the mover would take a file, tidy one, or a missing stream should be submitted.

    The plain FileSensor also fires for links, folders and unreadable files, which nobody takes away, and would spin;
    this one shares its predicate with the mover. Between two pokes the kernel's word that something landed wakes it.
    While a mover of another run stays and moves what lands, it does not fire. While the database is away it waits:
    nothing could be moved. While the folders are not there it brings back a stream, which says so, and fires for no
    file. In a run made by hand it waits only for files that have landed and still change, at most a few seconds.
    """

    def __init__(self, **kwargs: Any) -> None:
        settings = load()
        defaults = {
            "filepath": str(settings.incoming_dir / "*"),
            "poke_interval": settings.sense_seconds,
            "timeout": settings.sensor_timeout_seconds,
            "soft_fail": True,
            "mode": "poke",
            "deferrable": False,
            "max_active_tis_per_dag": 1,
        }
        super().__init__(**defaults | kwargs)
        self._connection: leases.Connection | None = None
        self._away = False
        self._lookout = lookout.Lookout()
        self._notices: Notices | None = None
        self._patience: float | None = None

    def execute(self, context: Context) -> None:
        """Poke until it fires; the connection of the pokes ends with it."""
        self._notices = Notices(load().incoming_dir)
        try:
            super().execute(context)
        finally:
            self._notices.close()
            self._disconnect()

    def poke(self, context: Context) -> bool:
        """One look. A database that is away is no failure: it is said once, and the sensor goes on waiting."""
        settings = load()
        if not is_scheduled(context):
            return self._nothing_changes(settings)
        try:
            reason = self._reason(settings)
        except psycopg.OperationalError as error:
            self._say_away(error)
            return False
        if self._away:
            self._away = False
            self.log.info("the database is back")
        if reason:
            self.log.info("%s", reason)
        return bool(reason)

    def _reason(self, settings: Settings) -> str:
        connection = self._connect(settings)
        found = self._lookout.look(settings, connection)
        return found.reason if found and not lookout.is_watched(connection) else ""

    def _get_next_poke_interval(self, *args: Any, **kwargs: Any) -> float:
        """Airflow sleeps for what this returns between two pokes: the wait is here, and ends when something lands."""
        seconds = super()._get_next_poke_interval(*args, **kwargs)
        if self._notices is None:
            return seconds
        self._notices.wait(seconds)
        return 0.0

    def _nothing_changes(self, settings: Settings) -> bool:
        if self._patience is None:
            self._patience = time.monotonic() + settings.settle_seconds + BY_HAND_PATIENCE_SECONDS
        changing = [path.name for path, (verdict, _) in incoming.scan(settings) if verdict is predicate.Verdict.WAIT]
        if changing and time.monotonic() > self._patience:
            self.log.warning("%s landed files still change and are left for later: %s", len(changing), changing[:5])
            return True
        return not changing

    def _connect(self, settings: Settings) -> leases.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = database.connect(settings.writer_dsn, application_name="sluice-sensor")
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _say_away(self, error: psycopg.Error) -> None:
        self._disconnect()
        if not self._away:
            self.log.warning("the database is away, files stay in incoming until it is back: %s", error)
        self._away = True
