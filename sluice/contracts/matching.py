"""Which contract a file goes to, by the names in its header."""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sluice.contracts.drift import Drift, of_header
from sluice.contracts.event_columns import MUST_BE_FILLED
from sluice.contracts.model import Contract, HeaderError, NoContractError, can_be_described, more_than_once, normal


@dataclass(frozen=True)
class Match:
    """A header and the contract that it fits."""

    contract: Contract
    header: tuple[str, ...]

    @functools.cached_property
    def field_names(self) -> tuple[str, ...]:
        """A name for each field, no two alike: the header's (without NUL), or column_3 for a third that has none."""
        derived = [column.name for column in self.contract.derived_columns if column.target is None]
        taken, reserved = set(derived), {*derived, *self.header}
        names: list[str] = []
        for number, header in enumerate(self.header, start=1):
            name = header.strip().replace("\0", "\\0") or f"column_{number}"
            name = _next_free(name, reserved) if name in taken else name
            names.append(name)
            taken.add(name)
            reserved.add(name)
        return tuple(names)

    @functools.cached_property
    def drift(self) -> Drift:
        """How the header differs from what the contract describes, as far as a contract can."""
        there = {normal(name) for name in self.header}
        known = {name for column in self.contract.read_columns for name in column.names}
        missing = {c.name: (c.name, *c.aliases) for c in self.contract.read_columns if not there.intersection(c.names)}
        unknown = [name for name in self.header if can_be_described(name) and normal(name) not in known]
        new = [name.strip().replace("\0", "\\0") for name in unknown]
        return of_header(missing, new)

    @functools.cached_property
    def fillable(self) -> tuple[str, ...]:
        """The columns of events that may or may not have values in a file with this header."""
        lost = {*self.drift.get("missing", ()), *self.drift.get("renamed", ())}
        targets = (column.target for column in self.contract.columns if column.name not in lost)
        return tuple(target for target in targets if target and target not in MUST_BE_FILLED)


def _next_free(name: str, taken: set[str]) -> str:
    return next(free for n in itertools.count(2) if (free := f"{name}_{n}") not in taken)


def match(headers: Sequence[tuple[Contract, list[str] | None]], columns_max: int | None = None) -> Match:
    """The contract that fits best among ``headers``: each contract with the header as its own dialect reads it.

    Fits: no required column is missing. Best: the most columns matched, and of these one that says by ``files`` which
    files are its own. Raises NoContractError when none fits, or the header has more than ``columns_max`` columns;
    HeaderError when several fit, or the header names a column twice.
    """
    if not headers:
        raise NoContractError(
            "no contract takes a file of this name: name it as the contract's files says, or change files",
            is_read=False,
        )
    readable = [(contract, header) for contract, header in headers if header]
    if not readable:
        raise NoContractError("no contract can read line 1, which must name the columns", is_read=False)
    narrow = [(c, h) for c, h in readable if columns_max is None or len(h) <= columns_max]
    fitting = [(c.matched(h), c, h) for c, h in narrow if not c.missing(h) and c.matched(h)]
    if not fitting:
        if len(narrow) < len(readable):
            raise NoContractError(_too_wide(readable, columns_max), is_read=True)
        raise NoContractError(_why_none(readable), is_read=True)
    most = max(matched for matched, _, _ in fitting)
    best = [(c, h) for matched, c, h in fitting if matched == most]
    best = [(c, h) for c, h in best if c.files] or best
    if len(best) > 1:
        names = ", ".join(contract.name for contract, _ in best)
        raise HeaderError(
            f"header {_shown(best[0][1])} fits contracts {names} equally well: make their required columns differ"
        )
    contract, header = best[0]
    repeated = {*more_than_once(map(normal, header))}
    if twice := sorted({name for name in header if name and normal(name) in repeated}):
        raise HeaderError(
            f"header {_shown(header)} names {_shown(twice)} more than once: rename or drop the repeated columns"
        )
    _one_column_each(contract, header)
    return Match(contract, tuple(header))


def _one_column_each(contract: Contract, header: list[str]) -> None:
    column_of = {name: column.name for column in contract.read_columns for name in column.names}
    meaning: dict[str, list[str]] = defaultdict(list)
    for name in header:
        if (column := column_of.get(normal(name))) is not None:
            meaning[column].append(name)
    for column, both in meaning.items():
        if len(both) > 1:
            raise HeaderError(f"header columns {both} all mean {column} of contract {contract.name}: keep one")


def _shown(names: Sequence[str], most: int = 40) -> str:
    """Names as a list for people; of many long ones the beginning."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{[name[:80] for name in names[:most]]}{more}"


def _too_wide(readable: list[tuple[Contract, list[str]]], columns_max: int | None) -> str:
    header = max((header for _, header in readable), key=len)
    return (
        f"header {_shown(header, 5)} has {len(header):,} columns, more than SLUICE_COLUMNS_MAX={columns_max} allows: "
        "land a narrower file, or raise the setting"
    )


def _why_none(readable: list[tuple[Contract, list[str]]]) -> str:
    nearest, header = max(readable, key=lambda pair: pair[0].matched(pair[1]) - len(pair[0].missing(pair[1])) / 100)
    held = ", ".join(sorted(contract.name for contract, _ in readable))
    if nearest.matched(header):
        why = (
            f"nearest is {nearest.name}, which also needs {', '.join(nearest.missing(header))}{_looks(nearest, header)}"
        )
    else:
        why = "it has no column of any of them"
    return (
        f"header {_shown(header)} fits no contract (held against {held}): {why}; "
        "correct the header, or add a contract for this feed under include/contracts"
    )


def _looks(contract: Contract, header: list[str]) -> str:
    """Which names of the header look like columns that the contract needs."""
    missing = Match(contract, tuple(header)).drift.get("renamed", {})
    looks = [f"{theirs[:80]} looks like {ours}: add a synonym" for ours, theirs in missing.items()]
    return f" ({'; '.join(looks)})" if looks else ""
