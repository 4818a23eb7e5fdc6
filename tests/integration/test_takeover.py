"""The same bytes land under several names: how the one that was loaded ends decides what becomes of the others."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sluice.base import database, queries
from sluice.base.renaming import rename_if_free
from sluice.base.settings import PROJECT, SQL, Settings
from sluice.landing import mover, register, tidy
from sluice.ledger import receipts
from sluice.loading import merge
from sluice.loading.load_file import FileLoader
from sluice.loading.unload import unload_file
from sluice.proof import sealing
from sluice.proof.reconcile import reconcile
from tests.changed_days import ChangedDays
from tests.loading import Connection, change_contract, event, owners, recount, rejects, state, table
from tests.reports import refresh_as_the_reader

Put = Callable[..., int]
SHOP = table(event(1), event(2), event(3, kind="teleport"), event(2))
TALLY = (2, 1, 1)


@pytest.fixture
def loader(own_contracts: Settings, epoch: int) -> Iterator[FileLoader]:
    made = FileLoader(own_contracts, epoch)
    yield made
    made.close()


@pytest.fixture
def put(own_contracts: Settings) -> Iterator[Put]:
    """Lands bytes under a name and moves them, as the pipeline does; returns the file_id."""
    with database.connect(own_contracts.writer_dsn) as writer:

        def move(data: str | bytes, name: str) -> int:
            path = own_contracts.incoming_dir / name
            path.write_bytes(data.encode() if isinstance(data, str) else data)
            os.utime(path, (time.time() - 60, time.time() - 60))
            moved = mover.move_landed(own_contracts, writer)
            assert not moved.failed
            [file_id] = moved.moved + moved.duplicates
            return file_id

        yield move


def file(connection: Connection, file_id: int) -> dict[str, Any]:
    row = connection.execute("SELECT * FROM ledger.files WHERE file_id = %s", [file_id]).fetchone()
    assert row is not None
    return row


def states(connection: Connection, *file_ids: int) -> list[str]:
    return [state(connection, file_id) for file_id in file_ids]


def unload(settings: Settings, file_id: int, **how: Any) -> Any:
    return unload_file(settings, file_id, "a wrong file", by_whom="test", **how)


def seal(settings: Settings) -> None:
    """All that can be sealed is: its bytes are deleted."""
    with database.connect(settings.writer_dsn) as writer:
        writer.execute("UPDATE ledger.files SET moved_at = '2025-01-02', loaded_at = least(loaded_at, '2025-01-02')")
        for path in settings.archive_dir.glob("*/*"):
            path.rename(path.with_name("2025-01-02"))
        for name in ("loaded", "duplicate"):
            writer.execute(
                "UPDATE ledger.files SET path = regexp_replace(path, '/[0-9-]{10}/', '/2025-01-02/') WHERE state = %s",
                [name],
            )
        merge.merge(settings)
        sealing.seal_archive(settings, writer)


def test_a_file_whose_original_was_unloaded_is_loaded_in_its_place(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    first, second, third = put(SHOP, "a.csv"), put(SHOP, "b.csv"), put(SHOP, "c.csv")
    loader.load(first)
    days = ChangedDays(connection)
    left = unload(own_contracts, first)
    assert days.look() == {("events", "2026-11-22")}
    assert (left.duplicates.heir, left.duplicates.heir_name, left.duplicates.handed_over) == (second, "b.csv", False)
    assert states(connection, first, second, third) == ["unloaded", "landed", "duplicate"]
    assert (file(connection, second)["duplicate_of"], file(connection, third)["duplicate_of"]) == (None, second)

    assert loader.load(second).state == "loaded"
    assert days.look() == {("events", "2026-11-22")}
    assert recount(connection) == {second: TALLY}
    assert (own_contracts.home_dir / file(connection, second)["path"]).read_text() == SHOP
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds
    unload(own_contracts, second)
    assert loader.load(third).state == "loaded"
    assert recount(connection) == {third: TALLY}


def test_an_unload_that_asks_for_the_duplicates_takes_them_too(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    files = [put(SHOP, f"{name}.csv") for name in "abc"]
    loader.load(files[0])
    left = unload(own_contracts, files[0], with_duplicates=True)
    assert (left.duplicates.heir, left.duplicates.followed) == (None, files[1:])
    assert states(connection, *files) == ["unloaded"] * 3
    assert owners(connection) == {}
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds
    assert loader.load(put(SHOP, "b.csv")).state == "loaded"


def test_a_dry_run_says_what_an_unload_would_do_and_changes_nothing(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    first, second, third = put(SHOP, "a.csv"), put(SHOP, "b.csv"), put(SHOP, "c.csv")
    loader.load(first)
    before = connection.execute("SELECT * FROM ledger.files ORDER BY file_id").fetchall()
    told = unload_file(own_contracts, first, "", by_whom="test", dry_run=True)
    assert (told.rows_taken_out, told.rejects_withdrawn, told.duplicates.heir) == (2, 1, second)
    told = unload_file(own_contracts, first, "", by_whom="test", dry_run=True, with_duplicates=True)
    assert (told.rows_removed, told.duplicates.heir, told.duplicates.followed) == (2, None, [second, third])
    assert connection.execute("SELECT * FROM ledger.files ORDER BY file_id").fetchall() == before
    assert recount(connection) == {first: TALLY}
    assert connection.execute("SELECT FROM ledger.audit").rowcount == 0


def test_a_file_whose_original_was_replaced_is_loaded_but_not_one_of_the_same_name(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    change_contract(own_contracts, revision="replace")
    first, same, other = put(SHOP, "shop-a.csv"), put(SHOP, "shop-a.csv"), put(SHOP, "shop-b.csv")
    loader.load(first)
    revision = put(table(event(2), event(4)), "shop-a.csv")
    loader.load(revision)
    assert states(connection, first, same, other, revision) == ["replaced", "replaced", "landed", "loaded"]
    assert loader.load(other).state == "loaded"
    assert recount(connection) == {other: (1, 1, 2), revision: (2, 0, 0)}
    assert owners(connection).keys() == {1, 2, 4}
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds


def test_a_file_whose_original_was_rejected_for_its_name_is_loaded(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    change_contract(own_contracts, revision="reject")
    first = put(table(event(9)), "a.csv")
    again, other = put(SHOP, "a.csv"), put(SHOP, "b.csv")
    loader.load(first)
    loader.load(again)
    assert (file(connection, again)["rejected_for"], state(connection, other)) == ("name", "landed")
    loader.load(other)
    assert recount(connection) == {first: (1, 0, 0), other: TALLY}


def test_a_file_whose_original_changed_after_it_was_registered_is_loaded(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    first, second = put(SHOP, "a.csv"), put(SHOP, "b.csv")
    (own_contracts.home_dir / file(connection, first)["path"]).write_text(SHOP + event(5) + "\n")
    assert loader.load(first).state == "rejected"
    assert (file(connection, first)["rejected_for"], file(connection, first)["path"]) == ("changed", "incoming/a.csv")
    assert loader.load(second).state == "loaded"
    assert recount(connection) == {second: TALLY}


def test_a_file_that_changed_goes_back_beside_a_new_one_of_its_name_and_the_ledger_says_where(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    first = put(SHOP, "a.csv")
    changed = SHOP + event(5) + "\n"
    (own_contracts.home_dir / file(connection, first)["path"]).write_text(changed)
    new = own_contracts.incoming_dir / "a.csv"
    new.write_text("the next one")
    loader.load(first)
    assert new.read_text() == "the next one"
    assert file(connection, first)["path"] == "incoming/returned-1-a.csv"
    assert (own_contracts.home_dir / file(connection, first)["path"]).read_text() == changed


def test_a_new_file_that_lands_while_a_changed_one_goes_back_is_not_overwritten(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = put(SHOP, "a.csv")
    changed = SHOP + event(5) + "\n"
    (own_contracts.home_dir / file(connection, first)["path"]).write_text(changed)
    new = own_contracts.incoming_dir / "a.csv"

    def land_now(point: str) -> None:
        if point == "archive.before_move":
            new.write_text("the next one")

    monkeypatch.setattr("sluice.loading.afterwards.crash_point", land_now)
    loader.load(first)
    assert new.read_text() == "the next one"
    with database.connect(own_contracts.writer_dsn) as writer:
        # What it puts back has to settle: who has changed it may not be done.
        moved = mover.move_landed(replace(own_contracts, settle_seconds=3600), writer)
    assert (len(moved.finished), moved.moved) == (1, [])
    assert (own_contracts.home_dir / file(connection, first)["path"]).read_text() == changed
    assert new.read_text() == "the next one"


def test_a_file_whose_original_has_wrong_content_is_rejected_for_the_same_reason(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    files = [put("a table of no known feed\n1\n", f"{name}.csv") for name in "abc"]
    loader.load(files[0])
    assert states(connection, *files) == ["rejected"] * 3
    errors = {(file(connection, each)["error"], file(connection, each)["rejected_for"]) for each in files}
    assert len(errors) == 1
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds


def test_bytes_that_only_another_name_can_read_are_loaded_under_it(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    packed = gzip.compress(SHOP.encode())
    first, second, third = put(packed, "a.csv"), put(packed, "b.csv"), put(packed, "c.csv.gz")
    loader.load(first)
    assert states(connection, first, second, third) == ["rejected", "rejected", "landed"]
    loader.load(third)
    assert recount(connection) == {third: TALLY}


def test_rows_are_handed_over_when_no_bytes_are_left_in_the_archive(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    first, second, third = put(SHOP, "a.csv"), put(SHOP, "b.csv"), put(SHOP, "c.csv")
    loader.load(first)
    seal(own_contracts)
    assert list(own_contracts.archive_dir.rglob("*.csv")) == []
    days = ChangedDays(connection)
    left = unload(own_contracts, first)
    noted = connection.execute("SELECT file_id, feed FROM ledger.report_changes ORDER BY file_id").fetchall()
    assert [tuple(row.values()) for row in noted] == [(second, None), (None, "events")]
    assert days.look() == {("events", "2026-11-22")}
    assert (left.rows_removed, left.duplicates.rows_handed_over, left.duplicates.heir) == (0, 2, second)
    assert states(connection, first, second, third) == ["unloaded", "loaded", "duplicate"]
    assert recount(connection) == {second: TALLY}
    assert [row["state"] for row in rejects(connection, second)] == ["quarantined"]
    assert file(connection, third)["duplicate_of"] == second
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds
    unload(own_contracts, second)
    assert recount(connection) == {third: TALLY}


def test_a_duplicate_whose_bytes_were_deleted_has_the_rows_though_another_still_has_bytes(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    first, second = put(SHOP, "a.csv"), put(SHOP, "b.csv")
    loader.load(first)
    seal(own_contracts)
    third = put(SHOP, "c.csv")
    (own_contracts.home_dir / file(connection, third)["path"]).write_text("something else")
    assert unload(own_contracts, first).duplicates.heir == second
    assert states(connection, first, second, third) == ["unloaded", "loaded", "duplicate"]
    assert recount(connection) == {second: TALLY}
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds


def test_a_duplicate_with_bytes_is_loaded_when_one_without_would_undo_a_newer_revision(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    change_contract(own_contracts, revision="replace")
    old = put(SHOP, "b.csv")
    loader.load(old)
    newer = put(table(event(9)), "b.csv")
    loader.load(newer)
    first, again = put(SHOP, "a.csv"), put(SHOP, "b.csv")
    loader.load(first)
    seal(own_contracts)
    third = put(SHOP, "c.csv")
    left = unload(own_contracts, first)
    assert (left.duplicates.set_aside, left.duplicates.heir, left.duplicates.handed_over) == ([again], third, False)
    assert states(connection, newer, again, third) == ["loaded", "rejected", "landed"]


def test_a_duplicate_that_is_on_its_way_to_the_archive_takes_over(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    first, second = put(SHOP, "a.csv"), put(SHOP, "b.csv")
    loader.load(first)
    place = own_contracts.home_dir / file(connection, second)["path"]
    rename_if_free(place, own_contracts.processing_dir / place.name)  # where a mover died before it went on
    left = unload(own_contracts, first)
    assert (left.duplicates.heir, left.duplicates.handed_over) == (second, False)
    loader.load(second)
    assert recount(connection) == {second: TALLY}
    assert place.read_text() == SHOP
    assert tidy.strays(own_contracts, connection, older_than_seconds=0) == []


def test_receipts_follow_rows_that_are_handed_over(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    first, second = put(SHOP, "a.csv"), put(SHOP, "b.csv")
    loader.load(first)
    seal(own_contracts)
    with database.connect(own_contracts.writer_dsn) as writer:
        made = receipts.verify(writer, first) or {}
        unload(own_contracts, first)
        assert receipts.make_next(writer) == second
        left, taken = receipts.verify(writer, first) or {}, receipts.verify(writer, second) or {}
    assert (left["receipt"], left["holds"]) == ("0" * 32, True)
    assert (taken["receipt"], taken["holds"]) == (made["receipt"], True)


def test_rows_are_handed_over_by_a_revision_too(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    change_contract(own_contracts, revision="replace")
    first, second = put(SHOP, "a.csv"), put(SHOP, "b.csv")
    loader.load(first)
    seal(own_contracts)
    revision = put(table(event(2), event(4)), "a.csv")
    loader.load(revision)
    assert recount(connection) == {second: TALLY, revision: (1, 0, 1)}
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds


def test_bytes_that_are_missing_on_disk_count_as_none(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    first, second, third = put(SHOP, "a.csv"), put(SHOP, "b.csv"), put(SHOP, "c.csv")
    loader.load(first)
    (own_contracts.home_dir / file(connection, second)["path"]).unlink()
    assert unload(own_contracts, first).duplicates.heir == third


def test_an_heir_that_is_no_file_any_more_gives_its_turn_to_the_next(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    first, second, third = put(SHOP, "a.csv"), put(SHOP, "b.csv"), put(SHOP, "c.csv")
    loader.load(first)
    unload(own_contracts, first)
    (own_contracts.home_dir / file(connection, second)["path"]).write_text("something else")
    loader.load(second)
    assert (file(connection, second)["rejected_for"], state(connection, third)) == ("changed", "landed")
    assert "it stays as archive/duplicate/" in file(connection, second)["error"]
    assert (own_contracts.home_dir / file(connection, second)["path"]).exists()
    loader.load(third)
    assert recount(connection) == {third: TALLY}


def test_the_audit_says_who_took_over_from_whom(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    first, second = put(SHOP, "a.csv"), put(SHOP, "b.csv")
    loader.load(first)
    unload(own_contracts, first)
    taken, unloaded = connection.execute("SELECT * FROM ledger.audit ORDER BY audit_id").fetchall()
    assert (taken["action"], taken["file_id"], taken["details"]["original"]) == ("takeover", second, first)
    assert (unloaded["action"], unloaded["details"]["duplicates"]["heir"]) == ("unload", second)


def test_the_years_that_a_duplicate_slept_are_no_lag(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    first, second = put(SHOP, "a.csv"), put(SHOP, "b.csv")
    loader.load(first)
    connection.execute("UPDATE ledger.files SET landed_at = '2020-01-01' WHERE file_id = %s", [second])
    unload(own_contracts, first)
    loader.load(second)
    found = queries.row(connection, "ledger/status.latency_of_newest", most=10)
    assert found["p95"] < 60


def test_a_file_that_took_over_is_sealed_like_any_loaded_file(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    first, second = put(SHOP, "a.csv"), put(SHOP, "b.csv")
    loader.load(first)
    unload(own_contracts, first)
    loader.load(second)
    seal(own_contracts)
    assert file(connection, second)["sealed_at"] is not None
    assert [path.name for path in own_contracts.archive_dir.rglob("*.csv")] == [
        Path(file(connection, first)["path"]).name
    ]
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds


def test_a_duplicate_of_a_file_that_only_waits_is_not_sealed(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    files = [put(SHOP, f"{name}.csv") for name in "abc"]
    loader.load(files[0])
    unload(own_contracts, files[0])
    seal(own_contracts)
    assert [file(connection, each)["sealed_at"] for each in files] == [None] * 3


def test_a_duplicate_of_a_file_that_is_not_loaded_is_broken_for_the_recount_until_its_bytes_land_again(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    first, second = put(SHOP, "a.csv"), put(SHOP, "b.csv")
    loader.load(first)
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds
    connection.execute(
        "UPDATE ledger.files SET state = 'rejected', error = 'by an older version' WHERE file_id = %s", [first]
    )
    connection.execute("DELETE FROM events")
    connection.execute("DELETE FROM ledger.rejects")
    connection.execute("DELETE FROM ledger.duplicates")
    [broken] = reconcile(own_contracts, own_contracts.reader_dsn).broken
    assert f"file {second} (b.csv) is a duplicate of file {first}, which is rejected" in broken
    third = put(SHOP, "c.csv")
    loader.load(third)
    assert file(connection, second)["duplicate_of"] == third
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds


# --- at the same moment


def until_it_waits_for_a_lock(settings: Settings, name: str, doing: threading.Thread) -> None:
    """Until a session of the pipeline's role waits for another; roles do not see what others wait for."""
    query = "SELECT FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
    with database.connect(settings.writer_dsn) as writer:
        while writer.execute(query, [name]).fetchone() is None:
            assert doing.is_alive()


