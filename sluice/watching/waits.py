"""What waits until somebody does something, why, and what that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluice.base import queries
from sluice.base.settings import Settings
from sluice.ledger import contract_waits
from sluice.watching.reader import Connection

# So many of a kind are named, the others are counted.
SHOWN = 5
_MOST = 10_001
_CONTRACT = (
    "Correct the contract, or add one: as soon as the folder of contracts changes, the files are dealt out again."
)
_MERGE = "Do what stands there, then run make merge."
_EXPIRY = (
    "Run report_sales, or leave it to its schedule: the month goes when the reports have counted its last changes."
)
_REFUSED = "Do what stands there; what can be taken is taken by itself."


def waits(connection: Connection, settings: Settings) -> list[dict[str, Any]]:
    """A kind each: what waits, how many (``is_more``: and not all were counted), examples with why, and the remedy."""
    kinds = [
        _contracts(connection, settings),
        _for_a_contract(connection),
        _for_a_merge(connection),
        _expired(connection),
    ]
    return [kind for kind in kinds if kind]


def refused(landed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same of what lies in incoming and is never taken (of ``now.landing``)."""
    examples = [{"name": name, "why": why} for name, why in list(landed["refused"].items())[:SHOWN]]
    if not examples:
        return []
    what = "Files in incoming that are not taken"
    return [_kind("refused", what, len(landed["refused"]), not landed["is_whole"], examples, _REFUSED)]


def _contracts(connection: Connection, settings: Settings) -> dict[str, Any] | None:
    digest = contract_waits.digest(contract_waits.texts(settings.contracts_dir))
    rows = queries.all(connection, "ledger/contracts.contract_problems", digest=digest)
    examples = [{"name": row["file"], "why": row["problem"]} for row in rows[:SHOWN]]
    what = "Contracts that cannot be used"
    return _kind("contract", what, len(rows), False, examples, _CONTRACT) if rows else None


def _for_a_contract(connection: Connection) -> dict[str, Any] | None:
    row = queries.one(connection, "watching/now.waiting_for_contract", most=_MOST)
    if row is None:
        return None
    examples = [{"file_id": row["file_id"], "name": row["name"], "why": row["error"] or "no contract fits"}]
    return _kind("file", "Files that wait for a contract", row["files"], row["files"] >= _MOST, examples, _CONTRACT)


def _for_a_merge(connection: Connection) -> dict[str, Any] | None:
    rows = queries.all(connection, "ledger/status.merge_waits")
    what = "Files of which later rows stay until a merge can set them aside"
    return _kind("merge", what, len(rows), False, [dict(row) for row in rows[:SHOWN]], _MERGE) if rows else None


def _expired(connection: Connection) -> dict[str, Any] | None:
    rows = queries.all(connection, "ledger/status.expiry_waits")
    examples = [
        {"name": row["month"], "why": f"{row['waiting']:,} changes of its rows are not counted in the reports yet"}
        for row in rows[:SHOWN]
    ]
    return (
        _kind("expiry", "Months that have expired and are there", len(rows), False, examples, _EXPIRY) if rows else None
    )


def _kind(
    kind: str, what: str, count: int, is_more: bool, examples: list[dict[str, Any]], remedy: str
) -> dict[str, Any]:
    return {"kind": kind, "what": what, "count": count, "is_more": is_more, "examples": examples, "remedy": remedy}
