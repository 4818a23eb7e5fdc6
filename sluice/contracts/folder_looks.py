"""Looks at each file of a folder, and keeps so little of it that hundreds of them fit into memory."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from sluice.contracts.model import normal
from sluice.contracts.profile import Profile, ProfileError, profile
from sluice.contracts.profiling.columns import ColumnProfile, misfits_of
from sluice.reading.landed_bytes import UnreadableFileError

# Of all files together; a file keeps its share, the values that most rows have and those that do not fit.
_VALUES_MOST, _CHARACTERS_MOST, _VALUES_LEAST = 1_000_000, 128 << 20, 50
_MISFITS_MOST = 20


@dataclass(frozen=True)
class ColumnLook:
    """What one file says of a column: ``profile`` has only some of its values, ``rows`` are all that have one.

    ``line`` is that of the first value, ``is_unique`` is of all values.
    """

    profile: ColumnProfile
    rows: int
    is_unique: bool
    first: str | None
    line: int


@dataclass(frozen=True)
class FileLook:
    """What is kept of one file. ``profile`` has neither its columns nor its records any more."""

    path: Path
    profile: Profile
    columns: dict[str, ColumnLook]

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def readable(self) -> int:
        """How many records can be read."""
        return self.profile.records - self.profile.broken

    @cached_property
    def names(self) -> frozenset[str]:
        """The names in the header as they are compared."""
        return frozenset(self.columns)


def looks_at(paths: Sequence[Path]) -> tuple[list[FileLook], list[str]]:
    """A look at each of ``paths``, one after the other, in the order of their names; and why some are no tables."""
    looks, left_out = [], []
    for path in in_order(paths):
        try:
            looks.append(_look_at(path, len(paths)))
        except ProfileError as error:
            left_out.append(str(error))
        except UnreadableFileError as error:
            left_out.append(f"{path}: {error}")
        except OSError as error:
            left_out.append(f"{path} cannot be read ({error.strerror})")
    return looks, left_out


def in_order(paths: Iterable[Path]) -> list[Path]:
    """By name, as people number and date them: 2 before 10."""
    return sorted(paths, key=lambda path: [(text, int(digits or 0)) for text, digits in _parts(path.name)])


def _parts(name: str) -> list[tuple[str, str]]:
    return re.findall(r"([^0-9]*)([0-9]*)", name.casefold())


def _look_at(path: Path, files: int) -> FileLook:
    whole = profile(path)
    named = [(i, column) for i, column in enumerate(whole.columns) if column.name]
    share = files * max(1, len(named))
    columns = {normal(column.name): _column_look(whole, i, column, share) for i, column in named}
    return FileLook(path, replace(whole, columns=(), blocks=()), columns)


def _column_look(whole: Profile, number: int, column: ColumnProfile, share: int) -> ColumnLook:
    first = next(iter(column.counts), None)
    line = next(_lines_of(whole, number, {first}), 0) if first is not None else 0
    kept = replace(column, counts=_kept(column, share))
    return ColumnLook(kept, column.rows, column.is_unique, first, line)


def _lines_of(whole: Profile, number: int, values: Iterable[str | None]) -> Iterator[int]:
    """The lines on which column ``number`` (from 0) has one of ``values``."""
    wanted = set(values)
    for block in whole.blocks:
        texts = block.columns[f"c{number}"].to_pylist()
        yield from (int(block.line_numbers[i]) for i, text in enumerate(texts) if text in wanted)


def first_of(path: Path, name: str, values: Set[str]) -> tuple[int, str]:
    """On which line of the file at ``path`` column ``name`` has the first of ``values``, and which it is."""
    whole = profile(path)
    number = next(i for i, column in enumerate(whole.columns) if column.name == name)
    value = next(value for value in whole.columns[number].counts if value in values)
    return next(_lines_of(whole, number, {value})), value


def _kept(column: ColumnProfile, share: int) -> dict[str, int]:
    """The values that most rows have, as many as are this column's share, and some that do not fit."""
    most = max(_VALUES_LEAST, _VALUES_MOST // share)
    counts = column.counts
    if len(counts) > most or sum(map(len, counts)) > _CHARACTERS_MOST // share:
        wanted = {value for value, _ in _within(Counter(counts).most_common(most), _CHARACTERS_MOST // share)}
        wanted |= set(sorted(misfits_of(column), key=len)[:_MISFITS_MOST])
        counts = {value: rows for value, rows in counts.items() if value in wanted}
    return dict(counts)


def _within(pairs: Iterable[tuple[str, int]], characters: int) -> Iterator[tuple[str, int]]:
    for number, (value, rows) in enumerate(pairs):
        characters -= len(value)
        if characters < 0 and number:
            return
        yield value, rows
