"""The long-running stream: landed files in, rows of ``events`` out. Submitted by the DAG ingest_events.

    spark-submit spark_jobs/stream_events.py [--drain]

The environment names the database (SLUICE_WRITER_URL) and the one-use token of the lease (SLUICE_STREAM_TOKEN).
``--drain`` loads what has landed and ends. Exit codes: 0 ended as asked, 3 fenced, 4 orphaned.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from sluice import database, leases
from sluice.settings import Settings, load
from spark_jobs.event_loader import EventLoader
from spark_jobs.keeper import FENCED, Keeper
from spark_jobs.landed_files import LandedFiles
from spark_jobs.retry_rules import first_line, rule_for

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery

_log = logging.getLogger("sluice.stream")


def main(arguments: list[str] | None = None) -> int:
    """Begin under the lease, stream until told to end, end the lease."""
    parser = argparse.ArgumentParser(description="Stream landed files into PostgreSQL.")
    parser.add_argument("--drain", action="store_true", help="load what has landed, then end")
    drain = parser.parse_args(arguments).drain
    logging.getLogger("py4j").setLevel(logging.WARNING)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stdout)
    settings = load()
    try:
        keeper = begin(settings)
    except leases.StreamFenced as fenced:
        _log.error("%s", fenced)
        return FENCED
    signal.signal(signal.SIGTERM, lambda *_: keeper.ask_to_stop("it was told to (SIGTERM)"))
    because = "it failed"
    try:
        because = stream(open_spark(settings), settings, keeper, drain=drain)
    finally:
        keeper.close(because)
    _log.info("the stream has ended: %s", because)
    return 0


def begin(settings: Settings) -> Keeper:
    """Exchange the token for an epoch and keep its lease. Raises StreamFenced when the token is not to be used."""
    with database.connect(settings.writer_dsn) as connection:
        epoch = leases.begin(
            connection,
            token=os.environ.get("SLUICE_STREAM_TOKEN", ""),
            host=socket.gethostname(),
            pid=os.getpid(),
            seconds=settings.lease_seconds,
        )
    submitter = os.environ.get("SLUICE_SUBMITTER_PID")
    keeper = Keeper(
        settings.writer_dsn,
        epoch,
        lease_seconds=settings.lease_seconds,
        life_seconds=settings.stream_life_seconds,
        submitter=int(submitter) if submitter else None,
    )
    keeper.start()
    _log.info("stream %s has begun", epoch)
    return keeper


def open_spark(settings: Settings) -> SparkSession:
    """The Spark session, with the source and the sink registered; the master comes from spark-submit."""
    # How often an idle stream asks the ledger for landed files.
    polling = f"{int(settings.trigger_seconds * 1000)}ms"
    spark = SparkSession.builder.appName("sluice").config("spark.sql.streaming.pollingDelay", polling).getOrCreate()
    spark.dataSource.register(LandedFiles)
    spark.dataSource.register(EventLoader)
    return spark


def stream(spark: SparkSession, settings: Settings, keeper: Keeper, *, drain: bool) -> str:
    """Run the query until it is to end, starting it again after each failure; return why it ended."""
    failures = 0
    while True:
        started = time.monotonic()
        try:
            query = start_query(spark, settings, keeper.epoch, drain=drain)
            keeper.say("running")
            run_query(query, keeper)
            return keeper.because or "everything that had landed is loaded"
        except PySparkException as error:
            rule = rule_for(str(error))
            failures = 1 if time.monotonic() - started > 60 else failures + 1
            wait = min(settings.backoff_max_seconds, settings.backoff_seconds * 2 ** (failures - 1))
            wait *= random.uniform(0.8, 1.2)
            says = f"{rule.says} ({first_line(str(error))})"
            _log.error("%s; %s", says, "the stream ends" if rule.action == "end" else f"next try in {wait:.1f} s")
            if rule.action == "end":
                return says
            keeper.say("waiting", says)
            if keeper.stop.wait(wait):
                return keeper.because


def start_query(spark: SparkSession, settings: Settings, epoch: int, *, drain: bool) -> StreamingQuery:
    """Start the one query: landed files, dealt to tasks, loaded."""
    files = spark.readStream.format("landed_files").option("epoch", epoch).option("tasks", settings.stream_tasks).load()
    writer = (
        files.writeStream.format("event_loader")
        .queryName("events")
        .option("epoch", epoch)
        .option("checkpointLocation", str(settings.checkpoint_dir))
    )
    # No interval: a micro-batch starts as soon as there is a file, and the next one as soon as it is done.
    trigger: dict[str, Any] = {"availableNow": True} if drain else {"processingTime": "0 seconds"}
    return writer.trigger(**trigger).start()


def run_query(query: StreamingQuery, keeper: Keeper) -> None:
    """Note progress until the query ends; when a stop is asked for, end it after the current micro-batch."""
    noted = -1
    while not query.awaitTermination(timeout=1):
        noted = note_progress(query, keeper, noted)
        if keeper.stop.is_set() and not query.status["isTriggerActive"]:
            query.stop()
    note_progress(query, keeper, noted)


def note_progress(query: StreamingQuery, keeper: Keeper, noted: int) -> int:
    """Write the durations of the micro-batches after ``noted`` to the ledger; return the last one's number."""
    for progress in query.recentProgress:
        if progress["batchId"] > noted and progress["numInputRows"]:
            noted = progress["batchId"]
            durations = progress["durationMs"]
            parameters = {
                "epoch": keeper.epoch,
                "batch": noted,
                "duration_ms": durations.get("triggerExecution"),
                "durations": json.dumps(dict(durations)),
            }
            keeper.run_query("note_durations", parameters)
    return noted


if __name__ == "__main__":
    sys.exit(main())
