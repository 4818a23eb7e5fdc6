"""The one transaction that a file is loaded in: its rows, rejects, duplicates and tally, or nothing of them."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa

from sluice.base.ahead import one_ahead
from sluice.base.crash_points import crash_point
from sluice.base.log_lines import facts
from sluice.base.plain_text import escaped
from sluice.contracts.judge import Judgement
from sluice.contracts.matching import Match
from sluice.contracts.model import Contract, HeaderError
from sluice.loading import staging
from sluice.loading.afterwards import path_after
from sluice.loading.errors import FileRejectedError
from sluice.loading.expired_rows import ExpiredRows
from sluice.loading.feed_look import FeedLook
from sluice.loading.file_limits import refuse_drift, refuse_failed, within_budget
from sluice.loading.landed_file import LandedFile, Tally
from sluice.loading.months import FileMonths
from sluice.loading.registered_bytes import reading
from sluice.loading.rejects import Rejects, header_text
from sluice.loading.revisions import Replaced, make_way
from sluice.loading.stream_writer import StreamWriter
from sluice.loading.which_contract import which_contract
from sluice.loading.writer_session import UNIQUE_VIOLATION
from sluice.reading.block import Block
from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect
from sluice.reading.kinds import Kind, kind_of
from sluice.reading.landed_bytes import LandedBytes
from sluice.reading.widths import Widths

_log = logging.getLogger(__name__)

# Files up to this size go through the staging table at once: for them a second attempt costs more than the staging.
# A compressed one may hold ten times as much, and no file of a feed that repeats rows is attempted twice.
STAGED_BYTES_MAX = 1 << 20


@dataclass(frozen=True)
class CopiedFile:
    """What the transaction has written so far; ``warned`` counts rows that break a rule which only warns, ``broken``
    the rejects by rule, as monitors are told."""

    tally: Tally
    match: Match
    look: FeedLook
    replaced: Replaced
    warned: int
    broken: Mapping[str, int]


class FileLoad:
    """Loads one file, whose transaction ``writer`` has begun."""

    def __init__(self, writer: StreamWriter, file: LandedFile) -> None:
        self.writer = writer
        self.file = file
        self._begun = time.monotonic()
        self._footer_records = 0
        self._kind: Kind | None = None
        self._months = FileMonths(writer.months)
        self._expired = ExpiredRows(writer.expired_before)

    def run(self) -> tuple[Tally, str]:
        """Load it and commit; its tally, and its path from now on.

        Raises FileRejectedError and FileChangedError for what is wrong with the file: then nothing was committed.
        """
        file = self.file
        with reading(self.writer, file) as landed:
            copied = self.copy(landed)
        crash_point("load.before_tally")
        is_news = copied.look.say(file.file_id)
        path = path_after(self.writer.settings, file, "loaded")
        self._mark_loaded(copied, landed, path)
        crash_point("load.before_commit")
        self.writer.session.commit()
        crash_point("load.after_commit")
        self._tell(copied)
        if self._footer_records:
            _log.info("file %s (%s): its last %s records are no data", file.file_id, file.shown, self._footer_records)
        if is_news:
            contract = copied.match.contract.name
            words = escaped(copied.look.words)
            _log.warning("file %s (%s) of contract %s %s", file.file_id, file.shown, contract, words)
        for old, rows in copied.replaced:
            _log.info("file %s (%s) replaces file %s, %s rows out", file.file_id, file.shown, old, rows)
        return copied.tally, path

    def _tell(self, copied: CopiedFile) -> None:
        """The one line of each file that is loaded."""
        file, tally, contract = self.file, copied.tally, copied.match.contract
        seconds = time.monotonic() - self._begun
        rows = {
            "read": tally.rows_read,
            "loaded": tally.rows_loaded,
            "rejected": tally.rows_rejected,
            "duplicate": tally.rows_duplicate,
        }
        _log.info(
            "file %s (%s) is loaded under contract %s %s: %s, in %.2f s",
            file.file_id,
            file.shown,
            contract.name,
            contract.version,
            ", ".join(f"{count:,} {what}" for what, count in rows.items()),
            seconds,
            extra=facts(
                event="file_loaded",
                file_id=file.file_id,
                name=file.name,
                sha256=file.sha256,
                bytes=file.bytes,
                contract=contract.name,
                contract_version=contract.version,
                epoch=self.writer.epoch,
                seconds=round(seconds, 3),
                **{f"rows_{what}": count for what, count in rows.items()},
            ),
        )

    def _mark_loaded(self, copied: CopiedFile, landed: LandedBytes, path: str) -> None:
        tally, contract = copied.tally, copied.match.contract
        self.writer.session.run(
            "load/load.mark_loaded",
            self.file.file_id,
            contract.name,
            contract.version,
            tally.rows_read,
            tally.rows_loaded,
            tally.rows_rejected,
            tally.rows_duplicate,
            copied.warned,
            self.writer.epoch,
            socket.gethostname(),
            path,
            header_text(copied.match.field_names),
            landed.marked_encoding,
            copied.look.drift_text,
            copied.look.filled_text,
            json.dumps(self._read_as(contract)),
            self._months.first,
            self._months.last,
            json.dumps(copied.broken),
        )

    def _read_as(self, contract: Contract) -> dict[str, Any]:
        """How the file was read, so that it can be read alike again."""
        bound = {"record_bytes_max": self.writer.settings.record_bytes_max}
        footer = {"footer_records": self._footer_records} if self._footer_records else {}
        return contract.dialect.marks | contract.layout.marks | bound | footer

    def copy(self, landed: LandedBytes) -> CopiedFile:
        """Write everything but the tally."""
        file, stage_first = self.file, self.writer.stage_first
        if file.bytes == 0 and not self._may_be_empty():
            raise FileRejectedError("the file is empty: a file must have a header that names its columns")
        match, dialect = self._match(landed)
        if not match.contract.layout.names_columns:  # no header tells that it is a CSV
            self._kind = kind_of(landed.head(), file.name, landed.marked_encoding)
        contract, look = match.contract, FeedLook(self.writer.session.run, match)
        refuse_drift(contract, match.drift)
        replaced = make_way(self.writer, file, contract)
        is_staged = file.bytes <= STAGED_BYTES_MAX or contract.name in stage_first
        if is_staged:
            staging.make(self.writer.session)
        rejects = Rejects(self.writer.session, file.file_id, match)
        read, good, warned = self._copy_blocks(self._blocks(landed, dialect, match), match, look, rejects, is_staged)
        duplicates = conflicts = 0
        if is_staged:
            duplicates, conflicts = self._from_staging(match, dialect, rejects)
            if not duplicates and not conflicts:
                stage_first.discard(contract.name)
        rejects.flush()
        # A late copy is no worse a file than the first one.
        within_budget(contract, rejects.count - self._expired.count, read)
        refuse_drift(contract, look.drift())
        loaded = good - duplicates - conflicts
        tally = Tally(file.file_id, "loaded", read, loaded, rejects.count, duplicates, file.bytes)
        return CopiedFile(tally, match, look, replaced, warned, rejects.by_rule)

    def _copy_blocks(
        self, blocks: Iterator[Block], match: Match, look: FeedLook, rejects: Rejects, is_staged: bool
    ) -> tuple[int, int, int]:
        """Judge and copy block by block; how many records were read, are good, and are good but warned of."""
        widths = Widths()
        read = good = warned = 0
        try:
            with contextlib.closing(self._judged(blocks, match)) as judgements:
                for block, judged in judgements:
                    refuse_failed(block, judged, match.contract)
                    look.add(judged.good)
                    self._ingest(judged.good, is_staged)
                    crash_point("load.after_copy")
                    rejects.add(block, judged.bad)
                    widths.add(block)
                    read, good, warned = read + block.records, good + judged.good.num_rows, warned + judged.warned
        except psycopg.Error as error:
            if error.sqlstate == UNIQUE_VIOLATION:
                self.writer.stage_first.add(match.contract.name)
            raise
        if self._kind and not good:
            raise FileRejectedError(str(self._kind), match.contract)
        if misfit := widths.misfit(len(match.header), is_in_file=match.contract.layout.names_columns):
            raise FileRejectedError(misfit, match.contract)
        return read, good, warned

    def _may_be_empty(self) -> bool:
        """Whether files of this name have no header: then a file without any rows is empty."""
        candidates = self.writer.contracts().candidates
        return any(c.layout.header == "none" for c in candidates if c.takes(self.file.name))

    def _match(self, landed: LandedBytes) -> tuple[Match, Dialect]:
        """The contract that knows the header, and the dialect that the file is read in."""
        writer = self.writer
        try:
            return which_contract(writer.contracts(), landed, self.file.name, writer.settings.columns_max)
        except HeaderError as error:
            raise FileRejectedError(str(error)) from error

    def _judged(self, blocks: Iterator[Block], match: Match) -> Generator[tuple[Block, Judgement], None, None]:
        """The blocks, judged; of a big file the next one while the last one is copied."""
        judged = ((block, self._expired.set_aside(block, self._judge(block, match))) for block in blocks)
        return one_ahead(judged) if self.file.bytes > self.writer.settings.chunk_bytes else judged

    def _judge(self, block: Block, match: Match) -> Judgement:
        file = self.file
        return self.writer.judge.judge(block, match, file_id=file.file_id, sha256=file.sha256, landed_at=file.landed_at)

    def _blocks(self, landed: LandedBytes, dialect: Dialect, match: Match) -> Iterator[Block]:
        settings = self.writer.settings
        layout = match.contract.layout
        reader = RecordReader(
            landed, dialect, layout, chunk_bytes=settings.chunk_bytes, record_bytes_max=settings.record_bytes_max
        )
        reader.header()
        yield from reader.blocks(len(match.header))
        self._footer_records = reader.footer_records

    def _ingest(self, good: pa.Table, is_staged: bool) -> None:
        self._months.add(self.writer.session.run, good)
        if good.num_rows and is_staged:
            self.writer.session.copy(good, "staged_events")
        elif good.num_rows:
            self.writer.session.copy(good, "events", schema="public")

    def _from_staging(self, match: Match, dialect: Dialect, rejects: Rejects) -> tuple[int, int]:
        """Insert what was staged; return how many rows are duplicates and how many conflicts (set aside)."""
        session = self.writer.session
        months = staging.insert(session, self._months.all)
        duplicates, conflicts = staging.sort_repeated(session, match.contract, months)
        if conflicts:
            # Their raw bytes were not kept: they are read once more.
            sought = np.array(conflicts, np.int64)
            with reading(self.writer, self.file) as landed:
                for block in self._blocks(landed, dialect, match):
                    session.run("load/load.say_alive")
                    rows = np.flatnonzero(np.isin(block.record_numbers, sought))
                    bad = [(int(row), ["event_id.conflict"], "conflict") for row in rows]
                    rejects.add(replace(block, broken=[]), bad)
        return duplicates, len(conflicts)
