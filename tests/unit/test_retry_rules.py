"""What the stream does about an error: the rule that fits it, and the line that people read."""

from __future__ import annotations

import pytest

from spark_jobs.retry_rules import RULES, first_line, rule_for

TRACE = """[PYTHON_STREAMING_DATA_SOURCE_RUNTIME_ERROR] Failed when Python streaming data source perform latestOffset:
  File "x.py", line 1, in main
{0}
 SQLSTATE: 38000
=== Streaming Query ===
+- ~StreamingDataSourceV2ScanRelation[file_id#0L]
"""


@pytest.mark.parametrize(
    ("error", "action", "says"),
    [
        ("psycopg.errors.AdminShutdown: terminating connection", "wait", "PostgreSQL is away"),
        ("psycopg.OperationalError: connection refused", "wait", "PostgreSQL is away"),
        ("adbc_driver_manager.OperationalError: IO: could not extend file. SQLSTATE: 53100", "wait", "a disk is full"),
        ("sluice.leases.StreamFenced: stream 1 has ended", "end", "another stream has taken over"),
        ("spark_jobs.contracts.ContractError: x.odcs.yaml: not YAML", "wait", "a contract cannot be used"),
        ("psycopg.errors.InsufficientPrivilege: permission denied", "wait", "the schema is not as Sluice left it"),
        ("ValueError: never seen", "wait", "the micro-batch failed"),
    ],
)
def test_each_error_finds_its_rule_and_its_telling_line(error: str, action: str, says: str) -> None:
    text = TRACE.format(error)
    rule = rule_for(text)
    assert rule.action == action
    assert rule.says.startswith(says)
    assert first_line(text) == error


def test_every_rule_says_its_reason() -> None:
    assert all(rule.reason and rule.says for rule in RULES)
