"""A refresh beside all else: nobody waits for it, nothing is lost or counted twice, and a death changes nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import sql

from sluice.base import database
from sluice.base.settings import Settings
from sluice.loading import expiry
from sluice.loading.load_file import FileLoader
from sluice.loading.unload import LOCK_TIMEOUT, unload_file
from sluice.reports import definitions
from sluice.reports.refresh import NOT_REFRESHED, Refreshed, Refreshing, refresh
from sluice.reports.statements import table as table_of
from tests.counted_anew import differences
from tests.integration.test_months import MAY, NOVEMBER, OCTOBER, at
from tests.loading import Connection, Pause, paused_at, recount, table

Load = Callable[..., int]
# Where a refresh may stand: with its snapshot, its units, their events; when all is added up; before the commit alone.
STANDS = [
    "refresh.take_changes", "refresh.take_batch", "refresh.know_events", "refresh.forget_changes", "refresh.publish"
]  # fmt: skip
FIRST = table(at(1, OCTOBER, kind="search"), at(2, NOVEMBER), at(3, MAY))
MORE = table(at(7, MAY), at(8, OCTOBER), at(9, NOVEMBER, kind="add_to_cart"))
# Who has to wait for anybody's lock gives up.
AT_ONCE = "1ms"


def refreshed(settings: Settings, run_id: str = "test", url: str = "", **session: str) -> Refreshed:
    """A refresh in a session of its own, the reader's without ``url``."""
    with database.connect(url or settings.reader_dsn, application_name=run_id, **session) as connection:
        return refresh(connection, settings, run_id)


def published(connection: Connection) -> dict[str, str]:
    """All that reports and cells hold, and what waits, as digests."""
    found = {}
    names = [table_of(report) for report in definitions.read()]
    for name in [*names, sql.Identifier("report", "last_refresh"), sql.Identifier("ledger", "report_changes")]:
        query = sql.SQL("SELECT md5(string_agg(one::text, ',' ORDER BY one::text)) AS digest FROM {} AS one")
        row = connection.execute(query.format(name)).fetchone()
        assert row is not None
        found[name.as_string(connection)] = row["digest"]
    return found


def waiting(connection: Connection) -> int:
    """How many changes are noted and not counted."""
    return connection.execute("SELECT FROM ledger.report_changes").rowcount


def unload(settings: Settings, file_id: int) -> str:
    """What became of the reports."""
    return unload_file(settings, file_id, "the wrong one", by_whom="test").reports


def wait_until_it_waits(connection: Connection, application_name: str) -> None:
    """Until the session of that name waits for a lock."""
    query = "SELECT FROM pg_stat_activity WHERE application_name = %s AND pg_blocking_pids(pid) <> '{}'"
    end = time.monotonic() + 60
    while not connection.execute(query, [application_name]).rowcount:
        assert time.monotonic() < end, f"{application_name} does not wait"
        time.sleep(0.01)


@contextmanager
def standing_after(monkeypatch: pytest.MonkeyPatch, query: str) -> Iterator[Pause]:
    """The first refresh of this process that has run ``query`` stands there until the end."""
    pause, execute = Pause(), Refreshing._execute

    def stand(self: Refreshing, name: str, /, **parts: sql.Composable) -> None:
        execute(self, name, **parts)
        if name == query and not pause.reached.is_set():
            pause.reached.set()
            assert pause.go_on.wait(60)

    with monkeypatch.context() as patch:
        patch.setattr(Refreshing, "_execute", stand)
        try:
            yield pause
        finally:
            pause.go_on.set()


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def shop(load: Load, own_contracts: Settings) -> Settings:
    """Two files of three months are loaded and counted, a third one is only loaded."""
    load(FIRST)
    load(table(at(3, MAY), at(4, MAY)), "b.csv")
    refreshed(own_contracts)
    load(table(at(5, NOVEMBER), at(6, OCTOBER, kind="add_to_cart")), "c.csv")
    return own_contracts


# What comes and goes meanwhile


@pytest.mark.parametrize("query", STANDS)
def test_what_comes_and_goes_while_a_refresh_is_under_way_waits_for_nothing_and_the_next_one_counts_it(
    shop: Settings,
    land: Load,
    epoch: int,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    beside: ThreadPoolExecutor,
    query: str,
) -> None:
    more = land(MORE, "more.csv")
    monkeypatch.setattr("sluice.loading.stream_writer.LOCK_TIMEOUT", AT_ONCE)
    monkeypatch.setattr("sluice.loading.unload.LOCK_TIMEOUT", AT_ONCE)
    with standing_after(monkeypatch, query) as pause:
        under_way = beside.submit(refreshed, shop)
        assert pause.reached.wait(60)
        loader = FileLoader(shop, epoch)
        assert loader.load(more).state == "loaded"
        loader.close()
        reports = unload(replace(shop, unload_patience_seconds=0.001), 1)
        assert reports.startswith(NOT_REFRESHED)
        assert not under_way.done()
        pause.go_on.set()
        assert under_way.result(60).changes == 1, "c.csv"
    assert waiting(connection) == 5, "more.csv, the three days that its rows left, and b.csv, which got one back"
    assert refreshed(shop).changes == 5
    assert differences(connection, shop) == {}
    recount(connection)


