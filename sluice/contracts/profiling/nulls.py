"""Words that stand for no value."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

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


def nulls_of_nearly_all(tables: Sequence[pa.Table]) -> list[str]:
    """Words that stand for no value in nearly all columns in which any value is missing, of these at least two.

    ``tables`` are the blocks of the file, with the same columns of text.
    """
    lacking, having = 0, Counter[str]()
    for i in range(tables[0].num_columns if tables else 0):
        column = pa.chunked_array([chunk for table in tables for chunk in table.column(i).chunks], pa.string())
        there = pc.is_in(column, value_set=pa.array(sorted(WORDS)))
        words = null_words(pc.unique(column).drop_null().to_pylist()) & WORDS if pc.any(there).as_py() else frozenset()
        having.update(words)
        lacking += bool(words) or column.null_count > 0
    return sorted(word for word, columns in having.items() if columns >= 2 and columns * 5 >= lacking * 4)
