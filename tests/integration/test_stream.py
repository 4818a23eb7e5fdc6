"""The stream as it really runs: spark-submit, its Python workers, PostgreSQL, a checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from sluice.base.settings import PROJECT, Settings
from sluice.ledger import leases
from sluice.proof.reconcile import reconcile
from tests.loading import HEADER, Connection, event
from tests.streaming import PATIENCE_SECONDS, spark_environment, submit_command

Land = Callable[..., int]
Submit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def submit(settings: Settings, connection: Connection) -> Submit:
    """Submits the stream as the operator does; returns when it has ended. ``meanwhile`` runs beside it."""

    def run(
        *arguments: str, meanwhile: Callable[[], None] | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        lease = leases.take(connection, submitted_by="test", seconds=120)
        assert lease is not None
        beside = threading.Thread(target=meanwhile, daemon=True) if meanwhile else None
        if beside:
            beside.start()
        done = subprocess.run(
            submit_command(*arguments),
            env=spark_environment(SLUICE_STREAM_TOKEN=lease.token, **environment),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        if beside and done.returncode == 0:  # otherwise it may wait for what will not happen
            beside.join(PATIENCE_SECONDS)
        return done

    return run


def states(connection: Connection) -> list[str]:
    rows = connection.execute("SELECT state FROM ledger.files ORDER BY file_id").fetchall()
    return [row["state"] for row in rows]


def test_a_drain_loads_what_had_landed_once_though_a_task_dies_before_and_after_its_commit(
    submit: Submit, land: Land, connection: Connection, settings: Settings, tmp_path: Path
) -> None:
    for n in range(6):
        land(f"{HEADER}\n{event(2 * n)}\n{event(2 * n + 1)}\n", name=f"{n}.csv")
    died = tmp_path / "died"
    done = submit("--drain", SLUICE_CRASH_AT="load.before_commit", SLUICE_CRASH_ONCE=str(died))
    assert done.returncode == 0, done.stderr[-3000:]
    assert died.exists()
    assert states(connection) == ["loaded"] * 6
    assert connection.execute("SELECT count(*) AS n FROM events").fetchone() == {"n": 12}

    # A checkpoint that is newer than the ledger, as after a restore: its offset is past every claim there is.
    connection.execute("DELETE FROM events")
    connection.execute("UPDATE ledger.files SET state = 'landed', claim = 1, loaded_at = NULL WHERE file_id = 1")
    connection.execute("UPDATE ledger.files SET state = 'landed', claim = NULL, loaded_at = NULL WHERE file_id > 1")
    for archived in settings.archive_dir.rglob("*.csv"):
        archived.rename(settings.processing_dir / archived.name)
    connection.execute("UPDATE ledger.files SET path = 'processing/' || substring(path FROM '[^/]+$')")
    died.unlink()
    done = submit("--drain", SLUICE_CRASH_AT="load.after_commit", SLUICE_CRASH_ONCE=str(died))
    assert done.returncode == 0, done.stderr[-3000:]
    assert died.exists()
    assert states(connection) == ["loaded"] * 6

    # A checkpoint that a power cut has torn.
    newest = max((settings.checkpoint_dir / "small" / "offsets").glob("[0-9]*"), key=lambda path: int(path.name))
    os.truncate(newest, 0)
    newest.with_name(f".{newest.name}.crc").unlink(missing_ok=True)
    land(f"{HEADER}\n{event(99)}\n", name="torn.csv")
    done = submit("--drain")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "the checkpoint is damaged" in done.stdout
    assert states(connection) == ["loaded"] * 7

    # No checkpoint at all.
    shutil.rmtree(settings.checkpoint_dir)
    land(f"{HEADER}\n{event(100)}\n", name="late.csv")
    done = submit("--drain", SLUICE_LOG="json")
    assert done.returncode == 0
    assert states(connection) == ["loaded"] * 8
    said = [json.loads(line) for line in (done.stdout + done.stderr).splitlines() if line.startswith("{")]
    [told] = [one for one in said if one.get("event") == "file_loaded"]
    assert (told["name"], told["rows_loaded"], told["contract"]) == ("late.csv", 1, "events")
    assert any(one["logger"] == "sluice.stream" for one in said), "the driver's own lines are JSON too"
    assert reconcile(settings, settings.reader_dsn).holds


def test_a_small_file_does_not_wait_for_a_big_one(submit: Submit, land: Land, connection: Connection) -> None:
    rows = "\n".join([HEADER, *(event(n) for n in range(600_000))]) + "\n"
    land(f"{HEADER}\n{event(700_000)}\n", name="first.csv")  # the small lane's processes are warm then

    def wait_while(query: str) -> None:
        while connection.execute(query).fetchone():  # type: ignore[call-overload]
            threading.Event().wait(0.05)

    def land_beside() -> None:
        wait_while("SELECT 1 FROM ledger.files WHERE state = 'landed'")
        with connection.transaction():
            land(rows, name="big.csv")
            connection.execute("UPDATE ledger.files SET lane = 'big' WHERE name = 'big.csv'")
        wait_while("SELECT 1 FROM ledger.files WHERE state = 'landed' FOR UPDATE SKIP LOCKED")
        land(f"{HEADER}\n{event(700_001)}\n", name="small.csv")
        wait_while("SELECT 1 FROM ledger.files WHERE state = 'landed'")
        leases.request_stop(connection)

    done = submit(meanwhile=land_beside)
    assert done.returncode == 0, done.stdout[-3000:]
    order = connection.execute("SELECT name FROM ledger.files ORDER BY loaded_at").fetchall()
    assert [row["name"] for row in order] == ["first.csv", "small.csv", "big.csv"]
    noted = connection.execute("SELECT lane, files FROM ledger.batches ORDER BY lane, batch").fetchall()
    assert [tuple(row.values()) for row in noted] == [("big", 1), ("small", 1), ("small", 1)]


def test_the_stream_outlives_the_database_connection_and_ends_when_a_stop_is_requested(
    submit: Submit, land: Land, connection: Connection, settings: Settings
) -> None:
    land(f"{HEADER}\n{event(1)}\n", name="first.csv")

    def wait_for(query: str) -> None:
        while not connection.execute(query).fetchone():  # type: ignore[call-overload]
            threading.Event().wait(0.1)

    def cut_then_stop() -> None:
        wait_for("SELECT 1 AS found FROM ledger.files WHERE state = 'loaded'")
        with psycopg.connect(settings.writer_dsn, autocommit=True) as writer:
            writer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name ~ '^sluice-(stream|keeper)'"
            )
        land(f"{HEADER}\n{event(2)}\n", name="second.csv")
        wait_for("SELECT 1 AS found FROM ledger.files WHERE name = 'second.csv' AND state = 'loaded'")
        leases.request_stop(connection)

    done = submit(meanwhile=cut_then_stop)
    assert done.returncode == 0, done.stdout[-3000:]
    assert states(connection) == ["loaded"] * 2
    stream = connection.execute("SELECT state, ended_how, ended_because FROM ledger.streams").fetchone()
    assert stream == {"state": "ended", "ended_how": "asked", "ended_because": "a stop was requested"}


def test_a_second_driver_with_the_same_token_ends_without_touching_anything(
    settings: Settings, connection: Connection
) -> None:
    lease = leases.take(connection, submitted_by="test", seconds=60)
    assert lease is not None
    leases.begin(connection, token=lease.token, host="first", pid=1, seconds=60)
    done = subprocess.run(
        [sys.executable, str(PROJECT / "spark_jobs" / "stream_events.py")],
        env=os.environ | {"SLUICE_STREAM_TOKEN": lease.token},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3
    assert "used before" in done.stdout
