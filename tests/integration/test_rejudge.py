"""A contract was corrected: what an older version has judged is taken back, all of it, and lands again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from sluice.base.settings import PROJECT, Settings
from sluice.landing import mover
from sluice.loading import rejudge
from sluice.loading.errors import RejudgeError
from sluice.loading.load_file import FileLoader
from sluice.loading.unload import UnloadError, unload_file
from sluice.proof.reconcile import reconcile
from tests.changed_days import ChangedDays
from tests.loading import Connection, change_contract, event, owners, recount, rejects, state, table, write_contract

Load = Callable[..., int]
WHY = "days and months were swapped"
AGAIN = f"""
from sluice.base.settings import load
from sluice.loading.rejudge import rejudge
rejudge(load(), "events", reason={WHY!r}, by_whom="test", dry_run=False)
"""


def at(number: int, day: str = "2026-03-02", **more: str) -> str:
    """``event`` at a time whose day and month only the contract tells apart."""
    return event(number, **more).replace("2026-11-22T10:00:00Z", f"{day} 10:00")


def judge_by(settings: Settings, version: str, time: str, **custom: Any) -> None:
    """Contract events in this version, which reads times so."""
    document = change_contract(settings, **custom) | {"version": version}
    [column] = [each for each in document["schema"][0]["properties"] if each["name"] == "timestamp"]
    column["customProperties"] = [{"property": "formats", "value": [time]}]
    column.pop("logicalTypeOptions", None)
    write_contract(settings, document)


@pytest.fixture
def wrong(own_contracts: Settings) -> Settings:
    """Files are judged by version 1.0.0, which takes a day for a month."""
    judge_by(own_contracts, "1.0.0", "yyyy-dd-MM HH:mm")
    return own_contracts


def correct(settings: Settings) -> None:
    judge_by(settings, "2.0.0", "yyyy-MM-dd HH:mm")


def again(settings: Settings, **more: Any) -> rejudge.Rejudged:
    return rejudge.rejudge(settings, "events", **({"reason": WHY, "by_whom": "test", "dry_run": False} | more))


@pytest.fixture
def move_and_load(own_contracts: Settings, writer: Connection, epoch: int) -> Iterator[Callable[[], list[int]]]:
    """What the mover and the stream do with what lies in incoming; the file_ids of what was landed."""
    loader = FileLoader(own_contracts, epoch)

    def do() -> list[int]:
        moved = list(mover.move_landed(own_contracts, writer).moved)
        for file_id in moved:
            assert loader.load(file_id).state == "loaded"
        return moved

    yield do
    loader.close()


def land(settings: Settings, name: str, data: str) -> None:
    path = settings.incoming_dir / name
    path.write_text(data)
    os.utime(path, (0, 0))


def events(connection: Connection) -> dict[int, str]:
    """The month of each event by the number that made its id."""
    rows = connection.execute("SELECT event_id, to_char(event_time AT TIME ZONE 'UTC', 'YYYY-MM') AS month FROM events")
    return {int(str(row["event_id"])[-12:]): row["month"] for row in rows}


def test_what_an_older_version_judged_lands_again_and_rows_that_several_files_have_are_no_conflicts(
    wrong: Settings, load: Load, connection: Connection, move_and_load: Callable[[], list[int]]
) -> None:
    first = load(table(at(1), at(2), at(3, kind="teleport")), "a.csv")
    second = load(table(at(2), at(1), at(4)), "b.csv")
    land(wrong, "copy.csv", (wrong.archive_dir / _path(connection, first)).read_text())
    assert move_and_load() == []
    assert events(connection) == dict.fromkeys((1, 2, 4), "2026-02")
    correct(wrong)
    days = ChangedDays(connection)
    rejudged = again(wrong)
    assert days.look() == {("events", "2026-02-03")}
    assert (rejudged.files, rejudged.rows, rejudged.stay) == ({"1.0.0": 2}, 6, [])
    assert {path.name for path in wrong.incoming_dir.glob("*.csv")} == {"a.csv", "b.csv", "copy.csv"}
    assert events(connection) == {}
    [third, fourth] = move_and_load()
    assert days.look() == {("events", "2026-03-02")}
    assert events(connection) == dict.fromkeys((1, 2, 4), "2026-03")
    assert recount(connection) == {third: (2, 1, 0), fourth: (1, 0, 2)}
    assert [row["rules"] for file_id in (third, fourth) for row in rejects(connection, file_id)] == [
        ["event_type.enum"]
    ]
    assert (state(connection, first), state(connection, second)) == ("unloaded", "unloaded")
    copies = "SELECT name, duplicate_of FROM ledger.files WHERE state = 'duplicate'"  # the older one has landed
    assert connection.execute(copies).fetchall() == [{"name": "a.csv", "duplicate_of": third}]
    assert reconcile(wrong, wrong.reader_dsn).holds
    nothing = again(wrong)
    assert (nothing.files, nothing.landed) == ({}, 0)


def _path(connection: Connection, file_id: int) -> str:
    row = connection.execute("SELECT path FROM ledger.files WHERE file_id = %s", [file_id]).fetchone()
    assert row is not None
    return str(row["path"]).removeprefix("archive/")


def test_a_dry_run_tells_and_changes_nothing(wrong: Settings, load: Load, connection: Connection) -> None:
    load(table(at(1), at(2)))
    correct(wrong)
    said = again(wrong, dry_run=True).lines(is_done=False)
    assert said == ["1 files that version 1.0.0 has judged would be taken back, and land again", "they have 2 rows"]
    assert (recount(connection), list(wrong.incoming_dir.glob("*.csv"))) == ({1: (2, 0, 0)}, [])


def test_only_files_of_the_version_that_is_asked_for_land_again(
    wrong: Settings, load: Load, connection: Connection
) -> None:
    first = load(table(at(1)), "a.csv")
    judge_by(wrong, "1.1.0", "yyyy-dd-MM HH:mm")
    second = load(table(at(2)), "b.csv")
    correct(wrong)
    assert again(wrong, version="1.1.0").files == {"1.1.0": 1}
    assert owners(connection) == {1: (first, 1)}
    assert state(connection, second) == "unloaded"


def test_the_rows_keep_the_moment_at_which_they_landed(
    wrong: Settings, load: Load, connection: Connection, move_and_load: Callable[[], list[int]]
) -> None:
    first = load(table(at(1)))
    connection.execute("UPDATE ledger.files SET landed_at = landed_at - interval '1 year'")
    correct(wrong)
    again(wrong)
    [second] = move_and_load()
    query = "SELECT coalesce(rows_landed_at, landed_at) AS at FROM ledger.files WHERE file_id = ANY(%s)"
    assert len({row["at"] for row in connection.execute(query, [[first, second]])}) == 1


@pytest.mark.parametrize("point", ["rejudge.after_unload", "rejudge.after_land", "unload.before_commit"])
def test_killed_anywhere_the_same_command_goes_on(
    wrong: Settings,
    load: Load,
    connection: Connection,
    move_and_load: Callable[[], list[int]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
    point: str,
) -> None:
    load(table(at(1), at(2)), "a.csv")
    load(table(at(2), at(3)), "b.csv")
    correct(wrong)
    environment = os.environ | {"SLUICE_CRASH_AT": point, "SLUICE_CRASH_ONCE": str(tmp_path / "died")}
    done = subprocess.run([sys.executable, "-c", AGAIN], env=environment, cwd=PROJECT, timeout=120)
    assert done.returncode == -signal.SIGKILL
    landed = move_and_load()
    again(wrong)
    landed += move_and_load()
    assert len(landed) == 2
    assert events(connection) == dict.fromkeys((1, 2, 3), "2026-03")
    assert sorted(recount(connection).values()) == [(1, 0, 1), (2, 0, 0)]
    assert reconcile(wrong, wrong.reader_dsn).holds
    assert again(wrong).landed == 0


def test_a_file_that_was_taken_back_for_good_since_does_not_come_back(
    wrong: Settings, load: Load, connection: Connection, move_and_load: Callable[[], list[int]]
) -> None:
    load(table(at(1)))
    correct(wrong)
    again(wrong)
    [second] = move_and_load()
    unload_file(wrong, second, "not ours after all", by_whom="test")
    judge_by(wrong, "3.0.0", "yyyy-MM-dd HH:mm")
    assert again(wrong).landed == 0
    assert list(wrong.incoming_dir.glob("*.csv")) == []


def test_files_whose_bytes_cannot_land_stay_and_are_told(wrong: Settings, load: Load, connection: Connection) -> None:
    sealed, changed, good = (load(table(at(number)), f"{number}.csv") for number in (1, 2, 3))
    connection.execute("UPDATE ledger.files SET sealed_at = now() WHERE file_id = %s", [sealed])
    (wrong.archive_dir / _path(connection, sealed)).unlink()
    (wrong.archive_dir / _path(connection, changed)).write_text("other bytes")
    correct(wrong)
    rejudged = again(wrong)
    assert [line.partition(":")[0] for line in rejudged.stay] == [f"file {sealed} (1.csv)", f"file {changed} (2.csv)"]
    assert [state(connection, each) for each in (sealed, changed, good)] == ["loaded", "loaded", "unloaded"]
    assert [path.name for path in wrong.incoming_dir.glob("*.csv")] == ["3.csv"]


def test_the_duplicate_of_a_sealed_file_lands_for_it(
    wrong: Settings, load: Load, connection: Connection, move_and_load: Callable[[], list[int]]
) -> None:
    data = table(at(1))
    sealed = load(data, "a.csv")
    land(wrong, "copy.csv", data)
    move_and_load()
    connection.execute("UPDATE ledger.files SET sealed_at = now() WHERE file_id = %s", [sealed])
    (wrong.archive_dir / _path(connection, sealed)).unlink()
    correct(wrong)
    assert again(wrong).stay == []
    [loaded] = move_and_load()
    assert events(connection) == {1: "2026-03"}
    assert recount(connection) == {loaded: (1, 0, 0)}


def test_a_file_waits_for_its_name_in_incoming(
    wrong: Settings, load: Load, connection: Connection, move_and_load: Callable[[], list[int]]
) -> None:
    load(table(at(1)), "a.csv")
    correct(wrong)
    land(wrong, "a.csv", table(at(7)))
    with pytest.raises(RejudgeError, match=r"0 files land again, 1 wait for their names .*a\.csv"):
        again(replace(wrong, unload_patience_seconds=0.0))
    move_and_load()
    assert again(wrong).landed == 1
    move_and_load()
    assert events(connection) == {1: "2026-03", 7: "2026-03"}


def test_nothing_lands_while_a_file_cannot_be_taken_back(wrong: Settings, load: Load, connection: Connection) -> None:
    held, free = load(table(at(1)), "a.csv"), load(table(at(2)), "b.csv")
    correct(wrong)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock_shared(7215, %s)", [held % 512])
        with pytest.raises(RejudgeError, match="1 files are loaded still, and none lands yet"):
            again(replace(wrong, unload_patience_seconds=0.1))
    assert (state(connection, held), state(connection, free)) == ("loaded", "unloaded")
    assert list(wrong.incoming_dir.glob("*.csv")) == []
    assert again(wrong).landed == 2


def test_where_there_are_no_hard_links_a_copy_lands(
    wrong: Settings, load: Load, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = table(at(1))
    load(data, "a.csv")
    correct(wrong)

    def no_link(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_link)
    assert again(wrong).landed == 1
    assert (wrong.incoming_dir / "a.csv").read_text() == data


def test_todays_version_another_name_and_a_reason_that_says_nothing_are_refused(
    wrong: Settings, load: Load, connection: Connection
) -> None:
    load(table(at(1)))
    with pytest.raises(RejudgeError, match=r"1\.0\.0 is the version of contract events today: raise it"):
        again(wrong, version="1.0.0")
    with pytest.raises(RejudgeError, match=r"there is no contract named 'shop' in .*: it has events"):
        rejudge.rejudge(wrong, "shop", by_whom="test", dry_run=True)
    correct(wrong)
    with pytest.raises(UnloadError, match="says nothing"):
        again(wrong, reason=" ")
    (wrong.contracts_dir / "events.odcs.yaml").write_text("no contract")
    with pytest.raises(RejudgeError, match=r"there is no contract named 'events'|cannot be used"):
        again(wrong)
    assert recount(connection) == {1: (1, 0, 0)}
