"""Room Shop on a real database: each figure held against events of known content, and opened down to its bytes."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from sluice.base.settings import Settings
from sluice.ledger import archive
from sluice.watching import record, shop, shop_events
from sluice.watching.reader import Connection, Reader
from sluice.watching.shop import Asked
from sluice.watching.shop_events import Wanted
from sluice.watching.shop_range import MOST_DAYS_OF_LISTS
from tests.loading import change_contract, event, event_id, table
from tests.reports import add_events, refresh_as_the_reader

Row = dict[str, Any]
Land = Callable[..., int]
JUNE = Asked("own", date(2025, 6, 1), date(2025, 6, 30))
COLUMNS = (
    "event_id", "event_type", "event_time", "user_id", "product_id", "session_id", "price", "quantity", "total_amount",
    "search_query", "search_results_count", "extra",
)  # fmt: skip


def own(first: str, last: str | None = None, **more: Any) -> Asked:
    return Asked("own", date.fromisoformat(first), date.fromisoformat(last or first), **more)


def put(connection: Connection, *events: Row, feed: str = "events", file_id: int = 1) -> None:
    """Events of June 2025; ``at`` is a moment of UTC without its year and month: ``"03 10:00"``."""
    filled = [
        dict.fromkeys(COLUMNS)
        | {
            "event_id": event_id(file_id * 1000 + number),
            "event_time": f"2025-06-{one['at']}+00",
            "record_number": number,
        }
        | {name: value for name, value in one.items() if name != "at"}
        for number, one in enumerate(events, start=1)
    ]
    add_events(connection, filled, feed=feed, file_id=file_id)


def sale(at: str, total: str, user: str | None = None, **more: Any) -> Row:
    return {"event_type": "purchase", "at": at, "total_amount": Decimal(total), "user_id": user, "quantity": 1, **more}


@pytest.fixture
def ask(settings: Settings) -> Iterator[Callable[..., Any]]:
    """Asks a function of the room as the page does: as the reader, read only, in a transaction."""
    reader = Reader(settings)

    def asking(question: Callable[..., Any], *asked: Any, **named: Any) -> Any:
        with reader.asking(10_000) as connection:
            return question(connection, *asked, **named)

    yield asking
    reader.close()


@pytest.fixture
def count(settings: Settings) -> Callable[..., None]:
    """Refreshes the reports, under other settings when they are given."""

    def refreshing(**changes: Any) -> None:
        refresh_as_the_reader(replace(settings, **changes))

    return refreshing


def test_before_the_first_report_the_room_says_so(ask: Callable[..., Any]) -> None:
    assert ask(shop.state, generates=True) == {"as_of": None, "generates": True, "has_events": False}
    with pytest.raises(shop.UnknownError):
        ask(shop.figures, JUNE)


def test_the_state_says_of_when_the_reports_are_and_what_waits(
    connection: Connection, ask: Callable[..., Any], count: Callable[..., None]
) -> None:
    put(connection, sale("03 10:00", "5"))
    count(shop_zone="Pacific/Auckland")
    state = ask(shop.state, generates=False)
    assert (state["zone"], state["changes_waiting"], state["has_events"]) == ("Pacific/Auckland", 0, True)
    assert [feed["feed"] for feed in state["feeds"]] == ["events"]
    put(connection, sale("03 11:00", "5"), feed="till", file_id=2)
    assert ask(shop.state, generates=False)["changes_waiting"] > 0


def test_figures_are_those_that_are_counted_by_hand(
    connection: Connection, ask: Callable[..., Any], count: Callable[..., None]
) -> None:
    put(
        connection,
        {"event_type": "product_view", "at": "10 09:00", "session_id": "s1", "user_id": "a"},
        {"event_type": "add_to_cart", "at": "10 09:01", "session_id": "s1", "user_id": "a"},
        sale("10 09:02", "10.10", "a", session_id="s1", quantity=2),
        sale("10 09:03", "0.20", "a", session_id="s1"),  # the same order
        {"event_type": "product_view", "at": "10 09:05", "session_id": "s2"},
        sale("11 12:00", "5.00", "a"),
        sale("11 12:30", "7.00", "b"),
        {
            "event_type": "cancellation",
            "at": "11 13:00",
            "user_id": "b",
            "quantity": -1,
            "total_amount": Decimal("-7.00"),
        },
        sale("08 12:00", "20.00", "a"),  # the range before
    )
    count()
    found = ask(shop.figures, own("2025-06-10", "2025-06-11"))
    sales = found["sales"]
    assert [(row["day"], row["revenue"], row["orders"]) for row in sales["rows"]] == [
        ("2025-06-10", "10.3000", 1),
        ("2025-06-11", "5.0000", 2),
    ]
    assert {name: Decimal(str(value)) for name, value in sales["sums"].items()} == {
        "revenue": Decimal("15.30"),
        "orders": 3,
        "ordered": Decimal("22.30"),
        "units": 4,
        "purchases": 4,
        "cancellations": 1,
    }
    assert round(Decimal(sales["basket"]), 4) == round(Decimal("22.30") / 3, 4)
    assert Decimal(sales["sums_before"]["revenue"]) == 20
    assert sales["changes"]["revenue"] == pytest.approx(15.3 / 20 - 1)
    funnel = found["funnel"]
    assert [funnel["sums"][name] for name in ("sessions", "viewed", "carted", "bought")] == [2, 2, 1, 1]
    assert funnel["conversions"] == {"view_to_cart": 0.5, "cart_to_buy": 1.0, "view_to_buy": 0.5}
    customers = found["customers"]
    assert [(row["new_customers"], row["returning_customers"]) for row in customers["rows"]] == [(0, 1), (1, 1)]
    assert customers["sums_before"] == {"new_customers": 1, "returning_customers": 0}


def test_a_customer_counts_once_in_a_day_and_in_a_month_and_other_ranges_are_sums_that_say_so(
    connection: Connection, ask: Callable[..., Any], count: Callable[..., None]
) -> None:
    put(
        connection,
        sale("02 10:00", "1", "a"), sale("02 11:00", "1", "a"), sale("03 10:00", "1", "a"), sale("04 10:00", "1", "a"),
        sale("04 10:00", "1", "b"),
    )  # fmt: skip
    count()
    month = ask(shop.figures, JUNE)["customers"]
    assert (month["are_distinct"], month["sums"]) == (True, {"new_customers": 2, "returning_customers": 0})
    day = ask(shop.figures, own("2025-06-04"))["customers"]
    assert (day["are_distinct"], day["sums"]) == (True, {"new_customers": 1, "returning_customers": 1})
    days = ask(shop.figures, own("2025-06-03", "2025-06-05"))["customers"]
    assert (days["are_distinct"], days["sums"]) == (False, {"new_customers": 1, "returning_customers": 2})


def test_days_are_those_of_the_shop_and_the_events_under_a_bar_are_its_revenue(
    connection: Connection, ask: Callable[..., Any], count: Callable[..., None]
) -> None:
    put(connection, sale("01 21:59", "1"), sale("01 22:00", "2"), sale("02 21:59", "4"), sale("02 22:00", "8"))
    count(shop_zone="Europe/Berlin")
    found = ask(shop.figures, JUNE)["sales"]["rows"]
    assert {row["day"]: Decimal(row["revenue"]) for row in found} == {"2025-06-01": 1, "2025-06-02": 6, "2025-06-03": 8}
    for row in found:
        assert opened(ask, Wanted(date.fromisoformat(row["day"]), kind="sale")) == Decimal(row["revenue"])
    hours = ask(shop.figures, own("2025-06-02"))["hours"]["rows"]
    sold = {row["at"]: row for row in hours if row["purchases"]}
    assert {at: Decimal(row["revenue"]) for at, row in sold.items()} == {"00:00": 2, "23:00": 4}
    assert opened(ask, Wanted(date(2025, 6, 2), hour=sold["23:00"]["hour"], kind="sale")) == 4


@pytest.mark.parametrize(("day", "hours"), [("2025-03-30", 23), ("2025-06-02", 24), ("2025-10-26", 25)])
def test_a_day_has_the_hours_that_its_clocks_give_it(
    ask: Callable[..., Any], count: Callable[..., None], day: str, hours: int
) -> None:
    count(shop_zone="Europe/Berlin")
    rows = ask(shop.figures, own(day))["hours"]["rows"]
    assert len(rows) == len({row["hour"] for row in rows}) == hours


def opened(ask: Callable[..., Any], wanted: Wanted) -> Decimal:
    """What the events under a figure add up to."""
    return sum((Decimal(row["amount"]) for row in ask(shop_events.page, wanted)["rows"]), Decimal(0))


def test_the_shop_s_own_feeds_are_shown_unless_another_one_is_chosen(
    connection: Connection, ask: Callable[..., Any], count: Callable[..., None]
) -> None:
    put(connection, sale("05 10:00", "1", "a"))
    put(connection, sale("05 10:00", "2", "a"), feed="till", file_id=2)
    put(connection, sale("05 10:00", "4", "a"), feed="web", file_id=3)
    count()
    june = ask(shop.figures, JUNE)
    assert (june["feeds"], Decimal(june["sales"]["sums"]["revenue"])) == (["till", "web"], 6)
    assert opened(ask, Wanted(date(2025, 6, 5), kind="sale")) == 6
    generated = ask(shop.figures, replace(JUNE, feed="events"))
    assert Decimal(generated["sales"]["sums"]["revenue"]) == 1
    assert opened(ask, Wanted(date(2025, 6, 5), kind="sale", feed="till")) == 2
    with pytest.raises(shop.UnknownError):
        ask(shop.figures, replace(JUNE, feed="another"))


def test_amounts_of_two_currencies_are_never_added_up(
    connection: Connection, ask: Callable[..., Any], count: Callable[..., None]
) -> None:
    put(
        connection,
        sale("05 10:00", "1", extra=Jsonb({"currency": "eur"})),
        sale("05 11:00", "2", extra=Jsonb({"currency": "USD"})),
        sale("05 12:00", "4"),
    )
    count()
    for currency, revenue in (("EUR", 1), ("USD", 2), ("", 4)):
        found = ask(shop.figures, replace(JUNE, currency=currency))
        assert found["currencies"] == ["", "EUR", "USD"]
        assert Decimal(found["sales"]["sums"]["revenue"]) == revenue
        assert opened(ask, Wanted(date(2025, 6, 5), kind="sale", currency=currency)) == revenue


def test_products_and_searches_have_the_range_and_lead_to_their_days_and_events(
    connection: Connection, ask: Callable[..., Any], count: Callable[..., None]
) -> None:
    nasty = "<img src=x onerror=alert(1)>'; DROP TABLE x --%s \u202e"
    put(
        connection,
        sale("10 10:00", "9", product_id=nasty),
        sale("11 10:00", "1", product_id=nasty),
        sale("10 10:01", "2", product_id="hat"),
        sale("09 10:00", "3", product_id="hat"),
        {"event_type": "search", "at": "10 10:02", "search_query": f" {nasty.upper()}", "search_results_count": 0},
        {"event_type": "search", "at": "10 10:03", "search_query": "hats", "search_results_count": 3},
    )
    count()
    day = own("2025-06-10")
    assert [
        (row["product_id"], Decimal(row["revenue"]), Decimal(row["revenue_before"]))
        for row in ask(shop.products, day)["rows"]
    ] == [(nasty, 9, 0), ("hat", 2, 3)]
    days = ask(shop.product, JUNE, nasty)["rows"]
    assert [(row["day"], Decimal(row["revenue"])) for row in days] == [("2025-06-10", 9), ("2025-06-11", 1)]
    assert opened(ask, Wanted(date(2025, 6, 10), kind="sale", product=nasty)) == 9
    assert ask(shop.searches, day)["sums"] == {"searches": 2, "without_result": 1}
    (term,) = ask(shop.terms, day)["rows"]
    assert (term["term"], term["without_result"]) == (nasty.lower(), 1)
    assert [row["searches"] for row in ask(shop.term, JUNE, term["term"])["rows"]] == [1]
    in_vain = ask(shop_events.page, Wanted(date(2025, 6, 10), in_utc=True, kind="search_in_vain"))["rows"]
    assert [row["search_query"] for row in in_vain] == [f" {nasty.upper()}"]
    assert in_vain == ask(shop_events.page, Wanted(date(2025, 6, 10), kind="search", term=term["term"]))["rows"]


def test_lists_are_of_so_many_days_at_most(
    connection: Connection, ask: Callable[..., Any], count: Callable[..., None]
) -> None:
    put(connection, sale("10 10:00", "9", product_id="hat"))
    count()
    year = own("2025-01-01", "2025-12-31")
    assert ask(shop.products, year)["most_days"] == ask(shop.searches, year)["most_days"] == MOST_DAYS_OF_LISTS
    assert Decimal(ask(shop.figures, year)["sales"]["sums"]["revenue"]) == 9


def test_active_sessions_are_those_of_the_half_an_hour_before_the_refresh(
    connection: Connection, ask: Callable[..., Any], count: Callable[..., None]
) -> None:
    count()
    as_of = ask(shop.state, generates=True)["as_of"]
    connection.execute("SELECT ledger.make_month(%s::date)", [as_of.date()])
    connection.execute("SELECT ledger.make_month(%s::date)", [(as_of - timedelta(hours=2)).date()])
    now = as_of.astimezone(UTC)
    view = dict.fromkeys(COLUMNS) | {"event_type": "product_view"}
    moments = {"late": now - timedelta(minutes=1), "early": now - timedelta(hours=2)}
    add_events(
        connection,
        [
            view | {"event_id": event_id(number), "session_id": name, "event_time": moment}
            for number, (name, moment) in enumerate([*moments.items(), *moments.items()], start=1)
        ],
    )
    count()
    assert ask(shop.active, JUNE) == {"sessions": 1}


def test_pages_of_events_give_each_event_once_newest_first(
    connection: Connection, ask: Callable[..., Any], count: Callable[..., None]
) -> None:
    put(connection, *(sale("10 10:00" if number % 3 else "10 11:00", "1") for number in range(25)))
    count()
    found, wanted = list[Row](), Wanted(date(2025, 6, 10))
    while True:
        page = ask(shop_events.page, wanted, 10)
        found += page["rows"]
        if page["next"] is None:
            break
        wanted = replace(wanted, until=page["next"]["event_time"], until_id=page["next"]["event_id"])
    places = [(row["event_time"], row["event_id"]) for row in found]
    assert len(places) == 25
    assert places == sorted(set(places), reverse=True)


def test_a_page_of_events_reads_the_partitions_of_its_day_and_no_other(
    connection: Connection, ask: Callable[..., Any], count: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(connection, sale("10 10:00", "1"))
    connection.execute("SELECT ledger.make_month('2025-07-01'::date)")
    count()
    asked = list[Any]()
    real = shop_events.queries.all
    monkeypatch.setattr(
        shop_events.queries, "all", lambda on, name, **named: asked.append(named) or real(on, name, **named)
    )
    ask(shop_events.page, Wanted(date(2025, 6, 10)))
    import psycopg

    statement = psycopg.ClientCursor(connection).mogrify(
        shop_events.queries.text("watching/shop_events.page"), asked[-1]
    )
    plan = "\n".join(row["QUERY PLAN"] for row in connection.execute(f"EXPLAIN {statement}".encode()))
    assert "events_2025_06" in plan
    assert "events_2025_07" not in plan.partition("CTE shown")[0].partition("CTE of_files")[0]


def test_the_sql_that_is_shown_gives_what_is_shown(
    connection: Connection, ask: Callable[..., Any], count: Callable[..., None]
) -> None:
    put(connection, sale("10 10:00", "9", "a", product_id="50% \\ 'off'", session_id="s"), feed="o'neill")
    count()
    june = ask(shop.figures, JUNE)
    for part in (june["sales"], june["funnel"], june["customers"], ask(shop.products, JUNE)):
        again = connection.execute(part["sql"].encode()).fetchall()
        assert shop.plain(again) == part["rows"] != []


def test_a_file_of_a_chart_has_its_rows(
    connection: Connection, ask: Callable[..., Any], count: Callable[..., None]
) -> None:
    put(connection, sale("10 10:00", "9", "a", product_id="=1+1"))
    count()
    for chart in ("sales", "customers", "products"):
        _, rows = ask(shop.chart_rows, JUNE, chart)
        assert len(rows) == 1, chart
    _, days = ask(shop.chart_rows, JUNE, "product", product="=1+1")
    assert [row["day"] for row in days] == ["2025-06-10"]


# --- down to the bytes


def read(ask: Callable[..., Any], settings: Settings, file_id: int, number: int, **bounds: Any) -> Row:
    return record.read(settings, ask(shop_events.one, file_id, number)["file"], number, **bounds)


ROWS = (event(1), event(2, note='"one\ntwo,\r\nthree ""x"""'), event(3, price="nonsense"), event(4, note="für"))


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["shop.csv", "shop.csv.gz"])
def test_the_bytes_of_a_record_are_those_of_its_file(
    ask: Callable[..., Any], own_contracts: Settings, load: Land, name: str, ending: str
) -> None:
    data = ending.join([table().rstrip("\n"), *ROWS, ""]).encode()
    file_id = load(gzip.compress(data) if name.endswith(".gz") else data, name)
    for number, row in enumerate(ROWS, start=1):
        found = read(ask, own_contracts, file_id, number)
        assert (found["outcome"], bytes.fromhex(found["hex"])) == ("found", row.encode())
        assert found["text"] == row
        assert data.decode().splitlines(keepends=True)[found["line"] - 1].startswith(row[:40])
    assert read(ask, own_contracts, file_id, len(ROWS) + 1)["outcome"] == "none"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_bytes_of_a_marked_file_are_its_own_and_its_text_is_read_in_its_encoding(
    ask: Callable[..., Any], own_contracts: Settings, load: Land, encoding: str
) -> None:
    file_id = load(table(*ROWS).encode(encoding))
    found = read(ask, own_contracts, file_id, 4)
    assert found["text"] == ROWS[3]
    assert bytes.fromhex(found["hex"]) == ROWS[3].encode("utf-16-le" if encoding == "utf-16" else "utf-8")


