"""What would become of a file if it landed now: read and judged as a load does it, nothing is written anywhere."""

from __future__ import annotations

import functools
import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
from psycopg.rows import tuple_row

from sluice.base import queries
from sluice.base.settings import Settings
from sluice.contracts import drift
from sluice.contracts.draft_telling import as_they_would_stand
from sluice.contracts.folder import read_contracts
from sluice.contracts.judge import BlockTooLargeError, Judge, Judgement
from sluice.contracts.matching import Match
from sluice.contracts.model import Contract, ContractError, HeaderError
from sluice.landing.land import NotLandedError, check_name
from sluice.ledger.takeover import why_undone
from sluice.loading.errors import FileRejectedError
from sluice.loading.expired_rows import ExpiredRows
from sluice.loading.file_limits import refuse_drift, refuse_failed, within_budget
from sluice.loading.rejects import named
from sluice.loading.which_contract import which_contract
from sluice.reading.block import Block
from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect
from sluice.reading.kinds import Kind, kind_of
from sluice.reading.landed_bytes import LandedBytes, UnreadableFileError
from sluice.reading.widths import Widths

Connection = psycopg.Connection[dict[str, Any]]
# The number of a file that has not landed: greater than all.
_TO_COME = 2**63 - 1
# What a gentle process may allocate; of that it touches some 250 MB, with records of many MB 350.
DATA_BYTES_MAX = 7 << 26
EXAMPLES, FIRST_ROWS, RAW_BYTES, FIELD_CHARACTERS = 20, 5, 4_000, 300
# A process that does this alone stays small: the loader's own blocks are sixteen times as large.
CHUNK_BYTES, DUCKDB_MEMORY = 1 << 20, "64MB"


@dataclass
class Example:
    """A row that would be set aside. ``fields`` are its values by name as they stand in the file, None is no value.

    ``raw`` are the file's own bytes; bytes that are no UTF-8 are escaped. What is long ends earlier.
    """

    record: int
    line: int
    rules: list[str]
    error_class: str
    raw: str
    fields: dict[str, str | None]


@dataclass
class DryRun:
    """What was found. ``outcome`` says what a load would do:

    - ``loads``: its rows load, but those that are set aside
    - ``rejected``: the whole file is, ``why`` says why and what to do
    - ``no_contract``: the same, for no contract fits its header
    - ``waits``: a contract cannot be used; the file would wait until it can
    - ``duplicate``: a file of these bytes is there already (only known when the ledger was asked)
    - ``never_taken``: a file of this name is never taken
    - ``not_judged``: that takes more memory than a dry run may have; a load has more

    ``rows_read`` = ``rows_good`` + ``rows_set_aside``; whether a good row is there already is decided by the load.
    ``is_whole``: false when reading stopped after ``rows_read`` rows. ``broken``: how many rows break each rule.
    ``earlier``: loaded files of this name, which ``revision`` says what becomes of.
    """

    name: str
    bytes: int = 0
    sha256: str = ""
    outcome: str = "loads"
    why: str = ""
    contract: str | None = None
    contract_version: str | None = None
    is_whole: bool = False
    rows_read: int = 0
    rows_good: int = 0
    rows_set_aside: int = 0
    rows_warned: int = 0
    broken: dict[str, int] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    first_rows: list[dict[str, Any]] = field(default_factory=list)
    drift: str = ""
    revision: str = ""
    duplicate_of: int | None = None
    earlier: list[dict[str, Any]] = field(default_factory=list)
    ledger_was_asked: bool = False

    @property
    def would_load(self) -> bool:
        """Whether rows of it would load."""
        return self.outcome == "loads"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def dry_run(
    settings: Settings,
    path: Path,
    name: str,
    *,
    seconds: float | None = None,
    connection: Connection | None = None,
) -> DryRun:
    """Judge the file at ``path`` as if it landed now as ``name``; reading stops after ``seconds``.

    ``connection``: the ledger is asked for duplicates and revisions too, and for the months that are not kept. Raises
    OSError when the file cannot be read, psycopg.Error.
    """
    expired_before = queries.row(connection, "ledger/dry_run.expired_before")["micros"] if connection else None
    found = _judged(settings, path, name, seconds, expired_before)
    if connection:
        _ask_ledger(connection, found)
    return found


