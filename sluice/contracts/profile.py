"""Looks at a CSV file that nobody has described yet: how it is written, and what its columns hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sluice.contracts.profiling.columns import ColumnProfile, column_profile, writes_commas
from sluice.contracts.profiling.comments import said_comments
from sluice.contracts.profiling.footers import guessed_footer, last_records
from sluice.contracts.profiling.guess import Guess
from sluice.contracts.profiling.moments import connect
from sluice.contracts.profiling.nulls import nulls_of_nearly_all
from sluice.contracts.profiling.records import first_records
from sluice.contracts.profiling.sniffing import beginning, guessed_dialect, guessed_encoding, read, whole_lines
from sluice.contracts.profiling.tops import Top, guessed_top
from sluice.reading.block import Block
from sluice.reading.dialect import Dialect
from sluice.reading.kinds import kind_of, unmarked_encoding
from sluice.reading.landed_bytes import LandedBytes
from sluice.reading.layout import Layout

SAMPLE_BYTES = 16 << 20


class ProfileError(ValueError):
    """The file is no table that a contract could describe; the message says what to do."""


@dataclass(frozen=True)
class Profile:
    """A file's dialect, layout, names and columns, from its first 16 MiB.

    ``header`` are the names as the contract's reader has them. ``broken`` counts records that cannot be read,
    ``stray_quotes`` those with a quote inside an unquoted field. ``guesses`` are about dialect and layout.
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
    layout: Layout
    guesses: tuple[Guess, ...]


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
    encoding = marked or guessed_encoding(data[:SAMPLE_BYTES])
    data = data if is_whole else whole_lines(data, encoding)
    look = _Look(path, data, guessed_dialect(data, encoding), is_whole)
    records, broken = look.counted()
    return Profile(
        dialect=look.dialect,
        marked_encoding=marked,
        header=tuple(look.header),
        columns=tuple(_columns(look.header, look.blocks, look.dialect)),
        blocks=tuple(look.blocks),
        records=records,
        broken=broken,
        stray_quotes=sum(len(block.stray_quotes) for block in look.blocks),
        is_whole=is_whole,
        layout=look.layout,
        guesses=tuple(look.guesses),
    )


class _Look:
    """A look at a file: at its beginning, then at all of it, then at its end. Raises ProfileError."""

    def __init__(self, path: Path, data: bytes, dialect: Dialect, is_whole: bool) -> None:
        self._path = path
        self._data = data
        self.dialect = dialect
        top = self._top()
        self.layout = top.layout
        self.guesses = [*said_comments(beginning(data, dialect.encoding), dialect), *top.guesses]
        self._width = top.width
        self.header, self.blocks, _ = self._read(top)
        if is_whole:
            self._find_footer(top)
        self._find_nulls(top)

    def counted(self) -> tuple[int, int]:
        """How many records there are, and how many of them cannot be read; not all, or it raises ProfileError."""
        records = sum(block.records for block in self.blocks)
        broken = sum(len(block.broken) for block in self.blocks)
        if records and records == broken:
            raise ProfileError(
                f"{self._path}: none of its {records} records has as many fields as its header, which has "
                f"{len(self.header)}: give both the same number, or take lines above the header away"
            )
        return records, broken

    def _top(self) -> Top:
        records = first_records(beginning(self._data, self.dialect.encoding), self.dialect)
        if not records:
            raise ProfileError(f"{self._path}: there are only empty lines, and so no header")
        top = guessed_top(records, self.dialect)
        if top is None:
            raise ProfileError(f"{self._path}: no record can be told apart, for its quotes do not fit: correct them")
        return top

    def _read(self, top: Top) -> tuple[list[str], list[Block], int]:
        header, blocks, footer = read(self._data, self.dialect, self.layout, self._width)
        if header is None:
            raise ProfileError(f"{self._path}: the line that must name the columns cannot be read: correct it")
        return list(top.names) or header, blocks, footer

    def _find_footer(self, top: Top) -> None:
        found = guessed_footer(last_records(self.blocks, self.dialect), top.looks, self.dialect)
        if found is None:
            return
        pattern, records, guess = found
        before = self.layout
        self.layout = replace(before, footer=pattern)
        header, blocks, there = self._read(top)
        if there == records:
            self.header, self.blocks = header, blocks
            self.guesses.append(guess)
        else:
            self.layout = before

    def _find_nulls(self, top: Top) -> None:
        if words := nulls_of_nearly_all([block.columns for block in self.blocks]):
            self.dialect = replace(self.dialect, nulls=("", *words))
            self.header, self.blocks, _ = self._read(top)
            text = (
                f"{', '.join(map(repr, words))} {'is' if len(words) == 1 else 'are'} taken for no value, as nearly all "
                "columns have it where a value is missing"
            )
            self.guesses.append(Guess(text, "nulls", 'nulls: [""]'))


def _columns(header: Sequence[str], blocks: Sequence[Block], dialect: Dialect) -> list[ColumnProfile]:
    """What the columns hold; one with decimal commas says that 1.234 in another may be a thousand."""
    prefers_commas = dialect.separator == ";"
    found = list(_profiles(header, blocks, prefers_commas=prefers_commas))
    if not prefers_commas and any(map(writes_commas, found)):
        return list(_profiles(header, blocks, prefers_commas=True))
    return found


def _profiles(header: Sequence[str], blocks: Sequence[Block], *, prefers_commas: bool) -> Iterator[ColumnProfile]:
    lines = np.concatenate([block.line_numbers for block in blocks]) if blocks else np.empty(0, np.int64)
    connection = connect()
    try:
        for i, name in enumerate(header):
            texts = [text for block in blocks for text in block.columns[f"c{i}"].to_pylist()]
            yield column_profile(connection, name.strip(), texts, lines, prefers_commas=prefers_commas)
    finally:
        connection.close()
