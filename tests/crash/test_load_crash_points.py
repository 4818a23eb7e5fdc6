"""A task dies by SIGKILL at each step of a load: before the commit nothing is left, after it everything, each row once.

``load.after_replace`` and the rest of what a revision does: tests/integration/test_revisions.py. The same points inside
a real stream: tests/crash/test_stream_crash_points.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.base.settings import PROJECT, Settings
from sluice.generator.files import write_file
from sluice.generator.records import Shares
from sluice.ledger import file_names
from sluice.loading.load_file import FileLoader
from sluice.loading.one_load import STAGED_BYTES_MAX
from sluice.proof.reconcile import reconcile
from tests.crash.conftest import Land, Move
from tests.loading import Connection, event, owners, recount, rejects, state, table

BEFORE_COMMIT = ["load.after_copy", "load.before_tally", "load.before_commit"]
AFTER_COMMIT = ["load.after_commit", "archive.before_move", "archive.after_move"]
# Good rows, a bad one, one that is there already, a conflict with it, and one that comes twice.
MIXED = table(event(1), event(2), event(3, kind="teleport"), event(4), event(1, price="5"), event(4), event(5))
LOAD = """
import sys
from sluice.base import settings
from sluice.loading.load_file import FileLoader
FileLoader(settings.load(), int(sys.argv[1])).load(int(sys.argv[2]))
"""


@pytest.fixture
def loader(settings: Settings, epoch: int) -> Iterator[FileLoader]:
    made = FileLoader(settings, epoch)
    yield made
    made.close()


def kill_a_load(point: str, once: Path, epoch: int, file_id: int) -> None:
    """Load the file in a process of its own, which dies at ``point``; small chunks, so that a big file has several."""
    environment = os.environ | {
        "SLUICE_CRASH_AT": point,
        "SLUICE_CRASH_ONCE": str(once),
        "SLUICE_CHUNK_BYTES": str(1 << 20),
    }
    command = [sys.executable, "-c", LOAD, str(epoch), str(file_id)]
    assert subprocess.run(command, env=environment, cwd=PROJECT, timeout=120).returncode == -signal.SIGKILL
    assert once.read_text().split() == [point]


def rows_of(connection: Connection, file_id: int) -> int:
    """Rows of this file that anyone can see, wherever they are, and what the reports are told of them."""
    tables = ("events", "ledger.rejects", "ledger.duplicates", "ledger.report_changes")
    counts = [connection.execute(f"SELECT FROM {name} WHERE file_id = {file_id}").rowcount for name in tables]  # type: ignore[call-overload]
    return sum(counts)


def names_in(folder: Path) -> list[str]:
    return [name.landed_name for path in folder.rglob("*.csv") if (name := file_names.parse(path.name))]


@pytest.mark.parametrize("point", BEFORE_COMMIT)
def test_a_load_killed_before_its_commit_leaves_nothing_and_the_next_one_loads_every_row_once(
    settings: Settings,
    connection: Connection,
    epoch: int,
    loader: FileLoader,
    land: Land,
    move: Move,
    tmp_path: Path,
    point: str,
) -> None:
    older, file_id = land(older=table(event(1)), mixed=MIXED)
    loader.load(older)
    kill_a_load(point, tmp_path / "died", epoch, file_id)
    assert rows_of(connection, file_id) == 0
    assert state(connection, file_id) == "landed"
    assert names_in(settings.processing_dir) == ["mixed.csv"]
    assert move().finished == []

    assert loader.load(file_id).state == "loaded"
    assert names_in(settings.processing_dir) == []
    assert sorted(names_in(settings.archive_dir)) == ["mixed.csv", "older.csv"]
    assert owners(connection) == {1: (older, 1), 2: (file_id, 2), 4: (file_id, 4), 5: (file_id, 7)}
    assert [row["record_number"] for row in rejects(connection, file_id)] == [3, 5]
    assert recount(connection) == {older: (1, 0, 0), file_id: (3, 2, 2)}
    assert reconcile(settings, settings.reader_dsn).holds


@pytest.mark.parametrize("point", BEFORE_COMMIT)
def test_a_big_file_copied_straight_into_events_shows_no_row_before_its_commit(
    settings: Settings,
    connection: Connection,
    epoch: int,
    loader: FileLoader,
    land: Land,
    tmp_path: Path,
    point: str,
) -> None:
    sent = write_file(tmp_path / "big.csv", rows=35_000, shares=Shares(dirty=0.01), seed="big")
    assert sent.path.stat().st_size > STAGED_BYTES_MAX
    [file_id] = land(big=sent.path)
    kill_a_load(point, tmp_path / "died", epoch, file_id)
    assert rows_of(connection, file_id) == 0
    assert state(connection, file_id) == "landed"
    assert names_in(settings.processing_dir) == ["big.csv"]

    loader.load(file_id)
    assert recount(connection) == {file_id: (sent.rows - sent.dirty, sent.dirty, 0)}
    assert names_in(settings.archive_dir) == ["big.csv"]
    assert reconcile(settings, settings.reader_dsn).holds


@pytest.mark.parametrize("next_one", ["task", "mover"])
@pytest.mark.parametrize("point", AFTER_COMMIT)
def test_a_load_killed_after_its_commit_leaves_every_row_and_whoever_comes_next_puts_the_file_away(
    settings: Settings,
    connection: Connection,
    epoch: int,
    loader: FileLoader,
    land: Land,
    move: Move,
    tmp_path: Path,
    point: str,
    next_one: str,
) -> None:
    older, file_id = land(older=table(event(1)), mixed=MIXED)
    loader.load(older)
    kill_a_load(point, tmp_path / "died", epoch, file_id)
    everything = {older: (1, 0, 0), file_id: (3, 2, 2)}
    assert recount(connection) == everything
    assert rows_of(connection, file_id) == 3 + 2 + 2 + 1
    assert reconcile(settings, settings.reader_dsn).holds, "also while the file is still in the processing folder"
    is_moved = point == "archive.after_move"
    assert names_in(settings.processing_dir) == ([] if is_moved else ["mixed.csv"])

    if next_one == "task":
        assert loader.load(file_id).state == "loaded"
    else:
        assert len(move().finished) == (0 if is_moved else 1)
    assert names_in(settings.processing_dir) == []
    assert sorted(names_in(settings.archive_dir)) == ["mixed.csv", "older.csv"]
    assert recount(connection) == everything
    assert reconcile(settings, settings.reader_dsn).holds