@pytest.mark.parametrize("role", ["reader", "writer"])
def test_a_refresh_waits_for_no_load_and_no_unload_that_is_open_and_the_next_one_counts_them(
    shop: Settings,
    land: Load,
    epoch: int,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    beside: ThreadPoolExecutor,
    role: str,
) -> None:
    url = shop.reader_dsn if role == "reader" else shop.writer_dsn
    loader, more = FileLoader(shop, epoch), land(MORE, "more.csv")
    with (
        paused_at(monkeypatch, "load.before_commit") as load_stands,
        paused_at(monkeypatch, "unload.before_commit", "sluice.loading.unload") as unload_stands,
    ):
        loading = beside.submit(loader.load, more)
        unloading = beside.submit(unload, shop, 2)
        assert load_stands.reached.wait(60)
        assert unload_stands.reached.wait(60)
        assert refreshed(shop, url=url, lock_timeout=AT_ONCE).changes == 1
        before = published(connection)
        assert refreshed(shop, "other", url=url, lock_timeout=AT_ONCE).changes == 0
        assert _but_last_refresh(published(connection)) == _but_last_refresh(before)
        load_stands.go_on.set()
        assert loading.result(60).state == "loaded"
        unload_stands.go_on.set()
        assert unloading.result(60) == "refreshed"
    loader.close()
    assert waiting(connection) == 0
    assert differences(connection, shop) == {}


def test_an_unload_waits_half_a_second_for_a_refresh_and_leaves_the_reports_to_the_next_one(
    shop: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch, beside: ThreadPoolExecutor
) -> None:
    with standing_after(monkeypatch, "refresh.take_changes") as pause:
        under_way = beside.submit(refreshed, shop)
        assert pause.reached.wait(60)
        unloading = beside.submit(unload, shop, 2)
        wait_until_it_waits(connection, "sluice-unload")
        assert connection.execute("SELECT FROM events WHERE file_id = 2").rowcount == 0, "its rows are out already"
        assert unloading.result(60) == f"{NOT_REFRESHED} (canceling statement due to lock timeout)"
        assert not under_way.done()
    under_way.result(60)
    assert LOCK_TIMEOUT == "500ms"
    refreshed(shop)
    assert differences(connection, shop) == {}


def test_two_refreshes_at_once_follow_one_another_and_the_second_counts_what_came_while_it_waited(
    shop: Settings, load: Load, connection: Connection, monkeypatch: pytest.MonkeyPatch, beside: ThreadPoolExecutor
) -> None:
    with standing_after(monkeypatch, "refresh.publish") as pause:
        first = beside.submit(refreshed, shop, "first")
        assert pause.reached.wait(60)
        second = beside.submit(refreshed, shop, "second", shop.writer_dsn)
        wait_until_it_waits(connection, "second")
        load(MORE, "more.csv")
        pause.go_on.set()
        assert (first.result(60).changes, second.result(60).changes) == (1, 1)
    assert connection.execute("SELECT built_by FROM report.last_refresh").fetchone() == {"built_by": "second"}
    assert waiting(connection) == 0
    assert differences(connection, shop) == {}


def test_a_refresh_that_may_not_wait_for_another_gives_up_and_changes_nothing(
    shop: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch, beside: ThreadPoolExecutor
) -> None:
    with standing_after(monkeypatch, "refresh.take_changes") as pause:
        first = beside.submit(refreshed, shop)
        assert pause.reached.wait(60)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            refreshed(shop, "second", lock_timeout=AT_ONCE)
        pause.go_on.set()
        first.result(60)
    assert differences(connection, shop) == {}


def test_readers_see_all_of_the_old_numbers_until_all_of_the_new_ones_are_there(
    shop: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch, beside: ThreadPoolExecutor
) -> None:
    connection.execute(f"SET lock_timeout = '{AT_ONCE}'")
    before = published(connection)
    with standing_after(monkeypatch, "refresh.publish") as pause:
        under_way = beside.submit(refreshed, shop)
        assert pause.reached.wait(60)
        assert published(connection) == before
        pause.go_on.set()
        under_way.result(60)
    assert published(connection) != before


def test_a_month_is_not_dropped_under_a_refresh_that_reads_it_and_its_numbers_stay_when_it_is(
    load: Load,
    own_contracts: Settings,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    beside: ThreadPoolExecutor,
) -> None:
    """The change that waits when the cut rises is counted: the rows are still there."""
    monkeypatch.setattr(expiry, "_ATTEMPTS", 1)
    keeping = replace(own_contracts, keep_events_months=60)
    old = table(at(1, "2020-03-31T23:59:59Z", kind="search"), at(2, NOVEMBER))
    load(old)
    refreshed(keeping)
    load(table(at(3, "2020-03-31T10:00:00Z"), at(4, "2020-03-01T00:00:00Z")), "b.csv")
    assert _left(keeping) == ["events_2020_03"], "a change of it waits"
    with standing_after(monkeypatch, "refresh.know_events") as pause:
        under_way = beside.submit(refreshed, keeping)
        assert pause.reached.wait(60)
        assert _left(keeping) == ["events_2020_03"], "it is read"
        pause.go_on.set()
        assert under_way.result(60).units == 2
    assert _left(keeping) == []
    assert connection.execute("SELECT count(*) AS n FROM events").fetchone() == {"n": 1}
    assert connection.execute("SELECT events FROM report.last_refresh").fetchone() == {"events": 4}
    unload(keeping, 1)
    refreshed(keeping)
    assert connection.execute("SELECT events FROM report.last_refresh").fetchone() == {"events": 3}, "the kept one left"
    assert differences(connection, keeping) == {}


