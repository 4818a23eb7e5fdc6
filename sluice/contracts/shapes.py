"""What the texts of a column have in common, seen at a glance: then no pattern need be held against each of them.

A glance is a few passes over the bytes of a whole column. What it sees of a row is certain. Rows of which it is not
true are named, and judged by every pattern: what is judged does not change, only what it costs.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sluice.contracts.matching import Match
from sluice.contracts.model import Column
from sluice.contracts.sql.values import has_format, places_of

Codes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

# A column of which more than one row in so many is odd is not known at all.
FEW = 8
# Of fewer rows two queries cost more than the patterns.
WORTH_TWO_QUERIES = 4096
_SAMPLE = 64
_HYPHENS = [8, 13, 18, 23]
_DIGITS = [place for place in range(36) if place not in _HYPHENS]
# The value of a hex digit, by its code; 255 of what is none.
_NIBBLE = np.full(256, 255, np.uint8)
for _text in ("0123456789abcdef", "0123456789ABCDEF"):
    _NIBBLE[np.frombuffer(_text.encode(), np.uint8)] = np.arange(16, dtype=np.uint8)
# Digits that every number of so many fits into.
_SAFE_DIGITS = {"BIGINT": 18, "INTEGER": 9, "SMALLINT": 4, "HUGEINT": 38}
# Moments without an offset, written with 0 for each digit; the cast reads each of them as it is meant.
_DATE = re.compile(rb"0000-00-00")
_MOMENT = re.compile(rb"0000-00-00([T ]00:00(:00(\.0{1,6})?)?Z?)?")


@dataclass(frozen=True)
class Known:
    """Fields of a file, by number, of which every text is known: ``bare`` ones are not empty, nor blank at an end.

    All ``moments`` have the shape of a moment that a cast reads rightly; all ``uuids`` are uuids with hyphens; all
    ``numbers`` are digits, with a point between two of them or without, no more than the type has. A text may be null,
    but none of those that are ``filled`` is.
    """

    bare: frozenset[int] = field(default_factory=frozenset)
    moments: frozenset[int] = field(default_factory=frozenset)
    uuids: frozenset[int] = field(default_factory=frozenset)
    numbers: frozenset[int] = field(default_factory=frozenset)
    filled: frozenset[int] = field(default_factory=frozenset)


NOTHING = Known()


@dataclass(frozen=True)
class Glance:
    """What is ``known`` of all rows but the ``odd`` ones, and the ids of the rows, of 16 bytes each, if they are uuids.

    What stands for an odd row's id means nothing.
    """

    known: Known
    odd: Integers
    ids: pa.Array | None


def look(records: pa.Table, match: Match) -> Glance:
    """What is known of the columns of ``records``."""
    rows = records.num_rows
    odd, ids = np.zeros(rows, bool), None
    bare, moments, uuids, numbers, filled = (set[int]() for _ in range(5))

    def is_known(found: Flags | None) -> bool:
        if found is None or np.count_nonzero(found) * FEW > rows:
            return False
        odd[:] |= found
        return True

    for column, at in places_of(match.contract, match.header):
        if not (column.trim or has_format(column)):
            continue
        texts = _Texts.of(records[f"c{at}"])
        if column.kind == "uuid" and not column.value_map:
            made, strange = _uuids(texts)
            if is_known(strange):
                ids = made
                uuids.add(at)
                bare.add(at)
                continue
        if is_known(texts.not_bare()):
            bare.add(at)
        if _is_plain_moment(column) and is_known(_strange_moments(texts, _shape_of(column))):
            moments.add(at)
        elif _is_plain_number(column) and is_known(_strange_numbers(texts, *_digits_of(column))):
            numbers.add(at)
        if texts.is_null is None:
            filled.add(at)
    rare = np.flatnonzero(odd)
    if len(rare) and (rows < WORTH_TWO_QUERIES or len(rare) * FEW > 2 * rows):
        return Glance(NOTHING, rare[:0], None)
    known = Known(*map(frozenset, (bare, moments, uuids, numbers, filled)))
    return Glance(known, rare, ids)


@dataclass(frozen=True)
class _Texts:
    """The texts of a column: all their bytes, where each begins, and how long it is; a null has no bytes."""

    codes: Codes
    starts: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]
    is_null: Flags | None

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> _Texts:
        """The texts of a column of strings, without a copy where it is one chunk."""
        texts = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        is_null = texts.is_null().to_numpy(zero_copy_only=False) if texts.null_count else None
        _, offsets, data = texts.buffers()
        if not len(texts) or data is None:
            nothing = np.zeros(len(texts), np.int32)
            return cls(np.empty(0, np.uint8), nothing, nothing, is_null)
        ends = np.frombuffer(offsets, np.int32, len(texts) + 1, 4 * texts.offset)
        codes = np.frombuffer(data, np.uint8, int(ends[-1] - ends[0]), int(ends[0]))
        return cls(codes, ends[:-1] - ends[0], np.diff(ends), is_null)

    def not_bare(self) -> Flags:
        """Which texts are empty, or begin or end with a blank."""
        is_empty = self.lengths == 0
        if not len(self.codes):
            found = is_empty
        else:
            last = len(self.codes) - 1
            first_codes = self.codes[np.minimum(self.starts, last)]
            last_codes = self.codes[np.maximum(self.starts + self.lengths - 1, 0)]
            found = is_empty | (first_codes == ord(" ")) | (last_codes == ord(" "))
        return found if self.is_null is None else found & ~self.is_null

    def grid(self, width: int) -> tuple[Codes, Flags | None]:
        """The bytes of the texts of this width, one row each, and which texts these are; None when all are."""
        fits = self.lengths == width
        if fits.all():
            return self.codes.reshape(-1, width), None
        return self.codes[np.repeat(fits, self.lengths)].reshape(-1, width), fits


def _uuids(texts: _Texts) -> tuple[pa.Array, Flags]:
    """The texts as 16 bytes each, and which are no uuid with hyphens."""
    grid, fits = texts.grid(36)
    strange = (grid[:, _HYPHENS] != ord("-")).any(axis=1)
    nibbles = _NIBBLE[grid[:, _DIGITS]]
    if nibbles.size and nibbles.max() > 15:
        strange |= (nibbles > 15).any(axis=1)
    made: Codes = np.left_shift(nibbles[:, ::2], 4, dtype=np.uint8) | nibbles[:, 1::2]
    if fits is not None:
        everything = np.zeros((len(fits), 16), np.uint8)
        everything[fits] = made
        made, strange = everything, _among(fits, strange)
    offsets = np.arange(0, 16 * len(made) + 1, 16, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(made))]
    return pa.Array.from_buffers(pa.binary(), len(made), buffers), strange


def _strange_moments(texts: _Texts, shape: re.Pattern[bytes]) -> Flags | None:
    """Which texts are neither null nor written as most are; None when ``shape`` does not match these."""
    present = texts.lengths if texts.is_null is None else texts.lengths[~texts.is_null]
    width = int(np.median(present)) if len(present) else 0
    if not 10 <= width <= 32:
        return None
    grid, fits = texts.grid(width)
    sample = (re.sub(rb"[0-9]", b"0", row.tobytes()) for row in grid[:_SAMPLE])
    common = Counter(sample).most_common(1)
    if not common or not shape.fullmatch(common[0][0]):
        return None
    strange = _differ(grid, np.frombuffer(common[0][0], np.uint8))
    if fits is None:
        return strange
    found = _among(fits, strange)
    return found if texts.is_null is None else found & ~texts.is_null


def _differ(grid: Codes, form: Codes) -> Flags:
    """Which rows have another sign than ``form``, whose 0 stands for any digit, or the year 0."""
    is_digit = form == ord("0")
    lowest, highest = grid.min(axis=0), grid.max(axis=0)
    is_alike = np.where(is_digit, (lowest >= ord("0")) & (highest <= ord("9")), (lowest == form) & (highest == form))
    if is_alike.all():
        strange: Flags = np.zeros(len(grid), bool)
    else:
        strange = np.logical_or.reduce(np.where(is_digit, grid - np.uint8(ord("0")) > 9, grid != form), axis=1)
    if (lowest[:4] <= ord("0")).all():
        strange |= (grid[:, :4] == ord("0")).all(axis=1)
    return strange


def _strange_numbers(texts: _Texts, whole: int, decimals: int) -> Flags | None:
    """Which texts are neither null nor digits, at most ``whole``, nor have a point and up to ``decimals`` more."""
    codes, starts, lengths = texts.codes, texts.starts, texts.lengths
    if not len(codes):
        return None
    at = np.flatnonzero(codes - np.uint8(ord("0")) > 9)
    if len(at) == len(starts) and (at >= starts).all() and (at < starts + lengths).all():
        rows = np.arange(len(at))  # one in each, as prices have
    else:
        rows = np.searchsorted(starts, at, "right") - 1
    before = at - starts[rows]
    after = lengths[rows] - 1 - before
    strange = (lengths == 0) | (lengths > whole)
    strange[rows] = (codes[at] != ord(".")) | (before < 1) | (before > whole) | (after < 1) | (after > decimals)
    again = rows[1:][rows[1:] == rows[:-1]]
    strange[again] = True
    return strange if texts.is_null is None else strange & ~texts.is_null


def _among(fits: Flags, strange: Flags) -> Flags:
    """Which of all texts do not fit, or are ``strange`` among those that do."""
    found = ~fits
    found[fits] = strange
    return found


def _is_plain_moment(column: Column) -> bool:
    is_plain = not column.value_map and not column.formats and "defaultTimezone" not in column.options
    return column.logical_type in ("timestamp", "date") and is_plain


def _is_plain_number(column: Column) -> bool:
    is_plain = not (column.value_map or column.currency or column.thousands_separator)
    return column.logical_type in ("integer", "number") and is_plain and column.decimal_separator == "."


def _digits_of(column: Column) -> tuple[int, int]:
    """How many digits before the point and after it each number of the column's type may have, and be one."""
    if column.logical_type == "integer":
        return (column.digits[0] if column.kind == "numeric" else _SAFE_DIGITS[column.integer]), 0
    return (15, 15) if column.is_float else column.digits


def _shape_of(column: Column) -> re.Pattern[bytes]:
    return _DATE if column.logical_type == "date" else _MOMENT
