"""The lease on being the one stream: who may write, and how an old one is fenced.

One row of ``ledger.streams`` is a stream's life. A submitter takes the lease and gets an epoch and a one-use token; the
driver exchanges the token (begin) and renews the lease while it lives. A lapsed lease may be taken over: then the old
stream is fenced first. Every file's transaction holds the stream's row (load/load.hold_stream), so once the old
stream is fenced nothing of it can commit. The clock is PostgreSQL's, so hosts with other clocks agree.

Every function takes an autocommit connection (``database.connect``).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psycopg

from sluice.base import queries

Connection = psycopg.Connection[dict[str, Any]]

STOP_GRACE_SECONDS = 10.0
BACKOFF_MAX_SECONDS = 30.0
_LOCK_TIMEOUT = "300ms"
_FENCE_SECONDS = 30.0
_log = logging.getLogger(__name__)


class EndedHow(StrEnum):
    """How a stream ended, as ``ledger.streams.ended_how`` has it."""

    ASKED = "asked"
    DRAINED = "drained"
    SUBMITTER_DIED = "submitter_died"
    SIGNAL = "signal"
    LIFE_OVER = "life_over"
    FENCED = "fenced"
    ENVIRONMENT = "environment"
    SPARK_DIED = "spark_died"
    FAILED = "failed"
    RESTORED = "restored"
    UNKNOWN = "unknown"


# The same for people, where nobody knows more.
_WORDS = {
    EndedHow.ASKED: "a stop was requested",
    EndedHow.DRAINED: "everything that had landed is loaded",
    EndedHow.SUBMITTER_DIED: "its submitter died",
    EndedHow.SIGNAL: "it was told to (SIGTERM)",
    EndedHow.LIFE_OVER: "its set life is over",
    EndedHow.FENCED: "another stream has taken over",
    EndedHow.ENVIRONMENT: "the environment is wrong",
    EndedHow.SPARK_DIED: "Spark's JVM died",
    EndedHow.FAILED: "it failed",
    EndedHow.RESTORED: "the database was restored",
    EndedHow.UNKNOWN: "its driver ended",
}


class StreamFenced(RuntimeError):  # noqa: N818 - it says what happened, and callers end
    """This stream may not write any more: it was ended, fenced, or never had a valid token. End the process."""


class StreamStoppedError(RuntimeError):
    """The stream ended itself, because its environment is wrong; the message says how, and what to correct."""


class FenceError(RuntimeError):
    """The sessions of an old stream could not be ended in time; the message names its epoch."""


@dataclass(frozen=True)
class Lease:
    """What a submitter holds: the epoch of the stream to be, and the token that its driver begins with."""

    epoch: int
    token: str


@dataclass(frozen=True)
class Pulse:
    """One look at the ledger: a stream lives; landed files wait; a missing stream may be submitted now.

    ``due`` is false for a while after a stop was asked for (a shutdown is likely under way) and, longer each time,
    after streams that died lately: a stream that cannot start is retried without a storm of JVMs.
    """

    living: bool
    waiting: bool
    due: bool


def take(connection: Connection, *, submitted_by: str, seconds: float, run_id: str | None = None) -> Lease | None:
    """Take the lease for ``seconds``; None when a living stream holds it or another taker was first.

    ``submitted_by`` says to people who takes it; ``run_id`` is the run of ingest_events that does, if one does.

    A stream whose lease has lapsed is fenced first: its sessions that still hold its row are ended. Raises FenceError
    when that does not succeed in 30 s, because a session of another role, or of no stream, holds the row.
    """
    deadline = time.monotonic() + _FENCE_SECONDS
    while True:
        unended = queries.one(connection, "ledger/streams.find_unended")
        if unended is not None and unended["holds_lease"]:
            return None
        try:
            return _replace(connection, unended, submitted_by, run_id, seconds)
        except psycopg.errors.LockNotAvailable as error:
            epoch = unended["epoch"] if unended else None
            if epoch is None or time.monotonic() > deadline:
                raise FenceError(
                    f"stream {epoch} could not be fenced within {_FENCE_SECONDS:g} s: a session holds its row; "
                    "find it in pg_stat_activity and end it"
                ) from error
            _terminate(connection, epoch)


def begin(connection: Connection, *, token: str, host: str, pid: int, seconds: float) -> int:
    """Exchange the one-use ``token`` for its epoch; the stream is running and its lease lasts ``seconds``.

    Raises StreamFenced when the token is unknown, was used before, or its stream has ended.
    """
    row = queries.one(connection, "ledger/streams.begin_stream", token=token, host=host, pid=pid, seconds=seconds)
    if row is None:
        raise StreamFenced(
            "the token is unknown, was used before, or its stream has ended: a stream is submitted by ingest_events, "
            "which takes the lease and passes SLUICE_STREAM_TOKEN"
        )
    return int(row["epoch"])


def renew(connection: Connection, *, epoch: int, seconds: float) -> bool:
    """Make the lease last ``seconds`` from now; True when a stop was requested. Raises StreamFenced once ended."""
    row = queries.one(connection, "ledger/streams.renew_lease", epoch=epoch, seconds=seconds)
    return bool(_alive(row, epoch)["stop_requested"])


def say(connection: Connection, *, epoch: int, state: str, error: str | None = None) -> None:
    """Set the state ('running' or 'waiting'); an error becomes the stream's last error, None keeps the one that was.

    Raises StreamFenced once the stream has ended.
    """
    _alive(queries.one(connection, "ledger/streams.say_state", epoch=epoch, state=state, error=error), epoch)


def end(connection: Connection, *, epoch: int, how: EndedHow, because: str = "") -> None:
    """End the stream, once its file transactions are over or their sessions ended; idempotent.

    ``because`` says it to people, where there is more to say than ``how`` it ended.
    """
    deadline = time.monotonic() + _FENCE_SECONDS
    while True:
        try:
            _close(connection, "ledger/streams.lock_unended", epoch, "ended", how, because or words(how))
            return
        except psycopg.errors.LockNotAvailable:
            if time.monotonic() > deadline:
                raise
            _terminate(connection, epoch)


def request_stop(connection: Connection, epoch: int | None = None) -> int | None:
    """Ask the stream to stop; its epoch when it lives. A stream whose lease has lapsed is asked too, should it wake."""
    row = queries.one(connection, "ledger/streams.request_stop", epoch=epoch)
    return int(row["epoch"]) if row is not None and row["living"] else None


def words(how: EndedHow) -> str:
    """How a stream ended, for people."""
    return _WORDS[how]


def living(connection: Connection) -> dict[str, Any] | None:
    """The row of the stream that holds a valid lease, submitted or started; None when none lives."""
    return queries.one(connection, "ledger/streams.find_living")


def pulse(connection: Connection) -> Pulse:
    """Whether a stream lives, files wait, and a missing stream may be submitted now."""
    row = queries.row(
        connection,
        "ledger/streams.read_pulse",
        stop_grace_seconds=STOP_GRACE_SECONDS,
        backoff_max_seconds=BACKOFF_MAX_SECONDS,
    )
    return Pulse(**row)


def last_error(connection: Connection) -> str:
    """What the newest stream said last, for people; empty when there is nothing to say."""
    row = queries.one(connection, "ledger/streams.last_error") or {}
    return str(row.get("last_error") or row.get("ended_because") or "")


def _replace(
    connection: Connection, lapsed: dict[str, Any] | None, submitted_by: str, run_id: str | None, seconds: float
) -> Lease | None:
    how, because = EndedHow.FENCED, f"the lease lapsed; {submitted_by} took over"
    with connection.transaction():
        if lapsed is not None and not _close(
            connection, "ledger/streams.lock_lapsed", lapsed["epoch"], "fenced", how, because
        ):
            return None
        who = {"submitted_by": submitted_by, "run_id": run_id}
        row = queries.one(connection, "ledger/streams.insert_stream", **who, seconds=seconds)
    return None if row is None else Lease(int(row["epoch"]), row["token"])


def _close(connection: Connection, lock: str, epoch: int, state: str, how: EndedHow, because: str) -> bool:
    with connection.transaction():
        connection.execute("SELECT set_config('lock_timeout', %s, true)", [_LOCK_TIMEOUT])
        if queries.one(connection, lock, epoch=epoch) is None:
            return False
        values = {"epoch": epoch, "state": state, "how": how, "because": because}
        queries.run(connection, "ledger/streams.close_stream", **values)
        return True


def _terminate(connection: Connection, epoch: int) -> None:
    for row in queries.all(connection, "ledger/streams.terminate_sessions", epoch=epoch):
        _log.warning("told session %s (%s) of an old stream to end", row["pid"], row["application_name"])


def _alive(row: dict[str, Any] | None, epoch: int) -> dict[str, Any]:
    if row is None:
        raise StreamFenced(f"stream {epoch} has ended or was fenced: it may not write any more; end this process")
    return row
