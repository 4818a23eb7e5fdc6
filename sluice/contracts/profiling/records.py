"""The first records of a file that nobody has described yet, whatever they are: titles, names, rows, totals."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sluice.reading.dialect import Dialect
from sluice.reading.fields import is_null, split, text
from sluice.reading.header_lines import separator_named
from sluice.reading.lines import LINE_END, count_line_ends
from sluice.reading.slow_path import SlowPath
from sluice.reading.transcoding import shown, text_of

LOOKED_AT_BYTES, LOOKED_AT = 128 * 1024, 1000


@dataclass(frozen=True)
class Record:
    """A record on ``line`` (from 1): its fields as text, None for those without a value, and ``raw`` as it stands.

    There are no ``cells`` when its quotes do not fit. ``raw`` is of the dialect's ``text_encoding``.
    """

    line: int
    raw: bytes
    cells: tuple[str | None, ...]

    @property
    def width(self) -> int:
        """How many fields it has, 0 when they cannot be told apart."""
        return len(self.cells)

    @property
    def filled(self) -> list[int]:
        """The places, from 0, of the fields that are not blank."""
        return [i for i, cell in enumerate(self.cells) if cell and cell.strip()]


def first_records(data: bytes, dialect: Dialect) -> list[Record]:
    """The records of ``data`` that would be if nothing stood above them, without the line that names the separator."""
    buffer = text_of(io.BytesIO(data), dialect).read(len(data))
    path = SlowPath(buffer, dialect, len(buffer), is_last=True)
    position, line, found = 0, 1, list[Record]()
    if separator_named(buffer[:64], dialect):
        match = LINE_END.search(buffer)
        position, line = (match.end(), 2) if match else (len(buffer), 1)
    while position < len(buffer) and len(found) < LOOKED_AT and (one := path.record(position)) is not None:
        following = int(one.nexts[0])
        if one.is_record[0]:
            raw = buffer[position : int(one.ends[0])]
            found.append(Record(line, raw, () if one.problem else _cells(raw, dialect)))
        line += count_line_ends(buffer, position, following)
        position = following
    return found


def _cells(raw: bytes, dialect: Dialect) -> tuple[str | None, ...]:
    return tuple(None if is_null(part, dialect) else text(part, dialect) for part in split(raw, dialect))


def bulk_width(records: Sequence[Record]) -> int:
    """How many fields the rows have; 0 when none can be told apart.

    It is what most records have. Where most have one, but below them only wider ones follow, those are the rows.
    """
    widths = [record.width for record in records if record.width]
    if not widths:
        return 0
    [(most, _)] = Counter(widths).most_common(1)
    counts = Counter(widths)
    most = max(counts, key=lambda width: (counts[width], width))
    if most > 1:
        return most
    wide = next((i for i, width in enumerate(widths) if width > 1), len(widths))
    below = Counter(widths[wide:])
    width = max(below, key=lambda each: (below[each], each), default=1)
    return width if below[width] >= 3 and below[width] * 5 >= 4 * below.total() else 1


def naive_cells(raw: bytes, dialect: Dialect) -> list[str]:
    """The texts between the separators, whatever their quotes say, without quotes."""
    return [part.replace(dialect.quote, "").strip() for part in shown(raw, dialect).split(dialect.separator)]
