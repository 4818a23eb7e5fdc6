"""Which contract a landed file gets, and the dialect that it is read in; or why none, in words of what the file is."""

from __future__ import annotations

import functools
import io
from dataclasses import replace

from sluice.contracts.folder import Contracts
from sluice.contracts.header_trouble import explained
from sluice.contracts.matching import Match
from sluice.contracts.model import Contract
from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect
from sluice.reading.landed_bytes import LandedBytes
from sluice.reading.layout import Layout


def which_contract(contracts: Contracts, landed: LandedBytes, name: str, columns_max: int) -> tuple[Match, Dialect]:
    """The contract that knows the header of the file of this ``name``, and its dialect with the file's encoding.

    Raises HeaderError when no contract fits, ContractError when one that cannot be used might.
    """
    head, marked = landed.head(), landed.marked_encoding
    dialects = {contract: _dialect(contract, marked) for contract in contracts.candidates}
    asked = {contract: dialect for contract, dialect in dialects.items() if contract.takes(name)}
    headers = {how: _header(head, *how) for how in {(d, c.layout) for c, d in asked.items()}}
    match = contracts.match(
        [(c, _names(c, headers[d, c.layout])) for c, d in asked.items()],
        columns_max,
        functools.partial(explained, beginning=head, name=name, marked_encoding=marked, dialects=dialects),
    )
    return match, asked[match.contract]


def _dialect(contract: Contract, marked_encoding: str | None) -> Dialect:
    return replace(contract.dialect, encoding=marked_encoding) if marked_encoding else contract.dialect


def _header(head: bytes, dialect: Dialect, layout: Layout) -> list[str] | None:
    """The names in the header as it is read so, none when it is not to name any; None when it cannot be read so."""
    return RecordReader(io.BytesIO(head), dialect, layout, chunk_bytes=len(head) + 1).header()


def _names(contract: Contract, header: list[str] | None) -> list[str] | None:
    """The names of a file's columns: the header's, or the contract's when the file is not to name them."""
    return contract.own_header if header is not None and not contract.layout.names_columns else header
