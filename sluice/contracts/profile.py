"""Looks at a CSV file that nobody has described yet: how it is written, and what its columns hold."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sluice.contracts.model import more_than_once
from sluice.contracts.profiling.columns import ColumnProfile, column_profile
from sluice.contracts.profiling.moments import connect
from sluice.contracts.profiling.sniffing import guessed_dialect, guessed_encoding, read, whole_lines
from sluice.reading.block import Block
from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect
from sluice.reading.kinds import kind_of, unmarked_encoding
from sluice.reading.landed_bytes import LandedBytes

SAMPLE_BYTES = 16 << 20


class ProfileError(ValueError):
    """The file is no table that a contract could describe; the message says what to do."""


@dataclass(frozen=True)
class Profile:
    """A file's dialect, header and columns, from its first 16 MiB.

    ``broken`` counts records that cannot be read, ``stray_quotes`` those with a quote inside an unquoted field.
    """

    dialect: Dialect
    marked_encoding: str | None
    header: tuple[str, ...]
    columns: tuple[ColumnProfile, ...]
    blocks: tuple[Block, ...]
    records: int
    broken: int
    stray_quotes: int
    is_whole: bool


def profile(path: Path) -> Profile:
    """Look at the file at ``path`` (.gz and .zst are read too). Raises ProfileError, OSError, UnreadableFileError."""
    with LandedBytes(path, path.name) as landed:
        data = landed.head(SAMPLE_BYTES + 1)
        marked = landed.marked_encoding
    is_whole = len(data) <= SAMPLE_BYTES
    if not data:
        raise ProfileError(f"{path} is empty: a contract is drafted from a file with a header and some rows")
    if kind := kind_of(data, path.name, marked or unmarked_encoding(data)):
        raise ProfileError(f"{path}: {kind}")
    dialect = guessed_dialect(data[:SAMPLE_BYTES], marked or guessed_encoding(data[:SAMPLE_BYTES]))
    header, blocks = read(data if is_whole else whole_lines(data, dialect.encoding), dialect)
    if header is None:
        what = "its quotes do not fit" if data.strip(b"\r\n\0") else "there are only empty lines, and so no header"
        raise ProfileError(f"{path}: line 1 must name the columns, but {what}: correct it")
    folded = [name.strip().casefold() for name in header if name.strip()]
    if twice := more_than_once(folded):
        raise ProfileError(f"{path} names {twice} more than once in its header {header}: rename the repeated columns")
    if not folded:
        raise ProfileError(f"{path} names no column in its first line {header}: put a header above the rows")
    records, broken = sum(block.records for block in blocks), sum(len(block.broken) for block in blocks)
    if records and records == broken:
        raise ProfileError(
            f"{path}: none of its {records} records has as many fields as its first line, which has {len(header)}: "
            "take lines above the header away"
        )
    return Profile(
        dialect=dialect,
        marked_encoding=marked,
        header=tuple(header),
        columns=tuple(_columns(header, blocks, dialect)),
        blocks=tuple(blocks),
        records=records,
        broken=broken,
        stray_quotes=sum(len(block.stray_quotes) for block in blocks),
        is_whole=is_whole,
    )


def read_header(data: bytes, dialect: Dialect) -> list[str] | None:
    """The header of a file that begins with ``data``; None when ``dialect`` cannot read it."""
    return RecordReader(io.BytesIO(data), dialect).header()


def _columns(header: Sequence[str], blocks: Sequence[Block], dialect: Dialect) -> Iterator[ColumnProfile]:
    lines = np.concatenate([block.line_numbers for block in blocks]) if blocks else np.empty(0, np.int64)
    connection = connect()
    try:
        for i, name in enumerate(header):
            texts = [text for block in blocks for text in block.columns[f"c{i}"].to_pylist()]
            yield column_profile(connection, name.strip(), texts, lines, prefers_commas=dialect.separator == ";")
    finally:
        connection.close()
