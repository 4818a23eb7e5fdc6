"""Whether the pipeline itself is well: conditions of the stream, the backlog, the proof, disks, contracts and more.

What the page and `make status` judge by is asked here too; here each state has a name. What is tried again by itself is
fine, or a state that ``sentences`` calls a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sluice.base import disks, queries
from sluice.base.settings import Settings
from sluice.duty.changes import Connection
from sluice.duty.conditions import FINE, Condition
from sluice.ledger import contract_waits
from sluice.running import status
from sluice.watching import health
from sluice.watching import now as watching

# Kinds of which all subjects are named each time.
COMPLETE = frozenset({"disk"})


def conditions(connection: Connection, settings: Settings, now: datetime) -> tuple[list[Condition], frozenset[str]]:
    """How it is at this moment; and the kinds of which every subject is named, so that others of them are gone.

    A subject that nothing can be said of now is left out.
    """
    said, landed = watching.snapshot(connection), watching.landing(settings)
    flow = watching.flow_of(said, landed)
    stream = _stream(said["stream"], flow, now)
    contracts, is_whole = _contracts(connection, settings)
    found = [
        stream,
        # While there is no stream everything waits: that is one alarm, not two.
        *([_backlog(flow, now)] if stream.state == FINE else []),
        _proof(said["proof"]),
        *_disks(settings),
        *contracts,
        _reports(connection, settings, now),
        _refused(landed),
        _archive(connection, settings, now),
    ]
    return found, COMPLETE | ({"contract"} if is_whole else frozenset())


def _stream(stream: Mapping[str, Any] | None, flow: health.Flow, now: datetime) -> Condition:
    judged = health.load(stream, oldest_seconds=flow.oldest_seconds, held=0)
    if judged.level is not health.Level.BAD:
        return Condition("stream", "stream", FINE)
    numbers: dict[str, Any] = {"files_waiting": flow.waiting, "oldest_seconds": _rounded(flow.oldest_seconds)}
    if stream is None:
        return Condition("stream", "stream", "down", None, numbers)
    lapsed = now + timedelta(seconds=min(stream["lease_seconds_left"], 0.0))
    numbers |= {"epoch": stream["epoch"], "ended_how": stream["ended_how"] or "lease_lapsed"}
    return Condition("stream", "stream", "down", stream["ended_at"] or lapsed, numbers)


def _backlog(flow: health.Flow, now: datetime) -> Condition:
    state = "stuck" if flow.is_stuck else "behind" if flow.is_behind else FINE
    if state == FINE:
        return Condition("backlog", "backlog", FINE)
    numbers = {
        "files_waiting": flow.waiting,
        "oldest_seconds": _rounded(flow.oldest_seconds),
        "arrived": flow.arrived,
        "finished": flow.finished,
        "in_seconds": flow.seconds,
    }
    return Condition("backlog", "backlog", state, now - timedelta(seconds=flow.oldest_seconds or 0.0), numbers)


def _proof(recount: Mapping[str, Any] | None) -> Condition:
    if recount is None or health.proof(recount).level is not health.Level.BAD:
        return Condition("proof", "proof", FINE)
    numbers = {"places": recount["problems"], "files": recount["files"], "rows": recount["rows"]}
    return Condition("proof", "proof", "broken", recount["ended_at"], numbers)


def _disks(settings: Settings) -> list[Condition]:
    return [
        Condition("disk", disk.what, _disk_state(disk, settings), None, {"free_bytes": disk.free})
        for disk in disks.look(disks.folders(settings))
    ]


def _disk_state(disk: disks.Disk, settings: Settings) -> str:
    if disk.is_full:
        return "full"
    return "low" if disk.free < settings.disk_low_bytes else FINE


def _contracts(connection: Connection, settings: Settings) -> tuple[list[Condition], bool]:
    """Of the folder as it is now; and whether all of it was judged: a change of it waits for the stream to do so."""
    texts = contract_waits.texts(settings.contracts_dir)
    rows = queries.all(connection, "ledger/duty.judged_contracts", digest=contract_waits.digest(texts))
    found = [
        Condition("contract", row["file"], "broken", None, {"why": row["problem"]})
        if row["problem"] is not None
        else Condition("contract", row["file"], FINE)
        for row in rows
    ]
    return found, {one.name for one in found} >= texts.keys()


def _reports(connection: Connection, settings: Settings, now: datetime) -> Condition:
    said = status.reports(connection)
    trouble = status.reports_trouble(said["failed_refresh"], said["reports"])
    if trouble:
        since = (said["failed_refresh"] or {}).get("failed_at") if trouble[0] is status.ReportsTrouble.FAILED else None
        return Condition("reports", "reports", trouble[0].value, since, {"why": trouble[1]})
    age = status.stale_seconds(settings, said["reports"], now)
    if age is None:
        return Condition("reports", "reports", FINE)
    return Condition("reports", "reports", "stale", said["reports"]["as_of"], {"age_seconds": round(age)})


def _refused(landed: Mapping[str, Any]) -> Condition:
    refused: Mapping[str, str] = landed["refused"]
    if not refused:
        return Condition("refused", "refused", FINE)
    name, why = next(iter(refused.items()))
    return Condition("refused", "refused", "refused", None, {"files": len(refused), "first": name, "why": why})


def _archive(connection: Connection, settings: Settings, now: datetime) -> Condition:
    row = status.unsealed(settings, connection, now)
    if row is None:
        return Condition("archive", "archive", FINE)
    return Condition("archive", "archive", "unsealed", None, {"files": row["files"], "oldest": f"{row['oldest']:%F}"})


def _rounded(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)
