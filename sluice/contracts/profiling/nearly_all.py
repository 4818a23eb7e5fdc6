"""When a column is what most of its values are: how many may differ, and which does first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

ONE_IN = 20
_ENOUGH = 5


@dataclass(frozen=True)
class Misfits:
    """The rows whose values are not what nearly all are: ``value`` is the first of them, on ``line`` of the file.

    ``file`` is its name, where more than one was looked at.
    """

    rows: int
    value: str
    line: int
    file: str = ""


def are_nearly_all(fitting: int, rows: int) -> bool:
    """Whether at most one in twenty of ``rows`` does not fit, or a single one beside at least five that do."""
    misfits = rows - fitting
    return fitting > 0 and (misfits * ONE_IN <= rows or (misfits == 1 and fitting >= _ENOUGH))


def rows_that(fit: Callable[[str], bool], counts: Mapping[str, int]) -> int:
    """Of values and how many rows have each: the rows whose value fits."""
    return sum(rows for value, rows in counts.items() if fit(value))
