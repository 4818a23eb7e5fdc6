"""The reports on a real PostgreSQL, with the SQL that the DAG runs, as the role that it runs as."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowSkipException
from psycopg import sql

from dags import report_sales
from sluice.base import database
from sluice.base.settings import Settings
from sluice.cli import main as cli
from sluice.loading import expiry
from sluice.reports import comparison, definitions, summary, tables
from sluice.reports.definitions import Kind, Report
from sluice.reports.refresh import RefreshError, Refreshing, due_in
from sluice.running import status
from tests.integration.test_report_feeds import save
from tests.reports import add_event, add_events, everything, published, refresh, rows

Row = dict[str, Any]
Connection = psycopg.Connection[Row]
Change = Callable[..., None]
ALL = tuple(sorted(report.name for report in definitions.read() if report.kind is not Kind.VIEW))


@pytest.fixture
def reader(settings: Settings) -> Iterator[Connection]:
    """A connection as sluice_reader."""
    with database.connect(settings.reader_dsn) as opened:
        yield opened


@pytest.fixture
def shop(connection: Connection) -> Connection:
    """Three sessions (one views, one carts, one buys), sales without a session, a cancellation, searches."""
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


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch) -> Change:
    """Puts another text in the place of one in the file of a report; of an empty one, at its end."""

    def change_report(name: str, old: str, new: str) -> None:
        reports = [_changed(report, old, new) if report.name == name else report for report in definitions.read()]
        monkeypatch.setattr(definitions, "read", lambda: reports)

    return change_report


def _changed(report: Report, old: str, new: str) -> Report:
    assert old in report.rows
    return replace(report, rows=report.rows.replace(old, new) if old else f"{report.rows}\n{new}")


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Callable[[str, str], list[str]]:
    """A file more, of that name and text; its table is made, as at a start. Returns what was made."""

    def add_report(name: str, text: str) -> list[str]:
        reports = [*definitions.read(), definitions.parse(name, text)]
        monkeypatch.setattr(definitions, "read", lambda: reports)
        return tables.make(settings.owner_dsn, reports)

    return add_report


# What the reports say


def test_on_no_events_every_report_is_there_and_empty(reader: Connection, settings: Settings) -> None:
    refresh(reader, settings)
    assert [name for name in published() if rows(reader, name)] == []
    [last] = rows(reader, "last_refresh")
    assert (last["events"], last["sales"], last["revenue"]) == (0, 0, 0)
    assert len(_summary(reader)) == 1


def test_revenue_is_signed_exact_and_by_the_hour(shop: Connection, reader: Connection, settings: Settings) -> None:
    refresh(reader, settings)
    hours = [
        (row["hour"].hour, row["purchases"], row["cancellations"], row["units"], row["buyers"], row["revenue"])
        for row in rows(reader, "revenue_by_hour")
    ]
    # 10 h: 0.80 as stated, and 2 times 10.10; 11 h: one piece without a quantity, and its cancellation.
    assert hours == [(10, 2, 0, 5, 2, Decimal("21.00")), (11, 1, 1, 0, 1, Decimal("0.00"))]


def test_hours_and_days_are_those_of_the_shop_whatever_the_session_says(
    shop: Connection, reader: Connection, settings: Settings
) -> None:
    add_event(shop, "purchase", "18:40", user_id="d", price=1)
    reader.execute("SET timezone = 'America/New_York'")
    refresh(reader, replace(settings, shop_zone="Asia/Kolkata"))
    reader.execute("SET timezone = 'UTC'")
    # 10:05 there is 15:35, and the hour begins at 15:00; 18:40 is 00:10 of the next day.
    hours = [row["hour"].strftime("%H:%M") for row in rows(reader, "revenue_by_hour")]
    assert hours == ["09:30", "10:30", "11:30", "18:30"]
    days = [(str(row["day"]), row["purchases"]) for row in rows(reader, "sales_by_day")]
    assert days == [("2025-06-01", 3), ("2025-06-02", 1)]
    assert [(row["weekday"], row["hour"]) for row in rows(reader, "hour_of_week")] == [
        (1, 0),
        (7, 15),
        (7, 16),
        (7, 17),
    ]
    assert rows(reader, "last_refresh")[0]["zone"] == "Asia/Kolkata"


def test_the_funnel_counts_sessions_and_events_without_a_session_are_in_none(
    shop: Connection, reader: Connection, settings: Settings
) -> None:
    refresh(reader, settings)
    assert rows(reader, "funnel") == [
        {
            "feed": "events",
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
    connection: Connection, reader: Connection, settings: Settings
) -> None:
    for number in range(3):
        add_event(connection, "purchase", "10:00", session_id=f"s{number}", product_id="p", price=1)
    add_event(connection, "product_view", "10:00", session_id="s0", product_id="p")
    refresh(reader, settings)
    (funnel,) = rows(reader, "funnel")
    assert (funnel["viewed"], funnel["bought"], funnel["view_to_buy"], funnel["cart_to_buy"]) == (1, 3, 1, None)


def test_top_products_rank_by_revenue_by_units_and_by_buyers(
    shop: Connection, reader: Connection, settings: Settings
) -> None:
    refresh(reader, settings)
    ranks = {
        row["product_id"]: (row["revenue"], row["units"], row["rank_by_revenue"], row["rank_by_units"])
        for row in rows(reader, "top_products")
    }
    assert ranks == {"shoe": (Decimal("20.20"), 2, 1, 2), "hat": (Decimal("0.80"), 3, 2, 1)}


def test_searches_merge_case_and_blanks(shop: Connection, reader: Connection, settings: Settings) -> None:
    refresh(reader, settings)
    found = [(row["search_query"], row["searches"], row["users"]) for row in rows(reader, "searches_without_result")]
    assert found == [("boots", 2, 2)]
    assert [
        (row["query"], row["searches"], row["without_result"], row["sessions"], row["carted"], row["bought"])
        for row in rows(reader, "searches")
    ] == [("boots", 2, 2, 2, 1, 0), ("hats", 1, 0, 1, 1, 0)]


def test_users_products_and_sessions_are_one_row_each(shop: Connection, reader: Connection, settings: Settings) -> None:
    refresh(reader, settings)
    assert [(row["user_id"], row["sessions"], row["revenue"]) for row in rows(reader, "users")] == [
        ("a", 1, 0),
        ("b", 1, 0),
        ("c", 1, Decimal("0.80")),
        ("d", 0, Decimal("20.20")),
    ]
    assert [(row["product_id"], row["views"], row["carts"], row["buyers"]) for row in rows(reader, "products")] == [
        ("hat", 1, 1, 1),
        ("shoe", 2, 1, 1),
    ]
    assert [(row["session_id"], row["events"], row["purchases"]) for row in rows(reader, "sessions")] == [
        ("s1", 2, 0),
        ("s2", 4, 0),
        ("s3", 3, 1),
    ]


def test_a_session_over_midnight_is_one_session_and_one_order(
    connection: Connection, reader: Connection, settings: Settings
) -> None:
    of = {"user_id": "a", "session_id": "s", "price": 2}
    add_event(connection, "product_view", "23:50", product_id="p", **of)
    refresh(reader, settings)
    for product, moment in (("p", "2025-06-01 23:59+00"), ("q", "2025-06-02 00:01+00")):
        bought = {"event_type": "purchase", "event_time": moment, "product_id": product}
        add_events(connection, [of | bought], file_id=2)
    refresh(reader, settings)
    [session] = rows(reader, "sessions")
    assert (session["events"], session["purchases"], session["revenue"]) == (3, 2, 4)
    [order] = rows(reader, "orders_by_day")
    assert (str(order["day"]), order["orders"], order["products"], order["revenue"]) == ("2025-06-01", 1, 2, 4)
    [pair] = rows(reader, "bought_together")
    assert (pair["product_id"], pair["other_product_id"], pair["orders"]) == ("p", "q", 1)
    assert [row["sessions"] for row in rows(reader, "funnel_by_day")] == [1]


def test_a_purchase_that_comes_late_makes_later_customers_returning_ones(
    connection: Connection, reader: Connection, settings: Settings
) -> None:
    add_events(
        connection,
        [{"event_type": "purchase", "event_time": "2025-06-20 10:00+00", "user_id": "a", "price": 1}],
    )
    refresh(reader, settings)
    customers = "SELECT day::text, new_customers, returning_customers FROM report.customers_by_day ORDER BY day"
    assert [tuple(row.values()) for row in reader.execute(customers)] == [("2025-06-20", 1, 0)]
    add_event(connection, "purchase", "10:00", user_id="a", price=1, file_id=2)
    refresh(reader, settings)
    assert [tuple(row.values()) for row in reader.execute(customers)] == [("2025-06-01", 1, 0), ("2025-06-20", 0, 1)]


def test_a_cart_is_abandoned_until_its_session_buys(
    connection: Connection, reader: Connection, settings: Settings
) -> None:
    add_event(connection, "add_to_cart", "10:00", session_id="s", price=5, quantity=2)
    add_event(connection, "remove_from_cart", "10:01", session_id="s", price=5, quantity=1)
    refresh(reader, settings)
    [day] = rows(reader, "abandoned_carts")
    assert (day["carts"], day["abandoned"], day["abandoned_value"]) == (1, 1, 5)
    add_event(connection, "purchase", "10:02", session_id="s", price=5)
    refresh(reader, settings)
    [day] = rows(reader, "abandoned_carts")
    assert (day["carts"], day["abandoned"], day["abandoned_value"]) == (1, 0, 0)


def test_what_names_no_category_or_payment_method_is_a_row_of_its_own(
    connection: Connection, reader: Connection, settings: Settings
) -> None:
    add_event(connection, "purchase", "10:00", price=1)
    add_event(connection, "purchase", "10:01", price=2, category="c", payment_method="card")
    refresh(reader, settings)
    assert {row["category"]: row["revenue"] for row in rows(reader, "categories")} == {"none": 1, "c": 2}
    assert {row["payment_method"]: row["revenue"] for row in rows(reader, "payment_methods")} == {"none": 1, "card": 2}


def test_amounts_of_two_currencies_are_never_added_up(
    connection: Connection, reader: Connection, settings: Settings
) -> None:
    for number, currency in enumerate(["EUR", "usd", None, "euro"]):
        extra = psycopg.types.json.Jsonb({"currency": currency} if currency else {})
        add_event(connection, "purchase", f"10:0{number}", product_id="p", price=10**number, extra=extra)
    refresh(reader, settings)
    for name in ("sales_by_day", "revenue_by_hour", "products", "shop_by_day", "categories"):
        revenue = {row["currency"]: row["revenue"] for row in rows(reader, name)}
        assert revenue == {"EUR": 1, "USD": 10, "": 1100}, name


def test_the_shop_s_own_days_are_those_of_its_feeds(
    connection: Connection, reader: Connection, settings: Settings
) -> None:
    add_event(connection, "purchase", "10:00", price=1)
    add_event(connection, "purchase", "10:00", price=10, feed="orders", file_id=2)
    refresh(reader, settings)
    assert [row["revenue"] for row in rows(reader, "shop_by_day")] == [10], "the generator's is not the shop's"
    done = refresh(reader, replace(settings, shop_feeds="events, orders"))
    assert [row["revenue"] for row in rows(reader, "shop_by_day")] == [11]
    assert (done.units, done.whole) == (0, ()), "which counts nothing anew"


def test_the_summary_says_totals_funnel_products_and_days(
    shop: Connection, reader: Connection, settings: Settings
) -> None:
    refresh(reader, settings)
    said = "\n".join(_summary(reader))
    assert "12 events, 4 sales; days of UTC" in said
    assert "events: 12 events, 3 purchases, 1 cancellations, revenue 21.00, made up by the generator" in said
    assert "of 3 sessions 3 viewed, 2 carted, 1 bought; view to cart 66.7%" in said
    assert "top product shoe (feet): revenue 20.20, 2 units, 1 buyers" in said
    assert "the shop on 2025-06-01: 2 orders, 3 purchases, revenue 21.00" in said


def _summary(reader: Connection) -> list[str]:
    with psycopg.connect(reader.info.dsn, password=reader.info.password) as plain:
        return summary.lines(plain)


# What a refresh counts


def test_the_first_refresh_counts_everything_and_the_next_one_nothing(
    shop: Connection, reader: Connection, settings: Settings
) -> None:
    first = refresh(reader, settings)
    assert (first.units, first.whole) == (1, ALL)
    assert all(rows(reader, name) for name in published() if name != "bought_together")
    second = refresh(reader, settings)
    assert (second.changes, second.units, second.whole) == (0, 0, ())
    assert reader.execute("SELECT FROM ledger.report_changes").fetchall() == []


def test_what_is_kept_up_is_what_is_counted_from_nothing(
    shop: Connection, reader: Connection, settings: Settings
) -> None:
    refresh(reader, settings)
    shop.execute("DELETE FROM events WHERE file_id = 2 OR event_type = 'add_to_cart'")
    add_event(shop, "purchase", "09:30", user_id="a", session_id="s1", product_id="hat", price=7, file_id=3)
    add_event(shop, "search", "09:31", user_id="a", session_id="s1", search_query="HATS", file_id=3)
    done = refresh(reader, settings)
    assert (done.units, done.whole) == (1, ())
    kept_up = everything(reader)
    assert refresh(reader, settings, anew=True).whole == ALL
    assert everything(reader) == kept_up


def test_rows_that_leave_are_gone_from_the_next_refresh(
    shop: Connection, reader: Connection, settings: Settings
) -> None:
    refresh(reader, settings)
    shop.execute("DELETE FROM events WHERE file_id = 2")
    refresh(reader, settings)
    assert rows(reader, "revenue_by_hour")[-1]["revenue"] == Decimal("10.10")
    shop.execute("DELETE FROM events")
    refresh(reader, settings)
    assert [name for name in published() if rows(reader, name)] == []
    assert [rows(reader, name, "report_cells") for name in published(Kind.CELLS)] == [[]] * 4


def test_a_refresh_writes_only_the_rows_that_changed(shop: Connection, reader: Connection, settings: Settings) -> None:
    refresh(reader, settings)
    before = _written(reader)
    add_event(shop, "product_view", "12:00", user_id="a", product_id="hat", session_id="s1")
    refresh(reader, settings)
    after = _written(reader)
    assert {name for name in after if after[name] != before[name]} == {
        "visits",
        "product_days",
        "product_figures",
        "totals",
    }
    assert len(after["visits"] - before["visits"]) == len(after["product_figures"] - before["product_figures"]) == 1


def _written(reader: Connection) -> dict[str, set[tuple[str, str]]]:
    """Of each table its rows and the transaction that wrote each."""
    places = [("report_cells", name) for name in published(Kind.CELLS)]
    places += [("report", name) for name in published(Kind.REPORT)]
    found = {}
    for schema, name in places:
        query = sql.SQL("SELECT rows::text AS row, rows.xmin::text AS written FROM {} AS rows")
        written = reader.execute(query.format(sql.Identifier(schema, name))).fetchall()
        found[name] = {(row["row"], row["written"]) for row in written}
    return found


def test_events_that_arrive_while_reports_are_counted_are_in_none_of_them(
    shop: Connection, reader: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, came = Refreshing._make_cells, []

    def make_while_files_come(refreshing: Refreshing, cells: Report) -> None:
        add_event(shop, "purchase", "12:00", user_id="new", session_id="new", product_id="new", price=5, file_id=9)
        came.append(cells.name)
        make(refreshing, cells)

    with monkeypatch.context() as patched:
        patched.setattr(Refreshing, "_make_cells", make_while_files_come)
        refresh(reader, settings)
    assert len(came) == 4
    assert rows(reader, "last_refresh")[0]["events"] == 12
    assert "new" not in {row["product_id"] for row in rows(reader, "products")}
    refresh(reader, settings)
    assert rows(reader, "last_refresh")[0]["events"] == 16
    assert [row["purchases"] for row in rows(reader, "products") if row["product_id"] == "new"] == [4]


def test_a_reader_in_a_transaction_keeps_its_numbers_through_a_refresh(
    shop: Connection, reader: Connection, settings: Settings
) -> None:
    refresh(reader, settings)
    with database.connect(settings.reader_dsn) as dashboard, dashboard.transaction():
        dashboard.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        before = rows(dashboard, "products")
        add_event(shop, "purchase", "12:00", product_id="new", price=5)
        refresh(reader, settings)
        assert rows(dashboard, "products") == before
    assert "new" in {row["product_id"] for row in rows(reader, "products")}


def test_a_refresh_waits_for_another_one_and_counts_what_that_left(
    shop: Connection, reader: Connection, settings: Settings
) -> None:
    with database.connect(settings.reader_dsn, lock_timeout="100ms") as second, reader.transaction():
        reader.execute("LOCK TABLE report.last_refresh IN SHARE ROW EXCLUSIVE MODE")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            refresh(second, settings)
    assert refresh(reader, settings).whole == ALL


def test_a_view_that_someone_built_on_a_report_survives_a_refresh_and_a_start(
    shop: Connection, reader: Connection, settings: Settings
) -> None:
    refresh(reader, settings)
    shop.execute("CREATE SCHEMA bi")
    shop.execute("CREATE VIEW bi.mine AS SELECT sum(revenue) AS total FROM report.revenue_by_hour")
    shop.execute("CREATE VIEW bi.users AS SELECT count(*) AS users FROM report.users")
    assert tables.make(settings.owner_dsn) == []
    refresh(reader, settings)
    assert shop.execute("SELECT * FROM bi.mine, bi.users").fetchall() == [{"total": Decimal("21.00"), "users": 4}]


def test_a_clock_that_was_set_back_does_not_stop_the_reports(
    shop: Connection, reader: Connection, settings: Settings
) -> None:
    refresh(reader, settings)
    shop.execute("UPDATE report.last_refresh SET as_of = as_of + interval '1 day'")
    add_event(shop, "product_view", "12:00", user_id="a", product_id="hat")
    refresh(reader, settings)
    assert rows(reader, "last_refresh")[0]["events"] == 13


def test_a_month_that_was_dropped_stays_counted(shop: Connection, reader: Connection, settings: Settings) -> None:
    refresh(reader, settings)
    before = everything(reader)
    expired = expiry.expire(replace(settings, keep_events_months=1))
    assert expired is not None
    assert "events_2025_06" in expired.months
    shop.execute("INSERT INTO ledger.report_changes (feed, day) VALUES ('events', '2025-06-01')")
    assert refresh(reader, settings).units == 0
    assert everything(reader) == before
    assert refresh(reader, settings, anew=True).units == 0
    assert everything(reader) == before


# What is counted anew


MINE = """\
-- report: A product a row
-- key: feed, product_id
-- of: sales

