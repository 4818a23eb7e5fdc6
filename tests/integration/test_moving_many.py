"""Moving many files at once: as one by one, only faster; and one file's trouble is its own."""

from __future__ import annotations

import errno
import os
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sluice.base import database
from sluice.base.settings import Settings
from sluice.landing import folders, incoming, mover, predicate, tidy
from sluice.ledger import file_names, insist

Connection = psycopg.Connection[dict[str, Any]]
MANY = 12


def land(settings: Settings, name: str, content: bytes, age: float = 60) -> Path:
    """A file in incoming that changed ``age`` seconds ago."""
    path = settings.incoming_dir / name
    path.write_bytes(content)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def land_many(settings: Settings, count: int = MANY) -> list[Path]:
    """So many different files, oldest first."""
    return [land(settings, f"{n:03}.csv", b"a\n%d\n" % n, age=1000 - n) for n in range(count)]


def files(connection: Connection) -> list[dict[str, Any]]:
    """The ledger's files, oldest first."""
    return connection.execute("SELECT * FROM ledger.files ORDER BY file_id").fetchall()


def waiting(settings: Settings) -> list[str]:
    """Names in incoming."""
    return sorted(path.name for path in settings.incoming_dir.iterdir())


def every_file_lies_where_the_ledger_says(settings: Settings, connection: Connection) -> bool:
    """Of all files that the ledger knows, and no other file is in processing."""
    rows = files(connection)
    known = {settings.home_dir / row["path"] for row in rows}
    return all(path.is_file() for path in known) and set(settings.processing_dir.glob("[!.]*")) <= known