def test_an_event_is_told_with_its_file_and_a_record_that_is_none_says_where_it_is(
    ask: Callable[..., Any], load: Land
) -> None:
    file_id = load(table(*ROWS, event(1)))
    found = ask(shop_events.one, file_id, 1)
    assert (str(found["event"]["event_id"]), found["file"]["name"]) == (event_id(1), "shop.csv")
    aside = ask(shop_events.one, file_id, 3)
    assert (aside["event"], aside["is_reject"], aside["is_duplicate"]) == (None, True, False)
    again = ask(shop_events.one, file_id, 5)
    assert (again["event"], again["is_reject"], again["is_duplicate"]) == (None, False, True)
    with pytest.raises(shop.UnknownError):
        ask(shop_events.one, file_id + 1, 1)


def test_of_a_long_record_the_beginning_is_shown(ask: Callable[..., Any], own_contracts: Settings, load: Land) -> None:
    long = event(1, note="x" * 100_000)
    found = read(ask, own_contracts, load(table(long)), 1)
    assert (found["bytes"], found["is_cut"]) == (len(long), True)
    assert found["text"] == long[: record.SHOWN_MOST]


def test_a_record_that_was_too_long_to_be_kept_says_that_it_is_cut(
    ask: Callable[..., Any], own_contracts: Settings, load: Land
) -> None:
    file = ask(shop_events.one, load(table(event(1, note="x" * 100_000))), 1)["file"]
    file["read_as"] |= {"record_bytes_max": 1000}  # as it would have been loaded under another setting
    found = record.read(own_contracts, file, 1)
    assert (found["outcome"], found["bytes"], found["is_cut"]) == ("found", None, True)