def _ask_ledger(connection: Connection, found: DryRun) -> None:
    found.ledger_was_asked = True
    if same := queries.one(connection, "ledger/dry_run.same_bytes", sha256=found.sha256):
        found.outcome, found.duplicate_of = "duplicate", same["file_id"]
        found.why = (
            f"file {same['file_id']} ({same['name']}) has the same bytes and is {same['state']}: nothing is left to do"
        )
        return
    if found.outcome != "loads" or found.revision == "append":
        return
    found.earlier = queries.all(connection, "ledger/dry_run.same_name", name=found.name, contract=found.contract)
    if found.earlier and found.revision == "reject":
        first = found.earlier[0]["file_id"]
        found.outcome, found.why = (
            "rejected",
            (
                f"file {first} of this name is loaded already, and contract {found.contract} rejects revisions: unload "
                f"file {first} first, land this one under another name, or change revision in the contract"
            ),
        )
    elif why := _why_undone(connection, found):
        found.outcome, found.why = "rejected", why


def _why_undone(connection: Connection, found: DryRun) -> str:
    cursor = psycopg.RawCursor(connection, row_factory=tuple_row)
    run = functools.partial(queries.all, cursor)
    return why_undone(run, _TO_COME, found.name, str(found.contract), found.sha256)


def _judged(settings: Settings, path: Path, name: str, seconds: float | None, expired_before: int | None) -> DryRun:
    found = DryRun(name)
    try:
        check_name(name)
        with LandedBytes(path, name) as landed:
            try:
                _Judging(settings, path, found, landed, seconds, expired_before).run()
            finally:
                found.bytes, found.sha256 = landed.digest()
    except NotLandedError as error:
        found.outcome, found.why = "never_taken", str(error)
    except (FileRejectedError, UnreadableFileError, BlockTooLargeError) as error:
        found.outcome, found.why = "rejected", str(error)
    except HeaderError as error:
        found.outcome, found.why = "no_contract", str(error)
    except ContractError as error:
        found.outcome, found.why = "waits", str(error)
    except (MemoryError, pa.ArrowMemoryError, duckdb.OutOfMemoryException):
        found.outcome, found.why = "not_judged", "its rows are too long to be judged here: a load has more memory"
    return found


