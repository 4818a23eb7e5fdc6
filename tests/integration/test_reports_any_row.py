"""Whatever rows events accepts, by whatever hand they come and go: a refresh counts what a count from nothing does."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.types.json import Jsonb

from sluice.base import database
from sluice.base.settings import Settings
from sluice.reports import definitions, tables
from sluice.reports import refresh as refreshing
from tests.counted_anew import differences
from tests.loading import Connection, make_months

EXAMPLES = int(os.environ.get("SLUICE_TEST_EXAMPLES", "12"))
# 12,800 characters that no compression makes fit a row of an index.
NOISE = "".join(uuid.uuid5(uuid.NAMESPACE_URL, str(number)).hex for number in range(400))
TEXTS = [
    "a", "b", None, "a", "", " ", "A", "NULL", "\\N", "'; DROP TABLE events; --", "{unit}", "%s", "œ☃🛒", "İ", "ß",
    "\u202eevil", "\x01", "line\nbreak\ttab", "x" * 8_000, NOISE, NOISE + "x",
]  # fmt: skip
WHOLE = [None, 1, 0, 3, -1, 2**63 - 1, -(2**63)]
MONEY = [None, "2", "0", "1", "0.0001", "-0.0001", "9999999999999999.9999", "-9999999999999999.9999", "NaN"]
MOMENTS = [
    "2025-06-01 10:05:00+00", "2025-06-01 10:55:00+00", "2025-06-01 23:59:59.999999+00", "2025-06-02 00:00:00+00",
    "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00", "4714-11-24 00:00:00+00 BC", "4714-11-25 05:00+00 BC",
    "294276-12-31 23:59:59.999999+00", "294276-12-31 00:00+00", "-infinity", "infinity",
]  # fmt: skip
KINDS = ["purchase", "search", "product_view", "cancellation", "add_to_cart", "remove_from_cart", "", NOISE]
EXTRA = [
    None,
    None,
    {"currency": "usd"},
    {"currency": "EUR"},
    {"currency": NOISE},
    {"currency": 7},
    ["currency"],
    "EUR",
]
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
    "payment_method": TEXTS,
    "extra": EXTRA,
}
# The last one is of no contract: the ledger does not know the file.
FILES = {1: "events", 2: "events", 3: "till", 4: "'{unit}' %s; --", 5: None}
_INSERT = sql.SQL(
    "INSERT INTO events (event_id, file_id, record_number, {}) VALUES (gen_random_uuid(), %s, %s, {})"
).format(sql.SQL(", ").join(map(sql.Identifier, EDGES)), sql.SQL(", ").join(sql.Placeholder() for _ in EDGES))
_COME = """
    INSERT INTO ledger.files (
        file_id, name, path, sha256, bytes, landed_at, loaded_at, state, contract,
        rows_read, rows_loaded, rows_rejected, rows_duplicate
    )
    OVERRIDING SYSTEM VALUE
    VALUES (%(file)s, '', '', %(sha256)s, 0, now(), now(), 'loaded', %(feed)s, %(rows)s, %(rows)s, 0, 0)
    ON CONFLICT (file_id) DO UPDATE
    SET rows_read = files.rows_read + %(rows)s, rows_loaded = files.rows_loaded + %(rows)s
"""
_COME_UNKNOWN = """
    INSERT INTO ledger.report_changes (feed, day)
    SELECT DISTINCT 'unknown', (event_time AT TIME ZONE 'UTC')::date FROM events WHERE file_id = %(file)s
