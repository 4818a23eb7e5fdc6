"""One file: its way, what it brought, where its bytes lie, its first rows, and whether its receipt holds."""

from __future__ import annotations

import json
import os
import stat
from datetime import datetime
from decimal import Decimal
from typing import Any

from sluice.base import queries
from sluice.base.settings import Settings
from sluice.landing import folders
from sluice.ledger import archive, receipts
from sluice.watching.reader import Connection
from sluice.watching.unknown import UnknownError

OTHERS = 20
AUDIT = 50
REJECTS = 10_000
ROWS = 100
ROWS_LOOK = 20_000
# Of a field that is longer, the beginning is shown.
SHOWN = 300


def story(connection: Connection, settings: Settings, file_id: int) -> dict[str, Any]:
    """What room One file shows to every viewer. Raises UnknownError.

    Looks whether the bytes are there, so it may wait for a disk.
    """
    file = _row(connection, file_id)
    audit = queries.all(connection, "watching/one_file.audit", file_id=file_id, most=AUDIT)
    asked = {"file_id": file_id, "name": file["name"], "sha256": file["sha256"], "most": OTHERS + 1}
    return {
        "file": file,
        "timeline": timeline(file, audit),
        "run": _run(connection, file),
        "rejects": _rejects(connection, file_id),
        "same_name": queries.all(connection, "watching/one_file.same_name", **asked),
        "same_bytes": queries.all(connection, "watching/one_file.same_bytes", **asked),
        "replaced": queries.all(connection, "watching/one_file.replaced", **asked),
        "audit": audit,
        "bytes_lie": bytes_lie(connection, settings, file),
    }


def rows(connection: Connection, file_id: int) -> dict[str, Any]:
    """Its first ``rows``, and the first of its records that was set aside. Raises UnknownError.

    ``of_more``: the file has so many rows that these are a hundred of its first ones by where they lie.
    """
    file = _row(connection, file_id)
    found: list[dict[str, Any]] = []
    if file["rows_loaded"] and file["state"] == "loaded":
        queries.run(connection, "watching/session.by_index")
        months = queries.row(connection, "watching/one_file.months", file_id=file_id)
        asked = {"file_id": file_id, "look": ROWS_LOOK, "most": ROWS, **months}
        found = queries.all(connection, "watching/one_file.rows", **asked)
    reject = queries.one(connection, "watching/one_file.first_reject", file_id=file_id)
    if reject:
        reject["raw"] = bytes(reject["raw"]).decode("utf-8", "backslashreplace")
    return {
        "rows": [{name: _cell(value) for name, value in row.items()} for row in found],
        "of_more": (file["rows_loaded"] or 0) > ROWS_LOOK,
        "first_reject": reject,
    }


def verify(connection: Connection, file_id: int) -> dict[str, Any]:
    """Its receipt and tally against its rows, counted and digested anew. Raises UnknownError."""
    verified = receipts.verify(connection, file_id)
    if verified is None:
        raise _unknown(file_id)
    return verified


def timeline(file: dict[str, Any], audit: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What happened to the file, in order: ``step``, ``at`` (None: no moment is kept, or not yet), ``is_done``, and
    ``seconds`` since the step before it that has a moment."""
    done: list[tuple[datetime, str]] = [
        (file[column], step)
        for column, step in (
            ("landed_at", "landed"),
            ("moved_at", "moved"),
            ("landed_again_at", "landed_again"),
            ("claimed_at", "claimed"),
            ("rejected_at", "rejected"),
            ("loaded_at", "loaded"),
            ("receipt_at", "receipt"),
            ("merged_at", "merged"),
            ("sealed_at", "sealed"),
        )
        if file[column] is not None
    ]
    done += [
        (line["at"], line["action"]) for line in audit if line["action"] in ("unload", "replace", "takeover", "expire")
    ]
    first, rest = done[0], sorted(done[1:])
    steps, before = [], first[0]
    for at, step in [first, *rest]:
        steps.append({"step": step, "at": at, "is_done": True, "seconds": max(0.0, (at - before).total_seconds())})
        before = max(before, at)
    if file["claim"] is not None and file["claimed_at"] is None:  # by a release that kept no moment
        place = next((i for i, one in enumerate(steps) if one["step"] == "loaded"), len(steps))
        steps.insert(place, {"step": "claimed", "at": None, "is_done": True, "seconds": None})
    ended = ("rejected", "duplicate")
    return steps + [
        {"step": step, "at": None, "is_done": step in ended, "seconds": None} for step in _without_moment(file)
    ]


def _without_moment(file: dict[str, Any]) -> list[str]:
    """How it ended, where the ledger keeps no moment of that; or what is still to come."""
    if file["state"] == "duplicate" or (file["state"] == "rejected" and file["rejected_at"] is None):
        return [file["state"]]
    if file["state"] == "landed":
        return ["loaded"]
    if file["state"] != "loaded":
        return []
    coming = (("receipt_at", "receipt"), ("merged_at", "merged"), ("sealed_at", "sealed"))
    return [step for column, step in coming if file[column] is None]


def bytes_lie(connection: Connection, settings: Settings, file: dict[str, Any]) -> dict[str, Any]:
    """``path`` in the state folder, whether the file ``is_there``, and if not, why.

    ``sealed``, ``gone``, or ``unseen``: the folders that this process sees are not those of the ledger.
    """
    path = file["path"]
    if file["sealed_at"] is not None or not path:
        return {"path": path, "is_there": False, "why": "sealed" if path else "gone"}
    identity = folders.identity(connection)
    folder = settings.archive_dir if path.startswith("archive/") else settings.processing_dir
    if identity is None or not folders.is_ours(folder, identity["ledger_id"]):
        return {"path": path, "is_there": False, "why": "unseen"}
    place = archive.where(settings.home_dir, path)
    try:
        is_there = stat.S_ISREG(os.lstat(place).st_mode)
    except OSError:
        is_there = False
    return {
        "path": str(place.relative_to(settings.home_dir)),
        "is_there": is_there,
        "why": None if is_there else "gone",
    }


def _unknown(file_id: int) -> UnknownError:
    return UnknownError("unknown_file", f"There is no file {file_id}: the ledger has given this number to none.")


def _row(connection: Connection, file_id: int) -> dict[str, Any]:
    row = queries.one(connection, "watching/one_file.row", file_id=file_id)
    if row is None:
        raise _unknown(file_id)
    return row


def _run(connection: Connection, file: dict[str, Any]) -> dict[str, Any] | None:
    """The stream that loaded or rejected it, by which DAG run, and in which micro-batch."""
    if file["epoch"] is None:
        return None
    stream = queries.one(connection, "watching/one_file.stream", epoch=file["epoch"]) or {}
    asked = {name: file[name] for name in ("epoch", "lane", "loaded_at")}
    batch = queries.one(connection, "watching/one_file.batch", **asked) if file["loaded_at"] else None
    return {"epoch": file["epoch"], "run_id": stream.get("run_id"), "batch": batch}


def _rejects(connection: Connection, file_id: int) -> dict[str, Any]:
    """By rule and state; ``of_first``: only so many of its rejects were looked at, not all."""
    by_rule = queries.all(connection, "watching/one_file.rejects", file_id=file_id, look=REJECTS)
    looked = by_rule[0]["all"] if by_rule else 0
    return {
        "by_rule": [{name: row[name] for name in ("rule", "state", "rejects")} for row in by_rule],
        "of_first": REJECTS if looked == REJECTS else None,
    }


def _cell(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    return f"{value[:SHOWN]}…" if isinstance(value, str) and len(value) > SHOWN else value
