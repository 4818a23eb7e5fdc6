"""Recounts the law of conservation, from the files themselves and from the tables, never from a program's counters.

For every loaded file: the records in the file = its rows in ``events`` + its rows that expired + its rejects + its
duplicates, each record number from 1 to the last exactly once. The records are counted by a reader of its own
(second_reader/), which shares no code with the loader's, and some of each file are compared field by field
(row_check.py). A receipt that was made must hold. What cannot be verified counts as broken. A file that housekeeping
has sealed is gone; its rows are held against the tally and the receipt that were verified before.
"""

from __future__ import annotations

import itertools
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import psycopg

from sluice.base import database, queries
from sluice.base.plain_text import escaped
from sluice.base.settings import Settings, load
from sluice.contracts.folder import read_contracts
from sluice.contracts.model import Contract
from sluice.ledger import archive, contract_waits
from sluice.proof.row_check import Held, RowCheck, sample
from sluice.proof.second_reader import reader
from sluice.proof.second_reader.landed import DamagedFileError
from sluice.proof.second_reader.layout import Layout
from sluice.proof.second_reader.reader import Reading

Row = dict[str, Any]
Connection = psycopg.Connection[Row]

_PAGE = 200
_SHOWN = 3
_NO_ROWS = {
    "loaded": 0,
    "expired": 0,
    "rejected": 0,
    "duplicate": 0,
    "record_numbers": 0,
    "first": None,
    "last": None,
    "digest": "0" * 32,
}


@dataclass
class Count:
    """The sums of one contract's files."""

    files: int = 0
    sealed: int = 0
    rows_read: int = 0
    rows_loaded: int = 0
    rows_expired: int = 0
    rows_rejected: int = 0
    rows_duplicate: int = 0
    broken: int = 0


@dataclass
class Reconciliation:
    """What the recount found: sums by contract, and a sentence for each file where conservation is broken."""

    contracts: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))
    broken: list[str] = field(default_factory=list)
    waiting: int = 0
    unnoted: str = ""

    @property
    def holds(self) -> bool:
        """Whether every row is accounted for."""
        return not self.broken

    def lines(self) -> list[str]:
        """One line a contract, then one a broken file."""
        said = [_contract_line(name, count) for name, count in sorted(self.contracts.items())]
        said = said or ["no file has been loaded yet"]
        if self.waiting:
            said.append(f"{self.waiting:,} files wait to be loaded")
        if self.unnoted:
            said.append(f"this recount could not be noted in the ledger: {self.unnoted}")
        return said + [f"BROKEN {sentence}" for sentence in self.broken]


