"""What the sink notes of its micro-batches: only of a stream that may still write."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pyarrow as pa
import pytest

from sluice.base import database, queries
from sluice.base.settings import Settings
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
