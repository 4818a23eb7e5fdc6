"""While its database is away the stream waits and says so, and goes on as the same stream when it is back."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import sql

from sluice.base import database
from sluice.base.settings import Settings
from sluice.ledger import leases
from sluice.loading.retry_rules import STOPPED
from sluice.running import embedded
from spark_jobs.keeper import Keeper
from tests.chaos.proxy import Proxy
from tests.full_disk import SmallDisk, small_disk
from tests.loading import HEADER, Connection, event, table
from tests.streaming import PATIENCE_SECONDS, Tree, spark_environment, submit_command

Land = Callable[..., int]


@pytest.fixture
def proxy(settings: Settings) -> Iterator[Proxy]:
    """What stands between the stream and the server, and can be cut."""
    made = Proxy(int(psycopg.conninfo.conninfo_to_dict(settings.writer_dsn)["port"]))
    yield made
    made.close()
    made._loop.close()


@pytest.fixture
def through(settings: Settings, proxy: Proxy) -> str:
    """The writer's URL through the proxy."""
    port = psycopg.conninfo.conninfo_to_dict(settings.writer_dsn)["port"]
    return settings.writer_dsn.replace(f":{port}/", f":{proxy.port}/")


def wait_until(happened: Callable[[], object]) -> None:
    """Until it has happened; fails when it does not."""
    for _ in range(int(PATIENCE_SECONDS) * 20):
        if happened():
            return
        threading.Event().wait(0.05)
    pytest.fail("it did not happen in time")


def stream_row(connection: Connection) -> dict[str, object]:
    row = connection.execute("SELECT *, lease_until > clock_timestamp() AS valid FROM ledger.streams").fetchone()
    assert row is not None
    return row


def test_what_the_keeper_could_not_say_is_in_the_ledger_afterwards(
    connection: Connection, through: str, proxy: Proxy, epoch: int, caplog: pytest.LogCaptureFixture
) -> None:
    connection.execute("UPDATE ledger.streams SET lease_until = clock_timestamp()")
    keeper = Keeper(through, epoch, lease_seconds=0.5, life_seconds=600, submitter=None)
    keeper.start()
    try:
        wait_until(lambda: stream_row(connection)["valid"])
        proxy.cut()
        wait_until(lambda: "the ledger does not answer" in caplog.text)
        keeper.say("waiting", "PostgreSQL is away; since noon")
        keeper.run_query(
            "ledger/claims.note_durations", epoch=epoch, lane="small", batch=1, duration_ms=1, durations="{}"
        )
        wait_until(lambda: not stream_row(connection)["valid"])
        assert stream_row(connection)["last_error"] is None
        proxy.mend()
        wait_until(lambda: stream_row(connection)["valid"])
        wait_until(lambda: stream_row(connection)["last_error"])
    finally:
        keeper.close(leases.EndedHow.ASKED, "the test is over")
        keeper.join()
    row = stream_row(connection)
    assert (row["epoch"], row["last_error"]) == (epoch, "PostgreSQL is away; since noon")
    assert row["ended_because"] == "the test is over"
    said = [record.getMessage() for record in caplog.records if record.name.startswith("spark_jobs.")]
    assert len(said) == 2
    assert said[0].startswith("the ledger does not answer; since 20")
    assert said[1].startswith("back after ")