def test_what_lies_too_deep_takes_too_long_or_is_no_more_is_said(
    ask: Callable[..., Any], own_contracts: Settings, load: Land, connection: Connection
) -> None:
    def outcome(number: int = 60_000, **bounds: Any) -> str:
        return str(read(ask, own_contracts, file_id, number, **bounds)["outcome"])

    file_id = load(table(*(event(number) for number in range(60_000))))
    assert outcome() == outcome(1, most=2 << 20) == "found"
    assert outcome(most=2 << 20) == "far"
    assert outcome(seconds=0) == "far"
    row = connection.execute("SELECT path FROM ledger.files WHERE file_id = %s", [file_id]).fetchone()
    assert row is not None
    path = archive.where(own_contracts.home_dir, row["path"])
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    assert outcome() == "changed"
    path.write_bytes(data[:-2] + b" \n")
    assert outcome(1) == "changed"
    assert outcome(1, most=2 << 20) == "found", "of a large file only so much is read"
    path.unlink()
    assert outcome() == "gone"
    path.symlink_to(own_contracts.home_dir)
    assert outcome() in ("changed", "damaged")
    connection.execute("UPDATE ledger.files SET read_as = NULL WHERE file_id = %s", [file_id])
    assert outcome() == "unmarked"
    connection.execute("UPDATE ledger.files SET sealed_at = now() WHERE file_id = %s", [file_id])
    assert outcome() == "trimmed"


def test_a_file_is_read_as_it_was_loaded_whatever_its_contract_says_today(
    ask: Callable[..., Any], own_contracts: Settings, load: Land
) -> None:
    file_id = load(table(*ROWS))
    change_contract(own_contracts, csv={"separator": ";"})
    assert read(ask, own_contracts, file_id, 1)["text"] == ROWS[0]