@pytest.mark.parametrize("with_reports", [False, True], ids=["without-reports", "on-a-snapshot-for-reports"])
def test_a_duplicate_that_is_registered_while_its_original_is_unloaded_takes_over(
    own_contracts: Settings,
    put: Put,
    loader: FileLoader,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    with_reports: bool,
) -> None:
    first = put(SHOP, "a.csv")
    loader.load(first)
    if with_reports:
        refresh_as_the_reader(own_contracts)
    unloading = threading.Thread(target=unload, args=[own_contracts, first])

    def unload_now(point: str) -> None:
        """The mover has entered the duplicate, and not committed yet."""
        if point == "mover.after_register":
            unloading.start()
            until_it_waits_for_a_lock(own_contracts, "sluice-unload", unloading)

    monkeypatch.setattr(mover, "crash_point", unload_now)
    second = put(SHOP, "b.csv")
    unloading.join()
    assert states(connection, first, second) == ["unloaded", "landed"]


def test_a_duplicate_that_is_registered_while_its_original_is_rejected_takes_over(
    own_contracts: Settings,
    put: Put,
    loader: FileLoader,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    epoch: int,
) -> None:
    change_contract(own_contracts, revision="reject")
    loader.load(put(table(event(9)), "a.csv"))
    first = put(SHOP, "a.csv")
    loading = threading.Thread(target=loader.load, args=[first])

    def load_now(*_: Any) -> bool:
        """The mover has found the original, and not entered the duplicate yet."""
        loading.start()
        until_it_waits_for_a_lock(own_contracts, f"sluice-stream-{epoch}", loading)
        return False

    monkeypatch.setattr(register, "_lost", load_now)
    second = put(SHOP, "b.csv")
    loading.join()
    assert states(connection, first, second) == ["rejected", "landed"]


