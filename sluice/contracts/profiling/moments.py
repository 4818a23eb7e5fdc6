"""In which formats the moments of a column are written."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb

from sluice.contracts.model import Column
from sluice.contracts.profiling.nearly_all import are_nearly_all, rows_that
from sluice.contracts.sql.derived import MOMENTS
from sluice.contracts.sql.text import literal
from sluice.contracts.sql.times import date_pattern, moment

_DAYS = [
    *(mark.join((*day, "yyyy")) for day in (("dd", "MM"), ("d", "M"), ("MM", "dd"), ("M", "d")) for mark in "/.-"),
    *("yyyy/MM/dd", "yyyy.MM.dd", "yyyy/M/d", "yyyy-M-d", "dd-MMM-yyyy", "d MMM yyyy", "d MMMM yyyy", "MMM d, yyyy"),
    *("MMMM d, yyyy", "dd-MMM-yy"),
    *(mark.join((*day, "yy")) for day in (("dd", "MM"), ("d", "M"), ("MM", "dd"), ("M", "d")) for mark in "/.-"),
    *("yy/MM/dd", "yy-MM-dd", "yy.MM.dd"),
]
_CLOCKS = (
    *("", " HH:mm:ss", " HH:mm", " H:mm", " H:mm:ss", " h:mm a", " h:mm:ss a", "'T'HH:mm:ss", " HH:mm:ss.SSS"),
    *(", HH:mm", ", HH:mm:ss", "'T'HH:mm"),
)
_OTHERS = ("dd/MMM/yyyy:HH:mm:ss Z", "EEE, dd MMM yyyy HH:mm:ss Z")
_COMPACT = ("yyyyMMdd", "yyyyMMddHHmmss", "yyyyMMddHHmm", "yyyyMMdd'T'HHmmss", "yyyyMMdd'T'HHmmssX")
_BEGINS_WITH_YEAR = re.compile("yy[^y]")
_LONGEST, _FEW, _FORMATS_MOST = 45, 20, 3


@dataclass(frozen=True)
class Moments:
    """``formats`` as in a contract, none for ISO 8601; ``fitting`` the texts that are moments so.

    ``other_order`` is the format in which all of them are moments too, with day, month or year in another order.
    Not ``is_usual``: at least half of the texts are such moments, but not nearly all.
    """

    formats: tuple[str, ...]
    fitting: frozenset[str]
    is_date_only: bool
    other_order: str | None = None
    is_usual: bool = True


def moments(connection: duckdb.DuckDBPyConnection, counts: Mapping[str, int], *, is_named_so: bool) -> Moments | None:
    """The formats in which nearly all are moments, of texts and how many rows have each; None when they are none.

    ``is_named_so`` says that the column's name is one of a time: then `20260131` is a date too.
    """
    few = list(counts)[:_FEW]
    if sum(len(value) <= _LONGEST and any(map(str.isdigit, value)) for value in few) * 2 < len(few):
        return None
    iso = _fitting(connection, counts, ())
    as_iso = Moments((), frozenset(iso), all(len(value) == 10 for value in iso))
    if are_nearly_all(rows_that(iso.__contains__, counts), sum(counts.values())):
        return as_iso
    candidates = list(_candidates(few, with_compact=is_named_so))
    fits = {pattern: _fitting(connection, counts, (pattern,)) for pattern in candidates}
    found = _chosen(fits, counts)
    if found is not None and found.is_usual:
        return found
    likelier = max((one for one in (as_iso, found) if one), key=lambda one: rows_that(one.fitting.__contains__, counts))
    is_half = 2 * rows_that(likelier.fitting.__contains__, counts) >= sum(counts.values())
    return replace(likelier, is_usual=False) if is_half else None


def _chosen(fits: Mapping[str, frozenset[str]], counts: Mapping[str, int]) -> Moments | None:
    """The format that most rows have, and those that others have beside it; its order of day and month is kept."""
    if not fits:
        return None
    rows = {pattern: rows_that(values.__contains__, counts) for pattern, values in fits.items()}
    years = {pattern: _short_years(pattern, values) for pattern, values in fits.items()}
    first = max(fits, key=lambda pattern: (rows[pattern], -years[pattern]))
    formats, fitting = [first], fits[first]
    for pattern in sorted(fits, key=lambda pattern: -rows[pattern]):
        if pattern[0] == first[0] and len(formats) < _FORMATS_MOST and fits[pattern] - fitting:
            formats.append(pattern)
            fitting |= fits[pattern]
    is_usual = are_nearly_all(rows_that(fitting.__contains__, counts), sum(counts.values()))
    orders = [p for p in fits if len(formats) == 1 and _is_other_order(p, first) and years[p] <= years[first]]
    other = next((p for p in orders if fits[p] >= fitting), None)
    return Moments(tuple(formats), fitting, all("H" not in p and "h" not in p for p in formats), other, is_usual)


def _is_other_order(pattern: str, than: str) -> bool:
    """Whether both say day, month and short year in numbers, and not in the same order."""
    if "MMM" in pattern + than or pattern[0] == than[0]:
        return False
    return {pattern[0], than[0]} == {"d", "M"} or (_BEGINS_WITH_YEAR.match(pattern) is not None) != (
        _BEGINS_WITH_YEAR.match(than) is not None
    )


def _short_years(pattern: str, values: Iterable[str]) -> int:
    """How many different years of two digits the values have: of two orders, that with fewer is the likelier."""
    if "yyyy" in pattern or "yy" not in pattern:
        return 0
    place = 0 if _BEGINS_WITH_YEAR.match(pattern) else 2
    return len({re.split("[-/. ,]", value)[place][:2] for value in values})


def _candidates(values: Sequence[str], *, with_compact: bool) -> Iterator[str]:
    """Every pattern that some of ``values`` have the shape of, the likelier first."""
    patterns = itertools.chain((day + clock for day, clock in itertools.product(_DAYS, _CLOCKS)), _OTHERS)
    for pattern in itertools.chain(patterns, _COMPACT if with_compact else ()):
        if any(map(_shape(pattern).fullmatch, values)):
            yield pattern


@functools.cache
def _shape(pattern: str) -> re.Pattern[str]:
    return re.compile(date_pattern(pattern)[0])


def _fitting(
    connection: duckdb.DuckDBPyConnection, counts: Mapping[str, int], formats: tuple[str, ...]
) -> frozenset[str]:
    """Those of the texts that a contract with these formats takes for moments."""
    column = Column(name="value", target=None, logical_type="timestamp", formats=formats)
    is_moment = f"({moment(column, 'value')}) BETWEEN {MOMENTS}"
    query = f"SELECT value FROM (SELECT unnest($1) AS value) WHERE {is_moment}"  # noqa: S608
    return frozenset(value for (value,) in connection.execute(query, [list(counts)]).fetchall())


def connect() -> duckdb.DuckDBPyConnection:
    """A database in which texts can be held against formats."""
    connection = duckdb.connect(config={"threads": 1})
    connection.execute(f"SET TimeZone = {literal('UTC')}")
    return connection