-- name: rows :: the report
SELECT feed, coalesce(product_id, 'none') AS product_id, sum(units) AS units FROM {sales} AS sales GROUP BY feed, 2
"""


def test_a_new_report_is_filled_from_all_cells_and_no_cell_is_counted_anew(
    shop: Connection, reader: Connection, settings: Settings, add: Callable[[str, str], list[str]]
) -> None:
    refresh(reader, settings)
    before = _written(reader)
    assert add("mine", MINE) == ["mine"]
    done = refresh(reader, settings)
    assert (done.units, done.whole) == (0, ("mine",))
    assert {row["product_id"]: row["units"] for row in rows(reader, "mine")} == {"hat": 3, "shoe": 2}
    after = _written(reader)
    assert after.pop("mine")
    assert after == before
    assert refresh(reader, settings).whole == ()


def test_a_new_report_takes_in_what_changed_since(
    shop: Connection, reader: Connection, settings: Settings, add: Callable[[str, str], list[str]]
) -> None:
    refresh(reader, settings)
    add("mine", MINE)
    add_event(shop, "purchase", "12:00", product_id="hat", price=1)
    assert refresh(reader, settings).whole == ("mine",)
    assert {row["product_id"]: row["units"] for row in rows(reader, "mine")} == {"hat": 4, "shoe": 2}


def test_a_changed_report_is_counted_from_all_cells(
    shop: Connection, reader: Connection, settings: Settings, change: Change
) -> None:
    refresh(reader, settings)
    change("categories", "'none'", "'no category'")
    add_event(shop, "purchase", "12:00", price=1)
    done = refresh(reader, settings)
    assert (done.units, done.whole) == (1, ("categories",))
    assert {row["category"] for row in rows(reader, "categories")} == {"feet", "head", "no category"}


def test_changed_cells_count_everything_anew(
    shop: Connection, reader: Connection, settings: Settings, change: Change
) -> None:
    refresh(reader, settings)
    change("lookups", "event_type = 'search'", "event_type = 'search' AND true")
    done = refresh(reader, settings)
    assert (done.units, done.whole) == (1, ALL)
    assert refresh(reader, settings).whole == ()


def test_another_zone_of_the_shop_counts_everything_anew(
    shop: Connection, reader: Connection, settings: Settings
) -> None:
    refresh(reader, settings)
    elsewhere = replace(settings, shop_zone="Pacific/Auckland")
    done = refresh(reader, elsewhere)
    assert (done.units, done.whole) == (1, ALL)
    assert refresh(reader, elsewhere).whole == ()
    assert {str(row["day"]) for row in rows(reader, "sales_by_day")} == {"2025-06-01"}
    assert {row["weekday"] for row in rows(reader, "hour_of_week")} == {7}


@pytest.mark.parametrize("custom", [{"reportCurrency": "EUR"}, {"sales": False}])
def test_a_feed_whose_currency_or_sales_changed_has_its_days_counted_anew_and_no_other(
    own_contracts: Settings, connection: Connection, reader: Connection, custom: Row
) -> None:
    save(own_contracts, "orders")
    for file_id, feed in enumerate(("events", "orders"), start=1):
        add_event(connection, "purchase", "10:00", price=3, product_id="p", user_id="u", feed=feed, file_id=file_id)
    refresh(reader, own_contracts)
    before = {row for row in _written(reader)["sales"] if row[0].startswith("(events,")}
    save(own_contracts, "orders", **custom)
    done = refresh(reader, own_contracts)
    assert (done.units, done.whole) == (1, ())
    assert before <= _written(reader)["sales"]
    orders = [(row["currency"], row["revenue"]) for row in rows(reader, "sales_by_day") if row["feed"] == "orders"]
    assert orders == ([("EUR", 3)] if "reportCurrency" in custom else [])
    kept_up = everything(reader)
    refresh(reader, own_contracts, anew=True)
    assert everything(reader) == kept_up


def test_the_command_counts_all_anew_and_tells(
    shop: Connection, reader: Connection, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    refresh(reader, settings)
    before = everything(reader)
    shop.execute("DELETE FROM report.revenue_by_hour")
    shop.execute("UPDATE report_cells.visits SET events = events + 1")
    assert cli.main(["rebuild-reports"]) == 0
    assert everything(reader) == before
    said = capsys.readouterr().out
    assert "counted 1 days of feeds anew" in said
    assert "12 events, 4 sales" in said


# What fails


@pytest.mark.parametrize(
    ("cells", "old", "new", "check"),
    [
        ("sales", "WHERE is_purchase OR is_cancellation", "WHERE is_purchase", "sales_add_up, revenue_adds_up"),
        (
            "sales",
            "coalesce(sum(amount), 0) AS revenue",
            "coalesce(sum(amount), 0) + 1 AS revenue",
            "revenue_adds_up",
        ),
        ("visits", "FROM {events} AS events", "FROM {events} AS events WHERE session_id IS NOT NULL", "events_add_up"),
        ("visits", "FILTER (WHERE is_cancellation)", "FILTER (WHERE NOT is_cancellation)", "sales_add_up"),
        ("product_days", "count(*) AS events", "count(quantity) AS events", "events_add_up"),
        ("lookups", "event_type = 'search'", "event_type = 'search' AND search_results_count = 0", "searches_add_up"),
    ],
)
def test_cells_whose_check_does_not_hold_are_named_and_the_old_numbers_stay(
    shop: Connection, reader: Connection, settings: Settings, change: Change, cells: str, old: str, new: str, check: str
) -> None:
    refresh(reader, settings)
    before = everything(reader)
    add_event(shop, "purchase", "12:00", price=1)
    change(cells, old, new)
    with pytest.raises(RefreshError, match=f"its check does not hold .*{check}") as raised:
        refresh(reader, settings)
    assert raised.value.report == cells
    assert everything(reader) == before
    assert reader.execute("SELECT FROM ledger.report_changes").fetchall() != []


BROKEN = "it cannot be counted: division by zero: mend include/sql/reports/zzz.sql, then run DAG report_sales"


@pytest.fixture
def as_airflow(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection that the DAG's tasks use."""
    monkeypatch.setenv("AIRFLOW_CONN_SLUICE_READER", settings.reader_dsn)


