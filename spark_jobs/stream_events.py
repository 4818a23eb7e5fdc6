"""The long-running stream: landed files in, rows of ``events`` out. Submitted by the DAG ingest_events.

    spark-submit spark_jobs/stream_events.py [--drain]

The environment names the database (SLUICE_WRITER_URL) and the one-use token of the lease (SLUICE_STREAM_TOKEN).
``--drain`` loads what has landed and ends.

Exit codes: 0 ended as asked; 3 fenced, another stream writes; 4 orphaned, its submitter or Spark is gone; 5 stopped,
the environment is wrong (login, schema, grants) and no later attempt of this process can succeed: the log and
``ledger.streams`` name the remedy. Everything else that fails is waited for, however long it takes
(sluice/loading/retry_rules.py says which is which).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import shutil
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from py4j.protocol import Py4JJavaError, Py4JNetworkError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from sluice.base import database, disks, log_lines, poolers
from sluice.base.settings import Settings, load
from sluice.base.waiting import News, Waiting
from sluice.ledger import lanes, leases
from sluice.ledger.lanes import Lane
from sluice.ledger.leases import EndedHow, StreamStoppedError
from sluice.loading.contract_watch import ContractWatch
from sluice.loading.receipt_maker import ReceiptMaker
from sluice.loading.retry_rules import FENCED, STOPPED, UNKNOWN, RetryRule, cut, line_of, rule_for
from spark_jobs.event_loader import EventLoader
from spark_jobs.keeper import Keeper
from spark_jobs.landed_files import LandedFiles

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery

_log = logging.getLogger("sluice.stream")

# A query that has run for so long without a failure works, though its first micro-batch may not be done.
STEADY_SECONDS = 60.0
# So many failures of Spark's own in a row, with the longest pauses between them, are no passing trouble.
RENEW_AFTER = 6
# They print a stack trace of 50 lines each for every failure, and during an outage that is every few seconds; the
# driver says what failed in one line, and prints an error that no rule knows in full. The last one warns of each file
# that takes longer than the least time between two micro-batches.
_NOISY = (
    "org.apache.spark.executor.Executor",
    "org.apache.spark.scheduler.TaskSetManager",
    "org.apache.spark.sql.execution.datasources.v2.DataWritingSparkTask",
    "org.apache.spark.sql.execution.datasources.v2.WriteToDataSourceV2Exec",
    "org.apache.spark.sql.execution.streaming.runtime.MicroBatchExecution",
    "org.apache.spark.util.Utils",
    "org.apache.spark.sql.execution.streaming.runtime.ProcessingTimeExecutor",
)


def main(arguments: list[str] | None = None) -> int:
    """Begin under the lease, stream until told to end, end the lease."""
    parser = argparse.ArgumentParser(description="Stream landed files into PostgreSQL.")
    parser.add_argument("--drain", action="store_true", help="load what has landed, then end")
    drain = parser.parse_args(arguments).drain
    logging.getLogger("py4j").setLevel(logging.WARNING)
    settings = load()
    log_lines.configure(settings.log, sys.stdout, others=logging.INFO)
    try:
        keeper = begin(settings)
    except leases.StreamFenced as fenced:
        _log.error("%s", fenced)
        return FENCED
    except StreamStoppedError as stopped:
        _log.error("%s", stopped)
        return STOPPED
    signal.signal(signal.SIGTERM, lambda *_: _told_by_signal(keeper))
    how, because, code = EndedHow.FAILED, "", 0
    receipts = ReceiptMaker(settings.writer_dsn)
    receipts.start()
    try:
        how = stream(settings, keeper, drain=drain)
    except leases.StreamFenced as fenced:
        how, because, code = EndedHow.FENCED, str(fenced), FENCED
    except StreamStoppedError as stopped:
        how, because, code = EndedHow.ENVIRONMENT, str(stopped), STOPPED
        keeper.say("waiting", because)
    except Exception as error:
        if keeper.stop.is_set():
            how = keeper.ended_how
        elif isinstance(error, (Py4JNetworkError, ConnectionError)):
            how = EndedHow.SPARK_DIED
        else:
            because = f"it failed: {cut(line_of(error))}"
        raise
    finally:
        receipts.close()
        keeper.close(how, because)
    _log.log(logging.ERROR if code else logging.INFO, "the stream has ended: %s", because or leases.words(how))
    return code


def _told_by_signal(keeper: Keeper) -> None:
    # In a thread: the main one may hold the very locks that the keeper needs when the signal comes.
    threading.Thread(target=keeper.ask_to_stop, args=[EndedHow.SIGNAL], daemon=True).start()


def begin(settings: Settings) -> Keeper:
    """Exchange the token for an epoch and keep its lease; a database that is away is waited for.

    Raises StreamFenced when the token is not to be used, StreamStoppedError when the login is refused, and
    psycopg.OperationalError when the database is away for as long as the token may wait.
    """
    epoch = _exchange_token(settings)
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


def _exchange_token(settings: Settings) -> int:
    waiting = Waiting(_log, f"tried again for {settings.submit_seconds:g} s, then another stream is submitted")
    deadline = time.monotonic() + settings.submit_seconds
    while True:
        try:
            with database.connect(settings.writer_dsn) as connection:
                poolers.refuse_shared_sessions(connection)
                epoch = leases.begin(
                    connection,
                    token=os.environ.get("SLUICE_STREAM_TOKEN", ""),
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    seconds=settings.lease_seconds,
                )
            waiting.over()
            return epoch
        except poolers.SharedSessionsError as error:
            raise StreamStoppedError(f"the environment is wrong: {error}") from error
        except psycopg.Error as error:
            rule, line = rule_for(error), line_of(error)
            _stop_if_told(rule, line)
            if rule is UNKNOWN or time.monotonic() > deadline:
                raise
            waiting.failed(rule.says, cut(line))
            time.sleep(settings.backoff_seconds)


def open_spark() -> SparkSession:
    """The Spark session, with the source and the sink registered; the master comes from spark-submit."""
    spark = SparkSession.builder.appName("sluice").getOrCreate()
    log4j: Any = spark.sparkContext._jvm.org.apache.logging.log4j  # type: ignore[union-attr]
    for name in _NOISY:
        log4j.core.config.Configurator.setLevel(name, log4j.Level.OFF)
    spark.dataSource.register(LandedFiles)
    spark.dataSource.register(EventLoader)
    return spark


def stream(settings: Settings, keeper: Keeper, *, drain: bool) -> EndedHow:
    """Run the queries until they are to end, starting them again after each failure; return how they ended.

    Raises StreamFenced or StreamStoppedError for what no later attempt can mend, and Spark's own error when it may be
    mended by another driver.
    """
    spark, failures, of_spark, printed = None, 0, 0, News()
    every = f"{settings.backoff_seconds:g} to {settings.backoff_max_seconds:g} s"
    waiting = Waiting(
        _log, f"tried again every {every} by itself, nothing is lost: files wait in the processing folder"
    )
    watch = ContractWatch(settings, keeper)
    while True:
        started = time.monotonic()
        try:
            spark = spark or open_spark()
            run_queries(start_queries(spark, settings, keeper.epoch, drain=drain), keeper, waiting, watch)
            return keeper.ended_how if keeper.stop.is_set() else EndedHow.DRAINED
        except (PySparkException, Py4JJavaError) as error:
            if keeper.stop.is_set():  # Spark was told to stop as well, and failed at that
                return keeper.ended_how
            rule, line = rule_for(str(error)), line_of(str(error))
            if (rule is UNKNOWN or rule.action == "renew") and printed.is_new(line):
                _log.error("%s", error)
            if rule.action == "forget":
                for lane in lanes.lanes(settings):
                    _put_aside(lane.checkpoint)
            if rule.action == "end":
                raise leases.StreamFenced(f"{rule.says} ({cut(line)})") from error
            _stop_if_told(rule, line)
            keeper.say("waiting", waiting.failed(rule.says, cut(line), _full_disks(rule, settings)))
            spark = _unless_stopped(spark)
            is_steady = time.monotonic() - started > STEADY_SECONDS
            of_spark = (0 if is_steady else of_spark) + 1 if spark and rule.action == "renew" else 0
            if of_spark >= RENEW_AFTER:
                raise
        failures = 1 if is_steady else failures + 1
        wait = min(settings.backoff_max_seconds, settings.backoff_seconds * 2 ** min(failures - 1, 10))
        if keeper.stop.wait(wait * random.uniform(0.8, 1.2)):
            return keeper.ended_how


def _put_aside(checkpoint: Path) -> None:
    aside = checkpoint.with_name(f"{checkpoint.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        checkpoint.rename(aside)


def _full_disks(rule: RetryRule, settings: Settings) -> str:
    """Which disks are full, as far as it can be told from here, when that may be why."""
    if not rule.may_be_a_disk:
        return ""
    return "".join(f"; {found.partition(':')[0]}" for found in disks.full(disks.folders(settings)))


def _stop_if_told(rule: RetryRule, line: str) -> None:
    if rule.action == "stop":
        raise StreamStoppedError(f"the environment is wrong: {rule.says} ({cut(line)})")


def _unless_stopped(spark: SparkSession | None) -> SparkSession | None:
    """``spark``, or None when its context has stopped (its master is gone): the next attempt opens another."""
    if spark is None or not spark.sparkContext._jsc.sc().isStopped():
        return spark
    spark.stop()
    return None


def start_queries(spark: SparkSession, settings: Settings, epoch: int, *, drain: bool) -> list[StreamingQuery]:
    """Start a query a lane: landed files, dealt to tasks, loaded."""
    return [_start_query(spark, lane, epoch, drain=drain) for lane in lanes.lanes(settings)]


def _start_query(spark: SparkSession, lane: Lane, epoch: int, *, drain: bool) -> StreamingQuery:
    options = {"epoch": str(epoch), "lane": lane.name}
    files = spark.readStream.format("landed_files").options(tasks=str(lane.tasks), **options).load()
    writer = files.writeStream.format("event_loader").queryName(lane.name).options(**options)
    # No interval: a micro-batch starts as soon as there is a file, and the next one when it is done.
    trigger: dict[str, Any] = {"availableNow": True} if drain else {"processingTime": "0 seconds"}
    return writer.option("checkpointLocation", str(lane.checkpoint)).trigger(**trigger).start()


def run_queries(queries: list[StreamingQuery], keeper: Keeper, waiting: Waiting, contracts: ContractWatch) -> None:
    """Note progress until all queries have ended; when a stop is asked for, end each after its micro-batch.

    One that fails ends the others, and its error is raised.
    """
    noted = {query.name: -1 for query in queries}
    try:
        while running := [query for query in queries if query.isActive]:
            running[0].awaitTermination(timeout=1)
            contracts.look()
            _note_progress(queries, noted, keeper, waiting)
            for query in queries:
                if not query.isActive:
                    query.awaitTermination()  # raises what it failed with
                if keeper.stop.is_set() and not query.status["isTriggerActive"]:
                    query.stop()
        for query in queries:
            query.awaitTermination()  # one may have failed while the other ended
        _note_progress(queries, noted, keeper, waiting)
        _say_it_is_over(keeper, waiting)
    finally:
        for query in queries:
            if query.isActive:
                query.stop()


def _note_progress(queries: list[StreamingQuery], noted: dict[str, int], keeper: Keeper, waiting: Waiting) -> None:
    for query in queries:
        noted[query.name] = note_progress(query, keeper, noted[query.name])
    # A lane without files makes progress at once, also while the other one fails at each attempt.
    if all(query.lastProgress is not None for query in queries):
        _say_it_is_over(keeper, waiting)


def _say_it_is_over(keeper: Keeper, waiting: Waiting) -> None:
    if was := waiting.over():
        keeper.say("running", was)


def note_progress(query: StreamingQuery, keeper: Keeper, noted: int) -> int:
    """Write the durations of the micro-batches after ``noted`` to the ledger; return the last one's number."""
    last = query.lastProgress
    if last is None or last["batchId"] <= noted:  # to fetch all of them takes the JVM much longer
        return noted
    for progress in query.recentProgress:
        if progress["batchId"] > noted and progress["numInputRows"]:
            noted = progress["batchId"]
            durations = progress["durationMs"]
            keeper.run_query(
                "ledger/claims.note_durations",
                epoch=keeper.epoch,
                lane=query.name,
                batch=noted,
                duration_ms=durations.get("triggerExecution"),
                durations=json.dumps(dict(durations)),
            )
    return noted


if __name__ == "__main__":
    sys.exit(main())
