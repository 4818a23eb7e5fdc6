"""SQL that makes moments of texts: ISO 8601, or the date patterns that a contract gives."""

from __future__ import annotations

import re

from sluice.contracts.model import Column
from sluice.contracts.sql.text import literal, matches

_YEAR = r"(\d{3}[1-9]|\d{2}[1-9]\d|\d[1-9]\d{2}|[1-9]\d{3})"
_OFFSET = r"[+-](0\d|1[0-5])(:?[0-5]\d)?"
_ISO_DATE = rf"{_YEAR}-\d{{2}}-\d{{2}}"
_ISO_TIME = rf"[T ]\d{{2}}:\d{{2}}(:\d{{2}}(\.\d{{1,6}}0*)?)?( ?(Z|z|UTC|GMT|{_OFFSET}))?"
_HAS_ZONE = rf"(Z|z|UTC|GMT|:.*{_OFFSET})$"
# Pieces of a Java date pattern (what the standard's `format` is): how each looks, and its strptime directive.
_PATTERN_PIECES = {
    "yyyy": (_YEAR, "%Y"),
    "uuuu": (_YEAR, "%Y"),
    "yy": (r"\d{2}", "%y"),
    "MMMM": (r"[A-Za-z]{3,9}", "%B"),
    "MMM": (r"[A-Za-z]{3}", "%b"),
    "MM": (r"\d{2}", "%m"),
    "M": (r"\d{1,2}", "%m"),
    "dd": (r"\d{2}", "%d"),
    "d": (r"\d{1,2}", "%d"),
    "EEEE": (r"[A-Za-z]{6,9}", "%A"),
    "EEE": (r"[A-Za-z]{3}", "%a"),
    "HH": (r"\d{2}", "%H"),
    "H": (r"\d{1,2}", "%H"),
    "hh": (r"\d{2}", "%I"),
    "h": (r"\d{1,2}", "%I"),
    "mm": (r"\d{2}", "%M"),
    "m": (r"\d{1,2}", "%M"),
    "ss": (r"\d{2}", "%S"),
    "s": (r"\d{1,2}", "%S"),
    "SSSSSS": (r"\d{6}", "%f"),
    "SSS": (r"\d{3}", "%g"),
    "a": (r"[AaPp][Mm]", "%p"),
    "XXX": (r"(Z|[+-](0\d|1[0-5]):[0-5]\d)", "%z"),
    "XX": (r"(Z|[+-](0\d|1[0-5])[0-5]\d)", "%z"),
    "X": (rf"(Z|{_OFFSET})", "%z"),
    "Z": (r"[+-](0\d|1[0-5])[0-5]\d", "%z"),
}
_PIECE = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|.", re.DOTALL)


def moment(column: Column, source: str) -> str:
    """SQL of the moment that the text ``source`` says; null where it is in none of the column's formats."""
    zone = column.options.get("defaultTimezone")
    whens = []
    for pattern in column.formats:
        shape, directive = date_pattern(pattern)
        text = f"regexp_replace({source}, 'Z$', '+00')" if "Z|" in shape else source
        parsed = f"try_strptime({text}, {literal(directive)})"
        is_local = zone is not None and "%z" not in directive
        at = f"timezone({literal(zone)}, {parsed})" if is_local else f"{parsed}::TIMESTAMPTZ"
        whens.append(f"WHEN {matches(source, shape)} THEN {at}")
    if whens:
        return f"CASE {' '.join(whens)} END"
    shape = _ISO_DATE if column.logical_type == "date" else f"{_ISO_DATE}({_ISO_TIME})?"
    in_utc = f"regexp_replace({source}, ' ?(z|Z|UTC|GMT)$', '+00')"
    with_offset = f"replace(replace({source}, ' +', '+'), ' -', '-')"
    parsed = f"try_cast(CASE WHEN right({source}, 1) >= 'A' THEN {in_utc} ELSE {with_offset} END AS TIMESTAMPTZ)"
    if zone is not None:
        local = f"timezone({literal(zone)}, try_cast({source} AS TIMESTAMP))"
        parsed = f"CASE WHEN regexp_matches({source}, {literal(_HAS_ZONE)}) THEN {parsed} ELSE {local} END"
    return f"CASE WHEN {matches(source, shape)} THEN {parsed} END"


def date_pattern(pattern: str) -> tuple[str, str]:
    """A Java date pattern (the standard's ``format``) as a regular expression and a strptime format.

    Raises ValueError for letters that are not known: they would otherwise be taken for text.
    """
    shape, directive = "", ""
    for piece in _PIECE.finditer(pattern):
        part = piece.group()
        if part in _PATTERN_PIECES:
            looks, means = _PATTERN_PIECES[part]
        elif piece.group(2) or part in tuple("[]{}#'"):
            raise ValueError(
                f"{part!r} in date format {pattern!r} is not known: known are {', '.join(_PATTERN_PIECES)}"
            )
        else:
            text = "'" if part == "''" else (piece.group(1) or part).replace("''", "'")
            looks, means = re.escape(text), text.replace("%", "%%")
        shape, directive = shape + looks, directive + means
    return shape, directive