@pytest.fixture
def broken(add: Callable[[str, str], list[str]]) -> None:
    """A report more, which fails while it is counted."""
    text = "-- report: a row\n-- key: feed\n-- of: visits\n\n-- name: rows :: it\n"
    add("zzz", text + "SELECT feed, 1 / sum(events - events)::bigint AS x FROM {visits} AS visits GROUP BY feed")


def problems(connection: Connection) -> list[str]:
    """What `make status` says of the last refresh."""
    found = status.ledger_report(connection)
    return status.reports_problems(found["failed_refresh"], found["reports"])


def failed(task: Any, exception: type[Exception]) -> Exception:
    """Run a task of the DAG, which fails, and what Airflow runs then."""
    with pytest.raises(exception) as raised:
        task.function(run_id="mine")
    report_sales.note_failure({"exception": raised.value})
    return raised.value


@pytest.mark.usefixtures("as_airflow")
def test_the_tasks_refresh_tell_and_compare(shop: Connection, reader: Connection) -> None:
    report_sales.refresh_reports.function(run_id="mine")
    assert rows(reader, "last_refresh")[0]["built_by"] == "mine"
    report_sales.tell_summary.function()
    report_sales.compare_one_day.function(run_id="mine")
    [compared] = rows(reader, "comparisons", "report_cells")
    assert (compared["feed"], str(compared["unit"]), compared["differences"]) == ("events", "2025-06-01", {})
    assert problems(shop) == []


