"""Loading an old revision although a newer one of its name is there: only when somebody says so, with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from sluice.base import queries
from sluice.base.crash_points import crash_point
from sluice.base.plain_text import shown

Connection = psycopg.Connection[dict[str, Any]]
REASON_MIN = 3


class InsistError(ValueError):
    """It cannot be insisted on this file; the message says why and what to do."""


def note_wish(connection: Connection, name: str, sha256: str, reason: str, by_whom: str) -> None:
    """Let the next file that lands as ``name`` with these bytes be loaded whatever it undoes; the mover uses it once.

    Raises InsistError when the reason says nothing.
    """
    values = {"name": name, "sha256": sha256, "reason": checked(reason), "by_whom": by_whom}
    queries.run(connection, "ledger/insist.note_wish", **values)
    crash_point("insist.after_note")


def land_again(connection: Connection, home: Path, file_id: int, reason: str, by_whom: str) -> str:
    """Let a file be loaded after all that was set aside because it would undo a newer revision; return its name.

    ``home`` is the folder that the ledger's paths start from. Raises InsistError when it was not set aside for that.
    """
    values = {"file_id": file_id, "reason": checked(reason), "by_whom": by_whom}
    with connection.transaction():
        file = queries.one(connection, "ledger/insist.lock_file", **values)
        if file is None:
            raise InsistError(f"there is no file {file_id}: the files are in ledger.files")
        name: str = file["name"]
        if file["state"] != "rejected" or file["rejected_for"] != "undoes":
            raise InsistError(
                f"file {file_id} ({shown(name)}) is {file['state']}: only a file that was set aside because it would "
                "undo a newer revision can be insisted on; `make load FILE=… INSIST=…` lands a file with that wish"
            )
        if file["living"] is not None:
            raise InsistError(f"the same bytes are file {file['living']} already: unload that one first")
        if not (home / file["path"]).is_file():
            raise InsistError(f"{file['path']} is not there (yet): try again in a moment, or land the file again")
        for query in ("ledger/insist.bind", "ledger/insist.note", "ledger/insist.land_again"):
            queries.run(connection, query, **(values | file))
    return name


def checked(reason: str) -> str:
    """The reason without blanks around it; raises InsistError when it says nothing."""
    if len(reason.strip()) < REASON_MIN:
        raise InsistError(f"reason {reason!r} says nothing: the audit keeps it for those who come after")
    return reason.strip()
