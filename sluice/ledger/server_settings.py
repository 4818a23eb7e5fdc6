"""What a PostgreSQL server should be set to for this load: sized to its memory, with what each setting means.

The embedded server and the containers start with these; ``make doctor`` compares another server with them.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from sluice.base import queries

MB = 1 << 20
GB = 1 << 30

Value = float | str

# So many sessions may read all of events at once, of so many months, each a table with three indexes.
_READERS = 10
_RELATIONS = 4 * 1200


@dataclass(frozen=True)
class Advice:
    """One setting: what it should be, why, and what it means for the promise that no row is lost.

    ``is_default`` when PostgreSQL has it so by itself: then nobody sets it. ``fits(now)`` says whether what a server
    has, in bytes, seconds or as text, is as good as ``value``.
    """

    name: str
    value: str
    why: str
    promise: str
    fits: Callable[[Value], bool]
    is_default: bool = False


@dataclass(frozen=True)
class Finding:
    """A setting that should be another: ``now`` and ``advice.value`` as one writes them."""

    advice: Advice
    now: str


def shared_buffers(memory: int) -> int:
    """Bytes where Airflow and Spark share ``memory`` bytes: an eighth, 128 MB to 4 GB, in steps of 64 MB."""
    return min(max(memory // 8 // (64 * MB) * 64 * MB, 128 * MB), 4 * GB)


def max_wal_size(disk: int) -> int:
    """Bytes of WAL between checkpoints where ``disk`` bytes are free: a tenth, 1 to 8 GB, whole ones."""
    return min(max(disk // 10 // GB * GB, GB), 8 * GB)


def max_locks(relations: int, connections: float) -> int:
    """``max_locks_per_transaction`` where events has so many partitions and indexes of them, in steps of 64."""
    return -(-_READERS * relations // int(64 * connections)) * 64


def advised(
    buffers: int, wal: int, compressions: Container[str] = (), *, connections: float = 200, relations: int = 0
) -> list[Advice]:
    """What fits this load, with ``buffers`` bytes of shared memory and ``wal`` bytes between checkpoints.

    ``compressions`` are the values that the server knows for ``wal_compression``, ``connections`` is its
    ``max_connections``, ``relations`` counts the partitions of events and their indexes.
    """
    compression = "lz4" if "lz4" in compressions else "off"
    return [*_speed(buffers, wal, compression), *_patience(), _locks(relations, connections), *_promise()]


def _speed(buffers: int, wal: int, compression: str) -> list[Advice]:
    return [
        _at_least(
            "shared_buffers",
            buffers,
            "each row touches a page of the index of event_id, anywhere in it: what does not fit is read from disk",
            "none",
        ),
        Advice(
            "wal_compression",
            compression,
            "the first change of a page after a checkpoint writes the whole page to the WAL; those of a random key do "
            "not get smaller, and `on`, which is pglz, takes processor time for each",
            "none: a page is whole, compressed or not",
            lambda now: now in (compression, "off"),
        ),
        Advice(
            "max_wal_size",
            f"{wal // GB}GB",
            "checkpoints come when it is full, and after each of them whole pages are written again",
            "none: after a crash up to so much WAL is read again before the server answers",
            # Free space changes from day to day: half as much is good enough.
            lambda now: isinstance(now, float) and now >= wal / 2,
        ),
        _at_least("checkpoint_timeout", 900, "as above: checkpoints further apart write fewer whole pages", "as above"),
        _at_least("checkpoint_completion_target", 0.9, "a checkpoint is spread out, and no load waits for it", "none"),
    ]


def _patience() -> list[Advice]:
    return [
        _at_least("max_connections", 100, "Airflow, the stream and the reports hold up to 60", "none"),
        Advice(
            "idle_in_transaction_session_timeout",
            "10min",
            "a client that froze in a transaction holds its locks, and dead rows stay, until it is ended",
            "none: what it had not committed is rolled back",
            lambda now: now != 0,
        ),
        _as_shipped("autovacuum", "on", "dead rows and the tables' statistics pile up without it", "none"),
    ]


def _locks(relations: int, connections: float) -> Advice:
    """Advised is what 1,200 months need; what fits is enough for those that there are."""
    needed = max_locks(relations, connections)
    return Advice(
        "max_locks_per_transaction",
        str(max(needed, max_locks(_RELATIONS, connections))),
        "who reads all of events locks each month and each index of it, and all sessions share the room for that: "
        f"{_READERS} of them need it at once",
        "none: a load or a report that finds no room fails, and is tried again",
        lambda now: isinstance(now, float) and now >= needed,
    )


def _promise() -> list[Advice]:
    durable = "off may lose what was committed, files that are in the archive by then among it"
    return [
        _as_shipped("fsync", "on", "after a loss of power the database may be damaged without it", durable),
        _as_shipped("full_page_writes", "on", "half-written pages are damage that nobody sees", durable),
        Advice(
            "synchronous_commit",
            "on",
            "the pipeline's own sessions turn it on; others, and what they change, stay at risk",
            durable,
            lambda now: now != "off",
            is_default=True,
        ),
    ]


def _at_least(name: str, least: float, why: str, promise: str) -> Advice:
    return Advice(name, _written(name, least), why, promise, lambda now: isinstance(now, float) and now >= least)


def _as_shipped(name: str, value: str, why: str, promise: str) -> Advice:
    return Advice(name, value, why, promise, lambda now: now == value, is_default=True)


def _written(name: str, value: float) -> str:
    """``value`` as one writes it in postgresql.conf; bytes in whole MB."""
    if name == "shared_buffers":
        return f"{int(value) // MB}MB"
    return f"{value:g}s" if name.endswith("timeout") else f"{value:g}"


def compare(connection: psycopg.Connection[dict[str, Any]], memory: int, disk: int) -> list[Finding]:
    """The settings of this server that should be others.

    ``memory`` and ``disk`` are this machine's, and free on it, in bytes. Of a server elsewhere they say nothing: there
    it is enough when the indexes of a month of ``events`` fit. Raises psycopg.Error.
    """
    place = queries.row(connection, "server_settings.place")
    buffers = shared_buffers(memory) if place["is_here"] else min(max(place["index_bytes"], 128 * MB), 4 * GB)
    wal = max_wal_size(disk) if place["is_here"] else 4 * GB
    names = [advice.name for advice in advised(buffers, wal)]
    rows = {row["name"]: row for row in queries.all(connection, "server_settings.current", names=names)}
    advices = advised(
        buffers,
        wal,
        rows["wal_compression"]["known"] or (),
        connections=float(rows["max_connections"]["number"]),
        relations=place["relations"],
    )
    return [Finding(one, rows[one.name]["shown"]) for one in advices if not one.fits(_now(rows[one.name]))]


def _now(row: Mapping[str, Any]) -> Value:
    return str(row["text"]) if row["number"] is None else float(row["number"])