class Run:
    """What Airflow tells a task of its run."""

    def __init__(self, run_type: str) -> None:
        self.run_type = run_type


@pytest.mark.usefixtures("as_airflow")
def test_refreshes_of_the_schedule_take_no_larger_share_of_the_time_than_they_may(
    shop: Connection, reader: Connection, settings: Settings
) -> None:
    def built_by(name: str, run_type: str) -> str:
        with contextlib.suppress(AirflowSkipException):
            report_sales.refresh_reports.function(run_id=name, dag_run=Run(run_type))
        return str(rows(reader, "last_refresh")[0]["built_by"])

    assert built_by("first", "scheduled") == "first"
    assert due_in(reader, settings) == 0, "what was counted from nothing says nothing of the next"
    assert built_by("second", "scheduled") == "second"
    shop.execute("UPDATE report.last_refresh SET seconds = 40, as_of = now() - interval '790 seconds'")
    assert 5 <= due_in(reader, settings) <= 10
    assert due_in(reader, replace(settings, report_share=1)) == 0
    assert built_by("early", "scheduled") == "second"
    assert built_by("by hand", "manual") == "by hand"
    shop.execute("UPDATE report.last_refresh SET seconds = 40, as_of = now() - interval '801 seconds'")
    assert built_by("due", "scheduled") == "due"


