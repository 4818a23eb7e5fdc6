"""What the loading side does about an error: the rule that fits it, and the line that it is judged by."""

from __future__ import annotations

import duckdb
import psycopg
import pyarrow as pa
import pytest

from sluice.base.settings import SettingError
from sluice.contracts.judge import BlockTooLargeError
from sluice.contracts.model import ContractError
from sluice.landing.folders import FoldersError
from sluice.ledger.leases import StreamFenced
from sluice.loading.errors import FileChangedError, FileRejectedError, MonthMissingError, RowsMovedError
from sluice.loading.file_rules import FILE_RULES
from sluice.loading.retry_rules import UNKNOWN, cut, line_of, rule_for
from sluice.reading.landed_bytes import UnreadableFileError

# What Spark makes of an error of the source (on the driver), and of one of a task.
SOURCE = """[PYTHON_STREAMING_DATA_SOURCE_RUNTIME_ERROR] Failed when Python streaming data source perform partitions: \
Traceback (most recent call last):
  File "x.py", line 1, in main
    with tx:
         ^^
{0}
 SQLSTATE: 38000
=== Streaming Query ===
+- ~StreamingDataSourceV2ScanRelation[file_id#0L]
"""
TASK = """Job aborted due to stage failure: Task 1 in stage 1.0 failed 4 times, most recent failure: Lost task 1.3: \
org.apache.spark.api.python.PythonException: [PYTHON_EXCEPTION] An exception was thrown from the Python worker: \
Traceback (most recent call last):
  File "/job/load_file.py", line 115, in load
    raise
{0}

 SQLSTATE: 38000
\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException(PythonRunner.scala:665)
\tat java.base/java.lang.Thread.run(Thread.java:840)

Driver stacktrace:
"""
JAVA = """Writing job aborted
=== Streaming Query ===
Caused by: java.io.IOException: No space left on device
\tat java.base/java.io.FileOutputStream.writeBytes(Native Method)
"""
QUERY = """[STREAM_FAILED] Query [id = bc46bc91, runId = e79822d3] terminated with exception: No space left on device \
SQLSTATE: XXKST
=== Streaming Query ===
Logical Plan:
+- ~StreamingDataSourceV2ScanRelation[file_id#0L]
"""
TORN = """[STREAM_FAILED] Query [id = x, runId = y] terminated with exception: Incomplete log file \
SQLSTATE: XXKST
"""
REFUSED = 'connection to server at "127.0.0.1", port 5432 failed: '
LOGIN = REFUSED + 'FATAL:  password authentication failed for user "sluice_writer"'
AWAY = REFUSED + "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?"


ERRORS = [
    (StreamFenced("stream 1 has ended"), "end", "another stream has taken over"),
    (FileRejectedError("the file is empty"), "quarantine", "the file is wrong"),
    (UnreadableFileError("not gzip"), "quarantine", "the file is wrong"),
    (BlockTooLargeError("too large"), "quarantine", "the file is wrong"),
    (FileChangedError("x.csv changed"), "return", "the file changed"),
    (MonthMissingError("no partition of events takes a row"), "again", "a month of events was missing"),
    (RowsMovedError("1 of 2 rows were in events"), "again", "a file was taken back"),
    (
        psycopg.errors.LockNotAvailable("canceling statement due to lock timeout"),
        "later",
        "an unload, a replay or another load holds rows",
    ),
    (psycopg.errors.UniqueViolation("duplicate key"), "again", "others wrote the same rows"),
    (psycopg.errors.SerializationFailure("could not serialize access"), "again", "others wrote the same rows"),
    (psycopg.errors.DeadlockDetected("deadlock detected"), "again", "others wrote the same rows"),
    (psycopg.errors.NumericValueOutOfRange("value out of range"), "quarantine", "the file cannot be loaded"),
    (pa.ArrowInvalid("offset overflow"), "quarantine", "the file cannot be loaded"),
    (duckdb.OutOfRangeException("too big"), "quarantine", "the file cannot be loaded"),
    (FoldersError("/data/processing lacks the marker"), "wait", "a folder of the pipeline is not there"),
    (ContractError("x.odcs.yaml: not YAML"), "hold", "a contract cannot be used"),
    (psycopg.errors.DiskFull("could not extend file"), "wait", "the disk of PostgreSQL's data folder is full"),
    (OSError(28, "No space left on device"), "wait", "a disk of the stream's machine is full"),
    (OSError(5, "Input/output error"), "wait", "a file cannot be read"),
    (PermissionError(13, "Permission denied", "shop.csv"), "wait", "a file cannot be read"),
    (psycopg.OperationalError(f"connection failed: {LOGIN}"), "stop", "PostgreSQL refuses the login"),
    (psycopg.errors.InvalidAuthorizationSpecification("not allowed"), "stop", "PostgreSQL refuses the login"),
    (psycopg.errors.InsufficientPrivilege("permission denied for table files"), "stop", "the schema or its grants"),
    (psycopg.errors.UndefinedTable('relation "events" does not exist'), "stop", "the schema or its"),
    (psycopg.OperationalError(f"{REFUSED}FATAL:  sorry, too many clients already"), "wait", "PostgreSQL has no conn"),
    (psycopg.errors.OutOfMemory("out of shared memory"), "wait", "PostgreSQL has no memory left, or no room for locks"),
    (psycopg.errors.AdminShutdown("terminating connection"), "wait", "PostgreSQL is away"),
    (psycopg.OperationalError(f"connection failed: {AWAY}"), "wait", "PostgreSQL is away"),
    (psycopg.OperationalError("the connection is closed"), "wait", "PostgreSQL is away"),
    (psycopg.OperationalError(f"{REFUSED}FATAL:  the database system is starting up"), "wait", "PostgreSQL is away"),
    (RuntimeError("never seen"), "wait", "the micro-batch failed"),
]


