"""The schema of a contract's files over time: columns that came, went, were renamed, and how many values are null."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sluice.base import queries
from sluice.watching.reader import Connection
from sluice.watching.unknown import UnknownError

FILES = 500
CHANGES = 50
POINTS = 60

Row = Mapping[str, Any]


def contracts(connection: Connection) -> list[dict[str, Any]]:
    """Each contract of which a file is loaded, with its newest file and the drift that was said of it last."""
    queries.run(connection, "watching/session.by_index")
    return queries.all(connection, "watching/schemas.contracts")


def schema(connection: Connection, contract: str) -> dict[str, Any]:
    """How the newest files of a contract look, at most 500. Raises UnknownError.

    ``changes`` from file to file, the newest first, at most 50 of ``changes_in_all``; ``columns`` of events, each with
    the share of rows without a value, from the oldest files to the newest, as at most 60 ``points``.
    """
    queries.run(connection, "watching/session.by_index")
    newest = queries.all(connection, "watching/schemas.newest", contract=contract, most=FILES)
    if not newest:
        raise UnknownError("unknown_contract", f"No file is loaded under a contract named {contract}.")
    files = newest[::-1]
    changes = [change for before, file in itertools.pairwise(files) if (change := _change(before, file))]
    return {
        "contract": contract,
        "files": len(files),
        "is_all": len(files) < FILES,
        "from": _named(files[0]),
        "to": _named(files[-1]),
        "version": files[-1]["contract_version"],
        "header": files[-1]["header"],
        "drift": files[-1]["drift"],
        "changes": changes[::-1][:CHANGES],
        "changes_in_all": len(changes),
        "columns": list(_columns(files)),
    }


def _named(file: Row) -> dict[str, Any]:
    return {"file_id": file["file_id"], "name": file["name"], "at": file["loaded_at"]}


def _change(before: Row, file: Row) -> dict[str, Any] | None:
    """What is other in ``file`` than in the one ``before`` it; None when nothing is."""
    had, has = before["header"] or [], file["header"] or []
    came, went = [name for name in has if name not in set(had)], [name for name in had if name not in set(has)]
    drift = file["drift"] or {}
    renamed = {old: new for old, new in _renames(drift, went) if new in came}
    was_empty = (before["drift"] or {}).get("empty", [])
    change = {
        "came": [name for name in came if name not in renamed.values()],
        "went": [name for name in went if name not in renamed],
        "renamed": [{"from": old, "to": new} for old, new in renamed.items()],
        "emptied": [name for name in drift.get("empty", []) if name not in was_empty],
    }
    versions = (before["contract_version"], file["contract_version"])
    if not any(change.values()) and versions[0] == versions[1]:
        return None
    return _named(file) | change | {"versions": versions if versions[0] != versions[1] else None}


def _renames(drift: Row, went: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The name that went, and the one that it has most likely become. The drift says it of the contract's own name."""
    plain = {name.casefold(): name for name in went}
    for ours, theirs in drift.get("renamed", {}).items():
        if (old := plain.get(ours.casefold())) is not None:
            yield old, theirs


def _columns(files: Sequence[Row]) -> Iterator[dict[str, Any]]:
    size = -(-len(files) // POINTS)
    stretches = [files[start : start + size] for start in range(0, len(files), size)]
    names = dict.fromkeys(name for file in reversed(files) for name in file["filled"] if name != "rows")
    for name in names:
        points = [_null_share(stretch, name) for stretch in stretches]
        known = [point for point in points if point is not None]
        ends = {"last": known[-1], "least": min(known), "most": max(known)} if known else {}
        yield {"column": name, "points": points, **(ends or dict.fromkeys(("last", "least", "most")))}


def _null_share(files: Sequence[Row], name: str) -> float | None:
    """The share of the rows of these files that have no value there; None when none has rows or knows the column."""
    known = [file["filled"] for file in files if name in file["filled"] and file["filled"]["rows"]]
    rows = sum(filled["rows"] for filled in known)
    return 1 - sum(filled[name] for filled in known) / rows if rows else None
