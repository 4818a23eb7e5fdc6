"""What the questions to the ledger cost, the more files and rejects there are: filled in by statements of their own.

    python -m bench.scale_ledger [--files 1000000] [--write] [--explain]

Each question is asked with 10,000 files and rejects in the ledger, and again with all of them; 400 more files wait to
be loaded. A question that changes something is rolled back. Told are the fastest of seven answers and how many pages of
8 kB PostgreSQL looks at, which no other work of the machine changes. With --explain the plans of those that look at
more are printed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from bench import report, tables
from bench.peers.sluice_tasks import begin
from bench.server import Bench, bench
from sluice.base import database, queries
from sluice.running import status

FEW, ROUNDS, WAITING = 10_000, 7, 400
RULES = ("price.number", "event_time.required", "quantity.minimum", "event_id.conflict")
Connection = psycopg.Connection[dict[str, Any]]

# Of a hundred files two are duplicates, one is rejected, one replaced; one of a thousand is unloaded. They came one
# every second, and are sealed but those of the last three days.
_FILES = """
    INSERT INTO ledger.files (
        file_id, name, path, sha256, bytes, contract, contract_version, state, rows_read, rows_loaded, rows_rejected,
        rows_duplicate, landed_at, moved_at, loaded_at, claim, epoch, duplicate_of, sealed_at, filled, header,
        rejected_for, first_event_time, last_event_time, merged_at, receipt, receipt_version, receipt_at
    )
    OVERRIDING SYSTEM VALUE
    SELECT
        one, 'shop-' || one || '.csv', '', encode(sha256(source::text::bytea), 'hex'), 250000, 'events', '1.0.0', state,
        1000, CASE WHEN state = 'loaded' THEN 998 ELSE 0 END, CASE WHEN state = 'loaded' THEN 1 ELSE 0 END,
        CASE WHEN state = 'loaded' THEN 1 ELSE 0 END, at, at, CASE WHEN state = 'loaded' THEN at END, one, 1,
        CASE WHEN state = 'duplicate' THEN source END, CASE WHEN at < now() - interval '3 days' THEN at END,
        '{"rows": 999, "event_id": 999, "price": 400}', '["event_id", "event_type", "timestamp"]',
        CASE WHEN state = 'rejected' THEN 'content' END, at - interval '1 day', at, at, digest, 1, at
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS one
    CROSS JOIN LATERAL (
        SELECT
            CASE
                WHEN one %% 1000 = 5 THEN 'unloaded'
                WHEN one %% 50 = 3 THEN 'duplicate'
                WHEN one %% 100 = 1 THEN 'rejected'
                WHEN one %% 100 = 2 THEN 'replaced'
                ELSE 'loaded'
            END AS state,
            CASE WHEN one %% 50 = 3 THEN one + 1 ELSE one END AS source,
            now() - make_interval(secs => %(files)s - one) AS at,
            md5(one::text) AS digest
    ) AS made
    ORDER BY state = 'duplicate', one
"""
_REJECTS = f"""
    INSERT INTO ledger.rejects (
        file_id, record_number, line_number, raw, fields, rules, error_class, contract, contract_version, rejected_at
    )
    SELECT
        file_id, 500, 501, convert_to(repeat('a field of a record,', 12), 'UTF8'), NULL,
        ARRAY[(ARRAY{list(RULES)})[1 + file_id %% {len(RULES)}]],
        'rule', 'events', '1.0.0', landed_at
    FROM ledger.files
    WHERE file_id BETWEEN %(first)s AND %(last)s AND state = 'loaded'
"""
_DUPLICATES = """
    INSERT INTO ledger.duplicates (file_id, record_number, event_id, event_time)
    SELECT file_id, 501, gen_random_uuid(), landed_at
    FROM ledger.files
    WHERE file_id BETWEEN %(first)s AND %(last)s AND state = 'loaded'