@pytest.mark.parametrize(("error", "action", "says"), ERRORS)
def test_each_error_finds_its_rule(error: Exception, action: str, says: str) -> None:
    rule = rule_for(error, FILE_RULES)
    assert rule.action == action
    assert rule.says.startswith(says)


@pytest.mark.parametrize("spark", [SOURCE, TASK])
@pytest.mark.parametrize(("error", "action", "says"), ERRORS)
def test_the_driver_finds_the_same_rule_in_what_spark_made_of_the_error(
    error: Exception, action: str, says: str, spark: str
) -> None:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    rule = rule_for(spark.format(f"{name}: {error}"), FILE_RULES)
    assert (rule.action, rule.says.startswith(says)) == (action, True)


def test_every_rule_is_one_that_some_error_needs_and_says_its_reason() -> None:
    needed = {rule_for(error, FILE_RULES) for error, _, _ in ERRORS}
    needed |= {rule_for(TORN), rule_for("Job aborted\njava.io.OptionalDataException\n\tat java.io.ObjectInputStream")}
    assert needed == {*FILE_RULES, UNKNOWN}
    assert all(rule.reason and rule.says for rule in needed)


def test_a_java_error_is_judged_by_its_cause() -> None:
    assert line_of(JAVA) == "java.io.IOException: No space left on device"
    assert rule_for(JAVA).says.startswith("a disk of the stream's machine is full")
    assert rule_for(TORN).action == "forget"
    assert line_of(QUERY) == "No space left on device SQLSTATE: XXKST"
    assert rule_for(QUERY).says.startswith("a disk of the stream's machine is full")


@pytest.mark.parametrize(
    "content",
    [
        "Connection refused",
        "psycopg.OperationalError: gone",
        f"x\npsycopg.OperationalError: {LOGIN}",
        "duplicate key. SQLSTATE: 23505",
        "permission denied. SQLSTATE: 42501",
        "sluice.ledger.leases.StreamFenced: stream 1 has ended",
        "No space left on device",
    ],
)
def test_what_a_file_holds_never_chooses_the_rule(content: str) -> None:
    assert rule_for(FileRejectedError(f"no contract knows the header {content}"), FILE_RULES).action == "quarantine"
    assert rule_for(ValueError(f"no number: {content}"), FILE_RULES).action == "quarantine"
    refused = psycopg.errors.InvalidTextRepresentation(
        f"invalid input syntax for type uuid: {content}\nLINE 1: {content}"
    )
    assert rule_for(refused, FILE_RULES).action == "quarantine"
    task = TASK.format(f"psycopg.errors.InvalidTextRepresentation: {refused}")
    assert rule_for(task, FILE_RULES).action == "quarantine"


def test_a_class_that_moves_to_another_module_keeps_its_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (FileRejectedError, StreamFenced, FoldersError):
        before = rule_for(kind("x"), FILE_RULES)
        monkeypatch.setattr(kind, "__module__", "elsewhere")
        assert rule_for(kind("x"), FILE_RULES) is rule_for(TASK.format(f"elsewhere.{kind.__name__}: x"), FILE_RULES)
        assert rule_for(kind("x"), FILE_RULES) is before is not UNKNOWN


def test_what_inherits_from_an_error_of_python_is_not_taken_for_a_defect_of_the_file() -> None:
    assert rule_for(SettingError("SLUICE_HOME is missing"), FILE_RULES) is UNKNOWN


def test_only_the_jvm_can_say_that_the_checkpoint_is_damaged() -> None:
    assert rule_for(TASK.format("builtins.RuntimeError: Incomplete log file")) is UNKNOWN


def test_a_line_leaves_out_the_query_and_the_rows() -> None:
    message = "duplicate key value\nDETAIL:  Key (id)=(1) already exists.\nCONTEXT:  COPY events, line 7"
    line = line_of(psycopg.errors.UniqueViolation(message))
    assert line == "psycopg.errors.UniqueViolation: duplicate key value SQLSTATE: 23505"
    assert len(cut("x" * 1000)) == 400
