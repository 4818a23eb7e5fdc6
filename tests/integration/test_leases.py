"""The lease: one stream at a time, and the old one cannot write."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from sluice.base import database, queries
from sluice.base.settings import SQL, Settings
from sluice.ledger import leases

Connection = psycopg.Connection[dict[str, Any]]


def take(connection: Connection, seconds: float = 30, who: str = "a test") -> leases.Lease:
    """Take the lease, which must be free."""
    lease = leases.take(connection, submitted_by=who, seconds=seconds)
    assert lease is not None
    return lease


def begin(connection: Connection, lease: leases.Lease, seconds: float = 30) -> int:
    """Begin the stream of ``lease``."""
    return leases.begin(connection, token=lease.token, host="here", pid=1, seconds=seconds)


def lapse(connection: Connection, epoch: int) -> None:
    """Make the lease older: rows are aged, the clock is not moved."""
    connection.execute(
        "UPDATE ledger.streams SET lease_until = clock_timestamp() - interval '1 second' WHERE epoch = %s", [epoch]
    )


def row(connection: Connection, epoch: int) -> dict[str, Any]:
    """The stream's row."""
    found = connection.execute("SELECT * FROM ledger.streams WHERE epoch = %s", [epoch]).fetchone()
    assert found is not None
    return found


def hold(session: Connection, epoch: int) -> bool:
    """Whether the stream may write; until the session's transaction ends nothing can fence it. As each load begins."""
    return bool(queries.all(psycopg.RawCursor(session), "load/load.hold_stream", epoch))


def assert_ended(session: Connection) -> None:
    """The server has ended ``session``."""
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    assert session.closed


def at_once(workers: int, work: Callable[[], Any]) -> list[Any]:
    """What ``workers`` threads return that all start ``work`` at the same moment."""
    gate = threading.Barrier(workers)

    def one() -> Any:
        gate.wait()
        return work()

    with ThreadPoolExecutor(workers) as pool:
        return [future.result() for future in [pool.submit(one) for _ in range(workers)]]


def test_a_free_lease_is_taken_and_a_held_one_is_not(writer: Connection) -> None:
    lease = take(writer, who="first")
    assert leases.take(writer, submitted_by="second", seconds=30) is None
    assert (leases.living(writer) or {})["submitted_by"] == "first"
    assert begin(writer, lease) == lease.epoch
    assert leases.take(writer, submitted_by="third", seconds=30) is None
    assert row(writer, lease.epoch)["state"] == "running"


def test_of_two_takers_at_the_same_moment_exactly_one_wins(writer: Connection, settings: Settings) -> None:
    def taker() -> leases.Lease | None:
        with database.connect(settings.writer_dsn) as connection:
            return leases.take(connection, submitted_by="a taker", seconds=30)

    for _ in range(5):
        won = [lease for lease in at_once(6, taker) if lease is not None]
        assert len(won) == 1
        leases.end(writer, epoch=won[0].epoch, how=leases.EndedHow.FAILED, because="the round is over")


def test_of_two_takers_of_a_lapsed_lease_exactly_one_wins(writer: Connection, settings: Settings) -> None:
    def taker() -> leases.Lease | None:
        with database.connect(settings.writer_dsn) as connection:
            return leases.take(connection, submitted_by="a taker", seconds=30)

    lapse(writer, take(writer).epoch)
    for _ in range(5):
        won = [lease for lease in at_once(6, taker) if lease is not None]
        assert len(won) == 1
        lapse(writer, won[0].epoch)
    unended = writer.execute("SELECT count(*) AS n FROM ledger.streams WHERE ended_at IS NULL").fetchone()
    assert unended == {"n": 1}


def test_a_token_begins_one_driver(writer: Connection) -> None:
    lease = take(writer)
    begin(writer, lease)
    with pytest.raises(leases.StreamFenced, match="used before"):
        begin(writer, lease)


@pytest.mark.parametrize("token", ["", "nonsense", "00000000-0000-0000-0000-000000000000"])
def test_an_unknown_token_begins_nothing(writer: Connection, token: str) -> None:
    take(writer)
    with pytest.raises(leases.StreamFenced):
        leases.begin(writer, token=token, host="here", pid=1, seconds=30)


