"""Files, the newest first, a page at a time: each page costs the same, however many files there are.

A page is found through one index; what else is asked for is held against the files that this gives, ``LOOK`` at most.
Where fewer fit than a page has room for, and there are more to look at, the answer says how far it has looked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import sql

from sluice.base import queries
from sluice.watching.reader import Connection

State = Literal["landed", "waiting", "loaded", "rejected", "duplicate", "replaced", "unloaded"]
LOOK = 15_000
# So many files of one beginning of a name are put in order; where there are more, they are looked for among all files.
NAMES = 10_000
COUNTED = 10_000
_FIRST = (1 << 63) - 1
_RARE = ("rejected", "duplicate", "replaced", "unloaded", "waiting")
_PLAIN = {"<": sql.SQL("file_id DESC"), ">": sql.SQL("file_id")}
_STATE = {"<": sql.SQL("state DESC, file_id DESC"), ">": sql.SQL("state, file_id")}
_CONTRACT = {"<": sql.SQL("contract DESC, file_id DESC"), ">": sql.SQL("contract, file_id")}
_LANDING = {"<": sql.SQL("landed_at DESC, file_id DESC"), ">": sql.SQL("landed_at, file_id")}


@dataclass(frozen=True)
class Filter:
    """Which files; None: any. ``waiting`` are landed files that no contract fits yet.

    A contract without a state means its loaded files. ``since`` and ``until`` are moments of landing, ``prefix`` is
    how the name begins.
    """

    state: State | None = None
    contract: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    prefix: str | None = None

    @property
    def values(self) -> dict[str, Any]:
        """What the queries are given."""
        state = self.state or ("loaded" if self.contract else None)
        return {
            "state": "landed" if state == "waiting" else state,
            "waits": state == "waiting" if state in ("landed", "waiting") else None,
            "contract": self.contract,
            "since": self.since,
            "until": self.until,
            "low": self.prefix or None,
            "high": f"{self.prefix}\U0010ffff" if self.prefix else None,
            "names": NAMES,
        }


@dataclass(frozen=True)
class Look:
    """Through which index files are looked at, and in which order they come."""

    index: str
    order: dict[str, sql.SQL]


def page(
    connection: Connection, wanted: Filter, *, before: int | None = None, after: int | None = None, most: int = 50
) -> dict[str, Any]:
    """``files``, at most ``most``, before the file of this id in the list's order (or after it), the newest first.

    ``older`` is what to give as ``before`` for the next page, None at the end; ``looked_only`` says that this page has
    room left, and that older files were not looked at yet. ``by_landing``: the order is that of landing.
    """
    look, back = _look(connection, wanted), after is None
    beyond = "<" if back else ">"
    values = wanted.values | _from(connection, before if back else after, beyond) | {"look": LOOK, "most": most + 1}
    parts = _parts(look, beyond)
    rows = connection.execute(queries.compose("watching/files.page", **parts), values).fetchall()
    is_full, rows = len(rows) > most, rows[:most]
    if is_full:
        further = rows[-1]["file_id"]
    else:
        last = connection.execute(queries.compose("watching/files.looked_to", **parts), values).fetchone()
        further = last["file_id"] if last else None
    if back:
        ends = {"older": further, "newer": rows[0]["file_id"] if rows and before is not None else None}
    else:
        rows.reverse()
        ends = {"older": rows[-1]["file_id"] if rows else after, "newer": further}
    return {
        "files": rows,
        **ends,
        "looked_only": further is not None and not is_full,
        "by_landing": look.index == "watching/files.by_landing",
    }


def count(connection: Connection, wanted: Filter) -> dict[str, Any]:
    """How many ``files`` fit, at most 10,000; ``is_more``: at least so many, for not all were counted."""
    look = _look(connection, wanted)
    most = COUNTED + 1 if wanted == Filter() else LOOK
    values = wanted.values | _from(connection, None, "<") | {"look": most}
    row = connection.execute(queries.compose("watching/files.count", **_parts(look, "<")), values).fetchone()
    assert row is not None
    return {"files": min(row["files"], COUNTED), "is_more": row["files"] > COUNTED or row["looked_at"] == most}


def _look(connection: Connection, wanted: Filter) -> Look:
    """By the narrowest of what is asked for."""
    queries.run(connection, "watching/session.by_index")
    values = wanted.values
    if wanted.prefix and queries.row(connection, "watching/files.named", **values)["files"] <= NAMES:
        return Look("watching/files.by_name", _PLAIN)
    if wanted.state in _RARE:
        return Look("watching/files.by_state", _STATE)
    if wanted.since or wanted.until:
        return Look("watching/files.by_landing", _LANDING)
    if wanted.state == "landed":
        return Look("watching/files.by_waiting", _PLAIN)
    if wanted.contract and values["state"] == "loaded":
        return Look("watching/files.by_contract", _CONTRACT)
    return Look("watching/files.by_number", _PLAIN)


def _from(connection: Connection, file_id: int | None, beyond: str) -> dict[str, Any]:
    landing = queries.one(connection, "watching/files.landing", file_id=file_id) if file_id is not None else None
    edge = "infinity" if beyond == "<" else "-infinity"
    return {
        "from": _FIRST if file_id is None else file_id,
        "from_landing": landing["landed_at"] if landing else edge,
    }


def _parts(look: Look, beyond: str) -> dict[str, sql.Composable]:
    candidates = queries.compose(look.index, beyond=sql.SQL(beyond), way=sql.SQL("DESC" if beyond == "<" else "ASC"))
    return {"candidates": candidates, "fits": sql.SQL(queries.text("watching/files.fits")), "order": look.order[beyond]}
