"""Judges quarantined rows again under today's contracts, and loads those that pass, exactly once.

A reject whose ``fields`` were edited is judged by them, every other by its raw bytes, read as today's contract says.
A file is one transaction: its rows, the states of its rejects and its tally change together or not at all, so a replay
that was killed is simply run again. A row keeps its file_id and record_number. A reject that somebody edits while it is
judged is left to the next replay: before anything is decided the rejects are locked and held against what was read.
"""

from __future__ import annotations

import io
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from sluice.base.crash_points import crash_point
from sluice.base.settings import Settings
from sluice.contracts.folder import read_contracts
from sluice.contracts.judge import Judge
from sluice.contracts.matching import Match, match
from sluice.contracts.model import Contract, ContractError, HeaderError
from sluice.loading import staging
from sluice.loading.expired_rows import ExpiredRows
from sluice.loading.file_rules import FILE_RULES
from sluice.loading.months import FileMonths, Months
from sluice.loading.rejects import without_nul
from sluice.loading.retry_rules import cut, line_of, rule_for
from sluice.loading.writer_session import WriterSession
from sluice.reading.block import Block, Places
from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect
from sluice.reading.transcoding import without_mark

_log = logging.getLogger(__name__)

ATTEMPTS = 8
CUT = "record.too_long"
Values = list[str | None]
_READ = pa.schema([("record_number", pa.int64()), ("version", pa.string())])
_OUTCOMES = pa.schema([("record_number", pa.int64()), ("rules", pa.list_(pa.string())), ("error_class", pa.string())])


@dataclass
class ReplayTally:
    """What became of the rejects that a replay looked at, in rows; a row that breaks two rules counts for both.

    ``not_judged`` says, file by file, why a file's rejects were left as they are.
    """

    considered: int = 0
    loaded: int = 0
    duplicate: int = 0
    still_rejected: int = 0
    still_rejected_by_rule: dict[str, int] = field(default_factory=dict)
    not_judged: list[str] = field(default_factory=list)

    def add(self, other: ReplayTally) -> None:
        """Count another tally into this one."""
        self.considered += other.considered
        self.loaded += other.loaded
        self.duplicate += other.duplicate
        self.still_rejected += other.still_rejected
        rules = Counter(self.still_rejected_by_rule) + Counter(other.still_rejected_by_rule)
        self.still_rejected_by_rule = dict(sorted(rules.items()))
        self.not_judged += other.not_judged

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Reject:
    record_number: int
    line_number: int
    raw: bytes
    fields: dict[str, str | None] | None
    rules: list[str]
    error_class: str
    edited: bool
    version: str


@dataclass(frozen=True)
class _File:
    file_id: int
    name: str
    sha256: str
    contract: str
    header: tuple[str, ...] | None
    marked_encoding: str | None
    landed_at: int
    expired_before: int | None


class _NotJudgedError(Exception):
    """A file's rejects cannot be judged; the message says why and what to do."""


def replay(
    settings: Settings,
    *,
    contract: str | None = None,
    rule: str | None = None,
    file_id: int | None = None,
    only: Mapping[int, Sequence[int]] | None = None,
) -> ReplayTally:
    """Judge the quarantined rejects of loaded files again: all, or those of a contract, that break a rule, of a file.

    ``only``: those of these record numbers by file_id, and no others. Rejects of a contract that cannot be used stay as
    they are. Raises psycopg.Error when the database is away; the files done before stay done.
    """
    session = WriterSession(settings.writer_dsn, "sluice-replay")
    judge = Judge(settings.duckdb_memory)
    tally = ReplayTally()
    try:
        replayer = _Replayer(settings, session, judge, rule or "", only or {})
        if only is None:
            files = [each for (each,) in session.run("load/replay.files", contract or "", rule or "", file_id or 0)]
            session.rollback()
        else:
            files = sorted(only)
        for each in files:
            tally.add(replayer.file(each))
    finally:
        session.disconnect()
        judge.close()
    _log.info("replayed: %s", tally)
    return tally


def _left(file_id: int, why: str) -> ReplayTally:
    _log.warning("the rejects of file %s stay as they are: %s", file_id, why)
    return ReplayTally(not_judged=[f"file {file_id}: {why}"])


