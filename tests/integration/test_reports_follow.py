"""Any order of what changes events: after each refresh the reports are what a count from nothing gives."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.base import database
from sluice.base.settings import PROJECT, Settings
from sluice.landing import mover
from sluice.loading import expiry, merge
from sluice.loading.load_file import FileLoader
from sluice.loading.replay import replay
from sluice.loading.unload import unload_file
from sluice.reports import comparison
from sluice.reports import refresh as refreshing
from tests.counted_anew import differences, oracle_differences
from tests.loading import HEADER, Connection, event_id, recount, write_contract

# More of them find more: SLUICE_TEST_EXAMPLES=500.
EXAMPLES = int(os.environ.get("SLUICE_TEST_EXAMPLES", "12"))
# The generator's feed, and one of the shop's own: its revisions replace, its rows may name their currency.
FEEDS = ("events", "till")
HEADERS = {"events": HEADER, "till": HEADER.replace("payment_method", "paid_with,currency")}
NOT_KNOWN = "teleport"
KINDS = [
    "purchase",
    "purchase",
    "purchase",
    "cancellation",
    "search",
    "product_view",
    "add_to_cart",
    "remove_from_cart",
]
# Borders of years, months and days, here and elsewhere; an hour that summer time skips, and one that it has twice.
MOMENTS = [
    "2019-12-31T23:30:00Z", "2020-01-01T00:00:00Z", "2020-01-01T04:59:59.999999Z", "2020-01-31T22:30:00Z",
    "2020-01-31T23:59:59.999999Z", "2020-02-01T00:00:00Z", "2020-02-01T10:20:30Z", "2020-03-29T01:30:00Z",
    "2020-10-25T00:30:00Z", "2020-10-25T01:30:00Z",
]  # fmt: skip
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]
CUTS = ["2020-01", "2020-02", "2020-03"]


@dataclass(frozen=True)
class Row:
    """A line of a file, but for its currency."""

    number: int
    kind: str
    session: str
    user: str
    product: str
    moment: str
    category: str
    price: str
    quantity: str
    total: str
    query: str
    hits: str

    def line(self, feed: str, currency: str) -> str:
        minus = "-" if self.kind == "cancellation" else ""
        values = [
            event_id(self.number), self.kind, self.user, self.product, self.category, self.price, self.moment,
            self.session, "", "", self.query, self.hits, self.quantity and minus + self.quantity,
            self.total and minus + self.total, "card" if self.number % 2 else "",
        ]  # fmt: skip
        return ",".join([*values, currency] if feed == "till" else values)


def some(*texts: str) -> st.SearchStrategy[str]:
    """One of them, or nothing."""
    return st.sampled_from([*texts, ""])


rows = st.lists(
    st.builds(
        Row,
        number=st.integers(1, 30),
        kind=st.sampled_from([*KINDS, NOT_KNOWN]),
        session=some("s1", "s2", "s3"),
        user=some("u1", "u2", "u3"),
        product=some("p1", "p2", "p3"),
        moment=st.sampled_from(MOMENTS),
        category=some("shoes", "hats"),
        price=some("1.5", "9.99", "0.0001"),
        quantity=some("1", "3", "9223372036854775807"),
        total=some("7.25", "100"),
        query=some(" Shoes", "shoes ", "hats"),
        hits=some("0", "0", "5"),
    ),
    min_size=1,
    max_size=6,
)
feeds, names, which, currencies = st.sampled_from(FEEDS), st.integers(0, 2), st.integers(0, 99), some("EUR", "usd", "?")


def loads() -> st.SearchStrategy[tuple[Any, ...]]:
    """Of equal ones one_of takes one."""
    return st.tuples(st.just("load"), feeds, names, rows, currencies)


def refreshes() -> st.SearchStrategy[tuple[Any, ...]]:
    """By either role that may."""
    return st.tuples(st.just("refresh"), st.sampled_from(["reader", "writer"]))


steps = st.lists(
    st.one_of(
        loads(),
        loads(),
        loads(),
        refreshes(),
        refreshes(),
        refreshes(),
        refreshes(),
        st.tuples(st.just("repeat"), which, rows, names),
        st.tuples(st.just("repeat"), which, st.just([]), names),
        st.tuples(st.just("unload"), which, st.just(False)),
        st.tuples(st.just("unload"), which, st.booleans()),
        st.tuples(st.just("mend"), st.sampled_from(["purchase", "search"])),
        st.tuples(st.just("merge")),
        st.tuples(st.just("expire"), st.sampled_from(CUTS)),
        st.tuples(st.just("zone"), st.sampled_from(ZONES)),
        st.tuples(st.just("contract"), feeds, st.sampled_from(["", "EUR", "JPY"]), st.booleans()),
    ),
    min_size=4,
    max_size=16,
)


@dataclass
class Shop:
    """A pipeline of which all is used but Spark and Airflow; ``steps`` are its methods, by their names."""

    settings: Settings
    owner: Connection
    epoch: int
    loader: FileLoader = field(init=False)
    files: list[tuple[str, list[str]]] = field(init=False)
    currencies: dict[str, str] = field(init=False)
    without_sales: set[str] = field(init=False)

    def begin(self) -> None:
        """As on the first day; the reports know that there is nothing."""
        self.owner.execute(_EMPTY)
        for folder in (self.settings.archive_dir, self.settings.incoming_dir, self.settings.processing_dir):
            for entry in folder.iterdir():
                if not entry.name.startswith("."):
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self.settings = replace(self.settings, shop_zone="UTC")
        self.files, self.currencies, self.without_sales = [], {}, set()
        for feed in FEEDS:
            self.contract(feed, "", True)
        self.loader = FileLoader(self.settings, self.epoch)
        self.refresh("reader")

    def end(self) -> None:
        """The last word, a refresh that has nothing to do, and a comparison that finds nothing."""
        self.refresh("reader")
        with database.connect(self.settings.reader_dsn) as reader:
            done = refreshing.refresh(reader, self.settings, "again")
            assert (done.changes, done.units, done.whole) == (0, 0, ())
            assert not comparison.compare(reader, self.settings, "compared")
        recount(self.owner)

    # --- what may happen

    def load(self, feed: str, name: int, rows: list[Row], currency: str) -> None:
        self.land(feed, name, [row.line(feed, currency) for row in rows])

    def repeat(self, number: int, more: list[Row], name: int) -> None:
        """The rows of an earlier file and others; without others the same bytes."""
        if self.files:
            feed, lines = self.files[number % len(self.files)]
            self.land(feed, name, [*lines, *(row.line(feed, "") for row in more)])

    def land(self, feed: str, name: int, lines: list[str]) -> None:
        self.files.append((feed, lines))
        path = self.settings.incoming_dir / f"{feed}-{name}.csv"
        path.write_text("\n".join([HEADERS[feed], *lines]) + "\n")
        os.utime(path, (time.time() - 60, time.time() - 60))
        with database.connect(self.settings.writer_dsn) as writer:
            assert mover.move_landed(self.settings, writer).failed == {}
        self.load_all()

    def load_all(self) -> None:
        while waiting := self.owner.execute("SELECT file_id FROM ledger.files WHERE state = 'landed'").fetchall():
            for row in waiting:
                self.loader.load(row["file_id"])

    def unload(self, number: int, with_duplicates: bool) -> None:
        loaded = self.owner.execute(
            "SELECT file_id FROM ledger.files WHERE state = 'loaded' ORDER BY file_id"
        ).fetchall()
        if loaded:
            file_id = loaded[number % len(loaded)]["file_id"]
            left = unload_file(self.settings, file_id, "the wrong one", by_whom="test", with_duplicates=with_duplicates)
            self.load_all()  # a duplicate that takes its place
            assert left.reports.startswith((refreshing.NOT_REFRESHED, "refreshed")), left.reports

    def mend(self, kind: str) -> None:
        self.owner.execute(
            "UPDATE ledger.rejects SET fields = fields || jsonb_build_object('event_type', %s::text) "
            "WHERE state = 'quarantined' AND 'event_type.enum' = ANY (rules)",
            [kind],
        )
        replay(self.settings)

    def merge(self) -> None:
        assert merge.merge(self.settings) is not None

    def expire(self, cut: str) -> None:
        now = datetime.now(UTC)
        kept = (now.year - int(cut[:4])) * 12 + now.month - int(cut[5:])
        expiry.expire(replace(self.settings, keep_events_months=kept))

    def zone(self, zone: str) -> None:
        self.settings = replace(self.settings, shop_zone=zone)

    def contract(self, feed: str, currency: str, counts_sales: bool) -> None:
        """What the contract of a feed says of its sales."""
        said: dict[str, Any] = {"revision": "replace" if feed == "till" else "append"}
        said |= {"reportCurrency": currency} if currency else {}
        said |= {} if counts_sales else {"sales": False}
        document = yaml.safe_load((PROJECT / "include/contracts/events.odcs.yaml").read_text())
        document |= {"id": f"test.{feed}", "name": feed}
        document["customProperties"] = [{"property": name, "value": value} for name, value in said.items()]
        table = document["schema"][0]
        table.pop("quality")
        table["properties"][1]["enum"].append({"value": "cancellation"})
        for column in table["properties"]:
            if column["name"] in ("price", "quantity", "total_amount"):
                column.pop("logicalTypeOptions")
        if feed == "till":
            table["properties"][-1] |= {"name": "paid_with", "physicalName": "payment_method"}
            table["properties"].append({"name": "currency", "logicalType": "string"})
        write_contract(self.settings, document, feed)
        self.currencies[feed] = currency
        (self.without_sales.discard if counts_sales else self.without_sales.add)(feed)

    # --- what must hold

    def refresh(self, role: str) -> None:
        url = self.settings.reader_dsn if role == "reader" else self.settings.writer_dsn
        with database.connect(url) as connection:
            refreshing.refresh(connection, self.settings, role)
        assert self.owner.execute("SELECT FROM ledger.report_changes").rowcount == 0
        assert differences(self.owner, self.settings) == {}
        if self.owner.execute("SELECT FROM ledger.expired_months WHERE rows > 0").rowcount == 0:
            assert oracle_differences(self.owner, self.settings.shop_zone, self.currencies, self.without_sales) == {}


# All but the schema, the living stream and the folders that are known.
_EMPTY: Any = """
    DO $$
    BEGIN
        EXECUTE (
            SELECT 'TRUNCATE public.events, ' || string_agg(oid::regclass::text, ', ')
            FROM pg_class
            WHERE relkind = 'r' AND relnamespace::regnamespace::text IN ('ledger', 'report', 'report_cells')
                AND oid <> ALL (ARRAY['ledger.streams', 'ledger.identity']::regclass[])
        );
    END
    $$
"""


@pytest.fixture
def shop(own_contracts: Settings, connection: Connection, epoch: int) -> Shop:
    return Shop(own_contracts, connection, epoch)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(steps=steps, at_once=st.sampled_from([1, 20, 400_000]), by_key=st.sampled_from([5, 1_000_000]))
def test_after_whatever_happened_the_reports_are_what_a_count_from_nothing_gives(
    shop: Shop, steps: list[tuple[Any, ...]], at_once: int, by_key: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Units each by itself, some, or all at a time; of what came by its keys, or as a whole.
        patch.setattr(refreshing, "_EVENTS_AT_ONCE", at_once)
        patch.setattr(refreshing, "_ROWS_BY_KEY", by_key)
        shop.begin()
        try:
            for name, *values in steps:
                getattr(shop, name)(*values)
            shop.end()
        finally:
            shop.loader.close()
