"""Receipts: a digest over each loaded file's rows as they are in ``events``, kept in the file's row of the ledger.

A receipt is pending until it is made, which happens when no file waits: loading does not pay for it. What changes a
file's rows afterwards (a replay, an unload, a row given back) changes its receipt in the same transaction. It finds
accidents; whoever may write to both tables can make both agree. docs/receipts.md shows how to use it.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import psycopg
from psycopg.rows import dict_row

from sluice.base import queries

Connection = psycopg.Connection[dict[str, Any]]
PENDING_SECONDS = 60.0
_log = logging.getLogger(__name__)


def make_next(connection: Connection, *, also_when_files_wait: bool = False) -> int | None:
    """Make the oldest pending receipt, in a transaction of its own; return its file_id.

    None when there is none, when another session is at it, or when a file waits to be loaded (unless told otherwise).
    """
    with connection.transaction():
        pending = queries.one(_in_order(connection), "load/receipts.next", also_when_files_wait)
        if pending is None:
            return None
        queries.run(_in_order(connection), "load/receipts.make", pending["file_id"])
    return int(pending["file_id"])


def make_pending(connection: Connection, *, seconds: float = PENDING_SECONDS) -> int:
    """Make pending receipts for about so many ``seconds``, whether files wait or not; return how many were made.

    The stream makes them when it has nothing else to do: this is for one that never has, or does not run.
    """
    made, ends = 0, time.monotonic() + seconds
    while time.monotonic() < ends and make_next(connection, also_when_files_wait=True):
        made += 1
    _log.info("made %s receipts that were pending", made)
    return made


def make(connection: Connection, file_id: int) -> None:
    """Make this file's receipt now, if it is loaded and the receipt is pending."""
    with connection.transaction():
        if queries.one(_in_order(connection), "load/receipts.lock_pending", file_id):
            queries.run(_in_order(connection), "load/receipts.make", file_id)


def verify(connection: Connection, file_id: int) -> dict[str, Any] | None:
    """What ``ledger.verify`` finds: the file's counts and receipt against its rows; None when there is no such file."""
    verified: dict[str, Any] | None = queries.row(_in_order(connection), "load/receipts.verify", file_id)["verify"]
    return verified


def _in_order(connection: Connection) -> psycopg.RawCursor[dict[str, Any]]:
    """A cursor for queries of include/sql/load, which take their values in order."""
    return psycopg.RawCursor(connection, row_factory=dict_row)
