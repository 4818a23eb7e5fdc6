"""What a monitor is told: figures of the ledger in Prometheus' text format, read anew at each scrape.

Nothing is counted in this process: counters are those of ``ledger.counts``, which loads add to in their own
transactions. So they agree with what was committed, whichever process answers, and go on over restarts.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from sluice.base import disks, queries
from sluice.base.plain_text import shown
from sluice.base.settings import SettingError, Settings
from sluice.base.version import version
from sluice.watching import now
from sluice.watching.reader import AwayError, Connection, Reader, SlowError

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
# The bounds of ledger.count_file().
LAGS = ("0.5", "1", "2", "5", "10", "30", "60", "300", "900", "3600", "+Inf")
# More that wait are not counted, and micro-batches before the newest are not looked at.
_MOST_WAITING = 100_001
_BATCHES = 60
_MOST_CONDITIONS = 1_000
_LONGEST_LABEL = 120

Said = Mapping[str, Any]


def exposition(settings: Settings, reader: Reader) -> bytes:
    """All figures as text; of a database that is away, or too slow, no more than that it is.

    Costs some questions of at most 250 ms each. Raises nothing that PostgreSQL does.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(LedgerCollector(settings, reader))
    return generate_latest(registry)


class LedgerCollector:
    """Asks the ledger when it is collected."""

    def __init__(self, settings: Settings, reader: Reader) -> None:
        self._settings = settings
        self._reader = reader

    def describe(self) -> list[Metric]:
        """Nothing: a name is not worth a question to the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families, with what could be read."""
        begun = time.monotonic()
        yield _gauge("build_info", "Always 1; the label tells the version of Sluice", {(version(),): 1}, "version")
        said = self._asked()
        up = "Whether the database has answered all questions of this scrape in time"
        yield _gauge("database_up", up, {(): int(said is not None)})
        landing = now.landing(self._settings)
        yield from _backlog(said, landing)
        yield from _disks(self._settings)
        if said is not None:
            yield from _counters(said["counts"])
            yield from _stream(said["stream"])
            yield from _batches(said["batches"])
            yield from _recount(said["proof"])
            yield from _conditions(said["conditions"])
        took = "Seconds that it took to find these figures"
        yield _gauge("scrape_seconds", took, {(): time.monotonic() - begun})

    def _asked(self) -> dict[str, Any] | None:
        try:
            with self._reader.asking() as connection:
                return read(connection)
        except (AwayError, SlowError, SettingError, psycopg.Error):
            return None


def read(connection: Connection) -> dict[str, Any]:
    """What the ledger says; each question answers quickly, however many files it has."""
    return {
        "counts": queries.all(connection, "duty/metrics.counts"),
        "waiting": queries.row(connection, "watching/now.waiting", most=_MOST_WAITING),
        "oldest": queries.one(connection, "watching/now.oldest_waiting"),
        "held": queries.row(connection, "watching/now.held", most=_MOST_WAITING)["files"],
        "stream": queries.one(connection, "ledger/status.stream"),
        "batches": [now.by_phase(row) for row in queries.all(connection, "duty/metrics.batches", most=_BATCHES)],
        "proof": queries.one(connection, "ledger/status.proof"),
        "conditions": queries.all(connection, "duty/metrics.conditions", most=_MOST_CONDITIONS),
    }


def _counters(counts: Iterable[Said]) -> Iterator[Metric]:
    by_kind: dict[str, dict[tuple[str, str], float]] = defaultdict(lambda: defaultdict(float))
    for row in counts:
        by_kind[row["what"]][_label(row["contract"]), _label(row["label"])] += row["amount"]
    files = "Files that came to a state: loaded, rejected, duplicate, replaced, unloaded"
    yield _counter("files", files, by_kind["files"], "contract", "state")
    rows = "Rows that files came to have (loaded, rejected, duplicate), rows of events that were taken back (withdrawn)"
    yield _counter("rows", rows, by_kind["rows"], "contract", "outcome")
    rejects = "Rejected rows by a rule that they break; a row may break several"
    yield _counter("rejects", rejects, by_kind["rejects"], "contract", "rule")
    yield _lags(by_kind["lag"], by_kind["lag_seconds"])


def _lags(files: Mapping[tuple[str, str], float], seconds: Mapping[tuple[str, str], float]) -> Metric:
    family = HistogramMetricFamily(
        "sluice_landed_to_queryable_seconds",
        "Seconds from landed to queryable, of each loaded file",
        labels=["contract"],
    )
    for contract in sorted({contract for contract, _ in files}):
        up_to, buckets = 0.0, []
        for bound in LAGS:
            up_to += files.get((contract, bound), 0.0)
            buckets.append((bound, up_to))
        family.add_metric([contract], buckets, seconds.get((contract, ""), 0.0))
    return family


