"""Guesses which records at a file's end are totals and the like, and how a contract tells them from rows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sluice.contracts.profiling.cells import Looks, kind_of_cell
from sluice.contracts.profiling.guess import Guess
from sluice.contracts.profiling.records import Record
from sluice.reading.block import Block
from sluice.reading.dialect import Dialect
from sluice.reading.fields import is_null, split, text
from sluice.reading.transcoding import shown, without_mark

_TOTAL = re.compile(
    r"\W*(?:(?:grand|sub|net)?[ -]?totals?|totaux|totaal|totale|sum|summe|summa|suma|somme|gesamt\w*|insgesamt|"
    r"zwischensumme|end(?:summe|betrag)|(?:number of )?(?:rows|records)|anzahl(?: der)? \w+|"
    r"\(?\d+ (?:rows?|records?|zeilen|datensätze)(?: (?:selected|affected|total))?\)?|eof|end of (?:file|report)|"
    r"(?:quelle|source|stand|erstellt|created|generated|exported|printed)\b.*)\W*(?::.*|\d[\d.,' ]*)?",
    re.IGNORECASE,
)
_MOST, _LONGEST, _SHOWN = 20, 40, 60


def last_records(blocks: Sequence[Block], dialect: Dialect) -> list[Record]:
    """The last records of ``blocks``, rows and broken ones."""
    found: list[tuple[int, int, bytes]] = []
    for block in reversed(blocks):
        rows = range(max(0, len(block.record_numbers) - _MOST), len(block.record_numbers))
        found += [(int(block.record_numbers[i]), int(block.line_numbers[i]), block.raw(i)) for i in rows]
        found += [(one.record_number, one.line_number, one.raw) for one in block.broken[-_MOST:] if one.width]
        if len(found) >= 2 * _MOST:
            break
    encoding = without_mark(dialect.encoding)
    return [_record(line, _text(raw, dialect, encoding), dialect) for _, line, raw in sorted(found)[-_MOST:]]


def _text(raw: bytes, dialect: Dialect, encoding: str) -> bytes:
    """``raw``, the file's own bytes, as bytes of ``dialect.text_encoding``."""
    return raw.decode(encoding, "replace").encode() if dialect.is_transcoded else raw


def _record(line: int, raw: bytes, dialect: Dialect) -> Record:
    parts = split(raw, dialect)
    return Record(line, raw, tuple(None if is_null(part, dialect) else text(part, dialect) for part in parts))


def guessed_footer(last: Sequence[Record], looks: Sequence[Looks], dialect: Dialect) -> tuple[str, int, Guess] | None:
    """A pattern that the records of the footer begin with, how many there are, and the question; None without any."""
    footer: list[Record] = []
    for record in reversed(last):
        if record.filled and not _is_of_footer(record, looks):
            break
        footer.insert(0, record)
    if not footer or len(footer) * 2 > len(last):
        return None
    pattern = "|".join(dict.fromkeys(_pattern(record, dialect) for record in footer))
    if any(re.compile(pattern, re.DOTALL).match(shown(row.raw, dialect)) for row in last[: -len(footer)]):
        return None
    first, end = footer[0], footer[-1]
    seen = ", ".join(_quoted(shown(record.raw, dialect)) for record in footer[:3])
    lines = f"line {first.line} is" if len(footer) == 1 else f"lines {first.line} to {end.line} are"
    text = f"{lines} taken for the file's footer, which is no data: {seen}"
    return pattern, len(footer), Guess(text, "footer", "no footer, if these are rows", first.line)


def _is_of_footer(record: Record, looks: Sequence[Looks]) -> bool:
    cells = [record.cells[i] or "" for i in record.filled]
    place, first = record.filled[0], cells[0]
    look = looks[place] if place < len(looks) else Looks("")
    if _TOTAL.fullmatch(first) and first not in look.often:
        return True
    values = sum(look.says(cell) > 0 for cell, look in zip(record.cells, looks, strict=False))
    if record.width != len(looks):
        # A row that breaks off is no footer: the reader sets it aside.
        return len(cells) == 1 and len(looks) > 2 and not values and _is_a_sentence(first, look)
    always = [i for i, look in enumerate(looks) if look.always and look.kind]
    lacking = [i for i in always if i not in record.filled]
    return len(lacking) >= 2 and len(lacking) * 2 > len(always)


def _is_a_sentence(cell: str, look: Looks) -> bool:
    """Whether the text is not what the column's values are: with blanks, or a line of dashes."""
    is_rule = not any(letter.isalnum() for letter in cell)
    return is_rule or (kind_of_cell(cell) == "text" and (look.kind != "text" or (" " in cell and not look.has_blanks)))


def _pattern(record: Record, dialect: Dialect) -> str:
    """What the record begins with, up to its first value; numbers in it may be others in the next file."""
    separator = dialect.separator
    if not record.filled:
        blank = _escaped(separator) if len(separator) == 1 else f"(?:{_escaped(separator)})"
        return rf"(?:{blank}|\s|{_escaped(dialect.quote * 2)})+\Z" if record.width > 1 else r"\s+\Z"
    place = record.filled[0]
    parts = [shown(part, dialect) for part in split(record.raw, dialect)]
    before, first = separator.join([*parts[:place], ""]) if place else "", parts[place]
    if kind_of_cell(record.cells[place] or "") == "number":
        quote = _escaped(dialect.quote) if first.startswith(dialect.quote) else ""
        return f"{_escaped(before)}{quote}[+-]?[0-9]"
    is_cut = len(first) > _LONGEST
    after = "" if is_cut else separator if len(parts) > place + 1 else r"\Z"
    found = re.sub("[0-9]+", "[0-9]+", _escaped(before + first[:_LONGEST]))
    return found + (after if after == r"\Z" else _escaped(after))


def _escaped(text: str) -> str:
    return re.sub(r"([\\.^$*+?{}\[\]|()])", r"\\\1", text)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