@pytest.mark.usefixtures("as_airflow", "broken")
def test_a_refresh_is_one_transaction_and_the_status_names_the_report_that_failed(
    shop: Connection, reader: Connection
) -> None:
    failed(report_sales.refresh_reports, RefreshError)
    assert {name: rows(reader, name) for name in published(Kind.REPORT)} == {
        name: [] for name in published(Kind.REPORT)
    }
    assert rows(reader, "feeds") == rows(reader, "last_refresh") == []
    (said,) = problems(shop)
    assert said.startswith("the refresh of the reports failed at 20")
    assert said.endswith(f": report zzz: {BROKEN}")


@pytest.mark.usefixtures("as_airflow")
def test_the_status_names_the_cells_whose_check_fails_until_a_refresh_is_through(
    shop: Connection, reader: Connection, settings: Settings, change: Change
) -> None:
    change("sales", "WHERE is_purchase OR", "WHERE is_purchase AND")
    for _ in range(2):
        failed(report_sales.refresh_reports, RefreshError)
    (said,) = problems(shop)
    assert (
        "report sales: its check does not hold (sales_add_up, revenue_adds_up): mend include/sql/reports/sales.sql"
        in said
    )
    change("sales", "WHERE is_purchase AND", "WHERE is_purchase OR")
    refresh(reader, settings)
    assert problems(shop) == []


