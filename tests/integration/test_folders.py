"""Folders that are not there, and ledgers older than their files: everything waits, nothing is called gone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql.streaming.datasource import ReadMaxFiles

from sluice.base.settings import Settings
from sluice.landing import folders, mover
from sluice.ledger import archive
from sluice.loading import merge
from sluice.loading.load_file import FileLoader
from sluice.proof import sealing
from sluice.running import load_watch, status
from sluice.running.instance import Instance
from sluice.running.pipeline import InstanceError, Running
from spark_jobs.landed_files import LandedFilesReader
from tests.loading import Connection, event, recount, state, table

Land = Callable[..., int]
OTHER = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def loader(settings: Settings, epoch: int) -> Iterator[FileLoader]:
    made = FileLoader(settings, epoch)
    yield made
    made.close()


@contextmanager
def unmounted(folder: Path) -> Iterator[None]:
    """An empty folder stands where ``folder`` was, as when its volume is not mounted; nothing may be put there."""
    aside = folder.with_name(f"{folder.name}.aside")
    folder.rename(aside)
    folder.mkdir()
    try:
        yield
        assert list(folder.iterdir()) == []
    finally:
        folder.rmdir()
        aside.rename(folder)


def mark_of_another(folder: Path) -> None:
    (folder / folders.MARKER).write_text(OTHER)


def test_a_file_waits_while_the_folder_it_lies_in_is_not_there(
    settings: Settings, land: Land, loader: FileLoader, connection: Connection
) -> None:
    file_id = land(table(event(1)))
    with unmounted(settings.processing_dir):
        with pytest.raises(folders.FoldersError, match=r"processing lacks the pipeline's marker .*`make adopt`"):
            loader.load(file_id)
        assert state(connection, file_id) == "landed"
    loader.load(file_id)
    assert recount(connection) == {file_id: (1, 0, 0)}


def test_a_file_is_not_called_gone_while_the_archive_that_may_hold_it_is_not_there(
    settings: Settings, land: Land, loader: FileLoader, connection: Connection
) -> None:
    file_id = land(table(event(1)))
    [path] = settings.processing_dir.glob("*.csv")
    path.unlink()
    with unmounted(settings.archive_dir), pytest.raises(folders.FoldersError, match="archive lacks"):
        loader.load(file_id)
    assert state(connection, file_id) == "landed"


def test_a_loaded_file_stays_in_processing_while_the_archive_is_not_there(
    settings: Settings, land: Land, loader: FileLoader, connection: Connection
) -> None:
    file_id = land(table(event(1)))
    with unmounted(settings.archive_dir):
        loader.load(file_id)
        assert len(list(settings.processing_dir.glob("*.csv"))) == 1
    assert len(mover.move_landed(settings, connection).finished) == 1
    assert len(list(settings.archive_dir.glob("loaded/*/*.csv"))) == 1


@pytest.mark.parametrize("archived_as", ["loaded", "rejected", "duplicate"])
def test_a_file_that_the_archive_holds_comes_back_by_itself_when_the_ledger_is_older(
    settings: Settings, land: Land, loader: FileLoader, connection: Connection, archived_as: str
) -> None:
    file_id = land(table(event(1)))
    [path] = settings.processing_dir.glob("*.csv")
    day = settings.archive_dir / archived_as / "2026-01-01"
    day.mkdir(parents=True)
    path.rename(day / path.name)
    loader.load(file_id)
    assert recount(connection) == {file_id: (1, 0, 0)}
    assert not (day / path.name).exists()
    assert len(list(settings.archive_dir.glob("loaded/*/*.csv"))) == 1


def test_bytes_of_the_archive_that_are_not_the_files_own_are_not_loaded(
    settings: Settings, land: Land, loader: FileLoader, connection: Connection
) -> None:
    file_id = land(table(event(1)))
    [path] = settings.processing_dir.glob("*.csv")
    day = settings.archive_dir / "loaded" / "2026-01-01"
    day.mkdir(parents=True)
    path.rename(day / path.name)
    (day / path.name).write_text(table(event(2)))
    loader.load(file_id)
    assert state(connection, file_id) == "rejected"
    assert recount(connection) == {}


def test_a_file_that_neither_folder_has_is_rejected_while_both_are_there(
    settings: Settings, land: Land, loader: FileLoader, connection: Connection
) -> None:
    file_id = land(table(event(1)))
    [path] = settings.processing_dir.glob("*.csv")
    path.unlink()
    loader.load(file_id)
    row = connection.execute("SELECT state, error FROM ledger.files WHERE file_id = %s", [file_id]).fetchone()
    assert row is not None
    assert row["state"] == "rejected"
    assert "not in the archive either: land the file again" in row["error"]


def test_the_source_deals_out_nothing_while_a_folder_is_not_there(settings: Settings, land: Land, epoch: int) -> None:
    land(table(event(1)))
    reader = LandedFilesReader(epoch, 1, "small")
    with unmounted(settings.processing_dir), pytest.raises(folders.FoldersError, match="processing lacks"):
        reader.latestOffset({"claim": 0}, ReadMaxFiles(10))
    with pytest.raises(folders.FoldersError, match="archive lacks"), unmounted(settings.archive_dir):
        reader.prepareForTriggerAvailableNow()
    assert reader.latestOffset({"claim": 0}, ReadMaxFiles(10)) == {"claim": 1}
    reader.stop()


@pytest.mark.parametrize("which", [0, 1])
def test_the_mover_takes_returns_and_tidies_nothing_while_a_folder_is_not_there(
    settings: Settings, connection: Connection, which: int
) -> None:
    stray = settings.processing_dir / "7-0123456789ab-stray.csv"
    stray.write_text("nobody knows it")
    waiting = settings.incoming_dir / "waits.csv"
    waiting.write_text(table(event(1)))
    os.utime(waiting, (1, 1))
    with unmounted(folders.marked_folders(settings)[which]), pytest.raises(folders.FoldersError):
        mover.move_landed(settings, connection)
    assert (stray.exists(), waiting.exists()) == (True, True)
    assert connection.execute("SELECT count(*) AS n FROM ledger.files").fetchone() == {"n": 0}
    result = mover.move_landed(settings, connection)
    assert (result.returned, len(result.moved)) == (["stray.csv"], 2), "what goes back is taken at once, as a file"


def test_a_folder_that_goes_away_between_two_looks_of_the_mover_gets_no_file(
    settings: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = settings.incoming_dir / "waits.csv"
    waiting.write_text(table(event(1)))
    os.utime(waiting, (1, 1))
    aside = settings.processing_dir.with_name("aside")
    monkeypatch.setattr(
        mover,
        "crash_point",
        lambda name: settings.processing_dir.rename(aside) if name == "mover.after_register" else None,
    )
    with pytest.raises(folders.FoldersError):
        mover.move_landed(settings, connection)
    assert waiting.exists()
    assert list(settings.processing_dir.iterdir()) == []
    assert connection.execute("SELECT count(*) AS n FROM ledger.files").fetchone() == {"n": 0}


def test_the_folder_of_another_ledger_is_not_touched(settings: Settings, connection: Connection) -> None:
    theirs = settings.processing_dir / "7-0123456789ab-theirs.csv"
    theirs.write_text("another pipeline's")
    mark_of_another(settings.processing_dir)
    with pytest.raises(folders.FoldersError, match="another ledger"):
        mover.move_landed(settings, connection)
    assert theirs.exists()


def test_housekeeping_deletes_nothing_while_a_folder_is_not_there(
    settings: Settings, land: Land, loader: FileLoader, connection: Connection
) -> None:
    loader.load(land(table(event(1))))
    merge.merge(settings)
    later = datetime.now(UTC) + timedelta(days=settings.keep_archive_days + 1)
    with unmounted(settings.processing_dir), pytest.raises(folders.FoldersError):
        sealing.seal_archive(settings, connection, now=later)
    assert len(list(settings.archive_dir.glob("loaded/*/*.csv"))) == 1
    assert sealing.seal_archive(settings, connection, now=later).files == 1
    assert (settings.archive_dir / folders.MARKER).exists()


def test_adopting_is_refused_while_nothing_is_wrong(settings: Settings, connection: Connection) -> None:
    with pytest.raises(folders.AdoptError, match="nothing is wrong"):
        folders.adopt(settings, connection)


def test_an_adopted_folder_is_the_pipelines_and_what_it_lacks_is_named(
    settings: Settings, land: Land, connection: Connection
) -> None:
    file_id = land(table(event(1)), "lost.csv")
    [path] = settings.processing_dir.glob("*.csv")
    path.unlink()
    mark_of_another(settings.processing_dir)
    said = folders.adopt(settings, connection)
    assert folders.problem(settings, connection) == ""
    assert f"1 landed files are in neither folder and will be rejected as gone: lost.csv (file {file_id})" in said


def test_folders_of_a_ledger_from_before_the_markers_are_marked_once_and_only_with_its_files_in_them(
    settings: Settings, land: Land, connection: Connection
) -> None:
    land(table(event(1)))
    for folder in folders.marked_folders(settings):
        (folder / folders.MARKER).unlink()
    connection.execute("UPDATE ledger.identity SET folders_marked_at = NULL")
    with unmounted(settings.processing_dir), pytest.raises(folders.FoldersError, match="lacks"):
        folders.check(settings, connection)
    folders.check(settings, connection)
    assert all((folder / folders.MARKER).exists() for folder in folders.marked_folders(settings))
    (settings.processing_dir / folders.MARKER).unlink()
    with pytest.raises(folders.FoldersError):
        folders.check(settings, connection)


def test_archived_files_that_the_ledger_lacks_or_has_elsewhere_are_listed(
    settings: Settings, land: Land, loader: FileLoader, connection: Connection
) -> None:
    fine, elsewhere = land(table(event(1))), land(table(event(2)))
    loader.load(fine)
    [path] = settings.processing_dir.glob("*.csv")
    day = settings.archive_dir / "rejected" / "2026-01-01"
    day.mkdir(parents=True)
    path.rename(day / path.name)
    (day / "99-0123456789ab-unknown.csv").write_text("x")
    (day / f"{fine}-0123456789ab-other bytes.csv").write_text("x")
    (day / "not ours.csv").write_text("x")
    found = archive.apart_from_ledger(settings, connection, older_than_seconds=0)
    assert [(each.file_id, each.state) for each in found] == [(fine, None), (elsewhere, "landed"), (99, None)]
    assert "reland" in str(found[0])
    assert archive.apart_from_ledger(settings, connection, older_than_seconds=60) == []


def test_folders_that_are_not_there_are_a_problem_of_the_status_and_stop_make_load(
    settings: Settings, connection: Connection, tmp_path: Path
) -> None:
    instance = Instance(settings)
    instance.make_folders()
    lock = instance.lock()
    assert lock is not None
    instance.tell(Running(pid=os.getpid(), started_at=time.time(), web_port=8080, pids={}))
    source = tmp_path / "shop.csv"
    source.write_text("x")
    with unmounted(settings.archive_dir):
        found = status.report(instance)
        with pytest.raises(InstanceError, match=r"not landed: .*archive lacks"):
            load_watch.load(instance, source, print, 1)
    assert any("archive lacks" in problem for problem in found["problems"])
    assert status.exit_code(found) == status.UNHEALTHY
    assert not list(settings.incoming_dir.iterdir())
    lock.close()
