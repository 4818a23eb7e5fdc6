"""Loads one landed file: a function of (file, contracts, connection) that needs no Spark.

The crash contract. Everything a file becomes (its rows in ``events``, its rejects, its duplicates, its tally and state
in ``ledger.files``) is written in one transaction, which

1. holds the stream's row: a fenced stream cannot commit, and cannot be fenced while it commits;
2. locks the file's row: a file that is loaded already, by a task that died before it could say so or by a replayed
   micro-batch, is left as it is;
3. commits only when the bytes that were read have the size and the hash that were registered.

Dying at any line before the commit leaves nothing; dying after it leaves the file loaded but still in the processing
folder, from where the mover's tidy step takes it to the archive. Nothing here relies on Spark's checkpoint, and
nothing is guaranteed to be called after the commit.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import adbc_driver_manager
import duckdb
import numpy as np
import pyarrow as pa

from sluice.base.crash_points import crash_point
from sluice.base.permissions import make_folder
from sluice.base.renaming import rename_if_free
from sluice.base.settings import Settings
from sluice.contracts.drift import Drift, says
from sluice.contracts.folder import Contracts, read_contracts
from sluice.contracts.judge import Judge
from sluice.contracts.matching import Match
from sluice.contracts.model import Contract, HeaderError
from sluice.landing import folders, incoming
from sluice.ledger import archive, contract_waits
from sluice.ledger.leases import StreamFenced
from sluice.ledger.takeover import take_over, why_undone
from sluice.loading import staging
from sluice.loading.errors import FileChangedError, FileRejectedError
from sluice.loading.feed_look import Look
from sluice.loading.file_rules import FILE_RULES
from sluice.loading.rejects import Rejects, header_text
from sluice.loading.retry_rules import UNKNOWN, cut, line_of, rule_for
from sluice.loading.unload import withdraw
from sluice.loading.writer_session import UNIQUE_VIOLATION, WriterSession
from sluice.reading.block import Block
from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect
from sluice.reading.landed_bytes import LandedBytes
from sluice.reading.widths import Widths

_log = logging.getLogger(__name__)

# Files up to this size go through the staging table at once: for them a second attempt costs more than the staging.
STAGED_BYTES_MAX = 4 << 20
ATTEMPTS = 8
# A load waits for nobody longer: its micro-batch, and every file after it, would wait with it.
LOCK_TIMEOUT = "1s"


@dataclass(frozen=True)
class Tally:
    """What became of one file; rows are counts. ``state`` is the file's state in the ledger."""

    file_id: int
    state: str
    rows_read: int = 0
    rows_loaded: int = 0
    rows_rejected: int = 0
    rows_duplicate: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class _LandedFile:
    file_id: int
    name: str
    path: str
    sha256: str
    bytes: int
    state: str
    claim: int | None