def test_a_fenced_stream_can_do_nothing(writer: Connection) -> None:
    old = take(writer)
    begin(writer, old)
    lapse(writer, old.epoch)
    new = take(writer, who="the successor")
    assert new.epoch > old.epoch
    assert row(writer, old.epoch)["state"] == "fenced"
    assert row(writer, old.epoch)["ended_because"] == "the lease lapsed; the successor took over"
    for act in (
        lambda: begin(writer, old),
        lambda: leases.renew(writer, epoch=old.epoch, seconds=30),
        lambda: leases.say(writer, epoch=old.epoch, state="waiting", error="x"),
    ):
        with pytest.raises(leases.StreamFenced):
            act()
    assert not hold(writer, old.epoch)
    leases.end(writer, epoch=old.epoch, how=leases.EndedHow.FAILED, because="too late")
    assert row(writer, old.epoch)["state"] == "fenced"


def test_a_lease_that_lapsed_but_was_not_taken_can_be_renewed(writer: Connection) -> None:
    lease = take(writer)
    begin(writer, lease)
    lapse(writer, lease.epoch)
    assert leases.living(writer) is None
    assert leases.renew(writer, epoch=lease.epoch, seconds=30) is False
    assert leases.living(writer) is not None


def test_the_taker_ends_a_stopped_session_that_holds_the_old_stream(writer: Connection, settings: Settings) -> None:
    old = take(writer)
    begin(writer, old)
    with database.connect(
        settings.writer_dsn, application_name=f"sluice-stream-{old.epoch}", autocommit=False
    ) as stopped:
        assert hold(stopped, old.epoch)
        lapse(writer, old.epoch)
        assert take(writer).epoch > old.epoch
        assert_ended(stopped)


def test_a_transaction_that_holds_for_share_is_ended_as_well(writer: Connection, settings: Settings) -> None:
    old = take(writer)
    with database.connect(
        settings.writer_dsn, application_name=f"sluice-stream-{old.epoch}", autocommit=False
    ) as stopped:
        lapse(writer, old.epoch)
        stopped.execute("SELECT epoch FROM ledger.streams WHERE epoch = %s FOR SHARE", [old.epoch])
        assert take(writer).epoch > old.epoch
        assert_ended(stopped)


def test_a_session_of_the_new_stream_is_left_alone(writer: Connection, settings: Settings) -> None:
    old = take(writer)
    lapse(writer, old.epoch)
    with database.connect(settings.writer_dsn, application_name=f"sluice-stream-{old.epoch + 1}") as newer:
        take(writer)
        assert newer.execute("SELECT 1 AS n").fetchone() == {"n": 1}


def test_a_session_that_another_role_gives_a_streams_name_stops_no_taker_and_is_left_alone(
    writer: Connection, settings: Settings
) -> None:
    old = take(writer)
    begin(writer, old)
    name = f"sluice-stream-{old.epoch}"
    with (
        database.connect(settings.reader_dsn, application_name=name, autocommit=False) as another,
        database.connect(settings.writer_dsn, application_name=name, autocommit=False) as stopped,
    ):
        another.execute("SELECT FROM ledger.streams")
        assert hold(stopped, old.epoch)
        lapse(writer, old.epoch)
        assert take(writer).epoch > old.epoch
        assert_ended(stopped)
        assert another.execute("SELECT 1 AS n").fetchone() == {"n": 1}


