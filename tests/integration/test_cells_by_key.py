"""Of a day that rows came to, a refresh counts only the cells of what came, with all that these have of the day."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from sluice.base import database, queries
from sluice.base.settings import Settings
from sluice.loading.unload import unload_file
from sluice.reports import definitions
from sluice.reports.refresh import Refreshing
from sluice.reports.statements import Statements
from tests.loading import Connection, event_id, table
from tests.reports import refresh

Load = Callable[..., int]


@pytest.fixture
def reader(settings: Settings) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A connection as sluice_reader."""
    with database.connect(settings.reader_dsn) as opened:
        yield opened


def line(number: int, session: str, product: str, kind: str = "product_view") -> str:
    """An event of one day; the user is the session's."""
    when, user = f"2026-11-22T10:{number:02d}:00Z", f"user of {session}" if session else ""
    return f"{event_id(number)},{kind},{user},{product},shoes,9.99,{when},{session},10.0.0.1,Agent,,,1,,"


def views(connection: Connection) -> dict[str | None, int]:
    """By session, as its cell says."""
    rows = connection.execute("SELECT session_id, views FROM report_cells.visits")
    return {row["session_id"]: row["views"] for row in rows}


def spoil(connection: Connection) -> None:
    """Whoever counts a cell anew mends it."""
    connection.execute("UPDATE report_cells.visits SET views = 99")


def test_the_cells_of_other_keys_are_left_as_they_are(
    load: Load, settings: Settings, reader: Connection, connection: Connection
) -> None:
    load(table(line(1, "a", "hat"), line(2, "b", "hat")))
    refresh(reader, settings)
    spoil(connection)
    load(table(line(3, "a", "shoe"), line(4, "c", "shoe")), "b.csv")
    refresh(reader, settings)
    assert views(connection) == {"a": 2, "b": 99, "c": 1}
    products = connection.execute("SELECT product_id, events FROM report.products ORDER BY product_id").fetchall()
    assert [tuple(row.values()) for row in products] == [("hat", 2), ("shoe", 2)]


def test_rows_without_a_session_are_counted_with_their_like(
    load: Load, settings: Settings, reader: Connection, connection: Connection
) -> None:
    load(table(line(1, "", "hat"), line(2, "b", "hat")))
    refresh(reader, settings)
    spoil(connection)
    load(table(line(3, "", "shoe")), "b.csv")
    refresh(reader, settings)
    assert views(connection) == {None: 2, "b": 99}


def test_a_day_that_rows_left_is_counted_as_a_whole(
    load: Load, settings: Settings, reader: Connection, connection: Connection
) -> None:
    file_id = load(table(line(1, "a", "hat")))
    load(table(line(2, "b", "hat")), "b.csv")
    refresh(reader, settings)
    spoil(connection)
    unload_file(settings, file_id, "its rows are wrong", by_whom="test")
    refresh(reader, settings)
    assert views(connection) == {"b": 1}


def test_days_are_counted_as_a_whole_when_very_much_came(
    load: Load, settings: Settings, reader: Connection, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.reports.refresh._ROWS_BY_KEY", 1)
    load(table(line(1, "a", "hat"), line(2, "b", "hat")))
    refresh(reader, settings)
    spoil(connection)
    load(table(line(3, "a", "hat")), "b.csv")
    refresh(reader, settings)
    assert views(connection) == {"a": 2, "b": 99}
    load(table(line(4, "a", "hat"), line(5, "c", "hat")), "c.csv")
    refresh(reader, settings)
    assert views(connection) == {"a": 3, "b": 1, "c": 1}


def test_only_the_months_of_the_files_are_looked_through(
    load: Load, settings: Settings, reader: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the planner learns while it runs is too late: with 30,000,000 events it took twelve seconds."""
    for month in ("2026-05", "2026-08", "2026-10"):
        load(table(line(1, "a", "hat").replace("2026-11", month)), f"{month}.csv")
    refresh(reader, settings)
    load(table(line(2, "a", "hat")), "now.csv")
    plans: list[str] = []
    find = Statements.find_rows_that_came

    with reader.transaction(), reader.cursor() as cursor:

        def explained(self: Statements, run: dict[str, Any], *, is_whole: bool) -> sql.Composed:
            statement = find(self, run, is_whole=is_whole)
            plans.extend(str(row["QUERY PLAN"]) for row in cursor.execute(sql.SQL("EXPLAIN ") + statement).fetchall())
            return statement

        monkeypatch.setattr(Statements, "find_rows_that_came", explained)
        cursor.execute(queries.compose("refresh.begin"))
        Refreshing(cursor, settings, definitions.read()).run("test")
    assert {found for plan in plans for found in re.findall(r" on (events_\w+)", plan)} == {"events_2026_11"}


def test_files_far_apart_are_looked_up_in_runs(
    load: Load, settings: Settings, reader: Connection, connection: Connection
) -> None:
    load(table(line(1, "a", "hat")))
    connection.execute("SELECT setval(pg_get_serial_sequence('ledger.files', 'file_id'), 500)")
    load(table(line(2, "b", "hat").replace("2026-11", "2026-05")), "b.csv")
    load(table(line(3, "c", "hat")), "c.csv")
    refresh(reader, settings)
    assert views(connection) == {"a": 1, "b": 1, "c": 1}
    load(table(line(4, "a", "hat")), "d.csv")
    connection.execute("SELECT setval(pg_get_serial_sequence('ledger.files', 'file_id'), 1000)")
    load(table(line(5, "b", "hat").replace("2026-11", "2026-05")), "e.csv")
    refresh(reader, settings)
    assert views(connection) == {"a": 2, "b": 2, "c": 1}