class FileLoader:
    """Loads files one after the other over one connection, under one epoch.

    ``settings`` say where files lie and how much memory a task may take; ``contracts`` is the folder of contracts.
    The connection is made when it is first needed and made anew after an error.
    """

    def __init__(self, settings: Settings, epoch: int) -> None:
        self._settings = settings
        self._epoch = epoch
        self._session = WriterSession(settings.writer_dsn, f"sluice-stream-{epoch}", lock_timeout=LOCK_TIMEOUT)
        self._judge = Judge(settings.duckdb_memory)
        self._stage_first: set[str] = set()
        self._put_off: set[int] = set()
        self._ledger_id = ""
        self._contracts: Contracts | None = None

    def close(self) -> None:
        """Close the connection and the judge; what was not committed is rolled back by the server."""
        self._session.disconnect()
        self._judge.close()

    def load(self, file_id: int) -> Tally:
        """Load the file, or set it aside, or find that this was done before; return what became of it.

        A file that must wait for another transaction stays ``landed``, for a later micro-batch: it holds up no other.

        sluice/loading/file_rules.py says what an error does: the file again at once, set aside, back, or raised from
        here.
        Raises StreamFenced when the epoch may not write any more, adbc_driver_manager.Error when the database is away
        or full, OSError when the file cannot be read: then nothing was written.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                tally = self._load_once(file_id)
                self._put_off.discard(file_id)
                return tally
            except BaseException as error:
                self._session.disconnect()
                rule = rule_for(error, FILE_RULES)
                if rule is UNKNOWN:
                    _log.warning("file %s: %s", file_id, line_of(error))
                if rule.action == "later":
                    _log.info("file %s: %s", file_id, rule.says)
                    self._put_off.add(file_id)
                    return Tally(file_id, "landed")
                if rule.action != "again" or attempt == ATTEMPTS:
                    raise
                _log.info("file %s: attempt %s: %s, trying again", file_id, attempt, rule.says)
        raise AssertionError("the last attempt raises")

    def _load_once(self, file_id: int) -> Tally:
        file = self._begin(file_id)
        if file.state != "landed":
            self._session.rollback()
            self._put_away(file)
            return Tally(file_id, file.state)
        try:
            tally, path = self._load_landed(file)
        except Exception as error:
            rule = rule_for(error, FILE_RULES)
            if rule.action == "hold":
                return self._hold(file, str(error))
            if rule.action not in ("quarantine", "return"):
                raise
            contract = getattr(error, "contract", None)
            why = str(error) if rule.error_says_it else f"{rule.says} ({cut(line_of(error))})"
            tally, path = self._set_aside(file, why, contract, getattr(error, "cause", "content"))
            if isinstance(error, duckdb.Error):  # an internal error leaves a DuckDB unusable
                self._judge.close()
                self._judge = Judge(self._settings.duckdb_memory)
        self._put_away(replace(file, state=tally.state, path=path), was=file.path)
        return tally

    def _begin(self, file_id: int) -> _LandedFile:
        if self._put_off:
            # Many may need what one transaction holds: one has waited for it, the others ask, so that a batch goes on.
            self._session.run("load.be_brief")
        held = self._session.run("load.hold_stream", self._epoch)
        if not held:
            self._session.rollback()
            raise StreamFenced(f"stream {self._epoch} has ended or was fenced: it may not write any more")
        self._ledger_id = held[0][0]
        rows = self._session.run("load.lock_file", file_id)
        if not rows:
            self._session.rollback()
            raise LookupError(
                f"file {file_id} is not in the ledger: the database was restored; the mover will land it again"
            )
        return _LandedFile(*rows[0])

    def _load_landed(self, file: _LandedFile) -> tuple[Tally, str]:
        with self._reading(file) as landed:
            tally, found = self._copy(file, landed)
        crash_point("load.before_tally")
        is_news = self._look.say(file.file_id)
        archived = self._path_after(file, "loaded")
        self._session.run(
            "load.mark_loaded",
            file.file_id,
            found.contract.name,
            found.contract.version,
            tally.rows_read,
            tally.rows_loaded,
            tally.rows_rejected,
            tally.rows_duplicate,
            self._warned,
            self._epoch,
            socket.gethostname(),
            archived,
            header_text(found.field_names),
            landed.marked_encoding,
            self._look.drift_text,
            self._look.filled_text,
            json.dumps(found.contract.dialect.marks | {"record_bytes_max": self._settings.record_bytes_max}),
        )
        crash_point("load.before_commit")
        self._session.commit()
        crash_point("load.after_commit")
        if is_news:
            _log.warning(
                "file %s (%s) of contract %s %s", file.file_id, file.name, found.contract.name, self._look.words
            )
        for old, rows in self._replaced:
            _log.info("file %s (%s) replaces file %s, %s rows out", file.file_id, file.name, old, rows)
        return tally, archived

    @contextlib.contextmanager
    def _reading(self, file: _LandedFile) -> Iterator[LandedBytes]:
        """The file's bytes. Raises FileChangedError when what was read is not what was registered, also when that is
        why it looks wrong."""
        with self._open(file) as landed:
            try:
                yield landed
            except Exception as error:
                if rule_for(error, FILE_RULES).action == "quarantine":
                    # Hashing the rest of a big file takes long, and nothing is to be held meanwhile.
                    self._session.rollback()
                    self._verify(file, landed)
                raise
            self._verify(file, landed)

    def _open(self, file: _LandedFile) -> LandedBytes:
        """The file's bytes. Gone is what neither processing nor the archive has, while both are there."""
        path = self._settings.home_dir / file.path
        try:
            return LandedBytes(archive.where(self._settings.home_dir, file.path), file.name)
        except FileNotFoundError as error:
            if why := folders.why_not_ours(self._settings, self._ledger_id):
                raise folders.FoldersError(why) from error
            found = archive.find(self._settings, path.name)
            if found is None:
                raise FileRejectedError(
                    f"{file.path} is gone, and it is not in the archive either: land the file again; nothing else "
                    "moves files there",
                    cause="gone",
                ) from error
        # The ledger is older than the file: it was restored to a moment before the file was finished.
        make_folder(path.parent, self._settings)
        rename_if_free(found, path)
        _log.warning(
            "file %s lay in the archive, as %s: it is loaded again, the ledger has it landed", path.name, found
        )
        return LandedBytes(path, file.name)

    def _verify(self, file: _LandedFile, landed: LandedBytes) -> None:
        size, sha256 = landed.digest()
        if (size, sha256) != (file.bytes, file.sha256):
            remedy = (
                f"it stays as {file.path}: land it again when it is complete"
                if _is_archived(file)
                else "it goes back to the landing folder and is taken again when it is complete"
            )
            raise FileChangedError(
                f"{file.name} changed after it was registered: it had {file.bytes} bytes (sha256 {file.sha256[:12]}…), "
                f"now {size} (sha256 {sha256[:12]}…); {remedy}"
            )

    def _copy(self, file: _LandedFile, landed: LandedBytes) -> tuple[Tally, Match]:
        if file.bytes == 0:
            raise FileRejectedError("the file is empty: a file must have a header that names its columns")
        found, dialect = self._match(landed)
        self._replaced: list[tuple[int, int]] = []
        self._look = Look(self._session.run, found)
        self._refuse_drift(found.contract, found.drift)
        self._make_way(file, found.contract)
        staged = file.bytes <= STAGED_BYTES_MAX or found.contract.name in self._stage_first
        if staged:
            self._session.run("load.make_staging")
        rejects, widths = Rejects(self._session, file.file_id, found), Widths()
        self._warned = good = read = 0
        try:
            for block in self._blocks(landed, dialect, found):
                judged = self._judge.judge(block, found, file_id=file.file_id, sha256=file.sha256)
                if judged.failed:
                    row, rules = judged.failed[0]
                    raise FileRejectedError(
                        f"record {block.record_numbers[row]} (line {block.line_numbers[row]}) breaks "
                        f"{', '.join(rules)}, which contract {found.contract.name} says fails the whole file: "
                        "correct it and land it again",
                        found.contract,
                    )
                self._look.add(judged.good)
                self._ingest(judged.good, staged)
                crash_point("load.after_copy")
                rejects.add(block, judged.bad)
                widths.add(block)
                read, good = read + block.records, good + judged.good.num_rows
                self._warned += judged.warned
        except adbc_driver_manager.Error as error:
            if error.sqlstate == UNIQUE_VIOLATION:
                self._stage_first.add(found.contract.name)
            raise
        if misfit := widths.misfit(len(found.header)):
            raise FileRejectedError(misfit, found.contract)
        duplicates = conflicts = 0
        if staged:
            duplicates, conflicts = self._from_staging(file, found, dialect, rejects)
            if not duplicates and not conflicts:
                self._stage_first.discard(found.contract.name)
        rejects.flush()
        self._within_budget(found.contract, rejects.count, read)
        self._refuse_drift(found.contract, self._look.drift())
        tally = Tally(
            file.file_id, "loaded", read, good - duplicates - conflicts, rejects.count, duplicates, file.bytes
        )
        return tally, found

    def _make_way(self, file: _LandedFile, contract: Contract) -> None:
        """Do what the contract says about loaded files of this name. Raises FileRejectedError when it may not load."""
        if contract.revision == "append":
            return
        # Two revisions at once would each find no other.
        self._session.run("withdraw.lock_name", contract.name, file.name)
        others = self._same_name(file, contract)
        if contract.revision == "replace":
            self._replace(file, contract, others)
        elif others:
            raise FileRejectedError(
                f"file {others[0]} of this name is loaded already, and contract {contract.name} rejects revisions: "
                f"unload file {others[0]} first, land this one under another name, or change revision in the contract",
                contract,
                cause="name",
            )

    def _replace(self, file: _LandedFile, contract: Contract, others: list[int]) -> None:
        if why := why_undone(self._session.run, file.file_id, file.name, contract.name, file.sha256):
            raise FileRejectedError(why, contract, cause="undoes")
        if others:
            for file_id in others:
                self._session.run("withdraw.hold_file", file_id)
            others = self._same_name(file, contract)
        if newer := [file_id for file_id in others if file_id > file.file_id]:
            raise FileRejectedError(
                f"file {newer[-1]} of this name landed later and is loaded already, and contract {contract.name} lets "
                "the last one replace the others: nothing is left to do, or land this one again to make it the last",
                contract,
                cause="name",
            )
        by_whom = f"stream {self._epoch}"
        for file_id in others:
            left = withdraw(
                self._session.run,
                file_id,
                "replace",
                home=self._settings.home_dir,
                reason=f"replaced by file {file.file_id}, a revision",
                by_whom=by_whom,
                replaced_by=file.file_id,
            )
            self._replaced.append((file_id, left.rows_taken_out))
        self._session.run("withdraw.replace_duplicates", file.file_id, file.name, contract.name)
        if others:
            crash_point("load.after_replace")

    def _same_name(self, file: _LandedFile, contract: Contract) -> list[int]:
        return [row[0] for row in self._session.run("withdraw.find_same_name", file.name, contract.name, file.file_id)]

    def _match(self, landed: LandedBytes) -> tuple[Match, Dialect]:
        contracts = self._read_contracts()
        head = landed.head()
        dialects = {contract: self._dialect(contract, landed) for contract in contracts.candidates}
        try:
            headers = {dialect: _header(head, dialect) for dialect in {*dialects.values()}}
            found = contracts.match(
                [(contract, headers[dialect]) for contract, dialect in dialects.items()], self._settings.columns_max
            )
        except HeaderError as error:
            raise FileRejectedError(str(error)) from error
        return found, dialects[found.contract]

    def _read_contracts(self) -> Contracts:
        """The contracts as they are now."""
        folder = self._settings.contracts_dir
        today = contract_waits.digest(contract_waits.texts(folder))
        if self._contracts is None or self._contracts.digest != today:
            self._contracts = read_contracts(
                folder,
                problems=self._judge.problems,
                last_usable=lambda: dict(self._session.run("load.last_usable")),
            )
        return self._contracts

    @staticmethod
    def _dialect(contract: Contract, landed: LandedBytes) -> Dialect:
        marked = landed.marked_encoding
        return replace(contract.dialect, encoding=marked) if marked else contract.dialect

    def _blocks(self, landed: LandedBytes, dialect: Dialect, found: Match) -> Iterator[Block]:
        reader = RecordReader(
            landed,
            dialect,
            chunk_bytes=self._settings.chunk_bytes,
            record_bytes_max=self._settings.record_bytes_max,
        )
        reader.header()
        return reader.blocks(len(found.header))

    def _ingest(self, good: pa.Table, staged: bool) -> None:
        if good.num_rows and staged:
            self._session.copy(good, "staged_events")
        elif good.num_rows:
            self._session.copy(good, "events", schema="public")

    def _from_staging(self, file: _LandedFile, found: Match, dialect: Dialect, rejects: Rejects) -> tuple[int, int]:
        """Insert what was staged; return how many rows are duplicates and how many conflicts (set aside)."""
        if not staging.insert(self._session):
            return 0, 0
        duplicates = self._session.change("load.note_duplicates")
        conflicts = np.array([row[0] for row in self._session.run("load.conflicting_records")], np.int64)
        if len(conflicts):
            with self._reading(file) as landed:
                for block in self._blocks(landed, dialect, found):
                    self._session.run("load.say_alive")
                    rows = np.flatnonzero(np.isin(block.record_numbers, conflicts))
                    rejects.add(
                        replace(block, broken=[]), [(int(row), ["event_id.conflict"], "conflict") for row in rows]
                    )
        return duplicates, len(conflicts)

    def _within_budget(self, contract: Contract, rejected: int, read: int) -> None:
        percent = 100 * rejected / read if read else 0.0
        over_rows = contract.budget_rows is not None and rejected > contract.budget_rows
        over_percent = contract.budget_percent is not None and percent > contract.budget_percent
        if over_rows or over_percent:
            budget = f"{contract.budget_rows} rows" if over_rows else f"{contract.budget_percent} %"
            raise FileRejectedError(
                f"{rejected} of {read} rows would be rejected ({percent:.2f} %), over the error budget of {budget} of "
                f"contract {contract.name}: correct the file, or raise errorBudget",
                contract,
            )

    @staticmethod
    def _refuse_drift(contract: Contract, drift: Drift) -> None:
        if drift and contract.drift == "reject":
            raise FileRejectedError(
                f"the file is not as contract {contract.name} and earlier files let expect, and the contract rejects "
                f"drift: {says(drift)}: correct the file, describe the columns in the contract, or let drift be warn",
                contract,
            )

    def _set_aside(self, file: _LandedFile, error: str, contract: Contract | None, cause: str) -> tuple[Tally, str]:
        """In a transaction of its own: the file is rejected, and none of its rows is visible."""
        self._session.rollback()
        again = self._begin(file.file_id)
        if again.state != "landed":
            self._session.rollback()
            return Tally(file.file_id, again.state), again.path
        run, by_whom = self._session.run, f"stream {self._epoch}"
        run("withdraw.lock_file", file.file_id)
        path = self._path_after(file, "rejected", back=cause == "changed")
        name, version = (contract.name, contract.version) if contract else (None, None)
        run("load.mark_rejected", file.file_id, name, version, self._epoch, socket.gethostname(), path, error, cause)
        take_over(run, file.file_id, home=self._settings.home_dir, by_whom=by_whom, has_rows=False)
        crash_point("load.before_reject")
        self._session.commit()
        _log.warning("file %s (%s) is rejected: %s", file.file_id, file.name, error)
        return Tally(file.file_id, "rejected", bytes=file.bytes), path

    def _hold(self, file: _LandedFile, why: str) -> Tally:
        """In a transaction of its own: the file is dealt out to nobody until the folder of contracts has changed."""
        self._session.rollback()
        again = self._begin(file.file_id)
        if again.state == "landed":
            assert self._contracts is not None
            self._session.run("load.mark_waiting", file.file_id, self._contracts.digest, why)
            _log.warning("file %s (%s) waits for a contract: %s", file.file_id, file.name, why)
        self._session.commit()
        return Tally(file.file_id, again.state)

    def _put_away(self, file: _LandedFile, was: str | None = None) -> None:
        """Move a finished file to where the ledger says it is; the mover's tidy step does it when this does not."""
        source = self._settings.processing_dir / Path(was or file.path).name
        target = self._settings.home_dir / file.path
        if source == target or not source.exists():
            return
        if not folders.is_ours(self._settings.archive_dir, self._ledger_id):
            _log.warning("file %s stays in the processing folder: the archive is not there", file.file_id)
            return
        try:
            make_folder(target.parent, self._settings)
            crash_point("archive.before_move")
            if not rename_if_free(source, target):
                _log.info("file %s stays in the processing folder: %s was taken meanwhile", file.file_id, file.path)
            crash_point("archive.after_move")
        except FileNotFoundError:
            _log.debug("file %s was put away by another", file.file_id)
        except OSError as error:
            _log.info("file %s stays in the processing folder for now: %s", file.file_id, error)

    def _path_after(self, file: _LandedFile, state: str, *, back: bool = False) -> str:
        """Where the file will lie. One that took over, or was landed again, stays where it is in the archive."""
        if _is_archived(file):
            return file.path
        if back:
            return f"incoming/{incoming.free_name(self._settings, file.name)}"
        return f"archive/{state}/{datetime.now(UTC):%Y-%m-%d}/{Path(file.path).name}"


def _is_archived(file: _LandedFile) -> bool:
    return file.path.startswith("archive/")


def _header(head: bytes, dialect: Dialect) -> list[str] | None:
    """The header as ``dialect`` reads it; None when it cannot."""
    return RecordReader(io.BytesIO(head), dialect, chunk_bytes=len(head) + 1).header()