def _backlog(said: Said | None, landing: Said) -> Iterator[Metric]:
    files, sizes = {("incoming",): landing["files"]}, {("incoming",): landing["bytes"]}
    ages = {("incoming",): landing["seconds"] or 0.0}
    if said is not None:
        files |= {("landed",): said["waiting"]["files"], ("waiting_for_contract",): said["held"]}
        sizes |= {("landed",): said["waiting"]["bytes"]}
        ages |= {("landed",): said["oldest"]["seconds"] if said["oldest"] else 0.0}
    help_ = f"Files that are not loaded yet, by where they wait; no more than {_MOST_WAITING:,} are counted"
    yield _gauge("backlog_files", help_, files, "place")
    yield _gauge("backlog_bytes", "Bytes of the files that are not loaded yet, by where they wait", sizes, "place")
    yield _gauge("backlog_oldest_seconds", "For how long the first file has waited; 0: none waits", ages, "place")


def _stream(stream: Said | None) -> Iterator[Metric]:
    living = stream is not None and stream["living"]
    yield _gauge("stream_alive", "Whether a stream holds a lease that has not lapsed", {(): int(living)})
    left = max(stream["lease_seconds_left"], 0.0) if stream is not None and living else 0.0
    yield _gauge("stream_lease_seconds", "Seconds that the lease still lasts; 0: there is none", {(): left})
    if stream is not None:
        yield _gauge("stream_epoch", "Number of the newest stream; it rises with each", {(): stream["epoch"]})
        tries = int(living and stream["state"] == "waiting")
        yield _gauge("stream_waiting", "Whether a living stream tries again what failed", {(): tries})


def _batches(batches: Iterable[Said]) -> Iterator[Metric]:
    phases: dict[tuple[str, ...], float] = {}
    whole: dict[tuple[str, ...], float] = {}
    moments: dict[tuple[str, ...], float] = {}
    for one in batches:
        lane = one["lane"]
        phases |= {(lane, phase): milliseconds / 1000 for phase, milliseconds in one["phases"].items()}
        whole[lane,] = one["duration_ms"] / 1000
        moments[lane,] = one["committed_at"].timestamp()
    of = "of the newest finished micro-batch"
    yield _gauge("batch_phase_seconds", f"Seconds in each phase {of}, by lane", phases, "lane", "phase")
    yield _gauge("batch_seconds", f"Seconds {of}, by lane", whole, "lane")
    yield _gauge("batch_timestamp_seconds", "When the newest finished micro-batch committed, by lane", moments, "lane")


def _recount(recount: Said | None) -> Iterator[Metric]:
    if recount is not None:
        ended = recount["ended_at"].timestamp()
        yield _gauge("recount_timestamp_seconds", "When the last recount of conservation ended", {(): ended})
        holds = "Whether every row was accounted for in the last recount"
        yield _gauge("recount_holds", holds, {(): int(recount["holds"])})
        places = {(): recount["problems"]}
        yield _gauge("recount_problems", "Places where rows were unaccounted for in the last recount", places)


def _conditions(conditions: Iterable[Said]) -> Iterator[Metric]:
    states = {(_label(row["kind"]), _label(row["name"]), _label(row["state"])): 1 for row in conditions}
    yield _gauge("condition", "Always 1; the present state of what is watched", states, "kind", "name", "state")


def _disks(settings: Settings) -> Iterator[Metric]:
    free: dict[tuple[str, ...], float] = {}
    size: dict[tuple[str, ...], float] = {}
    for what, folder in disks.folders(settings).items():
        try:
            disk = os.statvfs(folder)
        except OSError:
            continue
        label = what.removeprefix("the ").replace(" ", "_")
        free[label,], size[label,] = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    yield _gauge(
        "disk_free_bytes", "Bytes that are free on the disk of a folder, several may share one", free, "folder"
    )
    yield _gauge("disk_size_bytes", "Bytes of the disk of a folder, several may share one", size, "folder")


def _gauge(name: str, help_: str, values: Mapping[Any, float], *labels: str) -> Metric:
    return _filled(GaugeMetricFamily(f"sluice_{name}", help_, labels=labels), values)


def _counter(name: str, help_: str, values: Mapping[Any, float], *labels: str) -> Metric:
    return _filled(CounterMetricFamily(f"sluice_{name}", help_, labels=labels), values)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[Any, float]) -> Metric:
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _label(text: str) -> str:
    """Names of contracts and of columns are anybody's text: a label is one line of it, and has an end."""
    return shown(text, _LONGEST_LABEL)