def test_files_that_load_all_the_while_are_each_counted_once(
    shop: Settings, land: Load, epoch: int, connection: Connection, beside: ThreadPoolExecutor
) -> None:
    """By whichever of two refreshers gets to it."""
    refreshed(shop)
    numbers = range(10, 34)
    files = [
        land(table(at(number, MAY), at(2, NOVEMBER), at(100 + number, OCTOBER)), f"{number}.csv") for number in numbers
    ]
    done = threading.Event()

    def keep_refreshing(url: str) -> int:
        changes = 0
        while not done.is_set():
            changes += refreshed(shop, url=url).changes
        return changes

    refreshing = [beside.submit(keep_refreshing, url) for url in (shop.reader_dsn, shop.writer_dsn)]
    loader = FileLoader(shop, epoch)
    try:
        for file_id in files:
            assert loader.load(file_id).state == "loaded"
    finally:
        done.set()
        loader.close()
    counted = [each.result(60) for each in refreshing]
    assert sum(counted) + refreshed(shop).changes == len(files)
    assert differences(connection, shop) == {}


# Deaths


def test_a_refresh_whose_session_is_ended_after_any_statement_leaves_the_old_numbers_and_the_next_one_is_right(
    shop: Settings, connection: Connection, postgres_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = published(connection)
    ended = 0
    with psycopg.connect(postgres_server.url(), autocommit=True) as superuser:
        while _ends_after(superuser, shop, monkeypatch, statement=1 + 7 * ended):
            ended += 1
            assert published(connection) == before
    assert ended > 5, "so many were ended before one had no statement left"
    assert waiting(connection) == 0
    assert differences(connection, shop) == {}


def _ends_after(superuser: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch, statement: int) -> bool:
    """Whether the session of a refresh was ended after its nth statement; False: it had fewer, and was through."""
    ran = 0

    def counting(run: Callable[..., Any]) -> Callable[..., Any]:
        def then(self: Refreshing, *arguments: Any, **parts: Any) -> Any:
            nonlocal ran
            done = run(self, *arguments, **parts)
            ran += 1
            if ran == statement:
                pid = self._cursor.connection.info.backend_pid
                superuser.execute("SELECT pg_terminate_backend(%s, 60000)", [pid])
            return done

        return then

    with monkeypatch.context() as patch:
        for name in ("_execute", "_run"):
            patch.setattr(Refreshing, name, counting(getattr(Refreshing, name)))
        if ran_out := _dies(settings):
            assert ran >= statement, ran_out
            return True
    assert ran < statement
    return False


def _dies(settings: Settings) -> str:
    try:
        refreshed(settings)
    except psycopg.OperationalError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("query", STANDS)
def test_a_refresh_whose_process_is_killed_leaves_the_old_numbers_and_the_next_one_is_right(
    shop: Settings, connection: Connection, query: str
) -> None:
    before = published(connection)
    code = f"""if True:
        import os, signal
        from sluice.base import database
        from sluice.base.settings import load
        from sluice.reports.refresh import Refreshing, refresh

        execute = Refreshing._execute

        def die(self, name, /, **parts):
            execute(self, name, **parts)
            if name == {query!r}:
                os.kill(os.getpid(), signal.SIGKILL)

        Refreshing._execute = die
        with database.connect(load().reader_dsn) as connection:
            refresh(connection, load(), "killed")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert published(connection) == before
    # It waits for the lock of the dead one: the server ends that session as soon as it notices.
    assert refreshed(shop).changes == 1
    assert differences(connection, shop) == {}


def test_a_report_that_cannot_be_counted_leaves_all_numbers_as_they_were_and_no_change_is_forgotten(
    shop: Settings, connection: Connection
) -> None:
    connection.execute("ALTER TABLE report.totals ADD CONSTRAINT few CHECK (events < 5)")
    before = published(connection)
    with pytest.raises(Exception, match="it cannot be counted"):
        refreshed(shop)
    assert published(connection) == before
    connection.execute("ALTER TABLE report.totals DROP CONSTRAINT few")
    assert refreshed(shop).changes == 1
    assert differences(connection, shop) == {}


def _left(settings: Settings) -> list[str]:
    done = expiry.expire(settings)
    assert done is not None
    return done.left


def _but_last_refresh(published: dict[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in published.items() if "last_refresh" not in name}
