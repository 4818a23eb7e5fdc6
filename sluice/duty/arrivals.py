"""What arrived of each feed, as far as a bounded number of the newest files tells."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import psycopg

from sluice.base import queries
from sluice.contracts.model import Contract

Connection = psycopg.Connection[dict[str, Any]]
# Of each contract so many files are looked at, and so many of those that fit none, or wait.
FILES = 200
OTHERS = 500
# What the generator calls its files.
_GENERATED = re.compile(r"events-\d{8}T\d{9}Z-[0-9a-f]{32}\.csv")
# A number, or a hash, is what differs from one name of a feed's files to the next.
_VARIES = re.compile(r"(?=[0-9a-f]*\d)[0-9a-f]{8,}|\d+", re.IGNORECASE)


class Kind(StrEnum):
    """What became of a file that arrived."""

    LOADED = "loaded"  # or was, and gave way to a newer revision: its tally is known
    REPEATED = "repeated"  # bytes, or a revision, that had been there: no new rows
    REFUSED = "refused"  # the whole file was rejected
    OPEN = "open"  # it is not judged yet, or somebody took it back


@dataclass(frozen=True)
class Arrival:
    """A file of a feed, and when it landed. Of what is not known ``rows`` (new ones) is None, ``read`` 0."""

    at: datetime
    file_id: int
    name: str
    kind: Kind
    rows: int | None = None
    read: int = 0
    rejected: int = 0


def arrivals(
    connection: Connection, contracts: Sequence[Contract], now: datetime, *, with_generated: bool = True
) -> dict[str, list[Arrival]]:
    """By contract's name its newest files up to ``now``, the oldest first. Raises psycopg.Error.

    A file that is not judged yet, or that fits no contract, is the feed's whose patterns or whose files' names it fits.
    Without ``with_generated`` what the generator made is left out.
    """
    found: dict[str, dict[tuple[datetime, str], Arrival]] = {contract.name: {} for contract in contracts}
    ours = queries.all(connection, "duty/feeds.newest", contracts=[*found], most=FILES)
    for row in ours:
        _add(found, row, row["contract"])
    whose = _Whose(contracts, ours)
    others = queries.all(connection, "duty/feeds.without_rows", most=OTHERS)
    others += queries.all(connection, "duty/feeds.waiting", most=OTHERS)
    for row in others:
        _add(found, row, row["contract"] or whose.name(row["name"]))
    reach = _reach(ours)
    return {
        name: sorted(
            (
                one
                for one in once.values()
                if reach.get(name, one.at) <= one.at <= now and (with_generated or not _GENERATED.fullmatch(one.name))
            ),
            key=lambda one: (one.at, one.file_id),
        )
        for name, once in found.items()
    }


def _reach(rows: Iterable[Mapping[str, Any]]) -> dict[str, datetime]:
    """By contract's name since when all its files are known, where there are more: others would lie thinner before."""
    kinds: dict[tuple[str, bool], list[datetime]] = defaultdict(list)
    for row in rows:
        kinds[row["contract"], row["state"] == "loaded"].append(row["at"])
    reach: dict[str, datetime] = {}
    for (name, _), moments in kinds.items():
        if len(moments) >= FILES:
            reach[name] = max(min(moments), reach.get(name, min(moments)))
    return reach


def _add(found: Mapping[str, dict[tuple[datetime, str], Arrival]], row: Mapping[str, Any], name: str | None) -> None:
    """Note a file; bytes that landed once and were loaded again (a restore, another version) are one arrival."""
    if name is None or name not in found:
        return
    there, arrival = found[name], _arrival(row)
    key = (arrival.at, arrival.name)
    before = there.get(key)
    if before is None or before.kind is not Kind.LOADED:
        there[key] = arrival


def _arrival(row: Mapping[str, Any]) -> Arrival:
    state, read = row["state"], row.get("rows_read") or 0
    kind = {
        "loaded": Kind.LOADED,
        "replaced": Kind.LOADED if row.get("rows_read") is not None else Kind.OPEN,
        "duplicate": Kind.REPEATED,
        "rejected": Kind.REPEATED if row["rejected_for"] == "undoes" else Kind.REFUSED,
    }.get(state, Kind.OPEN)
    if kind is not Kind.LOADED:
        return Arrival(row["at"], row["file_id"], row["name"], kind, None if kind is Kind.OPEN else 0)
    if state == "replaced":  # what was set aside of it is forgotten
        return Arrival(row["at"], row["file_id"], row["name"], kind, read)
    return Arrival(
        row["at"], row["file_id"], row["name"], kind, read - row["rows_duplicate"], read, row["rows_rejected"]
    )


class _Whose:
    """Tells by a file's name whose it may be: of the one contract whose patterns take it, or whose files look so."""

    def __init__(self, contracts: Iterable[Contract], known: Iterable[Mapping[str, Any]]) -> None:
        self._named = [contract for contract in contracts if contract.files]
        self._shapes: dict[str, set[str]] = defaultdict(set)
        for row in known:
            self._shapes[_shape(row["name"])].add(row["contract"])

    def name(self, file: str) -> str | None:
        """The contract's name; None when it may be nobody's, or several's."""
        takers = {contract.name for contract in self._named if contract.takes(file)} or self._shapes.get(
            _shape(file), set()
        )
        return next(iter(takers)) if len(takers) == 1 else None


def _shape(name: str) -> str:
    return _VARIES.sub("#", name.casefold())
