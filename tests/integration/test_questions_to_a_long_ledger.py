"""What is asked again and again does not read the whole ledger: the plans say so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluice.base import queries
from tests.loading import Connection, make_months

_FILES = """
    INSERT INTO ledger.files (
        name, path, sha256, bytes, state, contract, rows_read, rows_loaded, rows_rejected, rows_duplicate, landed_at,
        loaded_at, claim, merged_at, sealed_at
    )
    SELECT
        'old-' || one || '.csv', '', encode(sha256(one::text::bytea), 'hex'), 1, 'loaded', 'events', 1, 1, 0, 0, at, at,
        one, at, CASE WHEN one <= 19000 THEN at END
    FROM generate_series(1, 20000) AS one
    CROSS JOIN LATERAL (SELECT now() - make_interval(mins => 20000 - one) AS at) AS made
"""


@pytest.fixture
def long_ledger(connection: Connection) -> Connection:
    """20,000 loaded files, one a minute, all but the newest 1,000 sealed, and what PostgreSQL knows of them."""
    connection.execute(_FILES)
    connection.execute("VACUUM ANALYZE ledger.files")
    return connection


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("status.rate", {}),
        ("status.latency", {"minutes": 10}),
        ("status.latency_of_newest", {"most": 100}),
        ("status.loaded_since", {"since": datetime.now(UTC) - timedelta(minutes=5)}),
        ("claims.claim_landed", {"lane": "small", "start": 0, "limit": 200}),
        ("claims.last_claim_within", {"lane": "small", "start": 0, "limit": 200, "bytes": 10**9}),
        ("claims.highest_claim", {}),
        (
            "housekeeping.files_to_seal",
            {
                "cutoff": datetime.now(UTC),
                "after_loaded_at": datetime(1, 1, 2, tzinfo=UTC),
                "after_file_id": 0,
                "most": 200,
            },
        ),
        ("claims.renumber_passed", {"lane": "small", "start": 20000}),
        ("reconcile.files_since", {"days": 0.1}),
        ("watching/now.rates", {"seconds": 300}),
        ("watching/now.arrivals", {"seconds": 300, "most": 100}),
        ("watching/now.waiting", {"most": 100}),
        ("watching/now.oldest_waiting", {}),
        ("watching/now.held", {"most": 100}),
        ("watching/now.outcomes", {"most": 60}),
        ("duty/metrics.counts", {}),
        ("duty/metrics.batches", {"most": 60}),
        ("watching/now.lag", {"hours": 1, "most": 100}),
        ("watching/now.today", {"zone": "UTC"}),
        ("watching/now.waiting_for_contract", {"most": 100}),
    ],
)
def test_it_does_not_read_the_table_of_the_files(long_ledger: Connection, name: str, values: dict[str, Any]) -> None:
    query = queries.text(name if "/" in name else f"ledger/{name}")
    rows = long_ledger.execute(f"EXPLAIN {query}", values).fetchall()  # type: ignore[call-overload]
    plan = "\n".join(row["QUERY PLAN"] for row in rows)
    assert "Seq Scan on files" not in plan, plan


_EVENTS = """
    INSERT INTO public.events (event_id, event_type, event_time, user_agent, file_id, record_number)
    SELECT
        gen_random_uuid(), 'search', '2026-11-22T10:00:00Z', repeat('wide', 400), (one - 1) / 1000 + 1,
        (one - 1) % 1000 + 1
    FROM generate_series(1, 20000) AS one
"""


def test_records_are_not_held_against_each_row_of_files_that_postgresql_knows_nothing_of(
    long_ledger: Connection,
) -> None:
    make_months(long_ledger, "2026-11-22")
    long_ledger.execute(_EVENTS)
    wanted = {"file_ids": [1 + one % 20 for one in range(200)], "records": [1 + one // 20 for one in range(200)]}
    query, values = queries.text("ledger/reconcile.sampled_events"), wanted | {"first": 1, "last": 20}
    assert len(long_ledger.execute(query, values).fetchall()) == 200  # type: ignore[call-overload]
    rows = long_ledger.execute(f"EXPLAIN {query}", values).fetchall()  # type: ignore[call-overload]
    plan = "\n".join(row["QUERY PLAN"] for row in rows)
    assert "Nested Loop" not in plan, plan
