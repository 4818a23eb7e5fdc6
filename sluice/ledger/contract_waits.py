"""Files that wait for a contract: what the folder of contracts is like now, and who need not wait any longer.

A landed file whose contract cannot be used keeps the digest of the folder that it was judged under. As soon as the
folder has another one, in whatever way it changed and whatever the clock says, the file is dealt out again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from sluice.base import queries
from sluice.base.plain_text import shown
from sluice.base.settings import Settings

Connection = psycopg.Connection[dict[str, Any]]
PATTERN = "*.odcs.yaml"


def texts(folder: Path) -> dict[str, bytes | OSError]:
    """What each contract file in ``folder`` holds, by name in order; or why it cannot be read."""
    by_name: dict[str, bytes | OSError] = {}
    for path in sorted(folder.glob(PATTERN)):
        try:
            by_name[path.name] = path.read_bytes()
        except OSError as error:
            by_name[path.name] = error
    return by_name


def digest(by_name: Mapping[str, bytes | OSError]) -> str:
    """One text for the folder that holds this: another one as soon as a name or a byte differs."""
    whole = hashlib.sha256()
    for name, text in by_name.items():
        held = text if isinstance(text, bytes) else f"errno {text.errno}".encode()
        whole.update(f"{name}\0{len(held)}\0".encode("utf-8", "surrogateescape") + held)
    return whole.hexdigest()


def release(settings: Settings, connection: Connection) -> int:
    """Let files that were judged under another folder than today's be dealt out again; how many there were."""
    today = digest(texts(settings.contracts_dir))
    return queries.run(connection, "ledger/contracts.release_waiting", digest=today)


def names(connection: Connection) -> list[str]:
    """The files that wait for a contract, oldest first."""
    return [
        f"{shown(row['name'])} (file {row['file_id']})"
        for row in queries.all(connection, "ledger/contracts.waiting_for_contract")
    ]


def last_usable(connection: Connection) -> dict[str, str]:
    """The text of each contract file as it was when it could last be used."""
    return {row["file"]: row["usable"] for row in queries.all(connection, "ledger/contracts.last_usable")}


def problems(settings: Settings, connection: Connection) -> list[str]:
    """A sentence for each contract that the stream cannot use, and one for the files that wait for it."""
    today = digest(texts(settings.contracts_dir))
    said = [row["problem"] for row in queries.all(connection, "ledger/contracts.contract_problems", digest=today)]
    return [sentence for sentence in [*dict.fromkeys(said), waiting(connection, today)] if sentence]


def waiting(connection: Connection, digest: str) -> str:
    """How many files wait under the folder of this digest, and why the oldest does, for people; empty for none."""
    row = queries.row(connection, "ledger/contracts.count_waiting_for_contract", digest=digest)
    if not row["files"]:
        return ""
    what = "1 file waits" if row["files"] == 1 else f"{row['files']:,} files wait"
    return f"{what} for a contract; the oldest: {row['example']}"