class _Judging:
    """One file, read once through."""

    def __init__(
        self,
        settings: Settings,
        path: Path,
        found: DryRun,
        landed: LandedBytes,
        seconds: float | None,
        expired_before: int | None,
    ) -> None:
        self._settings = settings
        self._path = path
        self._found = found
        self._landed = landed
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._broken: Counter[str] = Counter()
        self._expired = ExpiredRows(expired_before)
        self._now = int(datetime.now(UTC).timestamp() * 1_000_000)

    def run(self) -> None:
        """Fill what is found. Raises what makes a load set the file aside."""
        judge = Judge(DUCKDB_MEMORY)
        try:
            self._run(judge)
        finally:
            self._found.broken = dict(self._broken.most_common())
            judge.close()

    def _run(self, judge: Judge) -> None:
        found, landed = self._found, self._landed
        contracts = read_contracts(self._settings.contracts_dir, problems=judge.problems)
        if not landed.head(1) and not any(
            one.layout.header == "none" for one in contracts.candidates if one.takes(found.name)
        ):
            raise FileRejectedError("the file is empty: a file must have a header that names its columns")
        match, dialect = which_contract(contracts, landed, found.name, self._settings.columns_max)
        contract = match.contract
        found.contract, found.contract_version, found.revision = contract.name, contract.version, contract.revision
        found.drift = drift.says(match.drift)
        refuse_drift(contract, match.drift)
        kind = None
        if not contract.layout.names_columns:
            kind = kind_of(landed.head(), found.name, landed.marked_encoding)
        widths = self._judge_blocks(judge, match, dialect)
        self._refuse_the_whole(contract, match, kind, widths)

    def _judge_blocks(self, judge: Judge, match: Match, dialect: Dialect) -> Widths:
        found, widths = self._found, Widths()
        found.is_whole = True
        sha256 = self._sha256(match.contract)
        for block in self._blocks(match, dialect):
            judged = self._expired.set_aside(
                block, judge.judge(block, match, file_id=0, sha256=sha256, landed_at=self._now)
            )
            refuse_failed(block, judged, match.contract)
            widths.add(block)
            self._count(block, judged, match)
            if self._deadline is not None and time.monotonic() > self._deadline:
                found.is_whole = False
                break
        return widths

    def _sha256(self, contract: Contract) -> str:
        """The file's own where ids are made of it, to be those of the load: it is read once more for that, first."""
        if not any("file_sha256" in (column.transform or "").lower() for column in contract.columns):
            return "0" * 64
        with self._path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _refuse_the_whole(self, contract: Contract, match: Match, kind: Kind | None, widths: Widths) -> None:
        found = self._found
        if kind and not found.rows_good:
            raise FileRejectedError(str(kind), contract)
        if misfit := widths.misfit(len(match.header), is_in_file=contract.layout.names_columns):
            raise FileRejectedError(misfit, contract)
        if found.is_whole:
            within_budget(contract, found.rows_set_aside - self._expired.count, found.rows_read)

    def _blocks(self, match: Match, dialect: Dialect) -> Iterator[Block]:
        reader = RecordReader(
            self._landed,
            dialect,
            match.contract.layout,
            chunk_bytes=min(CHUNK_BYTES, self._settings.chunk_bytes),
            record_bytes_max=self._settings.record_bytes_max,
        )
        reader.header()
        yield from reader.blocks(len(match.header))

    def _count(self, block: Block, judged: Judgement, match: Match) -> None:
        found = self._found
        found.rows_read += block.records
        found.rows_good += judged.good.num_rows
        found.rows_set_aside += len(judged.bad) + len(block.broken)
        found.rows_warned += judged.warned
        self._broken.update(record.rule for record in block.broken)
        self._broken.update(rule for _, rules, _ in judged.bad for rule in rules)
        if len(found.first_rows) < FIRST_ROWS:
            found.first_rows += as_they_would_stand(judged.good, FIRST_ROWS - len(found.first_rows))
        self._show(block, judged, match)

    def _show(self, block: Block, judged: Judgement, match: Match) -> None:
        """Keep the first rows that would be set aside."""
        room = EXAMPLES - len(self._found.examples)
        for record in block.broken[:room]:
            fields = named(match, record)
            self._keep(record.record_number, record.line_number, [record.rule], "parse", record.raw, fields)
        bad = judged.bad[: max(0, EXAMPLES - len(self._found.examples))]
        rows = block.columns.take([row for row, _, _ in bad]).to_pylist() if bad else []
        for (row, rules, error_class), values in zip(bad, rows, strict=True):
            fields = {name: values[f"c{i}"] for i, name in enumerate(match.field_names)}
            number, line = int(block.record_numbers[row]), int(block.line_numbers[row])
            self._keep(number, line, rules, error_class, block.raw(row), fields)
        self._found.examples.sort(key=lambda one: one.record)

    def _keep(
        self, record: int, line: int, rules: list[str], error_class: str, raw: bytes, fields: dict[str, str | None]
    ) -> None:
        short = {name: value and value[:FIELD_CHARACTERS] for name, value in fields.items()}
        text = raw[:RAW_BYTES].decode("utf-8", "backslashreplace")
        self._found.examples.append(Example(record, line, list(rules), error_class, text, short))
