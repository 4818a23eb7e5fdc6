"""The operators of ingest_events on a real ledger, with a program of our own in the place of spark-submit."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from sluice.base import database, queries
from sluice.base.settings import PROJECT, SettingError, Settings
from sluice.landing import folders, lookout
from sluice.landing.notices import Notices
from sluice.ledger import contract_waits, leases

Connection = psycopg.Connection[dict[str, Any]]
Calls = Callable[[], list[dict[str, Any]]]

# What the driver would do, as a real process: it writes down how it was called, then acts as FAKE_DO says.
FAKE = f"""#!{sys.executable}
import json, os, signal, sys, time
sys.path.insert(0, {str(PROJECT)!r})
from sluice.base import database, settings; from sluice.ledger import leases
names = ("SLUICE_STREAM_TOKEN", "SLUICE_SUBMITTER_PID", "SLUICE_WRITER_URL", "PYTHONPATH", "PYSPARK_PYTHON")
with open(os.environ["FAKE_RECORD"], "a") as record:
    call = {{"argv": sys.argv[1:], "parent": os.getppid()}} | {{name: os.environ.get(name) for name in names}}
    record.write(json.dumps(call) + "\\n")
print("a driver logs something", flush=True)
do = os.environ["FAKE_DO"]
if do == "fail":
    sys.exit("java is missing")
if do == "stop unseen":
    sys.exit(5)
with database.connect(settings.load().writer_dsn) as connection:
    epoch = leases.begin(
        connection, token=os.environ["SLUICE_STREAM_TOKEN"], host="here", pid=os.getpid(), seconds=60
    )
    if do == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "stop":
        how, because = leases.EndedHow.ENVIRONMENT, "the environment is wrong: check the grants"
        leases.end(connection, epoch=epoch, how=how, because=because)
        sys.exit(5)
    if do == "error":
        leases.say(connection, epoch=epoch, state="running", error="the disk is full")
    while do == "stream" and not leases.renew(connection, epoch=epoch, seconds=60):
        time.sleep(0.02)
    if do == "load":
        connection.execute("UPDATE ledger.files SET state = 'rejected' WHERE state = 'landed'")
    leases.end(connection, epoch=epoch, how=leases.EndedHow.ASKED, because="done as asked")