"""
_AUDIT = """
    INSERT INTO ledger.audit (action, file_id, reason, by_whom, details)
    SELECT
        CASE state WHEN 'unloaded' THEN 'unload' ELSE 'replace' END, file_id, 'measured', 'bench',
        jsonb_build_object('replaced_by', file_id + 1, 'rows_taken_out', 998)
    FROM ledger.files
    WHERE file_id BETWEEN %(first)s AND %(last)s AND state IN ('unloaded', 'replaced')
"""
_BATCHES = """
    INSERT INTO ledger.batches (epoch, batch, committed_at, files, rows_read, rows_loaded)
    SELECT (SELECT max(epoch) FROM ledger.streams), file_id / 4, landed_at, 4, 4000, 4000
    FROM ledger.files
    WHERE file_id BETWEEN %(first)s AND %(last)s AND file_id %% 4 = 0
"""
_TABLES = ("files", "rejects", "duplicates", "audit", "batches")
_NEW = {"names": ["new.csv"], "sha256s": ["f" * 64], "sizes": [1], "lanes": ["small"], "originals": [7]}


def main() -> None:
    """Measure; print the table, keep it with --write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--explain", action="store_true")
    parsed = parser.parse_args()
    with bench() as server:
        few = measure(server, 0, FEW)
        many = measure(server, FEW + WAITING, parsed.files)
        told = server.told()
        if parsed.explain:
            explain(server, [name for name in few if tables.grows(few[name], many[name])], parsed.files)
    asked = [{"question": name, "few": few[name], "many": many[name]} for name in few]
    measured = report.result("ledger", few=FEW, files=parsed.files, asked=asked, server=told)
    report.publish(measured, keep=parsed.write)


def measure(server: Bench, there: int, files: int) -> dict[str, dict[str, float]]:
    """The fastest of some answers to each question with so many files in the ledger, in ms, and the pages it takes."""
    fill(server, there + 1, files)
    with database.connect(server.url) as connection:
        return {
            name: {"ms": _fastest_ms(connection, name, values), "pages": _pages(connection, name, values)}
            for name, values in questions(files).items()
        }


def fill(server: Bench, first: int, last: int) -> None:
    """Files ``first`` to ``last`` with what hangs on them, then some that wait to be loaded."""
    if first == 1:
        begin(server.settings)
    values = {"first": first, "last": last, "files": last}
    server.run("DELETE FROM ledger.files WHERE state = 'landed'")
    for statement in (_FILES, _REJECTS, _DUPLICATES, _AUDIT, _BATCHES):
        server.run_with(statement, values)
    server.run(
        f"SELECT setval(pg_get_serial_sequence('ledger.files', 'file_id'), {last})",
        f"""
            INSERT INTO ledger.files (name, path, sha256, bytes, landed_at)
            SELECT 'waits-' || one || '.csv', '', encode(sha256(('waits' || {last} + one)::bytea), 'hex'), 250000, now()
            FROM generate_series(1, {WAITING}) AS one
        """,
        f"""
            UPDATE ledger.files SET claim = file_id
            WHERE state = 'landed' AND file_id > {last} AND file_id <= {last + WAITING // 2}
        """,
        *(f"VACUUM (ANALYZE) ledger.{table}" for table in _TABLES),
    )