def reconcile(
    settings: Settings,
    url: str,
    progress: Callable[[str], None] | None = None,
    *,
    days: float | None = None,
    folders: bool = True,
) -> Reconciliation:
    """Recount everything that was loaded so far; the tables are read in one snapshot. ``url``: a role that may read.

    ``days``: only files that were loaded, or whose rows were changed with an entry in the audit, in the last so many
    days: what somebody does by hand to the rows of an older file, or under the number of no file, is not found then.
    """
    # The transaction is idle while a file is read. Moments of the first and the last years exist in UTC only.
    with database.connect(
        url,
        application_name="sluice-reconcile",
        autocommit=False,
        idle_in_transaction_session_timeout="0",
        timezone="UTC",
    ) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        begun_at = queries.row(connection, "ledger/status.clock")["now"]
        counted: dict[int, Row] = {}
        if days is None:
            files = queries.all(connection, "ledger/reconcile.files_to_verify")
            counted = _by_file(queries.all(connection, "ledger/reconcile.rows_by_file"))
        else:
            files = queries.all(connection, "ledger/reconcile.files_since", days=days)
        before = contract_waits.last_usable(connection)
        known = read_contracts(settings.contracts_dir, last_usable=lambda: before)
        contracts = {contract.name: contract for contract in known.candidates}
        found = Reconciliation(waiting=queries.row(connection, "ledger/reconcile.landed_count")["files"])
        found.broken += [_forsaken(row) for row in queries.all(connection, "ledger/reconcile.forsaken_duplicates")]
        cut = queries.row(connection, "ledger/reconcile.expired_before")["cut"]
        for begin in range(0, len(files), _PAGE):
            page = files[begin : begin + _PAGE]
            if days is not None:
                counted = _rows_of(connection, [file["file_id"] for file in page])
            held = _Held(connection, [file for file in page if file["state"] == "loaded" and not file["is_sealed"]])
            for file in page:
                rows = counted.pop(file["file_id"], _NO_ROWS) | {"expired": file["rows_expired"]}
                file["expired_before"] = cut if file["rows_expired"] else None
                _verify(settings, contracts.get(file["contract"]), file, rows, held, found)
            if progress is not None and (begin // _PAGE) % 5 == 4:
                progress(f"{begin + len(page):,} of {len(files):,} files recounted")
    found.broken += [
        f"file {file_id} is not in the ledger, but {_shown(rows)} are" for file_id, rows in counted.items()
    ]
    with database.connect(url, application_name="sluice-reconcile") as connection:
        if folders:
            found.broken += map(str, archive.apart_from_ledger(settings, connection))
        _note(connection, found, begun_at, days)
    return found


def _note(connection: Connection, found: Reconciliation, begun_at: datetime, days: float | None) -> None:
    """Keep in the ledger what a recount has found. What it found stands, whether that can be noted or not."""
    counts = found.contracts.values()
    try:
        queries.run(
            connection,
            "ledger/reconcile.note_recount",
            begun_at=begun_at,
            days=days,
            files=sum(count.files for count in counts),
            rows=sum(count.rows_read for count in counts),
            problems=len(found.broken),
        )
    except psycopg.Error as error:
        found.unnoted = str(error).strip()


def _by_file(rows: Sequence[Row]) -> dict[int, Row]:
    return {row["file_id"]: row for row in rows}


def _rows_of(connection: Connection, file_ids: Sequence[int]) -> dict[int, Row]:
    """What the tables hold of these files, which follow one another."""
    span = {"first": min(file_ids), "last": max(file_ids)}
    return _by_file(queries.all(connection, "ledger/reconcile.rows_of_files", file_ids=list(file_ids), **span))


class _Held:
    """Which records of some files are sampled, and what the tables hold of them."""

    def __init__(self, connection: Connection, files: Sequence[Row]) -> None:
        self.records = {file["file_id"]: sample(file["sha256"], file["rows_read"]) for file in files}
        self._held: dict[tuple[int, int], Held] = defaultdict(Held)
        if not files:
            return
        for row in queries.all(connection, "ledger/reconcile.sampled_rejects", file_ids=list(self.records)):
            self.records[row["file_id"]].add(row["record_number"])
        wanted = [(file_id, number) for file_id, numbers in self.records.items() for number in sorted(numbers)]
        parameters = {"file_ids": [file_id for file_id, _ in wanted], "records": [number for _, number in wanted]}
        places = {
            "ledger/reconcile.sampled_events": "event",
            "ledger/reconcile.sampled_repeated": "repeated",
            "ledger/reconcile.sampled_records_set_aside": "reject",
            "ledger/reconcile.sampled_expired": "expired",
        }
        for query, place in places.items():
            for row in queries.all(connection, query, first=min(self.records), last=max(self.records), **parameters):
                setattr(self._held[row["file_id"], row["record_number"]], place, row)

    def of(self, file_id: int, number: int) -> Held:
        """What the tables hold of this record."""
        return self._held[file_id, number]


def _verify(
    settings: Settings, contract: Contract | None, file: Row, rows: Row, held: _Held, found: Reconciliation
) -> None:
    if file["state"] == "loaded":
        _verify_loaded(settings, contract, file, rows, held, found)
    elif any(rows[name] for name in ("loaded", "expired", "rejected", "duplicate")):
        found.broken.append(
            f"file {file['file_id']} ({file['name']}) is {file['state']}, but {_shown(rows)} of it are in the tables"
        )


def _verify_loaded(
    settings: Settings, contract: Contract | None, file: Row, rows: Row, held: _Held, found: Reconciliation
) -> None:
    count = found.contracts[file["contract"]]
    in_file, problems = file["rows_read"], []
    if not file["is_sealed"]:
        try:
            reading = _read(settings, file, contract, held.records[file["file_id"]])
            in_file, problems = reading.records, list(_wrong_records(file, contract, reading, held))
        except (OSError, DamagedFileError, LookupError) as error:
            in_file, problems = 0, [f"cannot be verified: {error}"]
    if not problems or in_file:
        problems = [*filter(None, [_difference(in_file, file, rows)]), *problems]
    count.files += 1
    count.sealed += file["is_sealed"]
    count.rows_read += in_file
    count.rows_loaded += rows["loaded"] + rows["expired"]
    count.rows_expired += rows["expired"]
    count.rows_rejected += rows["rejected"]
    count.rows_duplicate += rows["duplicate"]
    if problems:
        count.broken += 1
        found.broken.append(f"file {file['file_id']} ({file['name']}): {'; '.join(problems)}")


def _read(settings: Settings, file: Row, contract: Contract | None, records: Collection[int]) -> Reading:
    """A loaded file, read anew by another reader than the loader's.

    Raises LookupError when its contract is gone or the bytes are not those that were registered, OSError when the file
    is gone, DamagedFileError when its compression is broken.
    """
    if contract is None:
        raise LookupError(f"its contract {file['contract']!r} is not under {settings.contracts_dir} any more")
    path = archive.where(settings.home_dir, file["path"])
    marks = {"record_bytes_max": settings.record_bytes_max} | (file["read_as"] or {})
    marks.pop("footer_records", None)
    layout = {name: marks.pop(name) for name in Layout.__dataclass_fields__ if name in marks}
    reading = reader.read(
        path,
        file["name"],
        record_bytes_max=marks.pop("record_bytes_max"),
        dialect=replace(contract.dialect, **marks),
        layout=Layout(**layout),
        wanted=records,
        fields_max=len(file["header"] or []),
    )
    if (reading.size, reading.sha256) != (file["bytes"], file["sha256"]):
        raise LookupError(
            f"{file['path']} has {reading.size:,} bytes and sha256 {reading.sha256[:12]}…, "
            "not those that were registered"
        )
    return reading


def _wrong_records(file: Row, contract: Contract | None, reading: Reading, held: _Held) -> Iterator[str]:
    """The first few sampled records that the tables do not hold as the file has them."""
    assert contract is not None
    check = RowCheck(contract, file["contract_version"], file["header"], file["landed_at"], file["expired_before"])
    records = [reading.wanted[number] for number in sorted(reading.wanted)]
    wrong = (check.difference(record, held.of(file["file_id"], record.number)) for record in records)
    return itertools.islice(filter(None, wrong), _SHOWN)


def _difference(in_file: int, file: dict[str, Any], rows: dict[str, Any]) -> str:
    loaded = rows["loaded"] + rows["expired"]
    accounted = loaded + rows["rejected"] + rows["duplicate"]
    if accounted != in_file:
        what = (
            f"{in_file - accounted:,} are missing" if accounted < in_file else f"{accounted - in_file:,} are too many"
        )
        readers = (
            f"; the loader's reader found {file['rows_read']:,} records, this one {in_file:,}: "
            "report the defect, with the file"
            if in_file != file["rows_read"]
            else ""
        )
        return f"{in_file:,} rows in the file, but {_shown(rows)}: {what}{readers}"
    if in_file and not _each_once(in_file, file, rows):
        return f"the record numbers in the tables are not 1 to {in_file:,}, each once: a row stands for another one"
    tally = (file["rows_read"], file["rows_loaded"], file["rows_rejected"], file["rows_duplicate"])
    if tally != (in_file, loaded, rows["rejected"], rows["duplicate"]):
        return f"the ledger's tally is {tally}, but the tables hold {_shown(rows)}"
    if file["receipt"] not in (None, rows["digest"]):
        return (
            f"its receipt is {file['receipt']}, its rows give {rows['digest']}: "
            "a row was changed, added or taken by hand"
        )
    return ""


def _each_once(in_file: int, file: Row, rows: Row) -> bool:
    """Whether the tables hold records 1 to ``in_file``, by their sum and ends; of what expired the sum is known."""
    if rows["record_numbers"] + file["expired_records"] != in_file * (in_file + 1) // 2:
        return False
    first, last = rows["first"], rows["last"]
    return (first, last) == (1, in_file) or (rows["expired"] > 0 and (first is None or 1 <= first <= last <= in_file))


def _forsaken(duplicate: dict[str, Any]) -> str:
    return (
        f"file {duplicate['file_id']} ({duplicate['name']}) is a duplicate of file {duplicate['duplicate_of']}, "
        f"which is {duplicate['original_state']}: its rows are nowhere; land the same bytes again"
    )


def _shown(rows: dict[str, Any]) -> str:
    expired = f"{rows['expired']:,} expired + " if rows.get("expired") else ""
    return f"{rows['loaded']:,} loaded + {expired}{rows['rejected']:,} rejected + {rows['duplicate']:,} duplicate"


def _contract_line(name: str, count: Count) -> str:
    sealed = f", {count.sealed:,} sealed" if count.sealed else ""
    expired = f" ({count.rows_expired:,} of them expired)" if count.rows_expired else ""
    verdict = "holds" if not count.broken else f"BROKEN in {count.broken:,} files"
    return (
        f"{name}: {count.files:,} files{sealed}, {count.rows_read:,} read = {count.rows_loaded:,} loaded{expired} + "
        f"{count.rows_rejected:,} rejected + {count.rows_duplicate:,} duplicate: {verdict}"
    )


def main(days: float | None = None) -> int:
    """Recount and print; exit code 0 when conservation holds, 1 when it is broken."""
    settings = load()
    found = reconcile(settings, settings.reader_dsn, lambda line: print(line, file=sys.stderr, flush=True), days=days)
    print("\n".join(map(escaped, found.lines())))
    return 0 if found.holds else 1