"""
# By the same number rows come together and go apart.
_GO = "DELETE FROM events WHERE record_number %% %(modulus)s = %(rest)s"

Row = tuple[Any, ...]


def values_of(edges: list[Any]) -> st.SearchStrategy[Any]:
    """Mostly one of the first few, so that rows have something in common."""
    return st.integers(0, 3 * len(edges)).map(lambda number: edges[number if number < len(edges) else number % 4])


rows = st.lists(st.tuples(*map(values_of, EDGES.values())), min_size=1, max_size=25)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("come"), values_of(sorted(FILES)), rows),
        st.tuples(st.just("go"), st.sampled_from([2, 3, 5, 1]), st.integers(0, 2)),
        st.tuples(st.just("stay")),
    ),
    min_size=1,
    max_size=5,
)


def row(**values: Any) -> Row:
    """A purchase of nothing by nobody on a day of June, but for ``values``."""
    return tuple(({"event_type": "purchase", "event_time": MOMENTS[0]} | values).get(name) for name in EDGES)


class Hand:
    """Whoever brings rows past the loader and deletes them, and refreshes the reports after each step."""

    def __init__(self, owner: Connection, used: Settings, readers: list[Connection]) -> None:
        self._owner, self._settings, self._readers = owner, used, itertools.cycle(readers)
        self._numbers = itertools.count()

    def begin(self) -> None:
        """Nothing is there any more, and the reports have to find out."""
        make_months(self._owner, "2025-06-01")
        self._owner.execute("DELETE FROM events")
        self._owner.execute("DELETE FROM ledger.files")

    def come(self, file: int, rows: list[Row]) -> None:
        with self._owner.transaction(), self._owner.cursor() as cursor:
            values = [[Jsonb(value) if isinstance(value, dict | list) else value for value in each] for each in rows]
            for each in values:
                each[-1] = Jsonb(each[-1]) if isinstance(each[-1], str) else each[-1]
            cursor.executemany(_INSERT, [(file, next(self._numbers), *each) for each in values])
            query = _COME if FILES[file] else _COME_UNKNOWN
            cursor.execute(query, {"file": file, "sha256": f"{file:064}", "feed": FILES[file], "rows": len(rows)})

    def go(self, modulus: int, rest: int) -> None:
        self._owner.execute(_GO, {"modulus": modulus, "rest": rest})

    def stay(self) -> None:
        pass

    def refresh(self) -> None:
        """By the next reader; then all is compared."""
        refreshing.refresh(next(self._readers), self._settings, "test")
        assert differences(self._owner, self._settings) == {}
        counted = self._owner.execute("SELECT (SELECT count(*) FROM events) - events AS n FROM report.last_refresh")
        assert counted.fetchone() == {"n": 0}


@pytest.fixture
def hand(connection: Connection, settings: Settings) -> Iterator[Hand]:
    """Of two readers, to one of whom days and moments are other texts."""
    with (
        database.connect(settings.reader_dsn) as reader,
        database.connect(settings.writer_dsn, timezone="Asia/Tokyo", datestyle="SQL, DMY") as elsewhere,
    ):
        yield Hand(connection, settings, [reader, elsewhere])


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(steps=steps, at_once=st.sampled_from([1, 20, 400_000]), by_key=st.sampled_from([5, 1_000_000]))
# A sale of which all figures but its number are 0, or leave it 0, is in no report that lacks the number.
@example(steps=[("come", 1, [row(event_type="cancellation", quantity=0, price="1")])], at_once=400_000, by_key=5)
@example(steps=[("come", 1, [row(event_type="cancellation", user_id="a")] * 2), ("go", 2, 0)], at_once=1, by_key=5)
# The first days and the last ones have no first of their month, or no day after.
@example(steps=[("come", 1, [row(event_time=moment, user_id="a") for moment in MOMENTS])], at_once=1, by_key=5)
def test_any_rows_come_and_go_and_each_refresh_gives_what_a_count_from_nothing_does(
    hand: Hand, steps: list[tuple[Any, ...]], at_once: int, by_key: int
) -> None:
    hand.begin()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refreshing, "_EVENTS_AT_ONCE", at_once)
        patch.setattr(refreshing, "_ROWS_BY_KEY", by_key)
        for name, *values in steps:
            getattr(hand, name)(*values)
            hand.refresh()


def test_sums_that_are_larger_than_any_of_their_numbers_are_exact_and_leave_nothing_behind(
    hand: Hand, connection: Connection
) -> None:
    most, price = 2**63 - 1, Decimal("9999999999999999.9999")
    with localcontext(prec=60):
        revenue = most * price
    hand.begin()
    for times in (1, 2, 3):
        hand.come(1, [row(product_id="p", quantity=most, price=price)])
        hand.refresh()
        with localcontext(prec=60):
            expected = {"units": times * most, "revenue": times * revenue}
        for report in ("products", "revenue_by_hour", "sales_by_day", "categories"):
            query = sql.SQL("SELECT units, revenue FROM {}").format(sql.Identifier("report", report))
            assert connection.execute(query).fetchone() == expected, report
    hand.go(1, 0)
    hand.refresh()
    for report in ("products", "revenue_by_hour", "sales_by_day", "categories", "totals", "orders_by_day"):
        query = sql.SQL("SELECT FROM {}").format(sql.Identifier("report", report))
        assert connection.execute(query).rowcount == 0, report


# What somebody may write: a sum that has nothing to add up, and cells without the key that counts as a whole.
OWN = {
    "paid_by_card": """\
-- report: A day a row
-- key: feed, day
-- of: sales

-- name: rows :: it
SELECT feed, local_day AS day, sum(revenue) FILTER (WHERE payment_method = 'card') AS revenue, sum(units) AS units
FROM {sales} AS sales
GROUP BY feed, local_day
""",
    "visits_by_feed": """\
-- report: A feed a row
-- key: feed
-- of: visits
-- whole: feed, session_id

-- name: rows :: it
SELECT feed, count(*) AS visits FROM {visits} AS visits GROUP BY feed
""",
}


def test_sums_of_nothing_are_0_and_cells_without_a_key_that_counts_as_a_whole_count_in_no_report(
    hand: Hand, settings: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = [*definitions.read(), *(definitions.parse(name, text) for name, text in OWN.items())]
    monkeypatch.setattr(definitions, "read", lambda: reports)
    tables.make(settings.owner_dsn, reports)
    hand.begin()
    hand.refresh()
    hand.come(
        1, [row(session_id="s", payment_method=method, total_amount="1", user_id="a") for method in ("card", None)]
    )
    hand.refresh()
    hand.come(2, [row(payment_method="cash"), row(payment_method="card", total_amount="2")])
    hand.refresh()
    expected = {"revenue": 3, "units": 4}
    assert connection.execute("SELECT revenue, units FROM report.paid_by_card").fetchone() == expected
    assert connection.execute("SELECT visits FROM report.visits_by_feed").fetchone() == {"visits": 1}
    hand.go(2, 0)
    hand.refresh()
    hand.go(1, 0)
    hand.refresh()
    assert connection.execute("SELECT FROM report.paid_by_card").rowcount == 0