"""


@pytest.fixture
def calls(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Puts the fake spark-submit on PATH; a function that returns how it was called so far."""
    folder, record = tmp_path / "bin", tmp_path / "calls"
    folder.mkdir()
    (folder / "spark-submit").write_text(FAKE)
    (folder / "spark-submit").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_RECORD", str(record))
    monkeypatch.setenv("FAKE_DO", "load")
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps({"conn_type": "spark", "host": "local[2,4]"}))
    return lambda: [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []


@pytest.fixture
def living(writer: Connection) -> int:
    """A stream that lives; its epoch."""
    lease = leases.take(writer, submitted_by="an older run", seconds=60)
    assert lease is not None
    return leases.begin(writer, token=lease.token, host="here", pid=1, seconds=60)


def run(kind: str = "scheduled") -> Any:
    """The context of a run of this type, as Airflow gives it to a task."""
    from airflow.sdk.api.datamodels._generated import DagRunType

    return {"dag_run": SimpleNamespace(run_type=DagRunType(kind), run_id=f"{kind}__1")}


def submit(kind: str = "scheduled", moved: dict[str, int] | None = None) -> None:
    """Execute the submitting task once."""
    operator(moved).execute(run(kind))


def operator(moved: dict[str, int] | None = None) -> Any:
    """The submitting task."""
    from submit_stream import SubmitStreamOperator

    return SubmitStreamOperator(task_id="submit_stream", moved=moved)


@pytest.fixture
def sensor(settings: Settings) -> Iterator[Any]:
    """The sensing task."""
    from landed_file_sensor import LandedFileSensor

    task = LandedFileSensor(task_id="sense_files")
    yield task
    task._disconnect()


def move(kind: str = "scheduled") -> Any:
    """Execute the moving task once."""
    from move_landed_files import MoveLandedFilesOperator

    return MoveLandedFilesOperator(task_id="move_files").execute(run(kind))


def land(settings: Settings, name: str = "x.csv", age: float = 10) -> Path:
    """A file in incoming that changed ``age`` seconds ago."""
    path = settings.incoming_dir / name
    path.write_text(name)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def wait_until(happened: Callable[[], Any], seconds: float = 20) -> Any:
    """What ``happened`` returns once it is true."""
    deadline = time.monotonic() + seconds
    while not (result := happened()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return result


def unmount(settings: Settings) -> Path:
    """An empty folder stands in the place of processing; where its files are now."""
    aside = settings.processing_dir.rename(settings.home_dir / "aside")
    settings.processing_dir.mkdir()
    return aside


def states(connection: Connection, table: str) -> list[str]:
    """The states of the table's rows, oldest first."""
    return [row["state"] for row in connection.execute(f"SELECT state FROM ledger.{table} ORDER BY 1")]  # type: ignore[arg-type]


def background(work: Callable[[], Any]) -> Callable[[], None]:
    """Run ``work`` in a thread; a function that waits for its end and raises what it raised."""
    raised: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()

    def join() -> None:
        thread.join(30)
        assert not thread.is_alive()
        if raised:
            raise raised[0]

    return join


def background_that_waits(task: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Run the submitting task by hand in a thread, and return when it has begun to wait."""
    waits = threading.Event()
    monkeypatch.setattr(task, "_pause", lambda: (waits.set(), time.sleep(0.01)))
    join = background(lambda: task.execute(run("manual")))
    assert waits.wait(20)
    return join


# --- sense_files -------------------------------------------------------------------------------------------------


def test_the_sensor_waits_while_nothing_has_landed_and_a_stream_lives(sensor: Any, living: int) -> None:
    assert sensor.poke(run()) is False


def test_the_sensor_fires_for_a_file_that_the_mover_takes(sensor: Any, settings: Settings, living: int) -> None:
    land(settings)
    assert sensor.poke(run()) is True


def test_the_sensor_does_not_fire_for_what_the_mover_refuses(sensor: Any, settings: Settings, living: int) -> None:
    (settings.incoming_dir / "folder.csv").mkdir()
    (settings.incoming_dir / "link.csv").symlink_to("/etc/hostname")
    land(settings, ".hidden.csv")
    land(settings, "x.csv.part")
    land(settings, "young.csv", age=-60)
    assert sensor.poke(run()) is False


def test_the_sensor_fires_when_no_stream_was_ever_started(sensor: Any, settings: Settings) -> None:
    assert sensor.poke(run()) is True


def test_the_sensor_fires_when_the_lease_has_lapsed(sensor: Any, writer: Connection, living: int) -> None:
    writer.execute("UPDATE ledger.streams SET lease_until = clock_timestamp()")
    assert sensor.poke(run()) is True


def test_the_sensor_leaves_a_pause_after_a_stream_died(
    sensor: Any, writer: Connection, living: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout, "LEDGER_EVERY_SECONDS", 0)
    leases.end(writer, epoch=living, how=leases.EndedHow.FAILED, because="it died")
    assert sensor.poke(run()) is False
    writer.execute("UPDATE ledger.streams SET ended_at = ended_at - interval '3 seconds'")
    assert sensor.poke(run()) is True


def test_the_sensor_fires_for_files_that_are_to_be_tidied(
    sensor: Any, settings: Settings, living: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout, "LEDGER_EVERY_SECONDS", 0)
    monkeypatch.setattr(lookout, "STRAYS_EVERY_SECONDS", 0)
    (settings.processing_dir / f"1-{'0' * 12}-x.csv").write_text("unknown to the ledger")
    assert sensor.poke(run()) is False  # a mover may be at work on it just now
    monkeypatch.setattr("sluice.landing.tidy._unchanged_for", lambda *_: True)
    assert sensor.poke(run()) is True


def test_pokes_share_one_connection_and_it_ends_with_the_task(
    sensor: Any, settings: Settings, living: int, connection: Connection
) -> None:
    sessions = "SELECT pid FROM pg_stat_activity WHERE application_name = 'sluice-sensor'"
    sensor.poke(run())
    before = connection.execute(sessions).fetchall()
    sensor.poke(run())
    assert connection.execute(sessions).fetchall() == before
    land(settings)
    sensor.execute(run())
    wait_until(lambda: connection.execute(sessions).fetchall() == [])


def test_a_database_that_is_away_is_said_once_and_waited_for(
    sensor: Any, settings: Settings, living: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    land(settings)
    with monkeypatch.context() as away:
        away.setenv("SLUICE_WRITER_URL", "postgresql://nobody@127.0.0.1:1/nothing")
        assert [sensor.poke(run()) for _ in range(3)] == [False] * 3
    assert capfd.readouterr().out.count("the database is away") == 1
    assert sensor.poke(run()) is True


def test_a_run_by_hand_does_not_wait_for_files(sensor: Any, settings: Settings) -> None:
    assert sensor.poke(run("manual")) is True


def test_a_run_by_hand_waits_for_files_that_still_change(
    sensor: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import landed_file_sensor

    path = land(settings, age=0)
    assert sensor.poke(run("manual")) is False
    os.utime(path, (1, 1))
    assert sensor.poke(run("manual")) is True
    monkeypatch.setattr(landed_file_sensor, "BY_HAND_PATIENCE_SECONDS", -100)
    land(settings, "grows.csv", age=0)
    sensor._patience = None
    assert sensor.poke(run("manual")) is True


# --- move_files --------------------------------------------------------------------------------------------------


def test_the_moving_task_says_which_files_it_moved(settings: Settings, writer: Connection) -> None:
    assert move() == {}
    land(settings, "a.csv")
    land(settings, "b.csv")
    assert move() == {"first": 1, "last": 2}
    assert states(writer, "files") == ["landed", "landed"]
    assert move() == {}
    assert move("manual") == {"first": 1, "last": 2}


def test_a_mover_stays_while_a_stream_lives_and_moves_what_lands(
    settings: Settings, writer: Connection, living: int, monkeypatch: pytest.MonkeyPatch, sensor: Any
) -> None:
    monkeypatch.setattr(lookout, "LEDGER_EVERY_SECONDS", 0)
    result: list[dict[str, int]] = []
    join = background(lambda: result.append(move()))
    wait_until(lambda: lookout.is_watched(writer))
    with database.connect(settings.writer_dsn) as listener:
        queries.run(listener, "ledger/watch.listen_landed")
        for name in ("a.csv", "b.csv"):
            land(settings, name)
            assert sensor.poke(run()) is False, "the mover that is there takes it"
            wait_until(lambda: not list(settings.incoming_dir.iterdir()))
            assert queries.wait_for_notice(listener, 20), "the stream is told"
    leases.end(writer, epoch=living, how=leases.EndedHow.LIFE_OVER)
    join()
    assert result == [{"first": 1, "last": 2}]
    assert not lookout.is_watched(writer)
    assert sensor.poke(run()) is True, "a stream is missing"


def test_a_mover_does_not_stay_longer_than_a_sensor(
    settings: Settings, living: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_SENSOR_TIMEOUT_SECONDS", "0.1")
    land(settings)
    assert move() == {"first": 1, "last": 1}


def test_one_mover_stays_at_a_time_and_one_that_dies_makes_room(settings: Settings, writer: Connection) -> None:
    with database.connect(settings.writer_dsn) as other, lookout.on_watch(other) as first:
        with lookout.on_watch(writer) as second:
            assert (first, second) == (True, False)
        other.close()
        wait_until(lambda: not lookout.is_watched(writer))
        with lookout.on_watch(writer) as third:
            assert third


def test_what_lands_ends_a_wait(settings: Settings) -> None:
    with contextlib.closing(Notices(settings.incoming_dir)) as notices:
        assert not notices.wait(0)
        (settings.incoming_dir / "x.csv.part").write_text("x")
        assert notices.wait(20), "a file was closed after it had been written to"
        (settings.incoming_dir / "x.csv.part").rename(settings.incoming_dir / "x.csv")
        assert notices.wait(20), "a file was renamed"
        (settings.incoming_dir / "x.csv").rename(settings.processing_dir / "x.csv")
        assert not notices.wait(0), "that a file leaves is no news"


def test_where_the_kernel_tells_nothing_a_wait_takes_its_time(tmp_path: Path) -> None:
    with contextlib.closing(Notices(tmp_path / "missing")) as notices:
        assert not notices.wait(0.01)


# --- submit_stream, scheduled ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "master", ["local[2,4]", "spark://master:7077", "yarn", "k8s://https://cluster:6443"], ids=lambda master: master[:5]
)
def test_neither_token_nor_passwords_stand_on_the_command_line_whatever_the_master(
    calls: Calls, settings: Settings, writer: Connection, monkeypatch: pytest.MonkeyPatch, master: str
) -> None:
    from airflow.providers.apache.spark.hooks import spark_submit

    # To submit in client mode takes no client of Kubernetes, but the hook asks whether there is one.
    monkeypatch.setattr(spark_submit, "kube_client", object(), raising=False)
    connection = {"conn_type": "spark", "host": master, "extra": {"deploy-mode": "client"}}
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps(connection))
    submit()
    [call] = calls()
    assert call["argv"][:2] == ["--master", master]
    assert call["SLUICE_STREAM_TOKEN"]
    assert call["SLUICE_WRITER_URL"] == settings.writer_dsn
    secrets = {call["SLUICE_STREAM_TOKEN"], settings.writer_dsn, settings.reader_dsn, settings.owner_dsn}
    words = " ".join(call["argv"])
    assert "spark.hadoop.fs.permissions.umask-mode=077" in call["argv"], "the checkpoint is private too"
    assert not [secret for secret in (*secrets, "SLUICE_") if secret in words]
    assert states(writer, "streams") == ["ended"]


@pytest.mark.parametrize("master", ["spark://master:7077", "yarn"], ids=["standalone", "yarn"])
def test_deploy_mode_cluster_is_refused_with_the_remedy(
    calls: Calls, writer: Connection, monkeypatch: pytest.MonkeyPatch, master: str
) -> None:
    connection = {"conn_type": "spark", "host": master, "extra": {"deploy-mode": "cluster"}}
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps(connection))
    with pytest.raises(SettingError, match="set deploy-mode to client"):
        submit()
    assert calls() == []
    assert states(writer, "streams") == ["ended"]


def test_a_submitted_driver_gets_token_submitter_and_secrets_by_environment(
    settings: Settings,
    writer: Connection,
    calls: Calls,
    capfd: pytest.CaptureFixture[str],
) -> None:
    submit()
    said = "".join(capfd.readouterr())
    (call,) = calls()
    (row,) = writer.execute("SELECT * FROM ledger.streams").fetchall()
    assert call["SLUICE_STREAM_TOKEN"] == str(row["token"])
    assert call["SLUICE_SUBMITTER_PID"] == str(os.getpid()) == str(call["parent"])
    assert (call["SLUICE_WRITER_URL"], call["PYTHONPATH"]) == (settings.writer_url, str(PROJECT))
    arguments = " ".join(call["argv"])
    assert arguments.startswith("--master local[2,4] ")
    assert "--driver-memory 1g" in arguments
    assert arguments.endswith(f" {PROJECT}/spark_jobs/stream_events.py")
    assert "only-for-tests" not in arguments + said
    assert call["SLUICE_STREAM_TOKEN"] not in arguments + said
    assert (row["submitted_by"].split(" ")[0], row["ended_because"]) == ("scheduled__1", "done as asked")


def test_a_living_stream_ends_the_task_as_success(living: int, calls: Calls, capfd: pytest.CaptureFixture[str]) -> None:
    submit()
    assert calls() == []
    assert f"stream {living} lives (running, on here), submitted by an older run" in capfd.readouterr().out


@pytest.mark.parametrize("death", ["fail", "die"])
def test_a_driver_that_fails_gives_the_lease_back_at_once(
    writer: Connection, calls: Calls, monkeypatch: pytest.MonkeyPatch, death: str
) -> None:
    monkeypatch.setenv("FAKE_DO", death)
    with pytest.raises(Exception, match="Cannot execute"):
        submit()
    (row,) = writer.execute("SELECT * FROM ledger.streams").fetchall()
    assert (row["state"], row["ended_how"]) == ("ended", "failed")
    assert leases.take(writer, submitted_by="the next", seconds=30) is not None


def test_a_stream_that_died_a_moment_ago_is_not_submitted_again_at_once(
    writer: Connection, living: int, calls: Calls
) -> None:
    leases.end(writer, epoch=living, how=leases.EndedHow.FAILED, because="it died")
    submit()
    assert calls() == []


@pytest.mark.parametrize(("end", "says"), [("stop", "check the grants"), ("stop unseen", "its lines above")])
def test_a_driver_whose_environment_is_wrong_fails_the_task_with_the_remedy_and_is_not_followed_at_once(
    writer: Connection, calls: Calls, monkeypatch: pytest.MonkeyPatch, end: str, says: str
) -> None:
    from sluice.ledger.leases import StreamStoppedError

    monkeypatch.setenv("FAKE_DO", end)
    with pytest.raises(StreamStoppedError, match=says):
        submit()
    submit()
    assert len(calls()) == 1


def test_killing_the_task_stops_the_stream_gracefully(
    writer: Connection, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_DO", "stream")
    task = operator()
    join = background(lambda: task.execute(run()))
    wait_until(lambda: (leases.living(writer) or {}).get("state") == "running")
    task.on_kill()
    join()
    (row,) = writer.execute("SELECT * FROM ledger.streams").fetchall()
    assert (row["ended_because"], row["stop_requested"] is not None) == ("done as asked", True)


def test_killing_a_task_that_submitted_nothing_stops_nobody(writer: Connection, living: int) -> None:
    operator().on_kill()
    assert (leases.living(writer) or {})["stop_requested"] is None


# --- submit_stream, by hand --------------------------------------------------------------------------------------


def test_by_hand_with_nothing_landed_the_task_ends_at_once(calls: Calls) -> None:
    submit("manual")
    assert calls() == []


def test_by_hand_what_has_landed_is_drained(settings: Settings, writer: Connection, calls: Calls) -> None:
    land(settings)
    submit("manual", move("manual"))
    (call,) = calls()
    assert call["argv"][-1] == "--drain"
    assert states(writer, "files") == ["rejected"]
    assert states(writer, "streams") == ["ended"]


def test_by_hand_a_pause_after_a_death_is_not_kept(
    settings: Settings, writer: Connection, living: int, calls: Calls
) -> None:
    leases.end(writer, epoch=living, how=leases.EndedHow.FAILED, because="it died")
    land(settings)
    submit("manual", move("manual"))
    assert len(calls()) == 1


def test_by_hand_a_living_stream_is_waited_for(
    settings: Settings,
    writer: Connection,
    living: int,
    monkeypatch: pytest.MonkeyPatch,
    calls: Calls,
) -> None:
    monkeypatch.setenv("SLUICE_SENSOR_TIMEOUT_SECONDS", "0.1")
    land(settings, "mine.csv")
    moved = move("manual")
    land(settings, "later.csv")
    move()
    join = background_that_waits(operator(moved), monkeypatch)
    writer.execute("UPDATE ledger.files SET state = 'rejected' WHERE name = 'mine.csv'")
    join()
    assert calls() == []
    assert sorted(states(writer, "files")) == ["landed", "rejected"]


def test_by_hand_a_stream_that_dies_meanwhile_is_replaced(
    settings: Settings,
    writer: Connection,
    living: int,
    monkeypatch: pytest.MonkeyPatch,
    calls: Calls,
) -> None:
    land(settings)
    moved = move("manual")
    join = background_that_waits(operator(moved), monkeypatch)
    writer.execute("UPDATE ledger.streams SET lease_until = clock_timestamp()")
    join()
    assert len(calls()) == 1
    assert states(writer, "streams") == ["ended", "fenced"]


def test_by_hand_the_wait_is_bounded_and_says_what_is_left(
    settings: Settings, writer: Connection, living: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from submit_stream import FilesStillLandedError

    monkeypatch.setenv("SLUICE_DRAIN_SECONDS", "0.1")
    leases.say(writer, epoch=living, state="waiting", error="the disk is full")
    land(settings)
    moved = move("manual")
    with pytest.raises(FilesStillLandedError, match=r"x\.csv \(file 1\); the stream said last: the disk is full"):
        submit("manual", moved)


def test_by_hand_streams_that_load_nothing_are_an_error(
    settings: Settings, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    from submit_stream import FilesStillLandedError

    monkeypatch.setenv("FAKE_DO", "error")
    land(settings)
    moved = move("manual")
    with pytest.raises(FilesStillLandedError, match=r"3 streams were submitted for them: .*the disk is full"):
        submit("manual", moved)
    assert len(calls()) == 3


# --- folders that are not there ----------------------------------------------------------------------------------


def test_while_a_folder_is_not_there_the_sensor_fires_for_no_file(
    settings: Settings, sensor: Any, living: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "sluice.landing.lookout")
    land(settings)
    aside = unmount(settings)
    assert [sensor.poke(run()) for _ in range(3)] == [False] * 3
    assert caplog.text.count("files stay in incoming") == 1
    settings.processing_dir.rmdir()
    aside.rename(settings.processing_dir)
    assert sensor.poke(run()) is True
    assert "the folders are back" in caplog.text


def test_while_a_folder_is_not_there_a_stream_is_brought_back_and_nothing_is_moved(
    settings: Settings, sensor: Any, calls: Calls, writer: Connection
) -> None:
    path = land(settings)
    unmount(settings)
    assert sensor.poke(run()) is True
    assert move() == {}
    submit()
    assert len(calls()) == 1
    assert path.exists()
    assert states(writer, "files") == []


def test_a_run_made_by_hand_fails_while_a_folder_is_not_there(settings: Settings) -> None:
    land(settings)
    unmount(settings)
    with pytest.raises(folders.FoldersError, match="processing lacks"):
        move("manual")


# --- files that wait for a contract ------------------------------------------------------------------------------


def test_a_run_made_by_hand_neither_waits_for_nor_submits_a_stream_for_files_that_wait_for_a_contract(
    settings: Settings, calls: Calls, writer: Connection, capfd: pytest.CaptureFixture[str]
) -> None:
    today = contract_waits.digest(contract_waits.texts(settings.contracts_dir))
    land(settings)
    moved = move("manual")
    writer.execute("UPDATE ledger.files SET waits_for = 'contract', waits_under = %s", [today])
    assert move("manual") == {}
    submit("manual", moved)
    assert calls() == []
    assert "1 files wait for a contract" in "".join(capfd.readouterr())
    writer.execute("UPDATE ledger.files SET waits_under = 'another folder'")
    assert move("manual") == moved
