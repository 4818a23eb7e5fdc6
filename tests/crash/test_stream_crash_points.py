"""The real stream under SIGKILL and SIGSTOP: what Spark, its workers and an old driver do, and that it costs no row."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from sluice.base.settings import Settings
from sluice.generator.files import write_file
from sluice.ledger import leases
from sluice.proof.reconcile import reconcile
from tests.crash.conftest import Land, Move
from tests.loading import Connection, event, recount, state, table
from tests.streaming import Tree, spark_environment, submit_command

SOURCE = ["source.before_commit", "source.after_commit"]
TASK = [
    "load.after_copy",
    "load.before_tally",
    "load.before_commit",
    "load.after_commit",
    "archive.before_move",
    "archive.after_move",
]
# Like the task of Airflow: it reads what the driver prints, and waits for its end.
SUBMITTER = """
import os, subprocess, sys
os.environ["SLUICE_SUBMITTER_PID"] = str(os.getpid())
driver = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
for line in driver.stdout:
    print(line, end="", flush=True)
sys.exit(driver.wait())
"""


def lease(writer: Connection) -> leases.Lease:
    taken = leases.take(writer, submitted_by="test", seconds=120)
    assert taken is not None
    return taken


def waiting_sessions(writer: Connection) -> int:
    """Sessions of streams that wait for a lock."""
    return writer.execute(
        "SELECT FROM pg_stat_activity WHERE application_name ~ '^sluice-stream-' AND wait_event_type = 'Lock'"
    ).rowcount


def stream_sessions(writer: Connection) -> set[int]:
    """The pids of PostgreSQL's processes that serve streams."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name ~ '^sluice-stream-'"
    return {row["pid"] for row in writer.execute(query)}


def all_are(connection: Connection, wanted: str, files: int) -> bool:
    query = "SELECT FROM ledger.files WHERE state = %s"
    return connection.execute(query, [wanted]).rowcount == files


GATE = """
    CREATE OR REPLACE FUNCTION public.pass_the_gate() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM set_config('lock_timeout', '0', true);
        PERFORM pg_advisory_xact_lock_shared(1);
        RETURN NULL;
    END
    $$;
    CREATE OR REPLACE TRIGGER the_gate BEFORE INSERT ON public.events EXECUTE FUNCTION public.pass_the_gate();
"""


@contextmanager
def closed_gate(settings: Settings) -> Iterator[None]:
    """As long as this lasts, no load gets on with writing into events, and none gives up waiting."""
    with psycopg.connect(settings.owner_dsn) as connection:
        connection.execute(GATE)
        connection.commit()
        connection.execute("SELECT pg_advisory_xact_lock(1)")
        yield


def test_a_stream_killed_once_at_every_point_loads_each_row_once_and_ends_when_its_submitter_is_killed(
    settings: Settings, connection: Connection, writer: Connection, land: Land, move: Move, tmp_path: Path
) -> None:
    land(**{f"f{n}": table(event(n), event(n + 50, kind="teleport"), event(100)) for n in range(4)})
    died = tmp_path / "died"
    environment = spark_environment(
        SLUICE_STREAM_TOKEN=lease(writer).token,
        SLUICE_CRASH_AT=",".join(SOURCE + TASK),
        SLUICE_CRASH_ONCE=str(died),
    )
    with Tree([sys.executable, "-c", SUBMITTER, *submit_command()], environment, tmp_path / "log") as submitter:
        submitter.wait_for(lambda: died.exists() and died.read_text().split()[-1:] == ["archive.after_move"])
        submitter.wait_for(lambda: all_are(connection, "loaded", 4))
        assert sorted(died.read_text().split()) == sorted(SOURCE + TASK)

        submitter.kill_root()
        submitter.wait_for(lambda: submitter.processes() == [], also_when_ended=True)
    [stream] = connection.execute("SELECT state, ended_how, ended_because FROM ledger.streams").fetchall()
    assert stream == {"state": "ended", "ended_how": "submitter_died", "ended_because": "its submitter died"}
    move()
    assert list(settings.processing_dir.glob("[!.]*")) == []
    assert sum(loaded for loaded, _, _ in recount(connection).values()) == 4 + 1
    assert reconcile(settings, settings.reader_dsn).holds


