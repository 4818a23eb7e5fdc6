"""CSV for spreadsheets (RFC 4180, UTF-8 with a byte order mark), in which no value can be a formula.

A spreadsheet runs a cell that begins with =, +, - or @, also in their full-width forms; some trim what stands before.
Such a text gets an apostrophe in front, as spreadsheets themselves mark a text. A spreadsheet that takes semicolons or
tabs for separators would find more cells in a text, each with a beginning of its own: those are guarded too.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import BinaryIO, TypeAlias

from sluice.reports.html.text import visible

Value: TypeAlias = str | int | Decimal | bool | float | None

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_GUARD = "'"
_STARTERS = "=+-@"
# Where a cell may begin for some spreadsheet: after what it may take for a separator, or for the end of a row.
_CELL = re.compile(r"([;\t\r\n]+)")
_KEPT_CONTROLS = re.compile(r"([\t\r\n]+)")


def write(file: BinaryIO, rows: Iterable[Sequence[Value]], most: int) -> tuple[int, bool]:
    """Write the names of the columns, which come first, and at most ``most`` rows; how many, and whether more came."""
    file.write(BYTE_ORDER_MARK)
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
    writer = csv.writer(text, lineterminator="\r\n")
    written, is_cut = -1, False
    for row in rows:
        if written == most:
            is_cut = True
            break
        writer.writerow([cell(value) for value in row])
        written += 1
    text.flush()
    text.detach()
    return max(written, 0), is_cut


def lines(rows: Iterable[Sequence[Value]]) -> bytes:
    """Rows for an answer that is sent piece by piece, which begins with BYTE_ORDER_MARK and the columns' names."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def cell(value: Value) -> str:
    """What stands in the cell: a number of ours as it is, any text guarded, nothing for NULL."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return guarded(value)
    number = Decimal(value) if isinstance(value, int | Decimal) else Decimal(repr(value))
    return format(number, "f") if number.is_finite() else guarded(str(number))


def guarded(text: str) -> str:
    """``text`` as a spreadsheet shows and does not run it; controls other than tab and line ends are made visible."""
    parts = _CELL.split(_seen(text))
    for place in range(0, len(parts), 2):
        if _may_start_a_formula(parts[place]):
            parts[place] = _GUARD + parts[place]
    made = "".join(parts)
    return _GUARD + made if made[:1] in ("\t", "\r", "\n") else made


def _may_start_a_formula(text: str) -> bool:
    for sign in text:
        if unicodedata.normalize("NFKC", sign)[:1] in _STARTERS:
            return True
        if unicodedata.category(sign)[0] not in "ZC":
            return False
    return False


def _seen(text: str) -> str:
    parts = _KEPT_CONTROLS.split(text)
    return "".join(part if place % 2 else visible(part) for place, part in enumerate(parts))
