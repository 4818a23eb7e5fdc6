"""Records of a loaded file, read once more from its bytes because their rows are to be set aside after all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import psycopg

from sluice.base.plain_text import shown
from sluice.base.settings import Settings
from sluice.contracts.matching import Match
from sluice.contracts.model import Contract
from sluice.landing import folders
from sluice.ledger import archive
from sluice.loading.rejects import Rejects
from sluice.loading.retry_rules import cut, line_of
from sluice.loading.writer_session import WriterSession
from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect
from sluice.reading.landed_bytes import LandedBytes
from sluice.reading.layout import Layout


class NotReadAgainError(Exception):
    """A file's records cannot be read again now; the message names the file, says why and what to do."""


@dataclass(frozen=True)
class _File:
    """What the ledger knows of how a file was read."""

    name: str
    path: str
    sha256: str
    bytes: int
    contract: str
    header: str | None
    marked_encoding: str | None
    read_as: str | None
    is_sealed: bool
    ledger_id: str


def keep_rejects(
    settings: Settings,
    session: WriterSession,
    contracts: Mapping[str, Contract],
    file_id: int,
    numbers: Sequence[int],
    table: str,
) -> None:
    """Copy these records of the file, as conflicts, to the temporary ``table``.

    Raises NotReadAgainError when that cannot be done, FoldersError when the folder of its bytes is not there,
    psycopg.Error.
    """
    file = _File(*session.run("load/merge.describe", file_id)[0])
    called = f"file {file_id} ({shown(file.name)})"
    if file.is_sealed:
        raise NotReadAgainError(f"the bytes of {called} were deleted by housekeeping: unload it")
    contract = contracts.get(file.contract)
    if contract is None:
        raise NotReadAgainError(f"{called}: contract {file.contract} is not in {settings.contracts_dir}: put it back")
    try:
        _keep(settings, session, contract, file_id, file, numbers, table)
    except (psycopg.Error, NotReadAgainError):
        raise
    except Exception as error:
        if why := folders.why_not_ours(settings, file.ledger_id):
            raise folders.FoldersError(why) from error
        raise NotReadAgainError(
            f"{called} cannot be read again as {file.path} ({cut(line_of(error))}): put it back there, or unload it"
        ) from error


def _keep(
    settings: Settings,
    session: WriterSession,
    contract: Contract,
    file_id: int,
    file: _File,
    numbers: Sequence[int],
    table: str,
) -> None:
    sought = np.array(numbers, np.int64)
    with LandedBytes(archive.where(settings.home_dir, file.path), file.name) as landed:
        reader = _reader(settings, contract, landed, file)
        names = reader.header() or contract.own_header
        matched = Match(contract, tuple(json.loads(file.header) if file.header else names))
        rejects = Rejects(session, file_id, matched, into=(table, None))
        for block in reader.blocks(len(matched.header)):
            rows = np.flatnonzero(np.isin(block.record_numbers, sought))
            rejects.add(replace(block, broken=[]), [(int(row), ["event_id.conflict"], "conflict") for row in rows])
        if landed.digest() != (file.bytes, file.sha256):
            raise LookupError("its bytes are not those that were registered")
    if rejects.count != len(sought):
        raise LookupError(f"{len(sought)} records were sought, {rejects.count} found: report the defect")
    rejects.flush()


def _reader(settings: Settings, contract: Contract, landed: LandedBytes, file: _File) -> RecordReader:
    """Reads the file as it was read when it was loaded, whatever the contract says today."""
    read_as: dict[str, Any] = json.loads(file.read_as or "{}")
    said: dict[str, dict[str, Any]] = {
        kind.__name__: {each.name: read_as[each.name] for each in fields(kind) if each.name in read_as}
        for kind in (Dialect, Layout)
    }
    encoding = {"encoding": file.marked_encoding} if file.marked_encoding else {}
    return RecordReader(
        landed,
        replace(contract.dialect, **(said["Dialect"] | encoding), stray_quote="warn"),
        replace(contract.layout, **said["Layout"]),
        chunk_bytes=settings.chunk_bytes,
        record_bytes_max=read_as.get("record_bytes_max", settings.record_bytes_max),
    )
