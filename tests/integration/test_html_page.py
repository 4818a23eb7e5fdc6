"""The page of the reports and its CSV files, of reports with these columns, as sluice_reader and in a real browser."""

from __future__ import annotations

import csv
import io
import re
import threading
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dags import report_sales
from sluice.base import database, queries
from sluice.base.settings import Settings
from sluice.generator.files import write_file
from sluice.generator.records import Shares
from sluice.reports import refresh
from sluice.reports.html import reading, writing
from sluice.reports.html.sections import CSV_FILES
from sluice.reports.html.writing import PageError, Written
from tests import chromium, report_tables
from tests.report_tables import add

Connection = psycopg.Connection[dict[str, Any]]
TODAY = date(2026, 11, 30)
SCRIPT = "<script>document.title = 'taken'</script>"
IMAGE = "<img src=x onerror=\"document.title='taken'\">"
NASTY = [
    SCRIPT,
    IMAGE,
    "</title></style></pre></bdi><script src=//a.example/b.js></script>",
    "\" onmouseover=\"document.title='taken'",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt; &#60;",
    "\x01\x08\x0b\x1b[31m\x7f\x9f",
    "\u202egnp.exe\u202c",
    "عربي\u200f 123",
    "'; DROP TABLE report.feeds; --",
    "100% %(feed)s %%",
    "",
    'https://a.example/?q=<a href="https://a.example">',
]
LONG = "x" * 1_000_000


@pytest.fixture
def reports(connection: Connection) -> Connection:
    """The owner's connection, to reports that are all empty."""
    report_tables.make(connection)
    return connection


@pytest.fixture
def reader(settings: Settings) -> Iterator[Connection]:
    with database.connect(settings.reader_dsn) as opened:
        yield opened


def refreshed(reports: Connection, as_of: str = "2026-11-30 11:00+00", zone: str = "Europe/Berlin") -> None:
    add(reports, "last_refresh", built_by="test", as_of=as_of, zone=zone, events=1234567, sales=89, revenue=1)


def feed(reports: Connection, name: str, **values: object) -> None:
    said = {"currency": "EUR", "counts_sales": True, "is_generated": False, "is_of_shop": True} | values
    add(reports, "feeds", feed=name, **said)


def sold(reports: Connection, name: str = "shop", day: date = TODAY, revenue: object = 10, **more: object) -> None:
    """A day of a feed, as the day's reports have it."""
    sale = {"purchases": 1, "units": 1, "orders": 1, "buyers": 1, "currency": "EUR", "revenue": revenue} | more
    add(reports, "shop_by_day", day=day, **sale)
    del sale["orders"]
    add(reports, "sales_by_day", feed=name, day=day, **sale)
    add(reports, "totals", feed=name, events=1)


def visited(reports: Connection, name: str = "shop") -> None:
    add(reports, "totals", feed=name, events=9)
    add(reports, "funnel", feed=name, sessions=4, viewed=3, carted=2, bought=1, view_to_cart=Decimal("0.6667"))


def write(settings: Settings, reader: Connection) -> tuple[Written, str]:
    """What was written, and the text of the page."""
    written = writing.write(settings, reader)
    return written, written.page.read_text(encoding="utf-8")


def cells(written: Written, name: str) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    raw = (written.page.with_suffix("") / f"{name}.csv").read_bytes()
    return list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))