def test_a_driver_that_slept_while_another_took_over_writes_nothing_and_ends(
    settings: Settings,
    connection: Connection,
    writer: Connection,
    land: Land,
    tmp_path: Path,
) -> None:
    sent = write_file(tmp_path / "big.csv", rows=50_000, seed="big")
    [file_id] = land(big=sent.path)
    old = lease(writer)
    environment = spark_environment(SLUICE_STREAM_TOKEN=old.token, SLUICE_LEASE_SECONDS="3")
    with Tree(submit_command(), environment, tmp_path / "old") as driver:
        with closed_gate(settings):
            driver.wait_for(lambda: waiting_sessions(writer))
            driver.signal_all(signal.SIGSTOP)
        driver.wait_for(lambda: leases.living(writer) is None)
        new = lease(writer)
        driver.signal_all(signal.SIGCONT)
        assert driver.wait() == 3
        driver.wait_for(lambda: driver.processes() == [], also_when_ended=True)
    ended = connection.execute("SELECT state FROM ledger.streams WHERE epoch = %s", [old.epoch]).fetchone()
    assert ended == {"state": "fenced"}
    assert state(connection, file_id) == "landed"
    assert connection.execute("SELECT FROM public.events").rowcount == 0

    environment = spark_environment(SLUICE_STREAM_TOKEN=new.token)
    with Tree(submit_command("--drain"), environment, tmp_path / "new") as driver:
        assert driver.wait() == 0
    assert recount(connection) == {file_id: (50_000, 0, 0)}


@pytest.fixture
def cluster(settings: Settings, tmp_path: Path) -> Iterator[tuple[str, list[Tree]]]:
    """A standalone cluster: its master's URL, and two workers of one core with addresses of their own."""
    with ExitStack() as stack:

        def start(host: str, what: str, *arguments: str) -> Tree:
            command = [
                "spark-class",
                f"org.apache.spark.deploy.{what}",
                "--host",
                host,
                "--webui-port",
                "0",
                *arguments,
            ]
            environment = spark_environment(SPARK_LOCAL_IP=host, SPARK_DAEMON_MEMORY="256m")
            return stack.enter_context(Tree(command, environment, tmp_path / f"log-{host}-{what}"))

        master = start("127.0.0.1", "master.Master", "--port", "0")

        def urls() -> list[str]:
            return re.findall(r"Starting Spark master at (\S+)", master.log.read_text())

        master.wait_for(urls)
        options = ["--cores", "1", "--memory", "512m", "--work-dir", str(tmp_path / "work"), *urls()]
        yield urls()[0], [start(host, "worker.Worker", *options) for host in ("127.0.0.1", "127.0.0.2")]


def executors(workers: list[Tree]) -> list[psutil.Process]:
    backend = "org.apache.spark.executor.CoarseGrainedExecutorBackend"
    return [process for worker in workers for process in worker.processes() if backend in process.cmdline()]


def test_a_task_that_spark_speculates_or_runs_again_after_its_executors_died_loads_each_row_once(
    settings: Settings,
    connection: Connection,
    writer: Connection,
    cluster: tuple[str, list[Tree]],
    land: Land,
    tmp_path: Path,
) -> None:
    """Speculation needs a second host, so local[…] never speculates: two workers have an address each.

    The stream has no shuffle, so no stage is ever run again as such; what can happen to its one stage is what happens
    here, that all of its executors die and its tasks run again on others.
    """
    url, workers = cluster
    conf = {
        "spark.driver.host": "127.0.0.1",
        "spark.executor.memory": "512m",
        "spark.speculation": "true",
        "spark.speculation.interval": "100ms",
        "spark.speculation.task.duration.threshold": "500ms",
    }
    environment = spark_environment(SLUICE_STREAM_TOKEN=lease(writer).token)
    with Tree(submit_command(master=url, conf=conf), environment, tmp_path / "log") as driver:
        with closed_gate(settings):
            [speculated] = land(speculated=table(event(1), event(2), event(2)))
            driver.wait_for(lambda: waiting_sessions(writer) == 2)
        driver.wait_for(lambda: all_are(connection, "loaded", 1))

        with closed_gate(settings):
            [again] = land(again=table(event(3), event(4, kind="teleport")))
            driver.wait_for(lambda: waiting_sessions(writer) == 2)
            for executor in executors(workers):
                executor.kill()
            # Those of the dead still wait, until the server has something to tell them.
            before = stream_sessions(writer)
            driver.wait_for(lambda: stream_sessions(writer) - before)
        driver.wait_for(lambda: all_are(connection, "loaded", 2))
        leases.request_stop(writer)
        assert driver.wait() == 0
    assert recount(connection) == {speculated: (2, 0, 1), again: (1, 1, 0)}
    assert reconcile(settings, settings.reader_dsn).holds
