"""Words that stand for no value."""

from __future__ import annotations

import re
from collections.abc import Iterable

WORDS = frozenset(
    ("NULL", "null", "Null", "(null)", "<null>", "nil", "\\N", "N/A", "n/a", "#N/A", "NA", "NaN", "nan", "None", "-")
) | {"--", "?"}
_CODE = re.compile("[A-Z]{2}")
_CODES = 5


def null_words(values: Iterable[str]) -> frozenset[str]:
    """Those of ``values`` (no two alike) that stand for no value: such a word, or nothing but blanks."""
    values = list(values)
    found = {value for value in values if is_null(value)}
    others = [value.strip() for value in values if value not in found]
    if len(others) >= _CODES and all(_CODE.fullmatch(value) for value in others):
        found = {value for value in found if value.strip() != "NA"}  # in a column of countries, it is one
    return frozenset(found)


def is_null(value: str) -> bool:
    """Whether the text is one of the words, or blank."""
    return not value.strip() or value.strip() in WORDS
