"""While its database is away the stream waits and says so, and goes on as the same stream when it is back."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from sluice import leases
from sluice.settings import PROJECT, Settings
from spark_jobs.keeper import Keeper
from tests.chaos.proxy import Proxy
from tests.loading import HEADER, Connection, event

Land = Callable[..., int]
SECONDS = 120


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
    for _ in range(SECONDS * 20):
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
        keeper.run_query("note_durations", {"epoch": epoch, "batch": 1, "duration_ms": 1, "durations": "{}"})
        wait_until(lambda: not stream_row(connection)["valid"])
        assert stream_row(connection)["last_error"] is None
        proxy.mend()
        wait_until(lambda: stream_row(connection)["valid"])
        wait_until(lambda: stream_row(connection)["last_error"])
    finally:
        keeper.close("the test is over")
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
        keeper.close("the test is over")
        keeper.join()
    assert "; over after " in str(stream_row(connection)["last_error"])


def test_the_stream_waits_for_its_database_and_goes_on_under_the_same_epoch(
    settings: Settings, connection: Connection, land: Land, through: str, proxy: Proxy, tmp_path: Path
) -> None:
    lease = leases.take(connection, submitted_by="test", seconds=120)
    assert lease is not None
    log = tmp_path / "driver.log"
    jobs = PROJECT / "spark_jobs"
    command = ["spark-submit", "--master", "local[2,4]", "--properties-file", str(jobs / "spark.conf")]
    environment = {
        "SLUICE_WRITER_URL": through,
        "SLUICE_LEASE_SECONDS": "2",
        "SLUICE_STREAM_TOKEN": lease.token,
        "SLUICE_SUBMITTER_PID": str(os.getpid()),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }

    def loaded(name: str) -> bool:
        found = connection.execute("SELECT 1 FROM ledger.files WHERE name = %s AND state = 'loaded'", [name])
        return found.fetchone() is not None

    with log.open("wb") as output:
        driver = subprocess.Popen(
            [*command, str(jobs / "stream_events.py")],
            env=os.environ | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        land(f"{HEADER}\n{event(1)}\n", name="first.csv")
        wait_until(lambda: loaded("first.csv"))
        proxy.cut()
        land(f"{HEADER}\n{event(2)}\n", name="second.csv")
        wait_until(lambda: "PostgreSQL is away" in log.read_text())
        wait_until(lambda: not stream_row(connection)["valid"])
        proxy.mend()
        wait_until(lambda: loaded("second.csv"))
        wait_until(lambda: "; over after " in str(stream_row(connection)["last_error"]))
        row = stream_row(connection)
        assert (row["state"], row["epoch"], row["valid"]) == ("running", lease.epoch, True)
        assert str(row["last_error"]).startswith("PostgreSQL is away; since 20")
        assert "UTC; tried again every 1 to 15 s by itself, nothing is lost" in str(row["last_error"])
        leases.request_stop(connection)
        assert driver.wait(SECONDS) == 0
    finally:
        if driver.poll() is None:
            driver.kill()
            driver.wait()
    said = log.read_text()
    assert "\tat " not in said, "stack traces of a failure that a rule knows"
    lines = said[said.index("has begun") :].splitlines()
    assert sum("PostgreSQL is away; since" in line for line in lines) == 1
    assert sum("the ledger does not answer" in line for line in lines) <= 2
    assert sum("back after" in line for line in lines) == 2
