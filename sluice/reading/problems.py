"""What is wrong with a record: how many fields it has, its quoting, NUL, bytes that are not of the encoding."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence

import numpy as np

from sluice.reading.block import Integers
from sluice.reading.dialect import Dialect
from sluice.reading.stretch import Stretch

# So many records are looked at together after one whose bytes are not of the encoding.
_FEW = 64


def problems(
    buffer: bytes, stretches: Sequence[Stretch], records: Stretch, width: int, dialect: Dialect
) -> dict[int, str]:
    """The rule that each broken record breaks, by its index in ``records``, which are those of all ``stretches``.

    Where there are several: bytes that are not of the encoding, then quoting and length, then the number of fields.
    """
    rules: dict[int, str] = {}
    for i in map(int, np.flatnonzero(records.is_record & (records.widths != width))):
        rules[i] = "record.too_few_fields" if records.widths[i] < width else "record.too_many_fields"
    index = 0
    for stretch in stretches:
        if stretch.problem and stretch.is_record[0]:
            rules[index] = stretch.problem
        elif stretch.stray_quote == "reject":
            rules.setdefault(index, "record.stray_quote")
        index += len(stretch)
    if not len(records):
        return rules
    for position in _nul_positions(buffer, int(records.starts[0]), int(records.ends[-1])):
        rules.setdefault(int(np.searchsorted(records.starts, position, "right")) - 1, "record.nul_byte")
    for i in _undecodable(buffer, records, dialect.text_encoding):
        if rules.get(i) != "record.too_long":  # whose raw bytes are not all there, and may end in half a letter
            rules[i] = "record.invalid_bytes"
    if records.comments is None:
        return rules
    return {i: rule for i, rule in rules.items() if not records.comments[i]}


def _nul_positions(buffer: bytes, first: int, last: int) -> Integers:
    if buffer.find(b"\0", first, last) < 0:
        return np.empty(0, np.int64)
    return np.flatnonzero(np.frombuffer(buffer, np.uint8, last - first, first) == 0) + first


def _undecodable(buffer: bytes, records: Stretch, encoding: str) -> Iterator[int]:
    """Indices of the records whose bytes are not of the encoding.

    After one, few records are looked at together, then more again: an error copies all that was looked at.
    """
    starts, ends = records.starts, records.ends
    view, at, many = memoryview(buffer), 0, len(starts)
    while at < len(starts):
        stop = min(at + many, len(starts))
        try:
            codecs.decode(view[starts[at] : ends[stop - 1]], encoding)
            at, many = stop, many * 2
        except UnicodeDecodeError as error:
            at = int(np.searchsorted(starts, starts[at] + error.start, "right"))
            many = _FEW
            yield at - 1
