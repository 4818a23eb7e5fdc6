"""What changes events is noted for the reports, in the transaction that does it, by the days that it changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sluice.base import database
from sluice.base.settings import Settings
from sluice.loading import merge
from sluice.loading.replay import replay
from sluice.loading.unload import unload_file
from tests.changed_days import ChangedDays
from tests.integration.test_months import MAY, NOVEMBER, OCTOBER, at
from tests.loading import Connection, change_contract, event, make_months, recount, table, write_contract

Load = Callable[..., int]
IN_MAY, IN_OCTOBER, IN_NOVEMBER = ("events", "2024-05-31"), ("events", "2026-10-03"), ("events", "2026-11-22")


@pytest.fixture
def days(connection: Connection) -> ChangedDays:
    return ChangedDays(connection)


def entries(connection: Connection) -> list[tuple[int | None, str | None, str | None]]:
    """What is noted, as it stands there."""
    rows = connection.execute("SELECT file_id, feed, day::text FROM ledger.report_changes ORDER BY change_id")
    return [(row["file_id"], row["feed"], row["day"]) for row in rows]


@pytest.fixture
def web(own_contracts: Settings) -> str:
    """A second feed, web; the header that tells it from events."""
    document = change_contract(own_contracts) | {"id": "sluice.web", "name": "web"}
    document["schema"][0]["properties"][-1] |= {"name": "paid_with", "physicalName": "payment_method"}
    write_contract(own_contracts, document)
    (own_contracts.contracts_dir / "events.odcs.yaml").rename(own_contracts.contracts_dir / "web.odcs.yaml")
    change_contract(own_contracts)
    return table().replace("payment_method", "paid_with")


# Rows come


@pytest.mark.parametrize("copied", [False, True], ids=["staged", "copied-at-once"])
def test_a_load_names_its_file_and_by_that_the_days_of_its_rows(
    load: Load, connection: Connection, days: ChangedDays, monkeypatch: pytest.MonkeyPatch, copied: bool
) -> None:
    if copied:
        monkeypatch.setattr("sluice.loading.one_load.STAGED_BYTES_MAX", 0)
    file_id = load(table(at(1, NOVEMBER), at(2, OCTOBER), at(3, MAY), at(4, "2026-11-23T10:00:00Z", price="dear")))
    assert entries(connection) == [(file_id, None, None)]
    assert days.look() == {IN_MAY, IN_OCTOBER, IN_NOVEMBER}


def test_a_file_that_brings_no_row_is_not_noted(load: Load, connection: Connection, days: ChangedDays) -> None:
    load(table(event(1)))
    days.look()
    load(table(event(1)) + "\n", "again.csv")
    load(table(event(2, price="dear")), "dear.csv")
    load("a table of no known feed\n1\n", "foreign.csv")
    assert recount(connection) == {1: (1, 0, 0), 2: (0, 0, 1), 3: (0, 1, 0)}
    assert entries(connection) == []


def test_what_becomes_of_a_file_without_its_rows_is_not_noted(
    load: Load, connection: Connection, days: ChangedDays
) -> None:
    load(table(event(1)))
    days.look()
    connection.execute("UPDATE ledger.files SET path = '', state = state, rows_loaded = rows_loaded, merged_at = now()")
    assert entries(connection) == []


def test_a_replay_names_the_file_that_it_brings_rows_to(
    load: Load, own_contracts: Settings, connection: Connection, days: ChangedDays
) -> None:
    file_id = load(table(at(1, OCTOBER, price="dear"), at(2, NOVEMBER)))
    load(table(event(3, price="dear")), "b.csv")
    days.look()
    replay(own_contracts)
    assert entries(connection) == []
    connection.execute(
        'UPDATE ledger.rejects SET fields = fields || \'{"price": "1.5"}\' WHERE file_id = %s', [file_id]
    )
    assert replay(own_contracts).loaded == 1
    assert entries(connection) == [(file_id, None, None)]
    assert days.look() == {IN_OCTOBER, IN_NOVEMBER}


# Rows leave


def test_an_unload_names_the_days_that_its_rows_leave_and_the_files_that_some_are_given_back_to(
    load: Load, web: str, own_contracts: Settings, connection: Connection, days: ChangedDays
) -> None:
    first = load(table(at(1, OCTOBER), at(2, NOVEMBER)))
    heir = load(web + at(2, NOVEMBER) + "\n" + at(3, MAY) + "\n", "web.csv")
    assert recount(connection) == {first: (2, 0, 0), heir: (1, 0, 1)}
    days.look()
    unload_file(own_contracts, first, "a wrong file", by_whom="test")
    assert recount(connection) == {heir: (2, 0, 0)}
    assert sorted(entries(connection), key=str) == sorted(
        [(None, *IN_OCTOBER), (None, *IN_NOVEMBER), (heir, None, None)], key=str
    )
    assert days.look() == {IN_OCTOBER, IN_NOVEMBER, ("web", "2026-11-22"), ("web", "2024-05-31")}


def test_what_is_rolled_back_is_not_noted(
    load: Load, own_contracts: Settings, connection: Connection, days: ChangedDays
) -> None:
    file_id = load(table(event(1)))
    days.look()
    unload_file(own_contracts, file_id, "a wrong file", by_whom="test", dry_run=True)
    assert entries(connection) == []


def test_a_revision_that_replaces_names_the_days_of_the_old_rows_and_of_the_new(
    load: Load, own_contracts: Settings, days: ChangedDays
) -> None:
    change_contract(own_contracts, revision="replace")
    load(table(at(1, OCTOBER), at(2, MAY)))
    days.look()
    load(table(at(1, NOVEMBER)))
    assert days.look() == {IN_OCTOBER, IN_MAY, IN_NOVEMBER}


def test_a_merge_names_the_day_of_the_row_that_it_sets_aside_and_none_else_of_its_file(
    load: Load, own_contracts: Settings, connection: Connection, days: ChangedDays
) -> None:
    load(table(at(1, OCTOBER)))
    load(table(at(1, NOVEMBER), at(2, MAY)), "b.csv")
    days.look()
    merge.merge(own_contracts)
    assert entries(connection) == [(None, *IN_NOVEMBER)]
    assert days.look() == {IN_NOVEMBER}


def test_rows_that_are_deleted_from_a_partition_are_noted_and_those_of_the_whole_table_once(
    load: Load, connection: Connection, days: ChangedDays
) -> None:
    """Of the first partitions too, which no load has made."""
    load(table(at(1, OCTOBER), at(2, NOVEMBER), at(3, MAY), at(4, "1999-12-31T23:59:59Z"), at(5, NOVEMBER)))
    days.look()
    connection.execute("DELETE FROM events_2026_10")
    assert days.look(whoever=True) == {IN_OCTOBER}
    connection.execute("DELETE FROM events_before_2000_01")
    assert days.look(whoever=True) == {("events", "1999-12-31")}
    connection.execute("DELETE FROM events")
    assert sorted(entries(connection), key=str) == [(None, *IN_MAY), (None, *IN_NOVEMBER)]
    assert days.look(whoever=True) == {IN_MAY, IN_NOVEMBER}


def test_a_day_is_one_of_utc_whatever_the_sessions_zone_is(
    load: Load, settings: Settings, connection: Connection, days: ChangedDays
) -> None:
    load(table(at(1, "2026-11-22T23:30:00Z")))
    days.look()
    with database.connect(settings.database_url, timezone="Asia/Tokyo") as elsewhere:
        elsewhere.execute("DELETE FROM public.events")
    assert entries(connection) == [(None, *IN_NOVEMBER)]


def test_moments_without_end_and_rows_of_no_file_are_noted_as_well(connection: Connection, days: ChangedDays) -> None:
    make_months(connection, "2026-11-22")
    for number, moment in enumerate(("-infinity", NOVEMBER, "infinity")):
        connection.execute(
            "INSERT INTO events (event_id, event_type, event_time, file_id, record_number) "
            "VALUES (gen_random_uuid(), 'search', %s, 999, %s)",
            [moment, number],
        )
    connection.execute("DELETE FROM events")
    gone = {("unknown", "-infinity"), ("unknown", "2026-11-22"), ("unknown", "infinity")}
    assert {entry[1:] for entry in entries(connection)} == gone


def test_who_deletes_rows_needs_no_right_on_what_is_noted_and_cannot_note_by_itself(
    load: Load, writer: Connection, days: ChangedDays
) -> None:
    """Nor does it matter what the writer has under the names that the trigger uses."""
    load(table(event(1)))
    days.look()
    writer.execute("CREATE TEMPORARY TABLE gone AS SELECT * FROM public.events WITH NO DATA")
    writer.execute("CREATE TEMPORARY TABLE report_changes (file_id bigint, feed text, day date)")
    writer.execute("DELETE FROM public.events")
    assert days.look(whoever=True) == {IN_NOVEMBER}