@pytest.mark.usefixtures("as_airflow")
@pytest.mark.parametrize("gone", ["report.cohorts", "report_cells.lookups"])
def test_the_status_says_what_makes_the_table_of_a_new_report(shop: Connection, gone: str) -> None:
    shop.execute(f"DROP TABLE {gone} CASCADE")  # type: ignore[call-overload]
    failed(report_sales.refresh_reports, RefreshError)
    (said,) = problems(shop)
    assert f"report {gone.partition('.')[2]}: its table is made by `make down && make up`" in said


# What goes astray


INJECTED = [
    ("UPDATE report_cells.sales SET revenue = revenue + 1 WHERE product_id = 'hat'", {"sales": 2}),
    ("DELETE FROM report_cells.visits WHERE session_id = 's1'", {"visits": 1}),
    ("INSERT INTO report_cells.lookups TABLE report_cells.lookups LIMIT 1", {"lookups": 1}),
    ("UPDATE report.revenue_by_hour SET revenue = revenue + 1 WHERE buyers = 2", {"revenue_by_hour": 2}),
    ("DELETE FROM report.revenue_by_hour", {"revenue_by_hour": 2}),
]


@pytest.fixture
def of_revenue(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report that is compared is not any."""
    monkeypatch.setattr(random, "choice", lambda reports: next(one for one in reports if one.name == "revenue_by_hour"))


@pytest.mark.usefixtures("of_revenue", "as_airflow")
@pytest.mark.parametrize(("damage", "found"), INJECTED, ids=[statement for statement, _ in INJECTED])
def test_a_difference_is_found_told_by_the_status_and_mended_by_counting_anew(
    shop: Connection, reader: Connection, settings: Settings, damage: str, found: dict[str, int]
) -> None:
    refresh(reader, settings)
    before = everything(reader)
    shop.execute(damage)  # type: ignore[call-overload]
    differ = comparison.compare(reader, settings, "mine")
    assert {name: (differ or {}).get(name) for name in found} == found
    with pytest.raises(RefreshError, match="run `make rebuild-reports`"):
        comparison.tell(differ or {})
    (said,) = problems(shop)
    assert "the reports are not what events give" in said
    assert all(f"{rows} rows of {name}" in said for name, rows in found.items())
    assert cli.main(["rebuild-reports"]) == 0
    assert problems(shop) == []
    assert comparison.compare(reader, settings, "mine") == {}
    assert everything(reader) == before


@pytest.mark.usefixtures("of_revenue", "as_airflow")
def test_the_daily_comparison_fails_its_task_and_counts_again_a_day_later(
    shop: Connection, reader: Connection, settings: Settings
) -> None:
    refresh(reader, settings)
    report_sales.compare_one_day.function(run_id="mine")
    shop.execute("UPDATE report.revenue_by_hour SET revenue = 0")
    report_sales.compare_one_day.function(run_id="mine")
    assert problems(shop) == [], "a day has not passed"
    shop.execute("UPDATE report_cells.comparisons SET compared_at = compared_at - interval '1 day'")
    failed(report_sales.compare_one_day, RefreshError)
    (said,) = problems(shop)
    assert "1 rows of revenue_by_hour" in said or "2 rows of revenue_by_hour" in said


def test_where_nothing_can_be_counted_again_nothing_is_compared(reader: Connection, settings: Settings) -> None:
    assert comparison.compare(reader, settings, "mine") is None


# Who may read them


def test_whoever_may_use_the_schema_reads_every_report_and_no_cell(
    shop: Connection, reader: Connection, settings: Settings, postgres_server: Any
) -> None:
    refresh(reader, settings)
    with psycopg.connect(postgres_server.url(shop.info.dbname), autocommit=True) as admin:
        admin.execute("CREATE ROLE bi")
        try:
            admin.execute("GRANT USAGE ON SCHEMA report TO bi")
            admin.execute("SET ROLE bi")
            for name in published():
                admin.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier("report", name)))
            counted = admin.execute("SELECT count(*) FROM report.sessions").fetchone()
            assert counted == (3,)
            for refused in (
                "SELECT FROM report_cells.visits",
                "SELECT FROM public.events",
                "DELETE FROM report.totals",
                "DELETE FROM report.last_refresh",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    admin.execute(refused)
        finally:
            admin.execute("RESET ROLE")
            admin.execute("DROP OWNED BY bi")
            admin.execute("DROP ROLE bi")


def test_the_owner_of_the_schema_may_read_the_reports(shop: Connection, reader: Connection, settings: Settings) -> None:
    refresh(reader, settings)
    assert len(rows(shop, "products")) == 2
