"""Records of a loaded file, read once more from its bytes because their rows are to be set aside after all."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from sluice.base.settings import Settings
from sluice.contracts.folder import Contracts
from sluice.contracts.matching import match
from sluice.contracts.model import Contract
from sluice.ledger import archive
from sluice.loading.rejects import Rejects
from sluice.loading.writer_session import WriterSession
from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect
from sluice.reading.landed_bytes import LandedBytes
from sluice.reading.layout import Layout

_log = logging.getLogger(__name__)


def keep_rejects(
    settings: Settings,
    session: WriterSession,
    contracts: Contracts,
    file_id: int,
    numbers: Sequence[int],
    table: str,
) -> None:
    """Copy these records of the file, as conflicts, to the temporary ``table``; none when its bytes cannot be read."""
    [(name, path, sha256, size, contract_name, header, marked, read_as)] = session.run("load/merge.describe", file_id)
    where = archive.where(settings.home_dir, path)
    try:
        contract = contracts.named(contract_name)
        matched = match([(contract, json.loads(header))])
        rejects = Rejects(session, file_id, matched, into=(table, None))
        with LandedBytes(where, name) as landed:
            reader = _reader(settings, contract, landed, marked, json.loads(read_as or "{}"))
            reader.header()
            for block in reader.blocks(len(matched.header)):
                rows = np.flatnonzero(np.isin(block.record_numbers, np.array(numbers, np.int64)))
                bad = [(int(row), ["event_id.conflict"], "conflict") for row in rows]
                rejects.add(replace(block, broken=[]), bad)
            if landed.digest() != (size, sha256):
                raise LookupError(f"{path} is not what was registered")
        rejects.flush()
    except Exception as error:  # whatever it is: the row is set aside all the same
        session.rollback()
        _log.warning("file %s (%s): its bytes cannot be read again, its rows stand for them: %s", file_id, name, error)


def _reader(
    settings: Settings, contract: Contract, landed: LandedBytes, marked: str | None, read_as: dict[str, Any]
) -> RecordReader:
    """Reads the file as it was read when it was loaded, whatever the contract says today."""
    said: dict[str, dict[str, Any]] = {
        kind.__name__: {each.name: read_as[each.name] for each in fields(kind) if each.name in read_as}
        for kind in (Dialect, Layout)
    }
    encoding = {"encoding": marked} if marked else {}
    return RecordReader(
        landed,
        replace(contract.dialect, **(said["Dialect"] | encoding)),
        replace(contract.layout, **said["Layout"]),
        chunk_bytes=settings.chunk_bytes,
        record_bytes_max=read_as.get("record_bytes_max", settings.record_bytes_max),
    )
