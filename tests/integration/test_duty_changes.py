"""What somebody on duty is told of is noted first: the present state of each subject, and each change of it."""

from __future__ import annotations

import threading
from dataclasses import astuple
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from sluice.base import database
from sluice.base.settings import Settings
from sluice.duty import changes
from sluice.duty.conditions import FINE, Condition
from sluice.running import trimming
from tests.loading import Connection

START = datetime(2026, 11, 23, 6, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def feed(state: str, name: str = "orders", **numbers: int) -> Condition:
    return Condition("feed", name, state, None, dict(numbers))


def rows(connection: Connection, query: str) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in connection.execute(query).fetchall()]  # type: ignore[call-overload]


def test_each_change_is_noted_once_and_the_same_state_again_is_none(writer: Connection) -> None:
    assert changes.note(writer, [feed(FINE)], START) == []
    (late,) = changes.note(writer, [feed("late", due=1)], START + MINUTE)
    assert astuple(late)[1:] == ("feed", "orders", FINE, "late", START + MINUTE, {"due": 1})
    assert changes.note(writer, [feed("late", due=2)], START + 2 * MINUTE) == []
    present = rows(writer, "SELECT state, since, seen_at, numbers FROM ledger.duty")
    assert present == [("late", START + MINUTE, START + 2 * MINUTE, {"due": 2})]
    (fine,) = changes.note(writer, [feed(FINE)], START + 3 * MINUTE)
    assert fine.is_recovery
    assert not late.is_recovery
    assert rows(writer, "SELECT was, state FROM ledger.duty_changes ORDER BY change_id") == [
        (FINE, "late"),
        ("late", FINE),
    ]


def test_a_subject_that_is_wrong_at_the_first_look_has_changed_and_one_that_is_quiet_has_not(
    writer: Connection,
) -> None:
    seen = [feed("missing", "a"), feed(FINE, "b"), feed("unknown", "c")]
    assert [(one.name, one.was) for one in changes.note(writer, seen, START)] == [("a", None)]
    (judged,) = changes.note(writer, [feed(FINE, "c")], START + MINUTE)
    assert not judged.is_recovery, "nothing was wrong before"
    assert [row["name"] for row in changes.wrong(writer)] == ["a"]


def test_the_moment_from_which_it_holds_is_the_one_that_the_condition_names(writer: Connection) -> None:
    changes.note(writer, [Condition("stream", "stream", "down", START - MINUTE)], START)
    changes.note(writer, [Condition("stream", "stream", "down", START)], START + MINUTE)
    assert rows(writer, "SELECT since FROM ledger.duty") == [(START - MINUTE,)]
    assert rows(writer, "SELECT at FROM ledger.duty_changes") == [(START,)]


def test_what_is_not_there_any_more_is_gone_when_all_of_its_kind_were_named(writer: Connection) -> None:
    changes.note(writer, [feed("late", "a"), feed(FINE, "b"), Condition("stream", "stream", "down")], START)
    assert changes.note(writer, [feed(FINE, "d")], START + MINUTE) == [], "others are left as they were"
    (gone,) = changes.note(writer, [], START + MINUTE, complete=("feed",))
    assert (gone.name, gone.was, gone.state, gone.is_recovery) == ("a", "late", changes.GONE, False)
    assert rows(writer, "SELECT kind FROM ledger.duty") == [("stream",)]


def test_either_all_of_it_is_noted_or_nothing(writer: Connection) -> None:
    with pytest.raises(psycopg.errors.NotNullViolation):
        changes.note(writer, [feed("late"), Condition("feed", "b", None)], START)  # type: ignore[arg-type]
    assert rows(writer, "SELECT 1 FROM ledger.duty UNION ALL SELECT 1 FROM ledger.duty_changes") == []


def test_two_who_note_the_same_at_once_make_one_change(settings: Settings, connection: Connection) -> None:
    ready, noted = threading.Barrier(4), []

    def note() -> None:
        with database.connect(settings.writer_dsn) as opened:
            ready.wait()
            noted.append(changes.note(opened, [feed("late")], START))

    threads = [threading.Thread(target=note) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(len, noted)) == [0, 0, 0, 1]
    assert len(rows(connection, "SELECT 1 FROM ledger.duty_changes")) == 1


def test_the_reader_reads_them_and_writes_nothing(settings: Settings, writer: Connection) -> None:
    changes.note(writer, [feed("late")], START)
    with database.connect(settings.reader_dsn) as reader:
        assert [row["state"] for row in changes.wrong(reader)] == ["late"]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            changes.note(reader, [feed(FINE)], START + MINUTE)


def test_old_changes_go_but_not_the_last_of_a_subject_nor_the_last_that_was_told(
    settings: Settings, writer: Connection
) -> None:
    for number, state in enumerate(["late", FINE, "late", "missing"]):
        changes.note(writer, [feed(state)], START + number * MINUTE)
    changes.note(writer, [feed("late", "b")], START)
    writer.execute("UPDATE ledger.duty_changes SET told_at = at WHERE change_id <= 2")
    assert trimming.trim_duty(settings, writer, now=START) == 0
    assert trimming.trim_duty(settings, writer, now=START + timedelta(days=8)) == 2
    kept = rows(writer, "SELECT name, state FROM ledger.duty_changes ORDER BY change_id")
    assert kept == [("orders", FINE), ("orders", "missing"), ("b", "late")]
