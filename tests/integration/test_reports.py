"""The reports on a real PostgreSQL, with the SQL that the DAG runs, as the role that it runs as."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowFailException
from psycopg import sql

from dags import report_sales
from sluice.base import database
from sluice.base.settings import Settings
from sluice.reports import definitions, summary
from sluice.reports.refresh import RefreshError
from sluice.running import status
from tests.loading import make_months
from tests.reports import build, failed, publish, refresh, statements

Row = dict[str, Any]
REPORTS = (
    "revenue_by_hour",
    "funnel",
    "top_products",
    "searches_without_result",
    "users",
    "products",
    "sessions",
    "last_refresh",
)


@pytest.fixture
def reader(settings: Settings) -> Iterator[psycopg.Connection[Row]]:
    """A connection as sluice_reader."""
    with database.connect(settings.reader_dsn) as opened:
        yield opened


def table(connection: psycopg.Connection[Row], name: str) -> list[Row]:
    query = sql.SQL("SELECT * FROM {} ORDER BY 1").format(sql.Identifier("report", name))
    return connection.execute(query).fetchall()


def add_event(connection: psycopg.Connection[Row], kind: str, when: str, **values: object) -> None:
    """Insert one event; what is not given is NULL."""
    values = {
        "event_id": uuid.uuid4(),
        "event_type": kind,
        "event_time": f"2025-06-01 {when}+00",
        "file_id": 1,
        "record_number": 1,
    } | values
    make_months(connection, "2025-06-01")
    connection.execute(
        sql.SQL("INSERT INTO events ({}) VALUES ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(map(sql.Placeholder, values))
        ),
        values,
    )


@pytest.fixture
def shop(connection: psycopg.Connection[Row]) -> psycopg.Connection[Row]:
    """Three sessions (one views, one carts, one buys), a sale without a session, a cancellation, searches."""
    shoe: Row = {"product_id": "shoe", "category": "feet", "price": Decimal("10.10")}
    hat: Row = {"product_id": "hat", "category": "head", "price": Decimal("0.30")}
    add_event(connection, "product_view", "09:00", user_id="a", session_id="s1", **shoe)
    add_event(connection, "product_view", "09:01", user_id="b", session_id="s2", **shoe)
    add_event(connection, "add_to_cart", "09:02", user_id="b", session_id="s2", quantity=1, **shoe)
    add_event(connection, "product_view", "09:50", user_id="c", session_id="s3", **hat)
    add_event(connection, "add_to_cart", "09:55", user_id="c", session_id="s3", quantity=3, **hat)
    add_event(
        connection, "purchase", "10:05", user_id="c", session_id="s3", quantity=3, total_amount=Decimal("0.80"), **hat
    )
    add_event(connection, "purchase", "10:06", user_id="d", quantity=2, **shoe)
    add_event(connection, "purchase", "11:00", user_id="d", **shoe)
    add_event(
        connection, "cancellation", "11:30", user_id="d", quantity=-1, total_amount=Decimal("-10.10"), file_id=2, **shoe
    )
    add_event(
        connection, "search", "09:03", user_id="a", session_id="s1", search_query=" Boots", search_results_count=0
    )
    add_event(connection, "search", "09:04", user_id="b", session_id="s2", search_query="boots", search_results_count=0)
    add_event(connection, "search", "09:05", user_id="b", session_id="s2", search_query="hats", search_results_count=7)
    return connection


def test_on_no_events_every_report_is_there_and_empty(reader: psycopg.Connection[Row]) -> None:
    refresh(reader)
    assert {name: len(table(reader, name)) for name in REPORTS} == dict.fromkeys(REPORTS, 0) | {"last_refresh": 1}
    assert len(_summary(reader)) == 1


def test_revenue_is_signed_exact_and_by_the_hour(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row]
) -> None:
    refresh(reader)
    hours = [
        (row["hour"].hour, row["purchases"], row["units"], row["revenue"]) for row in table(reader, "revenue_by_hour")
    ]
    # 10 h: 0.80 as stated, and 2 times 10.10; 11 h: one piece without a quantity, and its cancellation.
    assert hours == [(10, 2, 5, Decimal("21.00")), (11, 1, 0, Decimal("0.00"))]


def test_hours_are_utc_whatever_the_session_says(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row]
) -> None:
    reader.execute("SET timezone = 'Asia/Kolkata'")
    refresh(reader)
    reader.execute("SET timezone = 'UTC'")
    assert [row["hour"].strftime("%H:%M") for row in table(reader, "revenue_by_hour")] == ["10:00", "11:00"]


def test_the_funnel_counts_sessions_and_events_without_a_session_are_in_none(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row]
) -> None:
    refresh(reader)
    assert table(reader, "funnel") == [
        {
            "sessions": 3,
            "viewed": 3,
            "carted": 2,
            "bought": 1,
            "view_to_cart": Decimal("0.6667"),
            "cart_to_buy": Decimal("0.5000"),
            "view_to_buy": Decimal("0.3333"),
        }
    ]


def test_sessions_that_buy_without_a_view_leave_conversions_within_one(
    connection: psycopg.Connection[Row], reader: psycopg.Connection[Row]
) -> None:
    for number in range(3):
        add_event(connection, "purchase", "10:00", session_id=f"s{number}", product_id="p", price=1)
    add_event(connection, "product_view", "10:00", session_id="s0", product_id="p")
    refresh(reader)
    (funnel,) = table(reader, "funnel")
    assert (funnel["viewed"], funnel["bought"], funnel["view_to_buy"], funnel["cart_to_buy"]) == (1, 3, 1, None)


def test_top_products_rank_by_revenue_by_units_and_by_buyers(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row]
) -> None:
    refresh(reader)
    ranks = {
        row["product_id"]: (row["revenue"], row["units"], row["rank_by_revenue"], row["rank_by_units"])
        for row in table(reader, "top_products")
    }
    assert ranks == {"shoe": (Decimal("20.20"), 2, 1, 2), "hat": (Decimal("0.80"), 3, 2, 1)}


def test_searches_without_result_merge_case_and_blanks(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row]
) -> None:
    refresh(reader)
    found = [(row["search_query"], row["searches"], row["users"]) for row in table(reader, "searches_without_result")]
    assert found == [("boots", 2, 2)]


def test_users_products_and_sessions_are_one_row_each(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row]
) -> None:
    refresh(reader)
    assert [(row["user_id"], row["sessions"], row["revenue"]) for row in table(reader, "users")] == [
        ("a", 1, 0),
        ("b", 1, 0),
        ("c", 1, Decimal("0.80")),
        ("d", 0, Decimal("20.20")),
    ]
    assert [(row["product_id"], row["views"], row["carts"]) for row in table(reader, "products")] == [
        ("hat", 1, 1),
        ("shoe", 2, 1),
    ]
    assert [(row["session_id"], row["events"], row["purchases"]) for row in table(reader, "sessions")] == [
        ("s1", 2, 0),
        ("s2", 4, 0),
        ("s3", 3, 1),
    ]


def test_a_removed_file_is_gone_from_the_next_refresh(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row]
) -> None:
    refresh(reader)
    shop.execute("DELETE FROM events WHERE file_id = 2")
    refresh(reader)
    assert table(reader, "revenue_by_hour")[-1]["revenue"] == Decimal("10.10")
    shop.execute("DELETE FROM events")
    refresh(reader)
    assert {name: len(table(reader, name)) for name in REPORTS} == dict.fromkeys(REPORTS, 0) | {"last_refresh": 1}


def test_a_refresh_writes_only_the_rows_that_changed(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row]
) -> None:
    refresh(reader)
    places = "SELECT user_id, xmin::text AS written FROM report.users ORDER BY 1"
    before = {row["user_id"]: row["written"] for row in reader.execute(places)}
    add_event(shop, "product_view", "12:00", user_id="a", product_id="hat")
    refresh(reader)
    after = {row["user_id"]: row["written"] for row in reader.execute(places)}
    assert {user for user in after if after[user] != before[user]} == {"a"}


def test_events_that_arrive_while_reports_are_built_are_in_none_of_them(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row]
) -> None:
    with reader.transaction():
        reader.execute(statements().begin())
        for script in statements().build().values():
            reader.execute(script)
            add_event(shop, "purchase", "12:00", user_id="new", session_id="new", product_id="new", price=5)
    assert failed(reader) == set()
    publish(reader)
    assert table(reader, "last_refresh")[0]["events"] == 12
    assert "new" not in {row["product_id"] for row in table(reader, "products")}


def test_a_reader_in_a_transaction_keeps_its_numbers_through_a_refresh(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row], settings: Settings
) -> None:
    refresh(reader)
    with database.connect(settings.reader_dsn) as dashboard, dashboard.transaction():
        dashboard.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        before = table(dashboard, "products")
        add_event(shop, "purchase", "12:00", product_id="new", price=5)
        refresh(reader)
        assert table(dashboard, "products") == before
    assert "new" in {row["product_id"] for row in table(reader, "products")}


def test_a_view_that_someone_built_on_a_report_survives_a_refresh(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row]
) -> None:
    refresh(reader)
    shop.execute("CREATE SCHEMA bi")
    shop.execute("CREATE VIEW bi.mine AS SELECT sum(revenue) AS total FROM report.revenue_by_hour")
    refresh(reader)
    assert shop.execute("SELECT * FROM bi.mine").fetchall() == [{"total": Decimal("21.00")}]


def test_the_owner_of_the_schema_may_read_the_reports(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row]
) -> None:
    refresh(reader)
    assert len(table(shop, "products")) == 2


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        ("UPDATE report_staging.revenue_by_hour__next SET revenue = revenue + 0.01", "revenue_by_hour"),
        ("DELETE FROM report_staging.revenue_by_hour__next WHERE revenue = 0", "revenue_by_hour"),
        ("UPDATE report_staging.funnel__next SET view_to_buy = 1.2", "funnel"),
        ("UPDATE report_staging.funnel__next SET cart_to_buy = -0.1", "funnel"),
        ("UPDATE report_staging.funnel__next SET bought = sessions + 1", "funnel"),
        ("DELETE FROM report_staging.funnel__next", "funnel"),
        ("INSERT INTO report_staging.users__next TABLE report_staging.users__next", "users"),
        ("UPDATE report_staging.sessions__next SET session_id = NULL", "sessions"),
        ("DELETE FROM report_staging.products__next WHERE product_id = 'shoe'", "top_products"),
        ("DELETE FROM report_staging.users__next WHERE user_id = 'c'", "sessions"),
        ("DELETE FROM report_staging.sessions__next WHERE session_id = 's1'", "sessions"),
        ("UPDATE report_staging.products__next SET events = events + 1", "products"),
        ("DELETE FROM report_staging.last_refresh__next", "revenue_by_hour"),
    ],
)
def test_a_damaged_staging_table_fails_its_check(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row], damage: str, check: str
) -> None:
    build(reader)
    reader.execute(damage)  # type: ignore[call-overload]
    assert check in failed(reader)


def test_what_another_run_built_is_not_published(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row]
) -> None:
    refresh(reader)
    build(reader, run_id="mine")
    build(reader, run_id="theirs")
    with pytest.raises(psycopg.errors.RaiseException, match="run report_sales again"):
        publish(reader, run_id="mine")
    assert table(reader, "last_refresh")[0]["built_by"] == "by-hand"


def test_a_clock_that_was_set_back_does_not_stop_the_reports(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row]
) -> None:
    refresh(reader)
    shop.execute("UPDATE report.last_refresh SET as_of = as_of + interval '1 day'")
    add_event(shop, "product_view", "12:00", user_id="a", product_id="hat")
    refresh(reader)
    assert table(reader, "last_refresh")[0]["events"] == 13


def test_the_summary_says_totals_funnel_products_and_hours(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row]
) -> None:
    refresh(reader)
    said = "\n".join(_summary(reader))
    assert "12 events, 4 sales, revenue 21.00" in said
    assert "of 3 sessions 3 viewed, 2 carted, 1 bought; view to cart 66.7%" in said
    assert "top product shoe (feet): revenue 20.20, 2 units, 1 buyers" in said
    assert "hour 2025-06-01 10:00:00 UTC: 2 purchases, revenue 21.00" in said


def _summary(reader: psycopg.Connection[Row]) -> list[str]:
    with psycopg.connect(reader.info.dsn, password=reader.info.password) as plain:
        return summary.lines(plain)


def test_the_operator_itself_fails_on_a_damaged_table_without_a_retry(
    shop: psycopg.Connection[Row],
    reader: psycopg.Connection[Row],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SLUICE_READER", settings.reader_dsn)
    build(reader)
    gate = report_sales.report_sales().get_task("check_revenue_by_hour")
    gate.execute({})
    reader.execute("UPDATE report_staging.revenue_by_hour__next SET revenue = revenue + 1")
    with pytest.raises(AirflowFailException, match=r"False, True, '23\.0+', '21\.0+', True"):
        gate.execute({})


BROKEN = "it cannot be built: division by zero: mend include/sql/reports/zzz.sql, then run DAG report_sales"


@pytest.fixture
def as_airflow(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection that the DAG's tasks use."""
    monkeypatch.setenv("AIRFLOW_CONN_SLUICE_READER", settings.reader_dsn)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A report more, which fails while it is built."""
    text = "-- step: a row\n-- after: {}\n\n-- name: rows :: it\nSELECT 1 / sales AS x FROM (SELECT 0 AS sales) AS one"
    last = definitions.parse("zzz", text.format(", ".join(report.name for report in definitions.read())))
    reports = [*definitions.read(), last]
    with monkeypatch.context() as patched:
        patched.setattr(definitions, "read", lambda: reports)
        yield


def problems(connection: psycopg.Connection[Row]) -> list[str]:
    """What `make status` says of the last refresh."""
    return status.reports_problems(status.ledger_report(connection)["failed_refresh"])


@pytest.mark.usefixtures("as_airflow")
def test_the_task_builds_all_reports_in_one_transaction(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row], broken: None
) -> None:
    with pytest.raises(RefreshError, match=BROKEN):
        report_sales.build_reports.function(run_id="mine")
    left = "SELECT tablename FROM pg_tables WHERE tablename LIKE '%\\_\\_next'"
    assert reader.execute(left).fetchall() == []


@pytest.mark.usefixtures("as_airflow")
def test_the_status_names_the_report_that_cannot_be_built(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row], broken: None
) -> None:
    with pytest.raises(RefreshError) as raised:
        report_sales.build_reports.function(run_id="mine")
    report_sales.note_failure({"exception": raised.value})
    (said,) = problems(shop)
    assert said.startswith("the refresh of the reports failed at 20")
    assert said.endswith(f": report zzz: {BROKEN}")


@pytest.mark.usefixtures("as_airflow")
def test_the_status_names_the_report_whose_check_fails_until_a_refresh_is_published(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row]
) -> None:
    build(reader)
    reader.execute("DELETE FROM report_staging.funnel__next")
    gate = report_sales.report_sales().get_task("check_funnel")
    with pytest.raises(AirflowFailException) as raised:
        gate.execute({})
    for _ in range(2):
        gate.on_failure_callback[0]({"exception": raised.value})
    (said,) = problems(shop)
    assert "report funnel: its check does not hold: look at report_staging.funnel__next" in said
    refresh(reader)
    assert problems(shop) == []


@pytest.mark.usefixtures("as_airflow")
def test_the_status_says_what_makes_the_table_of_a_new_report(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row]
) -> None:
    shop.execute("DROP TABLE report.funnel")
    build(reader)
    with pytest.raises(psycopg.errors.UndefinedTable) as raised:
        publish(reader)
    report_sales.note_failure({"exception": raised.value})
    (said,) = problems(shop)
    assert (
        'relation "report.funnel" does not exist: the table of a new report is made by `make down && make up`' in said
    )


@pytest.mark.usefixtures("as_airflow")
def test_the_task_builds_what_the_checks_hold_of(
    shop: psycopg.Connection[Row], reader: psycopg.Connection[Row]
) -> None:
    report_sales.build_reports.function(run_id="mine")
    assert failed(reader) == set()
    publish(reader, run_id="mine")