def test_many_small_files_share_a_transaction_and_one_look_of_the_disk(
    settings: Settings, writer: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, synced = land_many(settings, 100), []
    monkeypatch.setattr(mover, "sync_folder", synced.append)
    assert len(mover.move_landed(settings, writer).moved) == 100
    assert [row["name"] for row in files(writer)] == [path.name for path in paths], "the oldest first"
    transactions = writer.execute("SELECT count(DISTINCT xmin::text) AS n FROM ledger.files").fetchone()
    assert transactions == {"n": 3}, "16, 64, and the rest"
    assert synced == [settings.processing_dir] * 3
    assert every_file_lies_where_the_ledger_says(settings, writer)


def test_nobody_waits_for_a_big_file(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mover, "_BATCH_BYTES", 100)
    sizes = [10, 20, 500, 10, 95, 5, 1]
    paths = [land(settings, f"{n}.csv", b"x" * size) for n, size in enumerate(sizes)]
    gone = settings.incoming_dir / "gone.csv"
    groups = [[path.name for path in group] for group in mover._batches([*paths, gone])]
    assert groups == [["0.csv", "1.csv"], ["2.csv"], ["3.csv"], ["4.csv", "5.csv"], ["6.csv", "gone.csv"]]


def test_of_the_same_bytes_in_one_go_the_oldest_is_loaded_and_the_others_are_its_duplicates(
    settings: Settings, writer: Connection
) -> None:
    for age, name in enumerate("edcba", start=10):
        land(settings, f"{name}.csv", b"x\n1\n" if name in "bde" else name.encode(), age)
    result = mover.move_landed(settings, writer)
    rows = {row["name"][0]: row for row in files(writer)}
    assert {name: row["state"] for name, row in rows.items() if row["state"] != "landed"} == {
        "d": "duplicate",
        "e": "duplicate",
    }
    assert {rows[name]["duplicate_of"] for name in "de"} == {rows["b"]["file_id"]}
    assert sorted(result.duplicates) == sorted(rows[name]["file_id"] for name in "de")
    assert all("/duplicate/" in rows[name]["path"] for name in "de")
    assert writer.execute("SELECT DISTINCT xmin::text FROM ledger.files").rowcount == 1, "all in one transaction"
    assert every_file_lies_where_the_ledger_says(settings, writer)


def test_one_file_that_cannot_be_renamed_keeps_no_other_from_it(
    settings: Settings, writer: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, rename = land_many(settings), mover.rename_if_free

    def refuse_one(source: Path, target: Path) -> bool:
        if source == paths[7]:
            raise PermissionError(errno.EPERM, "not this one")
        return rename(source, target)

    monkeypatch.setattr(mover, "rename_if_free", refuse_one)
    result = mover.move_landed(settings, writer)
    assert (list(result.failed), len(result.moved)) == (["007.csv"], MANY - 1)
    assert [row["name"] for row in files(writer)] == [path.name for path in paths if path != paths[7]]
    assert waiting(settings) == ["007.csv"]
    assert every_file_lies_where_the_ledger_says(settings, writer)


def test_one_name_that_is_taken_in_processing_keeps_no_file_from_it(
    settings: Settings, writer: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_many(settings)
    taken: list[Path] = []

    def take(point: str) -> None:
        if point == "mover.after_register" and not taken:
            row = writer.execute("SELECT path FROM ledger.files WHERE name = '005.csv'").fetchone()
            assert row is not None
            taken.append(settings.home_dir / row["path"])
            taken[0].write_bytes(b"another")

    monkeypatch.setattr(mover, "crash_point", take)
    assert len(mover.move_landed(settings, writer).moved) == MANY
    assert taken[0].read_bytes() == b"another"
    assert len(files(writer)) == MANY


@pytest.mark.parametrize("change", ["grows", "vanishes"])
def test_one_file_that_changes_while_many_are_moved_waits_alone(
    settings: Settings, writer: Connection, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    paths = land_many(settings)

    def befall(point: str) -> None:
        if point == "mover.after_register" and paths[4].exists():
            paths[4].unlink() if change == "vanishes" else paths[4].write_bytes(b"more and more")

    with monkeypatch.context() as patched:
        patched.setattr(mover, "crash_point", befall)
        result = mover.move_landed(settings, writer)
    assert (len(result.moved), result.failed) == (MANY - 1, {})
    assert waiting(settings) == ([] if change == "vanishes" else ["004.csv"])
    assert len(files(writer)) == MANY - 1
    assert every_file_lies_where_the_ledger_says(settings, writer)


def test_one_file_whose_original_somebody_holds_waits_alone(
    settings: Settings, writer: Connection, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(settings, "first.csv", b"a\n5\n")
    mover.move_landed(settings, writer)
    land_many(settings)
    monkeypatch.setattr(mover, "_PATIENCE", "50ms")
    with connection.transaction():
        connection.execute("SELECT FROM ledger.files FOR UPDATE")
        result = mover.move_landed(settings, writer)
    assert (len(result.moved), result.duplicates, result.failed) == (MANY - 1, [], {})
    assert waiting(settings) == ["005.csv"]
    assert len(mover.move_landed(settings, writer).duplicates) == 1


def test_one_file_whose_bytes_somebody_lands_just_now_waits_alone(
    settings: Settings, writer: Connection, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = land_many(settings)
    sha256 = mover.register.fingerprint_of(paths[5]).sha256
    monkeypatch.setattr(mover, "_PATIENCE", "50ms")
    monkeypatch.setattr(mover, "_PATIENCE_OF_MANY", "50ms")
    with connection.transaction():
        connection.execute(
            "INSERT INTO ledger.files (name, path, sha256, bytes, landed_at) VALUES ('x.csv', '', %s, 4, now())",
            [sha256],
        )
        assert len(mover.move_landed(settings, writer).moved) == MANY - 1
    assert waiting(settings) == ["005.csv"]


def test_a_folder_that_goes_away_while_many_files_are_moved_gets_none_of_them(
    settings: Settings, writer: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = land_many(settings)
    aside = settings.processing_dir.with_name("aside")
    points: list[str] = []

    def unmount(point: str) -> None:
        points.append(point)
        if point == "mover.after_one_rename" and points.count(point) == 1:
            settings.processing_dir.rename(aside)
            settings.processing_dir.mkdir()

    monkeypatch.setattr(mover, "crash_point", unmount)
    with pytest.raises(folders.FoldersError):
        mover.move_landed(settings, writer)
    assert points.count("mover.after_one_rename") == MANY
    assert list(settings.processing_dir.iterdir()) == []
    assert waiting(settings) == [path.name for path in paths[1:]], "the first lies in the folder that went away"
    assert files(writer) == []


def test_a_database_that_goes_away_before_many_files_are_committed_costs_nothing(
    settings: Settings, writer: Connection, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_many(settings)

    def cut(point: str) -> None:
        if point == "mover.after_rename":
            with database.connect(settings.writer_dsn) as other:
                other.execute("SELECT pg_terminate_backend(%s)", [writer.info.backend_pid])

    with monkeypatch.context() as patched:
        patched.setattr(mover, "crash_point", cut)
        with pytest.raises(psycopg.OperationalError):
            mover.move_landed(settings, writer)
    assert (files(connection), waiting(settings)) == ([], [])
    with database.connect(settings.writer_dsn) as fresh:
        result = mover.move_landed(settings, fresh)
    assert (len(result.returned), len(result.moved)) == (MANY, MANY)
    assert every_file_lies_where_the_ledger_says(settings, connection)


# --- as one by one ---------------------------------------------------------------------------------------------------


def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file has a transaction of its own."""
    monkeypatch.setattr(mover, "_batches", lambda paths: ([path] for path in paths))


def scenario(settings: Settings, connection: Connection, chance: random.Random) -> list[str]:
    """Files of each past, and new ones, many of the same bytes; returns the names of the new ones, oldest first."""
    contents = [b"a\n%d\n" % n for n in range(12)]
    for number, content in enumerate(contents[:8]):
        land(settings, f"past-{number}.csv", content)
    mover.move_landed(settings, connection)
    tally = ", ".join(f"rows_{what} = 0" for what in ("read", "loaded", "rejected", "duplicate"))
    loaded = f"state = 'loaded', contract = 'events', loaded_at = now(), {tally}"
    pasts = ["state = 'landed'", loaded, "state = 'rejected'", "state = 'duplicate', duplicate_of = 1", "lost", "big"]
    for row in files(connection):
        past = chance.choice(pasts)
        if past == "lost":
            (settings.home_dir / row["path"]).unlink()
        else:
            change = "lane = 'big'" if past == "big" else past
            connection.execute(f"UPDATE ledger.files SET {change} WHERE file_id = %s", [row["file_id"]])
        if chance.random() < 0.3:
            insist.note_wish(connection, f"new-{chance.randrange(30):02}.csv", row["sha256"], "it is right", "test")
    connection.execute("UPDATE ledger.files SET duplicate_of = NULL WHERE state <> 'duplicate'")
    for number in range(30):
        name = f"past-{number % 8}.csv" if chance.random() < 0.2 else f"new-{number:02}.csv"
        land(settings, name, chance.choice(contents), age=900 - number)
    return [path.name for path in incoming.takeable(settings)]


def outcome(settings: Settings, connection: Connection) -> dict[str, Any]:
    """What the ledger knows without its ids, and what lies where."""
    rows = files(connection)
    names = {row["file_id"]: row["name"] for row in rows}
    wishes = connection.execute("SELECT name, sha256, file_id FROM ledger.insistences ORDER BY name, sha256").fetchall()
    audit = connection.execute("SELECT file_id, details ->> 'name' AS name FROM ledger.audit").fetchall()
    return {
        "files": sorted(
            (
                row["name"],
                row["state"],
                row["sha256"],
                row["lane"],
                names.get(row["duplicate_of"]) or "",
                str(Path(row["path"]).parent),
                (settings.home_dir / row["path"]).exists(),
            )
            for row in rows
        ),
        "wishes": [(row["name"], row["sha256"], names.get(row["file_id"])) for row in wishes],
        "audit": sorted((names[row["file_id"]], row["name"]) for row in audit),
        "waiting": waiting(settings),
    }


@pytest.mark.parametrize("seed", range(6))
def test_many_at_once_come_to_what_one_by_one_they_would(
    settings: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    outcomes = []
    for alone in (False, True):
        connection.execute("TRUNCATE ledger.files, ledger.insistences, ledger.audit RESTART IDENTITY CASCADE")
        for path in [*settings.processing_dir.glob("[!.]*"), *settings.archive_dir.glob("*/*/[!.]*")]:
            path.unlink()
        names = scenario(settings, connection, random.Random(seed))
        with monkeypatch.context() as patched:
            if alone:
                one_by_one(patched)
            result = mover.move_landed(settings, connection)
        assert (len(result.moved) + len(result.duplicates), result.failed) == (len(names), {})
        outcomes.append(outcome(settings, connection))
    assert outcomes[0] == outcomes[1]


def test_two_names_that_are_one_as_text_are_in_one_lane(settings: Settings, writer: Connection) -> None:
    land(settings, os.fsdecode(b"caf\xe9.csv"), b"a,b\n1,2\n3,4\n5,6\n", age=100)
    land(settings, "caf\\xe9.csv", b"a,b\n1,2\n", age=50)
    land_many(settings)
    mover.move_landed(replace(settings, big_file_bytes=12), writer)
    rows = [row for row in files(writer) if row["name"].startswith("caf")]
    assert [(row["name"], row["lane"]) for row in rows] == [("caf\\xe9.csv", "big")] * 2


# --- any number ------------------------------------------------------------------------------------------------------


def test_the_order_is_the_same_however_many_names_are_held_at_a_time(settings: Settings) -> None:
    ages = [5, 50, 20, 50, 20, 20, 1_900_000_000, 7, 7, 90]
    paths = [land(settings, f"{n}.csv", b"x", age) for n, age in enumerate(ages)]
    for path, age in zip(paths, ages, strict=True):
        os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))
    (settings.incoming_dir / "folder.csv").mkdir()
    expected = sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.name))
    for most in (1, 2, 3, 10, 100):
        refused: dict[str, str] = {}
        with paths[3].open("ab"):
            found = list(incoming.in_order(settings, refused, most=most))
        assert found == [path for path in expected if path != paths[3]]
        assert list(refused) == ["folder.csv"]


def test_whether_something_can_be_taken_is_told_by_the_first_file_that_can(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not incoming.any_takeable(settings)
    paths, look, looks = land_many(settings), predicate.look_settled, []

    def count(*given: Any) -> Any:
        looks.append(given)
        return look(*given)

    monkeypatch.setattr(predicate, "look_settled", count)
    assert incoming.any_takeable(settings)
    assert len(looks) == 1
    for path in paths:
        os.utime(path)
    assert not incoming.any_takeable(settings)


def test_any_number_of_strays_is_tidied(
    settings: Settings, writer: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidy, "_PAGE", 3)
    land_many(settings)
    mover.move_landed(settings, writer)
    for row in files(writer)[:5]:
        path = f"archive/rejected/2030-01-01/{Path(row['path']).name}"
        writer.execute(
            "UPDATE ledger.files SET state = 'rejected', path = %s WHERE file_id = %s", [path, row["file_id"]]
        )
    for number in range(7):
        (settings.processing_dir / str(file_names.make(1000 + number, "0" * 64, f"{number}.csv"))).write_bytes(b"new")
    assert len(tidy.strays(settings, writer, older_than_seconds=0)) == 12
    done = tidy.tidy(settings, writer)
    assert (len(done.returned), len(done.finished)) == (7, 5)
    assert tidy.strays(settings, writer, older_than_seconds=0) == []
    assert every_file_lies_where_the_ledger_says(settings, writer)