def test_an_outage_that_the_stream_did_not_notice_is_in_the_ledger_too(
    connection: Connection, through: str, proxy: Proxy, epoch: int, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = Keeper(through, epoch, lease_seconds=0.5, life_seconds=600, submitter=None)
    keeper.start()
    try:
        proxy.cut()
        wait_until(lambda: "the ledger does not answer" in caplog.text)
        proxy.mend()
        wait_until(lambda: stream_row(connection)["last_error"])
    finally:
        keeper.close(leases.EndedHow.ASKED, "the test is over")
        keeper.join()
    assert "; over after " in str(stream_row(connection)["last_error"])


@pytest.fixture
def driver(through: str, connection: Connection, tmp_path: Path) -> Iterator[Tree]:
    """The stream, submitted as the operator does, with a short lease and its database behind the proxy."""
    lease = leases.take(connection, submitted_by="test", seconds=120)
    assert lease is not None
    more = {"SLUICE_WRITER_URL": through, "SLUICE_STREAM_TOKEN": lease.token, "SLUICE_LEASE_SECONDS": "2"}
    with Tree(submit_command(), spark_environment(**more), tmp_path / "driver.log") as tree:
        yield tree


def loaded(connection: Connection, name: str) -> bool:
    found = connection.execute("SELECT 1 FROM ledger.files WHERE name = %s AND state = 'loaded'", [name])
    return found.fetchone() is not None


def test_the_stream_waits_for_its_database_and_goes_on_under_the_same_epoch(
    connection: Connection, land: Land, proxy: Proxy, driver: Tree
) -> None:
    land(f"{HEADER}\n{event(1)}\n", name="first.csv")
    wait_until(lambda: loaded(connection, "first.csv"))
    proxy.cut()
    land(f"{HEADER}\n{event(2)}\n", name="second.csv")
    wait_until(lambda: "PostgreSQL is away" in driver.log.read_text())
    wait_until(lambda: not stream_row(connection)["valid"])
    proxy.mend()
    wait_until(lambda: loaded(connection, "second.csv"))
    wait_until(lambda: "; over after " in str(stream_row(connection)["last_error"]))
    row = stream_row(connection)
    assert (row["state"], row["valid"]) == ("running", True)
    assert str(row["last_error"]).startswith("PostgreSQL is away; since 20")
    assert "UTC; tried again every 1 to 15 s by itself, nothing is lost" in str(row["last_error"])
    leases.request_stop(connection)
    assert driver.wait() == 0
    said = driver.log.read_text()
    assert "\tat " not in said, "stack traces of a failure that a rule knows"
    lines = said[said.index("has begun") :].splitlines()
    assert sum("PostgreSQL is away; since" in line for line in lines) == 1
    assert sum("the ledger does not answer" in line for line in lines) <= 2
    assert sum("back after" in line for line in lines) == 2


@pytest.fixture
def full_disk(postgres_server: embedded.Server, database_url: str) -> Iterator[SmallDisk]:
    """A disk of its own for the month of the events that land here, not full yet."""
    name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
    with small_disk(64) as disk, database.connect(postgres_server.url(str(name))) as superuser:
        assert postgres_server.process is not None
        uid = psutil.Process(postgres_server.process.pid).uids().effective
        (disk.folder / "tables").mkdir(mode=0o700)
        os.chown(disk.folder / "tables", uid, -1)
        superuser.execute(f"CREATE TABLESPACE small LOCATION '{disk.folder}/tables'")
        [month] = superuser.execute("SELECT month FROM ledger.make_month('2026-11-22', 'month', false)")
        events = sql.Identifier("public", month["month"])
        superuser.execute(sql.SQL("ALTER TABLE {} SET TABLESPACE small").format(events))
        yield disk
        superuser.execute(sql.SQL("ALTER TABLE {} SET TABLESPACE pg_default").format(events))
        superuser.execute("DROP TABLESPACE small")


def test_a_full_disk_is_waited_for_and_wrong_grants_end_the_stream_with_the_remedy(
    connection: Connection, land: Land, full_disk: SmallDisk, driver: Tree
) -> None:
    full_disk.fill()
    land(table(*(event(n) for n in range(1000))), name="first.csv")
    wait_until(lambda: stream_row(connection)["state"] == "waiting")
    said = "the disk of PostgreSQL's data folder is full: free space there; since 20"
    assert str(stream_row(connection)["last_error"]).startswith(said)
    assert said in driver.log.read_text()
    full_disk.free()
    wait_until(lambda: loaded(connection, "first.csv"))
    wait_until(lambda: stream_row(connection)["state"] == "running")
    assert "; over after " in str(stream_row(connection)["last_error"])

    connection.execute("REVOKE INSERT ON events FROM sluice_writer")
    land(table(event(5000)), name="second.csv")
    assert driver.wait() == STOPPED
    row = stream_row(connection)
    assert row["state"] == "ended"
    assert row["ended_how"] == "environment"
    assert str(row["ended_because"]).startswith(
        "the environment is wrong: the schema or its grants are not as Sluice left them"
    )
    assert "permission denied for table events" in str(row["ended_because"])
    assert str(row["ended_because"]) in driver.log.read_text()
    assert not leases.pulse(connection).due
    assert "\tat " not in driver.log.read_text()
