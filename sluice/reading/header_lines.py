"""What stands above a file's records: the line that names the separator, and the names of the columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sluice.reading.dialect import Dialect
from sluice.reading.fields import split, text

_SEPARATOR_LINE = re.compile(rb"(\"?)sep=([^\r\n]{1,4})\1(?=\r|\n|\Z)", re.IGNORECASE)


def separator_named(beginning: bytes, dialect: Dialect) -> str | None:
    """The separator that line 1 names (``sep=;``, as spreadsheets write it); None when it is another line.

    ``beginning`` is of ``dialect.text_encoding``.
    """
    match = _SEPARATOR_LINE.match(beginning)
    named = match[2].decode(dialect.text_encoding, "replace") if match else ""
    return named if len(named) == 1 else None


def names_of(records: Sequence[bytes], dialect: Dialect) -> list[str]:
    """The names in the lines of a header, of which there is at least one.

    Of several: the parts of a name from top to bottom, joined by a blank. In all but the last line an empty cell has
    the part to its left, as merged cells of a spreadsheet do.
    """
    rows = [[text(part, dialect) for part in split(record, dialect)] for record in records]
    if len(rows) == 1:
        return rows[0]
    width = max(map(len, rows))
    rows = [[*row, *[""] * (width - len(row))] for row in rows]
    for row in rows[:-1]:
        for i in range(1, width):
            row[i] = row[i] if row[i].strip() else row[i - 1]
    return [" ".join(part.strip() for part in parts if part.strip()) for parts in zip(*rows, strict=True)]