class Elements(HTMLParser):
    """Which elements a page has, with their attributes, and all of its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        self.text += " " * (tag in ("td", "th", "dt", "dd"))

    def handle_data(self, data: str) -> None:
        self.text += data


def said(page: str) -> str:
    """The text of a page on one line, without marks of direction."""
    return re.sub(r"\s+", " ", Elements(page).text)


# --- what the page says


def test_before_the_first_refresh_the_page_says_what_to_do(
    settings: Settings, reports: Connection, reader: Connection
) -> None:
    written, page = write(settings, reader)
    written.check()
    assert "No report has been published yet" in page
    assert "make airflow" in page
    assert re.fullmatch(r"reports-\d{4}-\d\d-\d\d\.html", written.page.name)


def test_of_an_empty_database_every_section_says_what_to_do(
    settings: Settings, reports: Connection, reader: Connection
) -> None:
    refreshed(reports)
    feed(reports, "shop")
    feed(reports, "events", is_generated=True, is_of_shop=False)
    written, page = write(settings, reader)
    written.check()
    assert "Nothing is sold yet" in page
    assert "Nothing is loaded yet of shop, events." in said(page)
    assert (written.page.name, written.csv_files) == ("reports-2026-11-30.html", len(CSV_FILES))


def test_a_feed_without_sales_or_searches_says_in_each_place_what_is_missing(
    settings: Settings, reports: Connection, reader: Connection
) -> None:
    refreshed(reports)
    feed(reports, "shop")
    visited(reports)
    _, page = write(settings, reader)
    for word in ("product_id", "payment_method", "user_id", "search_query", "add_to_cart", "search_results_count"):
        assert word in said(page), word


def test_a_feed_that_counts_no_sales_has_no_money(settings: Settings, reports: Connection, reader: Connection) -> None:
    refreshed(reports)
    feed(reports, "visits", counts_sales=False)
    visited(reports, "visits")
    _, page = write(settings, reader)
    assert "counts no sales" in page
    assert "Payment methods" not in page


def test_the_moment_and_the_zone_are_at_the_top(settings: Settings, reports: Connection, reader: Connection) -> None:
    refreshed(reports, "2026-11-30 23:30+00")
    written, page = write(settings, reader)
    assert "As of 2026-12-01 00:30:00, Europe/Berlin: 1,234,567 events, 89 sales." in said(page)
    assert written.page.name == "reports-2026-12-01.html", "a day of the shop's zone"


def test_headlines_are_whole_days_against_as_many_before(
    settings: Settings, reports: Connection, reader: Connection
) -> None:
    refreshed(reports)
    feed(reports, "shop")
    for back in range(60):
        sold(reports, day=TODAY - timedelta(back), revenue=1000 if back == 0 else 100 if back <= 28 else 50)
    _, page = write(settings, reader)
    text = said(page)
    assert "Yesterday 2026-11-29 100.00 EUR as much as 100.00 before" in text, "today is not over, and is not in it"
    assert "Last 7 days 2026-11-23 to 2026-11-29 700.00 EUR as much as 700.00 before" in text
    assert "Last 28 days 2026-11-02 to 2026-11-29 2,800.00 EUR ▲ 100.0 % more than 1,400.00 before" in text
    assert page.count("Mon 2026-11-30: 1,000.00 EUR, 1 order; 28 days before: 100.00 EUR") == 1


def test_a_shop_of_old_data_shows_its_own_last_days(
    settings: Settings, reports: Connection, reader: Connection
) -> None:
    refreshed(reports)
    feed(reports, "shop")
    sold(reports, day=date(2011, 12, 9))
    add(reports, "revenue_by_hour", feed="shop", currency="EUR", hour="2011-12-09 11:00+00", purchases=1, revenue=10)
    _, page = write(settings, reader)
    assert "The last sale is of 2011-12-09" in page
    assert "Fri 2011-12-09: 10.00 EUR" in page
    assert "Fri 2011-12-09, 12:00: 10.00 EUR, 1 purchase" in page, "in the hours of the shop's zone"


def test_feeds_that_are_not_the_shops_come_last_and_are_marked(
    settings: Settings, reports: Connection, reader: Connection
) -> None:
    refreshed(reports)
    feed(reports, "aaa_generated", is_generated=True, is_of_shop=False)
    feed(reports, "zzz_shop")
    for name in ("aaa_generated", "zzz_shop"):
        visited(reports, name)
    _, page = write(settings, reader)
    own, other = page.index('id="feed-zzz-shop"'), page.index('id="feed-aaa-generated"')
    assert own < other < page.index("not in the shop’s totals") < page.index('id="csv-files"')


def test_currencies_are_never_added_up(settings: Settings, reports: Connection, reader: Connection) -> None:
    refreshed(reports)
    feed(reports, "shop")
    for currency, revenue in (("EUR", 10), ("USD", 7)):
        sold(reports, day=TODAY - timedelta(1), currency=currency, revenue=revenue)
        add(
            reports,
            "categories",
            feed="shop",
            currency=currency,
            category="toys",
            purchases=1,
            units=1,
            revenue=revenue,
        )
    _, page = write(settings, reader)
    assert "10.00 EUR" in said(page)
    assert "7.00 USD" in said(page)
    assert "17.00" not in page


def test_what_is_beyond_the_list_is_one_row_of_others(
    settings: Settings, reports: Connection, reader: Connection
) -> None:
    refreshed(reports)
    feed(reports, "shop")
    visited(reports)
    sold(reports)
    for number in range(30):
        add(reports, "categories", feed="shop", currency="EUR", category=f"c{number}", purchases=1, units=1, revenue=10)
    _, page = write(settings, reader)
    assert "20 others 200.00 20 20" in said(page)


def test_each_picture_has_the_sql_that_made_it_and_it_runs(
    settings: Settings, reports: Connection, reader: Connection
) -> None:
    refreshed(reports)
    feed(reports, "it's a shop")
    visited(reports, "it's a shop")
    sold(reports, "it's a shop")
    _, page = write(settings, reader)
    shown = re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)
    assert len(shown) > 15
    for statement in map(said, shown):
        reader.execute(statement.encode())
    assert any("feed = 'it''s a shop'" in said(statement) for statement in shown)


def test_what_cannot_be_read_is_said_and_the_rest_is_there(
    settings: Settings, reports: Connection, reader: Connection
) -> None:
    refreshed(reports)
    feed(reports, "shop")
    visited(reports)
    reports.execute("DROP TABLE report.searches_without_result")
    written, page = write(settings, reader)
    assert 'This could not be read: relation "report.searches_without_result" does not exist' in said(page)
    assert "not written: relation" in said(page)
    assert "Put it in a cart" in page
    with pytest.raises(PageError, match=r"lacks what could not be read: .*searches_without_result"):
        written.check()


def test_a_query_that_takes_too_long_costs_its_section_only(
    settings: Settings, reports: Connection, reader: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    refreshed(reports)
    feed(reports, "shop")
    visited(reports)
    reports.execute("DROP TABLE report.cohorts")
    reports.execute(
        "CREATE VIEW report.cohorts AS SELECT 'shop' AS feed, pg_sleep(60)::text::date AS cohort, "
        "now()::date AS month, 1::bigint AS customers"
    )
    reports.execute("GRANT SELECT ON report.cohorts TO PUBLIC")
    text = queries.text
    assert "statement_timeout = '30s'" in text("page.begin")
    monkeypatch.setattr(queries, "text", lambda name: text(name).replace("timeout = '30s'", "timeout = '300ms'"))
    written, page = write(settings, reader)
    assert "canceling statement due to statement timeout" in page
    assert "Put it in a cart" in page
    assert set(written.failures) == {"page.cohorts", "page_csv.cohorts"}


def test_a_page_that_takes_too_long_is_written_without_the_rest(
    settings: Settings, reports: Connection, reader: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    refreshed(reports)
    monkeypatch.setattr(reading, "PATIENCE_SECONDS", 0)
    written, page = write(settings, reader)
    assert "left out, for the page has taken 0 s" in page
    with pytest.raises(PageError, match="page_csv"):
        written.check()


def test_all_of_the_page_is_of_one_moment_and_nothing_can_be_written(
    settings: Settings, reports: Connection, reader: Connection
) -> None:
    refreshed(reports)
    with reading.snapshot(reader) as snapshot:
        assert snapshot.refreshed() is not None
        feed(reports, "later")
        assert snapshot.ask("page.feeds").rows == []
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader.execute("CREATE TEMPORARY TABLE t ()")


def test_a_lost_connection_is_no_page(settings: Settings, reports: Connection, reader: Connection) -> None:
    refreshed(reports)
    reports.execute("DROP TABLE report.searches")
    reports.execute(
        "CREATE VIEW report.searches AS SELECT 'shop' AS feed, pg_terminate_backend(pg_backend_pid())::text AS query, "
        "1 AS searches, 1 AS without_result, 1 AS users, 1 AS sessions, 1 AS carted, 1 AS bought"
    )
    reports.execute("GRANT SELECT ON report.searches TO PUBLIC")
    feed(reports, "shop")
    visited(reports)
    with pytest.raises(psycopg.OperationalError):
        writing.write(settings, reader)
    assert not list(settings.report_dir.glob("*.html"))


# --- whatever feeds hold


@pytest.fixture
def nasty(reports: Connection) -> Connection:
    """Every text of every report is one of the nasty ones."""
    refreshed(reports)
    for text in NASTY:
        feed(reports, text)
        visited(reports, text)
        for currency in ("EUR", SCRIPT):
            sold(reports, text, currency=currency)
            money = {"feed": text, "currency": currency, "purchases": 1, "units": 1, "revenue": 1}
            for place, word in enumerate([*NASTY, LONG, None], start=1):
                add(reports, "categories", category=word, **money)
                add(
                    reports,
                    "payment_methods",
                    feed=text,
                    currency=currency,
                    payment_method=word,
                    purchases=1,
                    revenue=1,
                )
                ranked = money | {"product_id": word, "category": word, "buyers": 1}
                del ranked["purchases"]
                add(reports, "top_products", rank_by_revenue=place, **ranked)
        for word in [*NASTY, LONG]:
            add(reports, "bought_together", feed=text, product_id=word, other_product_id=word, orders=1)
            add(
                reports, "searches", feed=text, query=word, searches=1, without_result=1, sessions=1, carted=1, bought=1
            )
            add(
                reports,
                "searches_without_result",
                feed=text,
                search_query=word,
                searches=1,
                users=1,
                last_searched_at="infinity",
            )
            add(reports, "products", feed=text, currency="EUR", product_id=word, category=word, revenue=1)
    return reports


def test_every_text_of_a_feed_is_text_in_the_page(settings: Settings, nasty: Connection, reader: Connection) -> None:
    written, page = write(settings, reader)
    written.check()
    found = Elements(page)
    assert not {"script", "img", "iframe", "object", "embed", "link", "base", "form", "b"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on") or name in ("style", "src", "xlink:href")]
    for text in (
        SCRIPT,
        "{{ 7 * 7 }}{% raw %}",
        "&lt;b&gt; &#60;",
        "␁␈␋␛[31m␡\\u009f",
        "\\u202egnp.exe\\u202c",
        "عربي\u200f 123",
    ):
        assert text in found.text
    assert '<bdi title="عربي\u200f 123">عربي\u200f 123</bdi>' in page
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066\u2067]", page)
    assert "x" * 100 not in page, "long texts are cut"


def test_the_page_names_nothing_outside_of_its_folder(
    settings: Settings, nasty: Connection, reader: Connection
) -> None:
    written, page = write(settings, reader)
    found = Elements(page)
    places = {
        value or "" for name, value in found.attributes if name in ("href", "src", "action", "data", "xlink:href")
    }
    for place in places:
        assert re.fullmatch(r"#[\w.-]+|reports-2026-11-30/[a-z_]+\.csv", place), place
        if not place.startswith("#"):
            assert (written.page.parent / place).is_file()
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {place[1:] for place in places if place.startswith("#")} <= set(ids)
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src &#39;none&#39;" in page


def test_no_cell_of_a_csv_file_is_a_formula(settings: Settings, reports: Connection, reader: Connection) -> None:
    refreshed(reports)
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "a;=1", "=cmd|' /C calc'!A0", 'fine, "too"']
    for text in texts:
        feed(reports, text)
        add(reports, "products", feed=text, currency=text, product_id=text, category=text, revenue=Decimal("-5.50"))
        add(reports, "searches", feed=text, query=text, searches=-1)
    written, _ = write(settings, reader)
    for name in CSV_FILES:
        raw = (written.page.with_suffix("") / f"{name}.csv").read_bytes()
        assert raw.startswith(b"\xef\xbb\xbf")
        assert raw.endswith(b"\r\n")
        for row in csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline="")):
            for value in row:
                assert value[:1] not in ("=", "+", "@", "\t", "\r", "\n", "＝")
                assert not value.startswith("-") or Decimal(value) < 0
    products = cells(written, "products")
    assert {row["revenue"] for row in products} == {"-5.50"}, "numbers of ours are numbers"
    assert {row["product_id"].removeprefix("'") for row in products} >= {"=1+1", "-1", 'fine, "too"'}


def test_a_csv_file_has_an_end_and_the_page_says_that_there_are_more(
    settings: Settings, reports: Connection, reader: Connection
) -> None:
    refreshed(reports)
    reports.execute(
        "INSERT INTO report.searches (feed, query, searches) "
        "SELECT 'shop', n::text, n FROM generate_series(1, 20005) AS n"
    )
    written, page = write(settings, reader)
    lines = (written.page.with_suffix("") / "searches.csv").read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 20_001
    assert lines[1].startswith("shop,20005,20005")
    assert "20,000 of more" in page


def test_no_moment_or_sum_is_too_large_for_the_page(
    settings: Settings, reports: Connection, reader: Connection
) -> None:
    huge = "1" + "0" * 400
    refreshed(reports)
    feed(reports, "shop")
    visited(reports)
    for day in ("infinity", "-infinity", "99999-12-31", "9999-12-31", "0001-01-01 BC", "2026-11-29"):
        for revenue in (huge, f"-{huge}", "-5", "NaN"):
            sold(reports, day=day, revenue=revenue, currency="EUR", units=huge)  # type: ignore[arg-type]
            money = {"feed": "shop", "currency": "EUR", "revenue": revenue}
            add(reports, "orders_by_day", day=day, orders=2**62, products=2**62, units=huge, **money)
            add(reports, "categories", category=day, purchases=2**62, units=huge, **money)
        add(reports, "revenue_by_hour", hour=day, purchases=2**62, **money)
        add(reports, "customers_by_day", feed="shop", day=day, new_customers=2**62, returning_customers=2**62)
        add(reports, "abandoned_carts", feed="shop", day=day, carts=2**62, abandoned=1, abandoned_value=huge)
        add(reports, "cohorts", feed="shop", cohort=day, month=day, customers=2**62)
        add(reports, "searches_without_result", feed="shop", search_query=day, searches=2**62, last_searched_at=day)
        add(reports, "products", product_id=day, first_seen=day, last_seen=day, highest_price=huge, **money)
        add(reports, "top_products", product_id=day, rank_by_revenue=1, units=huge, buyers=2**62, **money)
        add(reports, "hour_of_week", weekday=1, hour=3, purchases=2**62, **money)
    written, page = write(settings, reader)
    written.check()
    assert "1e400" in page
    assert "NaN" in page
    assert huge in (written.page.with_suffix("") / "categories.csv").read_text()
    assert "99999-12-31" in (written.page.with_suffix("") / "sales_by_day.csv").read_text()


def test_more_cancelled_than_sold_is_drawn_below_the_axis(
    settings: Settings, reports: Connection, reader: Connection
) -> None:
    refreshed(reports)
    feed(reports, "shop")
    for back, revenue in ((1, -50), (2, 100)):
        sold(reports, day=TODAY - timedelta(back), revenue=revenue)
    add(reports, "categories", feed="shop", currency="EUR", category="returned", purchases=0, units=-1, revenue=-50)
    _, page = write(settings, reader)
    assert "−50.00" in page
    assert ">−50<" in page, "a tick below zero"
    assert 'class="third"' in page


# --- of reports that were refreshed


@pytest.fixture
def loaded(settings: Settings, load: Callable[..., int], reader: Connection, tmp_path: Path) -> Settings:
    """Generated events of two days, loaded and refreshed."""
    file = tmp_path / "events.csv"
    now = datetime.fromisoformat("2026-11-30T11:00:00Z")
    write_file(
        file, rows=3000, shares=Shares(0, 0, 0), seed="page", now=now, span=timedelta(hours=48), ordered_ids=False
    )
    load(file.read_bytes(), "events.csv")
    refresh.refresh(reader, settings, "test")
    return settings


def test_everything_that_the_page_asks_of_the_reports_is_published(loaded: Settings, reader: Connection) -> None:
    written, page = write(loaded, reader)
    written.check()
    row = reader.execute("SELECT sum(revenue) AS revenue, count(*) AS rows FROM report.sales_by_day").fetchone()
    assert row is not None
    sold = cells(written, "sales_by_day")
    assert (sum(Decimal(day["revenue"]) for day in sold), len(sold)) == (row["revenue"], row["rows"])
    assert "This could not be read" not in page
    assert len(re.findall(r"<h3>(?:Products|Funnel|Searches|Searches without result)\b", page)) == 4


def test_the_task_of_the_dag_writes_the_page_and_fails_when_it_lacks_something(
    loaded: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SLUICE_READER", loaded.reader_dsn)
    report_sales.write_page.function()
    assert (loaded.report_dir / "latest.html").is_file()
    connection.execute("DROP VIEW report.searches_without_result")
    with pytest.raises(PageError, match="searches_without_result"):
        report_sales.write_page.function()


# --- the files


def test_the_page_of_a_day_is_written_anew_and_latest_is_the_same(
    settings: Settings, reports: Connection, reader: Connection
) -> None:
    refreshed(reports)
    write(settings, reader)
    reports.execute("UPDATE report.last_refresh SET as_of = '2026-11-30 12:00+00'")
    written, page = write(settings, reader)
    assert "13:00:00" in page
    assert sorted(path.name for path in settings.report_dir.iterdir()) == [
        "latest.html",
        "reports-2026-11-30",
        "reports-2026-11-30.html",
    ]
    assert (settings.report_dir / "latest.html").read_bytes() == written.page.read_bytes()


def test_old_pages_go_when_a_new_one_is_written(settings: Settings, reports: Connection, reader: Connection) -> None:
    for as_of in ("2026-10-01 12:00+00", "2026-11-30 12:00+00"):
        reports.execute("DELETE FROM report.last_refresh")
        refreshed(reports, as_of)
        written, _ = write(settings, reader)
    assert written.deleted == ("reports-2026-10-01", "reports-2026-10-01.html")
    assert any("SLUICE_KEEP_REPORT_DAYS" in line for line in written.lines())


def test_a_reader_at_any_moment_has_a_whole_page(settings: Settings, reports: Connection, reader: Connection) -> None:
    refreshed(reports)
    path = write(settings, reader)[0].page
    over = threading.Event()
    halves: list[bytes] = []

    def look() -> None:
        while not over.is_set():
            if not (read := path.read_bytes()).endswith(b"</html>\n"):
                halves.append(read)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(20):
            write(settings, reader)
    finally:
        over.set()
        looking.join()
    assert halves == []


# --- in a browser


@pytest.fixture
def filled(reports: Connection) -> Connection:
    refreshed(reports)
    feed(reports, "shop")
    visited(reports)
    for back in range(60):
        sold(reports, day=TODAY - timedelta(back), revenue=100 + back)
    return reports


def test_a_browser_runs_nothing_of_what_feeds_hold(settings: Settings, nasty: Connection, reader: Connection) -> None:
    written, _ = write(settings, reader)
    seen = chromium.run(written.page, "--dump-dom", "--virtual-time-budget=2000")
    assert "<title>Reports of 2026-11-30</title>" in seen
    found = Elements(seen)
    assert not {"script", "img"} & set(found.tags)
    assert SCRIPT in found.text


def test_a_browser_uses_the_style_sheet_that_the_page_names_by_its_hash(
    settings: Settings, filled: Connection, reader: Connection, tmp_path: Path
) -> None:
    written, page = write(settings, reader)
    unstyled = written.page.with_name("unstyled.html")
    unstyled.write_text(re.sub(r"sha256-.", "sha256-", page))
    pictures = []
    for path in (written.page, unstyled):
        shot = tmp_path / f"{path.stem}.png"
        chromium.run(path, f"--screenshot={shot}", "--window-size=800,600")
        pictures.append(shot.read_bytes())
    assert pictures[0] != pictures[1]


def test_the_page_prints(settings: Settings, filled: Connection, reader: Connection, tmp_path: Path) -> None:
    written, _ = write(settings, reader)
    printed = tmp_path / "page.pdf"
    chromium.run(written.page, f"--print-to-pdf={printed}", "--no-pdf-header-footer")
    made = printed.read_bytes()
    assert made.startswith(b"%PDF-")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", made)) <= 6
