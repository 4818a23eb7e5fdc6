"""What the sink notes of its micro-batches: only of a stream that may still write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import psycopg
import pyarrow as pa
import pytest

from sluice.base import database, queries
from sluice.base.settings import PROJECT, Settings
from sluice.ledger import leases
from sluice.loading.load_file import FileLoader
from spark_jobs.event_loader import EventLoadWriter, Loaded
from spark_jobs.landed_files import LandedFilesReader
from tests.loading import Connection, event, table

Land = Callable[..., int]


@pytest.fixture
def loaded(settings: Settings, land: Land, epoch: int) -> int:
    """A loaded file of two rows."""
    loader = FileLoader(settings, epoch)
    file_id = land(table(event(1), event(2)))
    loader.load(file_id)
    loader.close()
    return file_id


def batches(connection: Connection) -> list[dict[str, object]]:
    return connection.execute("SELECT batch, files, rows_loaded, duration_ms FROM ledger.batches").fetchall()


def note_durations(settings: Settings, epoch: int) -> None:
    values = {"epoch": epoch, "lane": "small", "batch": 7, "duration_ms": 5, "durations": "{}"}
    with database.connect(settings.writer_dsn) as writer:
        queries.run(writer, "ledger/claims.note_durations", **values)


def test_a_living_stream_notes_its_batches(connection: Connection, settings: Settings, loaded: int, epoch: int) -> None:
    for _ in range(2):
        EventLoadWriter(epoch, "small").commit([Loaded([loaded]), None], 7)
    note_durations(settings, epoch)
    assert batches(connection) == [{"batch": 7, "files": 1, "rows_loaded": 2, "duration_ms": 5}]


def test_a_file_that_waits_for_another_transaction_is_not_of_the_batch_and_is_dealt_out_again(
    settings: Settings, connection: Connection, land: Land, loaded: int, epoch: int
) -> None:
    waiting, other = land(table(event(1), event(3)), "b.csv"), land(table(event(4)), "c.csv")
    source = LandedFilesReader(epoch, 1, "small")
    offset = source.latestOffset({"claim": 0}, source.getDefaultReadLimit())
    with database.connect(settings.writer_dsn) as holder, holder.transaction():
        queries.run(psycopg.RawCursor(holder), "load/withdraw.hold_file", loaded)
        rows = pa.RecordBatch.from_pydict({"file_id": [waiting, other]})
        assert EventLoadWriter(epoch, "small").write(iter([rows])) == Loaded([other])
    again = source.latestOffset(offset, source.getDefaultReadLimit())
    [share] = source.partitions(offset, again)
    assert [file_id for file_id, *_ in share.files] == [waiting]  # type: ignore[attr-defined]
    source.stop()


def test_a_fenced_stream_notes_no_batch(connection: Connection, loaded: int, epoch: int) -> None:
    leases.end(connection, epoch=epoch, how=leases.EndedHow.FAILED, because="another took over")
    with pytest.raises(leases.StreamFenced):
        EventLoadWriter(epoch, "small").commit([Loaded([loaded])], 7)
    assert batches(connection) == []


def test_a_fenced_stream_changes_no_batch(connection: Connection, settings: Settings, loaded: int, epoch: int) -> None:
    EventLoadWriter(epoch, "small").commit([Loaded([loaded])], 7)
    leases.end(connection, epoch=epoch, how=leases.EndedHow.FAILED, because="another took over")
    note_durations(settings, epoch)
    assert batches(connection) == [{"batch": 7, "files": 1, "rows_loaded": 2, "duration_ms": None}]


@pytest.mark.parametrize("kind", ["json", "text"])
def test_what_spark_s_worker_loads_is_a_line_of_its_log_each(land: Land, epoch: int, kind: str) -> None:
    file_id, rejected = land(table(event(1), event(2)), "shop.csv"), land("a,b\n1,2\n", "other.csv")
    script = (
        "from pyspark import daemon\n"
        "from spark_jobs import event_loader, worker_daemon\n"
        f"daemon.manager = lambda: [event_loader.loader({epoch}).load(one) for one in ({file_id}, {rejected})]\n"
        "worker_daemon.main()\n"
    )
    environment = os.environ | {"SLUICE_LOG": kind}
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    if kind == "json":
        told = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
        assert [(one["event"], one["name"]) for one in told] == [
            ("file_loaded", "shop.csv"),
            ("file_rejected", "other.csv"),
        ]
        assert (told[0]["rows_loaded"], told[0]["contract"], told[0]["level"]) == (2, "events", "INFO")
    else:
        lines = [line for line in done.stderr.splitlines() if " sluice.loading." in line]
        assert len(lines) == 2, done.stderr
        assert f"INFO sluice.loading.one_load file {file_id} (shop.csv) is loaded under contract events" in lines[0]
        assert f"file {rejected} (other.csv) is rejected: " in lines[1]