def test_a_row_that_another_role_holds_is_said_and_nobody_is_ended(
    writer: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_FENCE_SECONDS", 0.5)
    old = take(writer)
    lapse(writer, old.epoch)
    name = f"sluice-stream-{old.epoch}"
    with database.connect(settings.owner_dsn, application_name=name, autocommit=False) as owner:
        owner.execute("SELECT FROM ledger.streams FOR UPDATE")
        with pytest.raises(leases.FenceError, match=f"stream {old.epoch} could not be fenced"):
            leases.take(writer, submitted_by="a test", seconds=30)
        assert owner.execute("SELECT 1 AS n").fetchone() == {"n": 1}
    assert take(writer).epoch > old.epoch


def test_a_session_of_the_pipeline_that_holds_no_stream_is_left_alone(writer: Connection, settings: Settings) -> None:
    old = take(writer)
    name = f"sluice-stream-{old.epoch}"
    with (
        database.connect(settings.writer_dsn, application_name=name) as idle,
        database.connect(settings.writer_dsn, application_name=name, autocommit=False) as stopped,
    ):
        assert hold(stopped, old.epoch)
        leases.end(writer, epoch=old.epoch, how=leases.EndedHow.FAILED, because="a test")
        assert_ended(stopped)
        assert idle.execute("SELECT 1 AS n").fetchone() == {"n": 1}


def set_clock_back(connection: Connection, by: str) -> None:
    """What a clock that is set back looks like: everything in the ledger was written later than it."""
    connection.execute(
        "UPDATE ledger.streams SET lease_from = lease_from + %(by)s::interval, "
        "lease_until = lease_until + %(by)s::interval, ended_at = ended_at + %(by)s::interval, "
        "stop_requested = stop_requested + %(by)s::interval",
        {"by": by},
    )


def test_a_lease_lasts_no_longer_because_the_clock_was_set_back(writer: Connection) -> None:
    dead = take(writer)
    begin(writer, dead, seconds=15)
    set_clock_back(writer, "1 hour")
    assert leases.living(writer) is None
    assert leases.pulse(writer) == leases.Pulse(living=False, waiting=False, due=True)
    assert take(writer).epoch > dead.epoch


def test_a_living_stream_keeps_its_lease_when_the_clock_is_set_back(writer: Connection) -> None:
    lease = take(writer)
    begin(writer, lease, seconds=15)
    set_clock_back(writer, "10 seconds")
    assert leases.take(writer, submitted_by="another", seconds=30) is None
    set_clock_back(writer, "1 hour")
    leases.renew(writer, epoch=lease.epoch, seconds=15)
    assert leases.take(writer, submitted_by="another", seconds=30) is None


@pytest.mark.parametrize("asked", [True, False])
def test_a_missing_stream_is_due_when_the_clock_was_set_back(writer: Connection, asked: bool) -> None:
    lease = take(writer)
    begin(writer, lease)
    if asked:
        leases.request_stop(writer)
    leases.end(writer, epoch=lease.epoch, how=leases.EndedHow.FAILED, because="a test")
    assert leases.pulse(writer).due is False
    set_clock_back(writer, "1 hour")
    assert leases.pulse(writer).due is True


def test_renewing_does_not_wait_for_a_long_load(writer: Connection, settings: Settings) -> None:
    lease = take(writer)
    begin(writer, lease)
    with database.connect(settings.writer_dsn, autocommit=False) as loading:
        assert hold(loading, lease.epoch)
        writer.execute("SET lock_timeout = '2s'")
        assert leases.renew(writer, epoch=lease.epoch, seconds=60) is False
        leases.say(writer, epoch=lease.epoch, state="waiting", error="the database is away")


def test_ending_a_stream_ends_its_open_file_transactions(writer: Connection, settings: Settings) -> None:
    lease = take(writer)
    with database.connect(
        settings.writer_dsn, application_name=f"sluice-stream-{lease.epoch}", autocommit=False
    ) as left:
        assert hold(left, lease.epoch)
        leases.end(writer, epoch=lease.epoch, how=leases.EndedHow.FAILED, because="its driver died")
        assert_ended(left)
    leases.end(writer, epoch=lease.epoch, how=leases.EndedHow.FAILED, because="a second time")
    assert row(writer, lease.epoch)["ended_because"] == "its driver died"


def test_a_stop_is_seen_at_the_next_renewal(writer: Connection) -> None:
    assert leases.request_stop(writer) is None
    lease = take(writer)
    begin(writer, lease)
    assert leases.renew(writer, epoch=lease.epoch, seconds=30) is False
    assert leases.request_stop(writer) == lease.epoch
    assert leases.renew(writer, epoch=lease.epoch, seconds=30) is True


def test_an_error_is_remembered_until_the_next_one(writer: Connection) -> None:
    lease = take(writer)
    begin(writer, lease)
    leases.say(writer, epoch=lease.epoch, state="waiting", error="the database is away")
    leases.say(writer, epoch=lease.epoch, state="running")
    found = row(writer, lease.epoch)
    assert (found["state"], found["last_error"]) == ("running", "the database is away")
    assert leases.last_error(writer) == "the database is away"


def test_a_missing_stream_is_due_at_first_and_not_while_one_lives(writer: Connection) -> None:
    assert leases.pulse(writer) == leases.Pulse(living=False, waiting=False, due=True)
    lease = take(writer)
    assert leases.pulse(writer).living is True
    lapse(writer, lease.epoch)
    assert leases.pulse(writer) == leases.Pulse(living=False, waiting=False, due=True)


def test_a_stop_of_an_old_stream_does_not_stop_the_new_one(connection: Connection) -> None:
    old = leases.take(connection, submitted_by="a test", seconds=60)
    assert old is not None
    leases.end(connection, epoch=old.epoch, how=leases.EndedHow.FAILED, because="a test")
    new = leases.take(connection, submitted_by="a test", seconds=60)
    assert new is not None
    assert leases.request_stop(connection, old.epoch) is None
    assert leases.renew(connection, epoch=new.epoch, seconds=60) is False
    assert leases.request_stop(connection, new.epoch) == new.epoch
    assert leases.renew(connection, epoch=new.epoch, seconds=60) is True


@pytest.mark.parametrize(
    ("deaths", "stopped", "seconds_ago", "due"),
    [
        (1, False, 1, False),
        (1, False, 3, True),
        (3, False, 7, False),
        (3, False, 9, True),
        (9, False, 29, False),
        (9, False, 31, True),
        (1, True, 8, False),
        (1, True, 12, True),
    ],
)
def test_a_stream_that_dies_again_and_again_is_due_later_each_time(
    connection: Connection, deaths: int, stopped: bool, seconds_ago: int, due: bool
) -> None:
    for _ in range(deaths):
        connection.execute(
            "INSERT INTO ledger.streams (submitted_by, lease_until, state, ended_how, ended_at, stop_requested) VALUES "
            "('a test', clock_timestamp(), 'ended', 'failed', clock_timestamp() - make_interval(secs => %(ago)s), "
            "CASE WHEN %(stopped)s THEN clock_timestamp() END)",
            {"ago": seconds_ago, "stopped": stopped},
        )
    assert leases.pulse(connection).due is due


@pytest.mark.parametrize(
    ("stops", "seconds_ago", "due"), [(1, 13, False), (1, 17, True), (3, 55, False), (3, 65, True), (9, 290, False)]
)
def test_a_stream_that_ended_itself_for_its_environment_is_followed_later_each_time(
    connection: Connection, stops: int, seconds_ago: int, due: bool
) -> None:
    for _ in range(stops):
        connection.execute(
            "INSERT INTO ledger.streams (submitted_by, lease_until, state, ended_at, ended_how) VALUES "
            "('test', now(), 'ended', clock_timestamp() - make_interval(secs => %s), 'environment')",
            [seconds_ago],
        )
    assert leases.pulse(connection).due is due


def test_the_migration_reads_how_streams_of_earlier_releases_ended(connection: Connection) -> None:
    written = {
        "a stop was requested": "asked",
        "everything that had landed is loaded": "drained",
        "its submitter died": "submitter_died",
        "it was told to (SIGTERM)": "signal",
        "its set life is over": "life_over",
        "the environment is wrong: PostgreSQL refuses the login": "environment",
        "Spark's JVM died": "spark_died",
        "it failed: builtins.ValueError: x": "failed",
        "its driver was killed or failed": "failed",
        "the database was restored": "restored",
        "its driver ended": "unknown",
        None: "unknown",
    }
    folder = SQL / "migrations"
    connection.execute((folder / "0014_how_a_stream_ended.down.sql").read_bytes())
    for state, because in [("fenced", "the lease lapsed"), *(("ended", because) for because in written)]:
        connection.execute(
            "INSERT INTO ledger.streams (submitted_by, lease_until, state, ended_at, ended_because) "
            "VALUES ('test', now(), %s, now(), %s)",
            [state, because],
        )
    living = take(connection).epoch
    connection.execute((folder / "0014_how_a_stream_ended.up.sql").read_bytes())
    found = connection.execute("SELECT ended_how FROM ledger.streams ORDER BY epoch").fetchall()
    assert [each["ended_how"] for each in found] == ["fenced", *written.values(), None]
    with pytest.raises(psycopg.errors.CheckViolation, match="a_stream_ends_in_a_known_way"):
        connection.execute("UPDATE ledger.streams SET state = 'ended', ended_at = now(), ended_how = 'somehow'")
    leases.end(connection, epoch=living, how=leases.EndedHow.DRAINED)
    assert row(connection, living)["ended_because"] == "everything that had landed is loaded"


def test_the_ledger_takes_every_way_of_ending_that_the_program_knows(connection: Connection) -> None:
    for how in leases.EndedHow:
        leases.end(connection, epoch=take(connection).epoch, how=how)
    found = connection.execute("SELECT ended_how FROM ledger.streams ORDER BY epoch").fetchall()
    assert [each["ended_how"] for each in found] == list(leases.EndedHow)
