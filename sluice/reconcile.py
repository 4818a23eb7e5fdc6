"""Recounts the law of conservation, from the files themselves and from the tables, never from a program's counters.

For every loaded file: the records in the file = its rows in ``events`` + its rejects + its duplicates, each record
number from 1 to the last exactly once. What cannot be verified counts as broken. A file that housekeeping has sealed
is gone; its rows are held against the tally that was verified before.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from sluice import database
from sluice.settings import Settings, load
from spark_jobs.contracts import Contract, load_contracts
from spark_jobs.csv_records import RecordReader
from spark_jobs.landed_bytes import LandedBytes, UnreadableFileError

_NO_ROWS = {
    "loaded": 0,
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
    rows_rejected: int = 0
    rows_duplicate: int = 0
    broken: int = 0


@dataclass
class Reconciliation:
    """What the recount found: sums by contract, and a sentence for each file where conservation is broken."""

    contracts: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))
    broken: list[str] = field(default_factory=list)
    waiting: int = 0

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
        return said + [f"BROKEN {sentence}" for sentence in self.broken]


def reconcile(settings: Settings, url: str, progress: Callable[[str], None] | None = None) -> Reconciliation:
    """Recount everything that was loaded so far; the tables are read in one snapshot. ``url``: a role that may read."""
    with database.connect(url, application_name="sluice-reconcile", autocommit=False) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        files = _rows(connection, "files_to_verify")
        counted = {row["file_id"]: row for row in _rows(connection, "rows_by_file")}
        found = Reconciliation(waiting=_rows(connection, "landed_count")[0]["files"])
    contracts = {contract.name: contract for contract in load_contracts(settings.contracts_dir)}
    for done, file in enumerate(files, start=1):
        rows = counted.pop(file["file_id"], _NO_ROWS)
        if file["state"] == "loaded":
            _verify_loaded(settings, contracts, file, rows, found)
        elif any(rows[name] for name in ("loaded", "rejected", "duplicate")):
            found.broken.append(
                f"file {file['file_id']} ({file['name']}) is {file['state']}, "
                f"but {_shown(rows)} of it are in the tables"
            )
        if progress is not None and done % 1000 == 0:
            progress(f"{done:,} of {len(files):,} files recounted")
    found.broken += [
        f"file {file_id} is not in the ledger, but {_shown(rows)} are" for file_id, rows in counted.items()
    ]
    return found


def _verify_loaded(
    settings: Settings,
    contracts: dict[str, Contract],
    file: dict[str, Any],
    rows: dict[str, Any],
    found: Reconciliation,
) -> None:
    count = found.contracts[file["contract"]]
    in_file: int | None = file["rows_read"] if file["is_sealed"] else None
    problem = ""
    if in_file is None:
        try:
            in_file = count_records(settings, file, contracts.get(file["contract"]))
        except (OSError, UnreadableFileError, LookupError) as error:
            problem = f"cannot be verified: {error}"
    problem = problem or _difference(in_file or 0, file, rows)
    count.files += 1
    count.sealed += file["is_sealed"]
    count.rows_read += in_file or 0
    count.rows_loaded += rows["loaded"]
    count.rows_rejected += rows["rejected"]
    count.rows_duplicate += rows["duplicate"]
    if problem:
        count.broken += 1
        found.broken.append(f"file {file['file_id']} ({file['name']}): {problem}")


def _difference(in_file: int, file: dict[str, Any], rows: dict[str, Any]) -> str:
    accounted = rows["loaded"] + rows["rejected"] + rows["duplicate"]
    if accounted != in_file:
        what = (
            f"{in_file - accounted:,} are missing" if accounted < in_file else f"{accounted - in_file:,} are too many"
        )
        return f"{in_file:,} rows in the file, but {_shown(rows)}: {what}"
    if in_file and (rows["record_numbers"], rows["first"], rows["last"]) != (in_file * (in_file + 1) // 2, 1, in_file):
        return f"the record numbers in the tables are not 1 to {in_file:,}, each once: a row stands for another one"
    tally = (file["rows_read"], file["rows_loaded"], file["rows_rejected"], file["rows_duplicate"])
    if tally != (in_file, rows["loaded"], rows["rejected"], rows["duplicate"]):
        return f"the ledger's tally is {tally}, but the tables hold {_shown(rows)}"
    if file["receipt"] not in (None, rows["digest"]):
        return (
            f"its receipt is {file['receipt']}, its rows give {rows['digest']}: "
            "a row was changed, added or taken by hand"
        )
    return ""


def count_records(settings: Settings, file: dict[str, Any], contract: Contract | None) -> int:
    """The records in a loaded file, read anew.

    Raises LookupError when its contract is gone or the bytes are not those that were registered, OSError when the file
    is gone, UnreadableFileError when its compression is broken.
    """
    if contract is None:
        raise LookupError(f"its contract {file['contract']!r} is not under {settings.contracts_dir} any more")
    with LandedBytes(_where(settings, file["path"]), file["name"]) as landed:
        dialect = replace(contract.dialect, encoding=landed.marked_encoding or contract.dialect.encoding)
        reader = RecordReader(
            landed, dialect, chunk_bytes=settings.chunk_bytes, record_bytes_max=settings.record_bytes_max
        )
        reader.header()
        records = reader.count()
        size, sha256 = landed.digest()
    if (size, sha256) != (file["bytes"], file["sha256"]):
        raise LookupError(
            f"{file['path']} has {size:,} bytes and sha256 {sha256[:12]}…, not those that were registered"
        )
    return records


def _where(settings: Settings, path: str) -> Path:
    """The file, also when it was loaded a moment ago and is not in the archive yet."""
    archived = settings.home_dir / path
    waiting = settings.processing_dir / Path(path).name
    return waiting if not archived.exists() and waiting.exists() else archived


def _rows(connection: psycopg.Connection[dict[str, Any]], query: str) -> list[dict[str, Any]]:
    text: Any = database.queries("ledger/reconcile")[query]
    return connection.execute(text).fetchall()


def _shown(rows: dict[str, Any]) -> str:
    return f"{rows['loaded']:,} loaded + {rows['rejected']:,} rejected + {rows['duplicate']:,} duplicate"


def _contract_line(name: str, count: Count) -> str:
    sealed = f", {count.sealed:,} sealed" if count.sealed else ""
    verdict = "holds" if not count.broken else f"BROKEN in {count.broken:,} files"
    return (
        f"{name}: {count.files:,} files{sealed}, {count.rows_read:,} read = {count.rows_loaded:,} loaded + "
        f"{count.rows_rejected:,} rejected + {count.rows_duplicate:,} duplicate: {verdict}"
    )


def main() -> int:
    """Recount and print; exit code 0 when conservation holds, 1 when it is broken."""
    settings = load()
    found = reconcile(settings, settings.reader_dsn, progress=lambda line: print(line, file=sys.stderr, flush=True))
    print("\n".join(found.lines()))
    return 0 if found.holds else 1