def questions(files: int) -> dict[str, dict[str, Any]]:
    """The questions, by the name of their query, with the values that they are asked with."""
    now = datetime.now(UTC)
    ids = list(range(files - 200, files))
    claims = {"lane": "small", "start": files, "limit": 200, "bytes": 10**9}
    span = {"first": files, "last": files + WAITING}
    one = {"sha256": "f" * 64, "name": "new.csv", "file_id": files}
    landing = _NEW | {"landed_ats": [now]}
    old, recent = now - timedelta(days=90), now - timedelta(days=7)
    nowhere: dict[str, Any] = {"contract": None, "rule": None, "file_id": None}
    pairs = {"contracts": ["events"] * len(RULES), "rules": list(RULES)}
    return {
        "claims.look": {"lane": "small", "epoch": 1},
        "claims.renumber_passed": claims,
        "claims.claim_landed": claims,
        "claims.last_claim_within": claims,
        "claims.highest_claim": {},
        "claims.files_between": claims | {"end": files + 200},
        "claims.note_batch": {"epoch": 1, "lane": "small", "batch": 10**7, "file_ids": ids},
        "contracts.release_waiting": {"digest": "d"},
        "contracts.waiting_for_contract": {},
        "contracts.count_waiting_for_contract": {"digest": "d"},
        "files.insert_landed": one | {"path": "", "bytes": 1, "landed_at": now, "lane": "small"},
        "files.insert_many_landed": landing,
        "files.insert_many_duplicates": landing,
        "files.find_same_bytes": one,
        "files.find_duplicates": _NEW,
        "files.find_known": {"file_ids": ids},
        "files.find_waiting_marks": {"file_ids": " ".join(map(str, ids)), "digits": 12},
        "files.find_waiting_range": {},
        "files.count_still_landed": span,
        "files.find_still_landed": span | {"most": 10},
        "files.adopt_duplicates": one,
        "landing_watch.newest_file": {},
        "landing_watch.landed_file": one | {"after": files - 5},
        "landing_watch.first_rejects": {"file_id": files // 2, "most": 10},
        "landing_watch.replaced_by": {"file_id": files},
        "status.files_by_state": {},
        "status.rate": {},
        "status.latency": {"minutes": 10},
        "status.latency_of_newest": {"most": status.NEWEST},
        "status.stream": {},
        "status.loaded_since": {"since": now - timedelta(minutes=1)},
        "status.drift": {},
        "status.reports": {},
        "housekeeping.files_to_seal": {
            "cutoff": recent, "after_loaded_at": old, "after_file_id": 0, "most": 200
        },
        "housekeeping.duplicates_to_seal": {"file_ids": ids, "cutoff": recent},
        "housekeeping.trim_batches": {"cutoff": old},
        "quarantine.by_rule": nowhere,
        "quarantine.examples": pairs | {"file_id": None},
        "quarantine.by_rule, of a file": nowhere | {"file_id": files // 2},
        "quarantine.examples, of a file": pairs | {"file_id": files // 2},
        "reconcile.files_to_verify": {},
        "reconcile.rows_by_file": {},
        "reconcile.files_since, of a day": {"days": 1},
        "reconcile.rows_of_files": {"file_ids": ids, "first": ids[0], "last": ids[-1]},
        "reconcile.landed_count": {},
        "reconcile.forsaken_duplicates": {},
    }  # fmt: skip


def _fastest_ms(connection: Connection, name: str, values: dict[str, Any]) -> float:
    query, seconds = _query(name), []
    for _ in range(ROUNDS):
        seconds.append(_seconds(connection, lambda: queries.run(connection, query, **values)))
        if seconds[-1] > 5:
            break
    return min(seconds) * 1000


def _query(question: str) -> str:
    return "ledger/" + question.partition(",")[0]


def _pages(connection: Connection, name: str, values: dict[str, Any]) -> int:
    """Of tables and indexes, in memory or not; what is written to disk meanwhile is not in it."""
    [row] = _explained(connection, name, values, "FORMAT JSON")
    [top] = row["QUERY PLAN"]
    return int(top["Plan"]["Shared Hit Blocks"] + top["Plan"]["Shared Read Blocks"])


def _explained(connection: Connection, name: str, values: dict[str, Any], how: str) -> list[dict[str, Any]]:
    with connection.transaction(force_rollback=True):
        query = f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, {how}) {queries.text(_query(name))}"
        return connection.execute(query, values).fetchall()  # type: ignore[call-overload]


def _seconds(connection: Connection, ask: Callable[[], object]) -> float:
    """Of one question, whose changes are undone."""
    with connection.transaction(force_rollback=True):
        started = time.monotonic()
        ask()
        return time.monotonic() - started


def explain(server: Bench, longer: list[str], files: int) -> None:
    """Print the plans of these questions."""
    asked = questions(files)
    with database.connect(server.url) as connection:
        for name in longer:
            rows = _explained(connection, name, asked[name], "FORMAT TEXT")
            print(f"\n{name}", *(row["QUERY PLAN"] for row in rows), sep="\n  ")


if __name__ == "__main__":
    main()
