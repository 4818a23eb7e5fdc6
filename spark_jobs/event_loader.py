"""The sink ``event_loader``: each task loads its files, one transaction a file, and hands the tallies to the driver.

What Spark guarantees and what not: ``write`` may run twice for the same files and is called with no rows for an empty
partition; ``commit`` and ``abort`` run on the driver in a fresh process, and may never run. So everything that counts
is decided in the file's own transaction (sluice/loading/load_file.py); ``commit`` only notes progress.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING

from pyspark.sql.datasource import (
    DataSource,
    DataSourceStreamArrowWriter,
    DataSourceStreamWriter,
    WriterCommitMessage,
)
from pyspark.sql.types import StructType

from sluice.base import database, queries, settings
from sluice.ledger.leases import StreamFenced

if TYPE_CHECKING:
    import pyarrow as pa

    from sluice.loading.load_file import FileLoader


@dataclass
class Loaded(WriterCommitMessage):
    """The files that one task finished; one that must wait for another transaction is not among them."""

    file_ids: list[int]


class EventLoader(DataSource):
    """Options: ``epoch``, the stream's; ``lane``, the query's.

    The database's URL comes from the environment, never from an option.
    """

    @classmethod
    def name(cls) -> str:
        """The name for ``writeStream.format``."""
        return "event_loader"

    def streamWriter(self, schema: StructType, overwrite: bool) -> DataSourceStreamWriter:
        """The writer that Spark drives."""
        return EventLoadWriter(int(self.options["epoch"]), self.options["lane"])


class EventLoadWriter(DataSourceStreamArrowWriter):
    """Loads the files whose ids it is given."""

    def __init__(self, epoch: int, lane: str) -> None:
        self._epoch = epoch
        self._lane = lane

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Loaded:
        """Load each file; raises what the database raised, and Spark retries the task."""
        file_ids = [file_id for batch in iterator for file_id in batch.column("file_id").to_pylist()]
        return Loaded([file_id for file_id in file_ids if loader(self._epoch).load(file_id).state != "landed"])

    def commit(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:
        """Note the micro-batch in ``ledger.batches``: progress for people, nothing that a promise rests on.

        Raises StreamFenced when the stream may not write any more.
        """
        file_ids = [file_id for message in messages if isinstance(message, Loaded) for file_id in message.file_ids]
        if not file_ids:
            return
        with database.connect(
            settings.load().writer_dsn, application_name=f"sluice-stream-{self._epoch}"
        ) as connection:
            values = {"epoch": self._epoch, "lane": self._lane, "batch": batchId, "file_ids": file_ids}
            if queries.one(connection, "ledger/claims.note_batch", **values) is None:
                raise StreamFenced(f"stream {self._epoch} has ended or was fenced: it may not note batches any more")

    def abort(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:
        """Nothing to undo: what committed stays, the rest was rolled back."""


@functools.lru_cache(maxsize=1)
def loader(epoch: int) -> FileLoader:
    """This process's loader: its connection, its contracts and its judge stay warm between micro-batches."""
    import_for_loading()
    from sluice.loading.load_file import FileLoader

    return FileLoader(settings.load(), epoch)


def import_for_loading() -> None:
    """Import what loading needs: only the tasks load files, so only they do, or the daemon that forks them."""
    if not any(isinstance(finder, _WithoutPandas) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WithoutPandas())
    importlib.import_module("sluice.loading.load_file")


class _WithoutPandas(MetaPathFinder):
    """Hides pandas: pyarrow imports it wherever it is installed, which takes longer than all the rest together."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """As import asks."""
        if fullname == "pandas":
            raise ModuleNotFoundError("a task that loads files does without pandas", name=fullname)
