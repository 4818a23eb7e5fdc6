"""The state of the pipeline in one moment."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sluice.base import queries
from sluice.base.settings import Settings
from sluice.landing import incoming
from sluice.watching import health
from sluice.watching.reader import Connection

RANGES = {"1h": 1, "24h": 24, "7d": 168}
# Over so many seconds what arrives is held against what is loaded.
FLOW_SECONDS = 300
LAG_MINUTES = 10
BATCHES = OUTCOMES = 60
# No more is counted: "more than" says that there are more.
_MOST_WAITING = 100_001
_MOST_HELD = 10_001
_MOST_ARRIVALS = 10_000
_MOST_ENTRIES = 5_000
_MOST_LAGS = 20_000
# Of a long ledger so many files are looked at, wherever in it they are.
_SAMPLED = 50_000
# What Spark measures of a micro-batch, in the order in which it happens, by what it is to people.
_PHASES = {
    "look": ("latestOffset", "getBatch"),
    "plan": ("queryPlanning",),
    "load": ("addBatch",),
    "checkpoint": ("walCommit", "commitOffsets", "commitBatch"),
}


def snapshot(connection: Connection) -> dict[str, Any]:
    """What the ledger says of this moment."""
    return {
        "stream": queries.one(connection, "ledger/status.stream"),
        "rates": queries.row(connection, "watching/now.rates", seconds=FLOW_SECONDS),
        "arrivals": queries.row(connection, "watching/now.arrivals", seconds=FLOW_SECONDS, most=_MOST_ARRIVALS),
        "waiting": queries.row(connection, "watching/now.waiting", most=_MOST_WAITING),
        "oldest": queries.one(connection, "watching/now.oldest_waiting"),
        "held": queries.row(connection, "watching/now.held", most=_MOST_HELD)["files"],
        "lag": queries.row(connection, "ledger/status.latency", minutes=LAG_MINUTES),
        "proof": queries.one(connection, "ledger/status.proof"),
        "batches": [by_phase(row) for row in queries.all(connection, "watching/now.batches", most=BATCHES)],
        "outcomes": queries.all(connection, "watching/now.outcomes", most=OUTCOMES),
    }


def landing(settings: Settings) -> dict[str, Any]:
    """What lies in incoming and is not registered yet; of a full folder only a part is looked at."""
    seen = incoming.survey(settings, most=_MOST_ENTRIES)
    return {
        "files": seen.waiting,
        "bytes": seen.bytes,
        "seconds": max(time.time() - seen.since, 0.0) if seen.waiting else None,
        "refused": seen.refused,
        "is_whole": seen.is_whole,
    }


def look(said: Mapping[str, Any], landed: Mapping[str, Any]) -> dict[str, Any]:
    """What room Now shows: what the ledger said (``snapshot``), what lies in incoming (``landing``), and how it is."""
    flow, stream = flow_of(said, landed), said["stream"]
    judged = [
        health.load(stream, oldest_seconds=flow.oldest_seconds, held=said["held"]),
        health.freshness(flow, p95=said["lag"]["p95"]),
        health.proof(said["proof"]),
    ]
    return {
        "health": {"worst": asdict(health.worst(*judged)), "judged": [asdict(one) for one in judged]},
        "stream": _stream(stream),
        "flow": asdict(flow) | {"pace": flow.pace, "seconds_left": flow.seconds_left},
        "rows_in_per_second": said["rates"]["rows_in"],
        "rows_out_per_second": said["rates"]["rows_out"],
        "backlog": {
            "files": said["waiting"]["files"] + landed["files"],
            "bytes": said["waiting"]["bytes"] + landed["bytes"],
            "is_more": said["waiting"]["files"] >= _MOST_WAITING or not landed["is_whole"],
            "landed": said["waiting"]["files"],
            "incoming": landed["files"],
            "held": said["held"],
            "oldest": said["oldest"],
        },
        "lag": said["lag"] | {"minutes": LAG_MINUTES},
        "proof": said["proof"],
        "batches": said["batches"],
        "outcomes": said["outcomes"],
    }


def flow_of(said: Mapping[str, Any], landed: Mapping[str, Any]) -> health.Flow:
    """How files came and went, of what the ledger said (``snapshot``) and of what lies in incoming (``landing``)."""
    arrived, covered = said["arrivals"], said["arrivals"]["covered"]
    # Of a storm of files not all are counted: those that are stand for the whole time.
    scale = FLOW_SECONDS / max(covered, 1.0) if covered else 1.0
    is_late = landed["seconds"] is not None and landed["seconds"] <= FLOW_SECONDS
    waits = [age for age in (said["oldest"] and said["oldest"]["seconds"], landed["seconds"]) if age is not None]
    return health.Flow(
        arrived=math.ceil(arrived["files"] * scale) + (landed["files"] if is_late else 0),
        finished=said["rates"]["files"] + arrived["without_rows"],
        waiting=said["waiting"]["files"] + landed["files"],
        seconds=FLOW_SECONDS,
        oldest_seconds=max(waits, default=None),
    )


def line(now: Mapping[str, Any]) -> dict[str, Any]:
    """The same in one line, of what ``look`` gives: for the strip and the card."""
    return {
        "health": now["health"]["worst"],
        "stream": now["stream"],
        "pace": now["flow"]["pace"],
        "rows_out_per_second": now["rows_out_per_second"],
        "lag": now["lag"],
        "backlog": {part: now["backlog"][part] for part in ("files", "bytes", "is_more")},
    }


def lag(connection: Connection, hours: float) -> dict[str, Any]:
    """Seconds from landed to queryable over the last ``hours``; where that were too many files, of a sample of them."""
    found = queries.row(connection, "watching/now.lag", hours=hours, most=_MOST_LAGS)
    if is_sample := found["files"] == _MOST_LAGS:
        percent = queries.row(connection, "watching/now.share_of", most=_SAMPLED)["percent"]
        found = queries.row(connection, "watching/now.lag_of_sample", hours=hours, percent=percent)
    return found | {"is_sample": is_sample}


def today(connection: Connection, settings: Settings) -> dict[str, Any]:
    """Rows of the files that were loaded on the present day of the shop's zone."""
    return queries.row(connection, "watching/now.today", zone=settings.shop_zone) | {"zone": settings.shop_zone}


def _stream(stream: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if stream is None:
        return None
    shown = ("epoch", "state", "state_since", "started_at", "ended_at", "ended_because", "run_id", "submitted_by")
    more = ("host", "lease_seconds_left", "living", "last_error", "last_error_at")
    return {name: stream[name] for name in (*shown, *more)}


def by_phase(row: dict[str, Any]) -> dict[str, Any]:
    """A micro-batch of the ledger, with milliseconds by what they are to people instead of Spark's durations."""
    durations = row.pop("durations") or {}
    return row | {
        "phases": {phase: sum(durations.get(name, 0) for name in names) for phase, names in _PHASES.items()},
    }
