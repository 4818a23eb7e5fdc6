"""The streaming source ``landed_files``: its rows are landed files, its offsets the claim numbers of the ledger.

It lists no folder. The driver claims landed files in the ledger, in one transaction; the number it gives is the offset.
A file that is claimed but not finished is dealt out again whatever the checkpoint says, older, newer or gone:
``latestOffset`` gives every unfinished file that the offset has passed a number after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from pyspark.sql.datasource import DataSource, DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadLimit, ReadMaxFiles, SupportsTriggerAvailableNow
from pyspark.sql.types import StructType

from sluice.base import database, queries, settings
from sluice.base.crash_points import crash_point
from sluice.landing import folders
from sluice.ledger import contract_waits
from sluice.ledger.leases import StreamFenced

_NO_LIMIT = 2**62
_TURN = 7_215_482_303


@dataclass
class Share(InputPartition):
    """The files of one task: (file_id, claim, bytes, name) each."""

    files: list[tuple[int, int, int, str]]


class LandedFiles(DataSource):
    """Options: ``epoch``, the stream's; ``tasks``, how many tasks share a micro-batch; ``lane``, whose files."""

    @classmethod
    def name(cls) -> str:
        """The name for ``readStream.format``."""
        return "landed_files"

    def schema(self) -> str:
        """One row is one landed file."""
        return "file_id BIGINT, claim BIGINT, bytes BIGINT, name STRING"

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:
        """The reader that Spark drives."""
        return LandedFilesReader(int(self.options["epoch"]), int(self.options["tasks"]), self.options["lane"])


class LandedFilesReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Claims files on the driver; the rows themselves are made of what was claimed, without another look."""

    def __init__(self, epoch: int, tasks: int, lane: str) -> None:
        self._epoch = epoch
        self._tasks = tasks
        self._lane = lane
        self._settings = settings.load()
        self._connection: psycopg.Connection[dict[str, Any]] | None = None
        self._target: int | None = None
        self._may_wait = False

    def initialOffset(self) -> dict[str, int]:
        """Constant: Spark asks at every start, and a checkpoint's offset wins."""
        return {"claim": 0}

    def getDefaultReadLimit(self) -> ReadLimit:
        """So many files a micro-batch (SLUICE_BATCH_FILES)."""
        return ReadMaxFiles(self._settings.batch_files)

    def latestOffset(self, start: dict[str, int], limit: ReadLimit) -> dict[str, int]:
        """Claim what has landed and say how far the next micro-batch goes; ``start`` itself when there is nothing.

        When the last look found nothing, it waits first until a mover says that something landed, or for
        SLUICE_TRIGGER_SECONDS. Raises FoldersError while the folders of the files are not there, StreamFenced once the
        stream has ended.
        """
        if self._may_wait:
            queries.wait_for_notice(self._open(), self._settings.trigger_seconds)
        look = self._of_the_living("ledger/claims.look", lane=self._lane)
        offset = self._claim(start, limit) if look["has_work"] and not look["stop_requested"] else start
        # The driver ends a query between two looks, so none waits once a stop is asked for.
        self._may_wait = offset == start and self._target is None and not look["stop_requested"]
        return offset

    def _claim(self, start: dict[str, int], limit: ReadLimit) -> dict[str, int]:
        files = limit.max_files if isinstance(limit, ReadMaxFiles) else _NO_LIMIT
        size = _NO_LIMIT if isinstance(limit, ReadAllAvailable) else self._settings.batch_bytes
        with self._open().transaction():
            if self._stop_is_requested():
                return start
            folders.check(self._settings, self._open())
            contract_waits.release(self._settings, self._open())
            if self._target is None:
                self._run("ledger/claims.renumber_passed", start=start["claim"])
                self._run("ledger/claims.claim_landed", start=start["claim"], limit=files)
            row = self._row("ledger/claims.last_claim_within", start=start["claim"], limit=files, bytes=size)
            if row["claim"]:
                crash_point("source.before_commit")
        if row["claim"]:
            crash_point("source.after_commit")
        claim = row["claim"] or start["claim"]
        return {"claim": claim if self._target is None else min(claim, max(self._target, start["claim"]))}

    def reportLatestOffset(self) -> dict[str, int]:
        """How far the offset will go with what is claimed so far; Spark only shows it."""
        return {"claim": self._row("ledger/claims.highest_claim")["claim"]}

    def prepareForTriggerAvailableNow(self) -> None:
        """Claim everything that has landed now; nothing after it is part of this run."""
        with self._open().transaction():
            self._stop_is_requested()
            folders.check(self._settings, self._open())
            contract_waits.release(self._settings, self._open())
            self._run("ledger/claims.renumber_passed", start=_NO_LIMIT)
            self._run("ledger/claims.claim_landed", start=0, limit=_NO_LIMIT)
            self._target = self._row("ledger/claims.highest_claim")["claim"]

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> Sequence[InputPartition]:
        """The unfinished files after ``start`` up to ``end``, dealt to tasks by size."""
        if start == end:
            return []
        values = {"lane": self._lane, "start": start["claim"], "end": end["claim"]}
        rows = queries.all(self._open(), "ledger/claims.files_between", **values)
        return deal([(row["file_id"], row["claim"], row["bytes"], row["name"]) for row in rows], self._tasks)

    def read(self, partition: InputPartition) -> Iterator[tuple[int, int, int, str]]:
        """The task's files, as rows."""
        assert isinstance(partition, Share)
        yield from partition.files

    def stop(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_connection": None}

    def _stop_is_requested(self) -> bool:
        queries.run(self._open(), "ledger/claims.take_turns", key=_TURN)
        return bool(self._of_the_living("ledger/claims.hold_to_claim")["stop_requested"])

    def _of_the_living(self, query: str, **values: Any) -> dict[str, Any]:
        row = queries.one(self._open(), query, epoch=self._epoch, **values)
        if row is None:
            raise StreamFenced(f"stream {self._epoch} has ended or was fenced: it may not claim files any more")
        return row

    def _run(self, query: str, **values: Any) -> None:
        queries.run(self._open(), query, lane=self._lane, **values)

    def _row(self, query: str, **values: Any) -> dict[str, Any]:
        return queries.row(self._open(), query, lane=self._lane, **values)

    def _open(self) -> psycopg.Connection[dict[str, Any]]:
        if self._connection is None or self._connection.broken or self._connection.closed:
            name = f"sluice-stream-{self._epoch}"
            self._connection = database.connect(self._settings.writer_dsn, application_name=name)
            queries.run(self._connection, "ledger/watch.listen_landed")
        return self._connection


def deal(files: list[tuple[int, int, int, str]], tasks: int) -> list[Share]:
    """Deal ``files`` to at most ``tasks`` shares: the biggest first, each to the share with the fewest bytes so far."""
    shares = [Share([]) for _ in range(min(tasks, len(files)))]
    loads = [0] * len(shares)
    for file in sorted(files, key=lambda file: -file[2]):
        least = loads.index(min(loads))
        shares[least].files.append(file)
        loads[least] += file[2] + 1
    for share in shares:
        share.files.sort(key=lambda file: file[1])
    return shares
