"""Whatever row `events` accepts, the reports are counted, pass their checks, are kept up and can be told."""

from __future__ import annotations

import uuid
from decimal import Decimal, localcontext
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from psycopg import sql

from sluice.base import database
from sluice.base.settings import Settings
from sluice.reports import summary
from tests.reports import add_events, everything, refresh

Connection = psycopg.Connection[dict[str, Any]]
# 12,800 characters that no compression makes fit a row of an index.
NOISE = "".join(uuid.uuid5(uuid.NAMESPACE_URL, str(number)).hex for number in range(400))
TEXTS = [
    None, "", " ", "a", "A", "NULL", "\\", "\\N", "'; DROP TABLE events; --", "{{ run_id }}", "%s", "œ☃🛒", "İ", "ß",
    "\u202eevil", "\ufeff", "\x01", "line\nbreak\ttab", "0", "-1", "NaN", "x" * 8_000, NOISE, NOISE + "x",
]  # fmt: skip
WHOLE = [None, 0, 1, -1, 2**63 - 1, -(2**63)]
MONEY = [None, "0", "0.0001", "-0.0001", "9999999999999999.9999", "-9999999999999999.9999", "NaN"]
MOMENTS = [
    "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00", "4714-11-24 00:00:00+00 BC",
    "294276-12-31 23:59:59.999999+00", "-infinity", "infinity", "2025-06-01 10:05:00+00",
]  # fmt: skip
KINDS = ["purchase", "cancellation", "product_view", "add_to_cart", "search", "", NOISE]

EDGES: dict[str, list[Any]] = {
    "event_type": KINDS,
    "event_time": MOMENTS,
    "user_id": TEXTS,
    "product_id": TEXTS,
    "category": TEXTS,
    "price": MONEY,
    "session_id": TEXTS,
    "search_query": TEXTS,
    "search_results_count": WHOLE,
    "quantity": WHOLE,
    "total_amount": MONEY,
}
rows = st.lists(st.tuples(*map(st.sampled_from, EDGES.values())), min_size=1, max_size=60)


def told(reader: Connection) -> list[str]:
    with psycopg.connect(reader.info.dsn, password=reader.info.password) as plain:
        return summary.lines(plain)


@pytest.fixture
def reader(settings: Settings) -> Any:
    with database.connect(settings.reader_dsn) as opened:
        yield opened


def add(connection: Connection, rows: list[tuple[Any, ...]], file_id: int) -> None:
    add_events(connection, [dict(zip(EDGES, row, strict=True)) for row in rows], file_id=file_id)


@limits(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(rows=rows, leave=st.integers(0, 60))
def test_reports_survive_any_row_that_events_accepts(
    connection: Connection, reader: Connection, settings: Settings, rows: list[tuple[Any, ...]], leave: int
) -> None:
    """Some of the rows come, and leave again: what is kept up is what is counted from nothing."""
    connection.execute("DELETE FROM events")
    connection.execute("DELETE FROM ledger.files")
    add(connection, rows, file_id=1)
    add(connection, rows[:leave] or rows[:1], file_id=2)
    refresh(reader, settings)
    connection.execute("DELETE FROM events WHERE file_id = 2")
    refresh(reader, settings)
    counted = connection.execute("SELECT events FROM report.last_refresh").fetchone()
    assert counted == {"events": len(rows)}
    for table, column in (("users", "user_id"), ("products", "product_id"), ("sessions", "session_id")):
        keys = {row[list(EDGES).index(column)] for row in rows} - {None}
        published = connection.execute(
            sql.SQL("SELECT {} AS key FROM {}").format(sql.Identifier(column), sql.Identifier("report", table))
        )
        assert {row["key"] for row in published} == keys
    assert f"{len(rows):,} events" in told(reader)[0]
    kept_up = everything(reader)
    refresh(reader, settings, anew=True)
    assert everything(reader) == kept_up


@pytest.mark.parametrize("column", ["user_id", "product_id", "session_id", "search_query"])
def test_a_key_longer_than_any_index_row_is_reported_and_unique(
    connection: Connection, reader: Connection, settings: Settings, column: str
) -> None:
    values = dict.fromkeys(EDGES, None) | {
        "event_type": "search", "event_time": MOMENTS[-1], "search_results_count": 0, column: NOISE,
    }  # fmt: skip
    for file_id in (1, 2):
        add_events(connection, [values], file_id=file_id)
        refresh(reader, settings)
    table = {"user_id": "users", "product_id": "products", "session_id": "sessions"}.get(
        column, "searches_without_result"
    )
    count = "searches" if column == "search_query" else "events"
    query = sql.SQL("SELECT {} AS key, {} AS count FROM {}").format(
        sql.Identifier(column), sql.Identifier(count), sql.Identifier("report", table)
    )
    assert connection.execute(query).fetchall() == [{"key": NOISE, "count": 2}]


def test_sums_that_are_larger_than_any_of_their_numbers_are_exact(
    connection: Connection, reader: Connection, settings: Settings
) -> None:
    most, price = 2**63 - 1, Decimal("9999999999999999.9999")
    values = dict.fromkeys(EDGES, None) | {
        "event_type": "purchase", "event_time": MOMENTS[-1], "product_id": "p", "quantity": most, "price": price,
    }  # fmt: skip
    for file_id in (1, 2, 3):
        add_events(connection, [values], file_id=file_id)
        refresh(reader, settings)
    with localcontext(prec=60):
        expected = {"units": 3 * most, "revenue": 3 * most * price}
    assert connection.execute("SELECT units, revenue FROM report.products").fetchone() == expected
    assert connection.execute("SELECT units, revenue FROM report.revenue_by_hour").fetchone() == expected
