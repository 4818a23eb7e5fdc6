"""Drift: how a file differs from what its contract, and the feed's earlier files, let one expect.

A drift is a dict, as it stands in ``ledger.files.drift``; what there is none of is left out, an empty dict is no drift:

- ``missing``: columns of the contract that the header lacks
- ``new``: names in the header that the contract does not know
- ``renamed``: by missing column, the new name that looks like it; both are then not among the others
- ``empty``: columns of events that no row fills although earlier files did
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

Drift = dict[str, Any]
# How alike two names must be, of 1, when letters' case and marks between them do not count.
_ALIKE = 0.75
# A file of few rows may well have no value of a column that others fill in most rows; this rare is no chance any more.
_CHANCE = 0.01
_FEWEST = 3


def of_header(missing: Mapping[str, Sequence[str]], new: Sequence[str]) -> Drift:
    """The drift of a header that lacks columns (every name that means each, by its own) and has ``new`` names."""
    renamed = likely_renames(missing, new)
    drift: Drift = {
        "missing": [name for name in missing if name not in renamed],
        "new": [name for name in new if name not in renamed.values()],
        "renamed": renamed,
    }
    return {kind: names for kind, names in drift.items() if names}


def likely_renames(missing: Mapping[str, Sequence[str]], new: Sequence[str]) -> dict[str, str]:
    """By missing column, which of the ``new`` names it has most likely become; what looks like none is left out."""
    alike = [
        (max(_likeness(theirs, name) for name in names), ours, theirs)
        for ours, names in missing.items()
        for theirs in new
    ]
    renames: dict[str, str] = {}
    for likeness, ours, theirs in sorted(alike, key=lambda pair: -pair[0]):
        if likeness >= _ALIKE and ours not in renames and theirs not in renames.values():
            renames[ours] = theirs
    return {ours: renames[ours] for ours in missing if ours in renames}


def emptied(
    filled: Mapping[str, int], rows: int, earlier: Sequence[Mapping[str, int]], said: Sequence[str]
) -> list[str]:
    """The columns of events that none of ``rows`` fills (``filled``: how many do), and that this says something about.

    ``earlier`` is the same of earlier files, with their number of rows as ``rows``. A column is empty by more than
    chance when each earlier file had a value, most of their rows did, and a file of so many rows would have none less
    than once in a hundred. What was ``said`` to be empty stays so until a file fills it.
    """
    none = [name for name, values in filled.items() if not values]
    return [name for name in none if name in said or _is_no_chance(rows, name, earlier)]


def says(drift: Drift) -> str:
    """A drift as a sentence that names the columns, and the remedy where there is one."""
    renamed = [f"{theirs} looks like {ours}: add a synonym" for ours, theirs in drift.get("renamed", {}).items()]
    others = [
        f"{words} {_listed(drift[kind])}"
        for kind, words in (
            ("missing", "the header lacks"),
            ("new", "the contract does not know"),
            ("empty", "empty in all rows, though earlier files had values:"),
        )
        if drift.get(kind)
    ]
    return "; ".join([*renamed, *others])


def _listed(names: Sequence[str], most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(name[:80] for name in names[:most]) + more


def _likeness(one: str, other: str) -> float:
    """0 to 1; 0 for what the cheap upper bounds rule out, as most pairs of a wide header."""
    pair = difflib.SequenceMatcher(None, _plain(one), _plain(other), autojunk=False)
    return pair.ratio() if pair.real_quick_ratio() >= _ALIKE and pair.quick_ratio() >= _ALIKE else 0.0


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name[:80].casefold()) or name[:80]


def _is_no_chance(rows: int, name: str, earlier: Sequence[Mapping[str, int]]) -> bool:
    with_rows = [file for file in earlier if file["rows"]]
    if not all(file.get(name, 0) for file in with_rows):
        return False
    # One row more than there were, without a value: a column that a single row filled is not yet one that all fill.
    share = sum(file.get(name, 0) for file in with_rows) / (sum(file["rows"] for file in with_rows) + 1)
    return share > 0.5 and rows >= _FEWEST and (1 - share) ** rows < _CHANCE
