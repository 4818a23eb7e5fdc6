"""A second reader of landed files, for the recount: it shares no code with the loader's, only the dialect's values.

It goes line by line over the bytes, with find() and a state; the loader's (sluice/reading) goes over whole chunks with
NumPy and leaves the fields to Arrow. The rules are the same: a quote opens a field only at its start and closes it only
before a separator, a line end or the end of the file; LF, CRLF and CR end a line; a record whose quotes do not fit ends
with its first line; empty lines are no records, nor are comments, nor what the layout says stands above and below them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sluice.proof.second_reader.fields import Dialect, Field, Fields
from sluice.proof.second_reader.landed import Hashed, decompressed, without_byte_order_mark
from sluice.proof.second_reader.layout import Footer, Layout
from sluice.proof.second_reader.records import Records
from sluice.proof.second_reader.units import Units


@dataclass(frozen=True)
class Record:
    """One record: ``raw`` are the file's own bytes without the line end; ``is_cut`` when they are too many to keep.

    ``number`` counts from 1 after any header, ``line`` from 1 at the file's start. ``fields`` is None when they cannot
    be told apart with certainty: its quotes do not fit, it holds NUL, or bytes that are not of the encoding.
    """

    number: int
    line: int
    raw: bytes
    is_cut: bool
    fields: list[Field] | None


@dataclass(frozen=True)
class Reading:
    """A whole file: its records between header and footer, the wanted ones, its bytes and sha256 as it lies on disk."""

    records: int
    wanted: dict[int, Record]
    size: int
    sha256: str


def read(
    path: Path,
    name: str,
    dialect: Dialect,
    wanted: Collection[int],
    *,
    record_bytes_max: int,
    layout: Layout = Layout(),  # noqa: B008
    fields_max: int | None = None,
) -> Reading:
    """Read the file at ``path``, whose landed ``name`` says how it is compressed, and keep the records ``wanted``.

    Of a record that has more than ``fields_max`` fields, one more than these are kept.

    Memory is bounded by some times ``record_bytes_max``, and by what is wanted. Raises OSError, DamagedFileError.
    """
    with open(path, "rb") as file:
        hashed = Hashed(file)
        chunks, encoding = without_byte_order_mark(decompressed(hashed, name), dialect.encoding)
        units = Units(encoding, record_bytes_max, dialect.separator + (dialect.comment or ""))
        fields = Fields(dialect, encoding, units)
        number, footer, kept = 0, Footer(layout.footer, units), dict[int, Record]()
        found = Records(chunks, fields, units, layout)
        for number, (line, marks, raw, is_cut) in enumerate(found, start=1 - layout.header_records):
            if number > 0:
                footer.pass_by(raw, is_cut=is_cut)
            if number in wanted and number > 0:
                apart = None if is_cut else fields.of_record(marks, raw, fields_max)
                kept[number] = Record(number, line, raw, is_cut, apart)
        hashed.drain()
    records = max(number, 0) - footer.records
    kept = {number: record for number, record in kept.items() if number <= records}
    return Reading(records, kept, hashed.size, hashed.sha256.hexdigest())