class _Replayer:
    def __init__(
        self,
        settings: Settings,
        session: WriterSession,
        judge: Judge,
        rule: str,
        only: Mapping[int, Sequence[int]],
    ) -> None:
        self._settings = settings
        self._session = session
        self._judge = judge
        self._rule = rule
        self._only = only
        self._months = Months(settings.writer_dsn, settings.events_partition)
        self._held = FileMonths(self._months)
        self._contracts = read_contracts(
            settings.contracts_dir,
            problems=judge.problems,
            last_usable=lambda: dict(session.run("load/load.last_usable")),
        )

    def file(self, file_id: int) -> ReplayTally:
        """Judge one file's rejects again, in one transaction; raises what the last attempt raised."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._file(file_id)
            except _NotJudgedError as why:
                self._session.rollback()
                return _left(file_id, str(why))
            except Exception as error:
                self._session.disconnect()
                self._months.forget()
                rule = rule_for(error, FILE_RULES)
                if rule.action in ("quarantine", "hold"):
                    return _left(file_id, f"{rule.says} ({cut(line_of(error))})")
                if rule.action != "again" or attempt == ATTEMPTS:
                    raise
                _log.info("file %s: attempt %s: %s, trying again", file_id, attempt, rule.says)
        raise AssertionError("the last attempt raises")

    def _file(self, file_id: int) -> ReplayTally:
        run = self._session.run
        rows = run("load/replay.lock_file", file_id)
        if not rows:
            self._session.rollback()
            return ReplayTally()
        name, sha256, contract, header, *others = rows[0]
        file = _File(file_id, name, sha256, contract, tuple(json.loads(header)) if header else None, *others)
        self._held = FileMonths(self._months)
        staging.make(self._session)
        run("load/replay.make_read")
        run("load/replay.make_outcomes")
        considered = sum(self._page(file, page) for page in self._pages(file_id))
        run("load/replay.lock_read", file_id)
        [(edited,)] = run("load/replay.leave_edited", file_id)
        considered -= edited
        months = staging.insert_new(self._session, self._held.all, self._months.all(run))
        staging.sort_repeated(self._session, self._contract(contract), months)
        run("load/replay.keep_conflicts")
        run("load/receipts.follow_replayed", file_id, "replay")
        crash_point("replay.after_insert")
        version = self._contract(contract).version
        [(loaded, duplicates)] = run("load/replay.settle", file_id, version, self._held.first, self._held.last)
        [(kept,)] = run("load/replay.say_why", file_id, version)
        by_rule = dict(run("load/replay.kept_by_rule"))
        if considered != loaded + duplicates + kept:
            raise AssertionError(
                f"file {file_id}: {considered} rejects were judged, but {loaded} + {duplicates} + {kept} settled"
            )
        crash_point("replay.before_commit")
        self._session.commit()
        crash_point("replay.after_commit")
        tally = ReplayTally(considered, loaded, duplicates, kept, by_rule)
        if edited:
            tally.add(_left(file_id, f"{edited} of them were edited while they were judged: run the replay again"))
        return tally

    def _contract(self, name: str) -> Contract:
        try:
            return self._contracts.named(name)
        except ContractError as error:
            raise _NotJudgedError(f"contract {name} cannot be used: {error}") from error
        except LookupError as error:
            broken = (
                f", unless it is one that cannot be used: {self._contracts.why()}" if self._contracts.broken else ""
            )
            raise _NotJudgedError(
                f"there is no contract {name} any more in {self._settings.contracts_dir}: put it back{broken}"
            ) from error

    def _pages(self, file_id: int) -> Iterator[list[_Reject]]:
        after, only = 0, list(self._only.get(file_id, ()))
        while rows := self._session.records("load/replay.rejects", file_id, after, self._rule, only):
            after = rows[-1]["record_number"]
            yield [_Reject(**{**row, "fields": _fields(row["fields"])}) for row in rows]

    def _page(self, file: _File, page: list[_Reject]) -> int:
        """Judge these rejects: the good ones are staged, what is wrong with the others is noted. How many there are."""
        read = [{"record_number": reject.record_number, "version": reject.version} for reject in page]
        self._session.copy(pa.Table.from_pylist(read, _READ), "replay_read")
        contract = self._contract(file.contract)
        marked = file.marked_encoding
        dialect = replace(contract.dialect, encoding=marked) if marked else contract.dialect
        outcomes: list[dict[str, Any]] = []
        readable: dict[tuple[str, ...], list[tuple[_Reject, Values]]] = {}
        together = _read_together(page, len(file.header), dialect) if file.header else {}
        for reject in page:
            header = file.header or tuple(reject.fields or ())
            values, broken = together.get(reject.record_number) or self._values(reject, header, dialect)
            if broken:
                outcomes.append(_outcome(reject, [broken], "parse"))
            else:
                readable.setdefault(header, []).append((reject, values))
        for header, records in readable.items():
            matched = _match(contract, header)
            block = _block([reject for reject, _ in records], [values for _, values in records], len(header), dialect)
            judged = self._judge.judge(
                block, matched, file_id=file.file_id, sha256=file.sha256, landed_at=file.landed_at
            )
            judged = ExpiredRows(file.expired_before).set_aside(block, judged)
            self._held.add(self._session.run, judged.good)
            if judged.good.num_rows:
                self._session.copy(judged.good, "staged_events")
            outcomes += [_outcome(records[row][0], rules, error_class) for row, rules, error_class in judged.bad]
        if outcomes:
            self._session.copy(pa.Table.from_pylist(outcomes, _OUTCOMES), "replay_outcomes")
        return len(page)

    def _values(self, reject: _Reject, header: tuple[str, ...], dialect: Dialect) -> tuple[Values, str]:
        """The record's values in the header's order, or the rule that it breaks before it has any."""
        if not reject.edited and CUT in reject.rules:
            return [], CUT
        if not reject.edited and header and reject.raw:
            return self._read(reject, len(header), dialect)
        return _in_order(reject.fields or {}, header)

    def _read(self, reject: _Reject, width: int, dialect: Dialect) -> tuple[Values, str]:
        reader = RecordReader(
            io.BytesIO(reject.raw),
            dialect,
            chunk_bytes=len(reject.raw) + 1,
            record_bytes_max=max(self._settings.record_bytes_max, len(reject.raw)),
        )
        blocks = list(reader.blocks(width))
        if sum(block.records for block in blocks) != 1:
            return [], "record.bad_quote"
        for block in blocks:
            if block.broken:
                return [], block.broken[0].rule
            if block.columns.num_rows:
                return list(block.columns.to_pylist()[0].values()), ""
        raise AssertionError("one record is one row, or broken")


def _read_together(page: list[_Reject], width: int, dialect: Dialect) -> dict[int, tuple[Values, str]]:
    """The values, by record number, of the rejects whose raw bytes read well one after the other: most, and fast.

    Nothing when they do not come apart as they were put together; then each is read alone.
    """
    rejects = [r for r in page if r.raw and not r.edited and r.error_class != "parse"]
    line_end = "\n".encode(without_mark(dialect.encoding))
    data = b"".join(reject.raw + line_end for reject in rejects)
    reader = RecordReader(io.BytesIO(data), dialect, chunk_bytes=len(data) + 1, record_bytes_max=len(data) + 1)
    blocks = list(reader.blocks(width))
    raws = [block.raw(row) for block in blocks for row in range(len(block.record_numbers))]
    if any(block.broken for block in blocks) or raws != [reject.raw for reject in rejects]:
        return {}
    rows = (list(row.values()) for block in blocks for row in block.columns.to_pylist())
    return {reject.record_number: (values, "") for reject, values in zip(rejects, rows, strict=True)}


def _fields(text: str | None) -> dict[str, str | None] | None:
    """Fields as they stand in the ledger; numbers and so on, that a person wrote without quotes, as text."""
    if text is None:
        return None
    fields = json.loads(text, parse_int=str, parse_float=str)
    if not isinstance(fields, dict):
        return {}
    return {
        name: value if value is None or isinstance(value, str) else json.dumps(value) for name, value in fields.items()
    }


def _in_order(fields: dict[str, str | None], header: tuple[str, ...]) -> tuple[Values, str]:
    names = [without_nul(name) for name in header]
    if fields.keys() - set(names):
        return [], "record.too_many_fields"
    if not names or set(names) - fields.keys():
        return [], "record.too_few_fields"
    return [fields[name] for name in names], ""


def _match(contract: Contract, header: tuple[str, ...]) -> Match:
    try:
        return match([(contract, list(header))])
    except HeaderError as error:
        raise _NotJudgedError(f"its header does not fit contract {contract.name} any more: {error}") from error


def _block(rejects: list[_Reject], rows: list[Values], width: int, dialect: Dialect) -> Block:
    nothing = np.zeros(len(rejects), np.int64)
    lines = np.array([reject.line_number for reject in rejects], np.int64)
    return Block(
        pa.table({f"c{i}": pa.array([row[i] for row in rows], pa.string()) for i in range(width)}),
        np.array([reject.record_number for reject in rejects], np.int64),
        Places(lambda: (lines, nothing, nothing), b"", dialect),
        [],
    )


def _outcome(reject: _Reject, rules: list[str], error_class: str) -> dict[str, Any]:
    return {"record_number": reject.record_number, "rules": rules, "error_class": error_class}