def test_of_two_unloads_at_once_one_takes_the_file_and_one_duplicate_takes_over(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    files = [put(SHOP, f"{name}.csv") for name in "abc"]
    loader.load(files[0])
    failed: list[Exception] = []

    def try_to_unload() -> None:
        try:
            unload(own_contracts, files[0])
        except Exception as error:
            failed.append(error)

    doing = [threading.Thread(target=try_to_unload) for _ in range(2)]
    for each in doing:
        each.start()
    for each in doing:
        each.join()
    assert [type(error).__name__ for error in failed] == ["UnloadError"]
    assert states(connection, *files) == ["unloaded", "landed", "duplicate"]


# --- killed


def kill(program: str, point: str, once: Path) -> None:
    environment = os.environ | {"SLUICE_CRASH_AT": point, "SLUICE_CRASH_ONCE": str(once)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, cwd=PROJECT, timeout=120)
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.parametrize("point", ["takeover.after_land", "takeover.after_hand_over"])
def test_an_unload_killed_while_a_duplicate_takes_over_leaves_the_original_loaded(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection, tmp_path: Path, point: str
) -> None:
    first, second = put(SHOP, "a.csv"), put(SHOP, "b.csv")
    loader.load(first)
    if point == "takeover.after_hand_over":
        seal(own_contracts)
    program = (
        "from sluice.base import settings; from sluice.loading import merge, unload\n"
        f"unload.unload_file(settings.load(), {first}, 'wrong', by_whom='test')"
    )
    kill(program, point, tmp_path / "once")
    assert states(connection, first, second) == ["loaded", "duplicate"]
    assert recount(connection) == {first: TALLY}
    unload(own_contracts, first)
    assert state(connection, first) == "unloaded"
    assert state(connection, second) in ("landed", "loaded")


@pytest.mark.parametrize("point", ["takeover.after_land", "load.before_reject"])
def test_a_load_killed_while_it_rejects_a_file_leaves_it_and_its_duplicates_as_they_were(
    own_contracts: Settings,
    put: Put,
    loader: FileLoader,
    connection: Connection,
    tmp_path: Path,
    epoch: int,
    point: str,
) -> None:
    change_contract(own_contracts, revision="reject")
    loader.load(put(table(event(9)), "a.csv"))
    first, second = put(SHOP, "a.csv"), put(SHOP, "b.csv")
    program = (
        "from sluice.base import settings; from sluice.loading.load_file import FileLoader\n"
        f"FileLoader(settings.load(), {epoch}).load({first})"
    )
    kill(program, point, tmp_path / "once")
    assert states(connection, first, second) == ["landed", "duplicate"]
    loader.load(first)
    assert states(connection, first, second) == ["rejected", "landed"]


# --- ledgers from before


def test_the_migration_lets_duplicates_of_ended_files_take_over(connection: Connection) -> None:
    folder = SQL / "migrations"
    # What counts files reads a column that came with it.
    for name in ("0035_counts", "0005_duplicates_take_over"):
        connection.execute((folder / f"{name}.down.sql").read_text())  # type: ignore[call-overload]

    def enter(name: str, content: str, state: str, duplicate_of: int | None = None, sealed: str | None = None) -> int:
        row = connection.execute(
            "INSERT INTO ledger.files (name, path, sha256, bytes, landed_at, state, duplicate_of, sealed_at) "
            "VALUES (%s, '', repeat(%s, 64), 1, now(), %s, %s, %s) RETURNING file_id",
            [name, content, state, duplicate_of, sealed],
        ).fetchone()
        assert row is not None
        return int(row["file_id"])

    replaced = enter("a", "1", "replaced")
    same, other, next_one = (enter(name, "1", "duplicate", replaced) for name in ("a", "b", "c"))
    unloaded = enter("u", "2", "unloaded")
    waits = enter("v", "2", "duplicate", unloaded)
    again = enter("u", "2", "landed")
    sealed = enter("w", "3", "duplicate", enter("r", "3", "rejected"), "2025-01-02")
    connection.execute((folder / "0005_duplicates_take_over.up.sql").read_text())  # type: ignore[call-overload]
    assert states(connection, same, other, next_one, waits, sealed) == [
        "replaced",
        "landed",
        "duplicate",
        "duplicate",
        "duplicate",
    ]
    assert [file(connection, each)["duplicate_of"] for each in (other, next_one, waits)] == [None, other, again]
    [entry] = connection.execute("SELECT action, file_id FROM ledger.audit").fetchall()
    assert entry == {"action": "takeover", "file_id": other}


def test_the_pipelines_role_may_not_make_a_wish_unsaid(own_contracts: Settings) -> None:
    with database.connect(own_contracts.writer_dsn) as writer, pytest.raises(psycopg.errors.InsufficientPrivilege):
        writer.execute("DELETE FROM ledger.insistences")
