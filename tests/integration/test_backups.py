"""Backups take contracts along; a drill restores one, recounts it and leaves nothing; what was replaced goes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from sluice.base import database
from sluice.base.settings import Settings
from sluice.duty import drill, scheduled_backup
from sluice.loading import backup, replaced, restore
from sluice.loading.backup import RestoreError
from sluice.proof import reconcile
from sluice.running import embedded
from tests.integration.test_restore import OTHER_SERVER, Pipeline, lived_in
from tests.loading import change_contract

pytestmark = pytest.mark.skipif(
    bool(OTHER_SERVER) and not (Path(OTHER_SERVER) / "pg_dump").exists(),
    reason="this PostgreSQL comes without pg_dump, which makes backups",
)


@pytest.fixture
def pipeline(own_contracts: Settings, postgres_server: embedded.Server, tmp_path: Path) -> Iterator[Pipeline]:
    for made in lived_in(own_contracts, postgres_server, tmp_path):
        made.land("one.csv", 0)
        made.move()
        made.load()
        yield made


def run_drill(pipeline: Pipeline) -> drill.Drill:
    program = pipeline.server.bin_dir / "pg_restore"
    said: list[str] = []
    server = pipeline.server
    return drill.drill(pipeline.settings, server.url, pipeline.owner_url, program, pipeline.backup_file, said.append)


def databases(pipeline: Pipeline) -> set[str]:
    with pipeline.connect() as connection:
        return {row["datname"] for row in connection.execute("SELECT datname FROM pg_database")}


def test_a_drill_recounts_the_backup_and_leaves_nothing_but_its_note(pipeline: Pipeline) -> None:
    pipeline.backup()
    before = databases(pipeline)
    pipeline.land("since.csv", 10)  # what came after the backup is no difference
    pipeline.move()
    pipeline.load()
    found = run_drill(pipeline)
    assert (found.holds, found.files, found.rows, found.problems) == (True, 1, 3, [])
    assert databases(pipeline) == before
    assert json.loads(drill.note_of(pipeline.settings).read_text())["holds"] is True
    assert pipeline.files() == {"one.csv": "loaded", "since.csv": "loaded"}


def test_a_drill_finds_a_row_that_is_missing_in_the_backup(pipeline: Pipeline) -> None:
    with pipeline.connect() as connection:
        connection.execute("DELETE FROM public.events WHERE record_number = 2")
    pipeline.backup()
    found = run_drill(pipeline)
    assert [problem.partition(":")[0] for problem in found.problems] == ["file 1 (one.csv)"]
    assert "1 are missing" in found.problems[0]
    assert not json.loads(found.as_json())["holds"]
    assert drill.SCRATCH not in databases(pipeline)


def test_a_drill_looks_for_files_where_they_are_by_now(pipeline: Pipeline) -> None:
    pipeline.backup()
    pipeline.seal()
    assert run_drill(pipeline).problems == []


def test_a_drill_of_what_is_no_backup_fails_and_leaves_nothing(pipeline: Pipeline) -> None:
    pipeline.backup_file.parent.mkdir()
    pipeline.backup_file.write_text("this is no dump")
    with pytest.raises(RestoreError, match="pg_restore failed"):
        run_drill(pipeline)
    assert drill.SCRATCH not in databases(pipeline)


def test_a_drill_needs_room_and_says_how_much(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.backup()
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("sluice.duty.drill.shutil.disk_usage", lambda place: usage._replace(free=1_000_000))
    with pytest.raises(RestoreError, match="needs about as much disk"):
        run_drill(pipeline)


# --- contracts


def test_a_restore_brings_missing_contracts_back_and_leaves_changed_ones(pipeline: Pipeline) -> None:
    folder = pipeline.settings.contracts_dir
    was = (folder / "events.odcs.yaml").read_bytes()
    other = was.replace(b"name: events", b"name: others")
    (folder / "others.odcs.yaml").write_bytes(other)
    pipeline.backup()
    (folder / "others.odcs.yaml").unlink()
    change_contract(pipeline.settings, delimiter=";")
    today = (folder / "events.odcs.yaml").read_bytes()
    assert today != was
    said = "\n".join(pipeline.restore().lines())
    assert (folder / "others.odcs.yaml").read_bytes() == other
    assert (folder / "events.odcs.yaml").read_bytes() == today
    assert "contracts brought back: others.odcs.yaml" in said
    assert "stay as they are today: events.odcs.yaml" in said


def test_a_backup_without_contracts_is_restored_and_said_to_be_without(pipeline: Pipeline) -> None:
    pipeline.backup()
    backup.contracts_of(pipeline.backup_file).unlink()
    assert "no contracts came with the backup" in "\n".join(pipeline.restore().lines())


def test_progress_is_told_while_a_program_runs(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "PROGRESS_SECONDS", 0.001)
    said: list[str] = []
    url, target = pipeline.server.url("sluice"), tmp_path / "told.dump"
    backup.dump(url, pipeline.server.bin_dir / "pg_dump", target, pipeline.settings.contracts_dir, said.append)
    assert said
    assert all("MB written in" in line for line in said)
    read: list[str] = []
    with database.connect(pipeline.server.url()) as connection:
        connection.execute("CREATE DATABASE sluice_restoring")
    backup.read_into(pipeline.server.url(restore.SIDE), pipeline.server.bin_dir / "pg_restore", target, read.append)
    assert any("% of the backup read" in line or "indexes are made" in line for line in read)


# --- the schedule


@pytest.fixture
def scheduled(pipeline: Pipeline, tmp_path: Path) -> Settings:
    """Settings under which the tests' server is the pipeline's own."""
    (tmp_path / "home" / "postgres").symlink_to(pipeline.server.folder)
    made = replace(pipeline.settings, backup_folder=str(tmp_path / "kept"), keep_backups=2)
    return replace(made, postgres_bin=str(pipeline.server.bin_dir))


def test_the_backup_of_the_schedule_is_the_writer_s_and_is_whole(pipeline: Pipeline, scheduled: Settings) -> None:
    pipeline.backup_file = scheduled_backup.back_up(scheduled)
    assert run_drill(pipeline).problems == []
    pipeline.restore()
    assert pipeline.reconcile() == []
    assert pipeline.files() == {"one.csv": "loaded"}
    pipeline.land("next.csv", 10)  # sequences go on where they were
    pipeline.move()
    pipeline.load()
    assert pipeline.files() == {"one.csv": "loaded", "next.csv": "loaded"}


def test_older_backups_of_the_schedule_go_and_others_stay(tmp_path: Path) -> None:
    for number, name in enumerate(["sluice-by-hand", "scheduled-1", "scheduled-2", "scheduled-3"]):
        path = tmp_path / f"{name}.dump"
        for made in (path, backup.contracts_of(path)):
            made.write_text("")
            os.utime(made, (1000 + number, 1000 + number))
    backup.trim(tmp_path, 2)
    left = {path.name for path in tmp_path.iterdir()}
    kept = {f"{name}.dump" for name in ("sluice-by-hand", "scheduled-2", "scheduled-3")}
    assert left == kept | {f"{name}.contracts.tar" for name in kept}
    assert backup.newest(tmp_path) == tmp_path / "scheduled-3.dump"


def test_another_server_is_backed_up_with_its_own_tools(pipeline: Pipeline, tmp_path: Path) -> None:
    with pytest.raises(RestoreError, match="not this pipeline's embedded server"):
        scheduled_backup.back_up(pipeline.settings)


# --- what a restore has replaced


def later(hours: float) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


def test_the_replaced_database_goes_when_its_time_is_over(pipeline: Pipeline) -> None:
    pipeline.backup()
    pipeline.restore()
    assert not replaced.drop_when_due(pipeline.settings, now=later(71))
    assert restore.REPLACED in databases(pipeline)
    assert replaced.drop_when_due(pipeline.settings, now=later(73))
    assert restore.REPLACED not in databases(pipeline)
    assert not replaced.drop_when_due(pipeline.settings, now=later(73))


def test_the_replaced_database_stays_while_it_alone_has_rows(pipeline: Pipeline) -> None:
    pipeline.backup()
    pipeline.land("sealed since.csv", 10)
    pipeline.move()
    pipeline.load()
    pipeline.seal()
    pipeline.restore()
    assert not replaced.drop_when_due(pipeline.settings, now=later(1000))
    with pipeline.connect() as ledger:
        assert "make copy-sealed" in (replaced.why_it_stays(pipeline.settings, ledger, now=later(1000)) or "")
    pipeline.copy_sealed()
    assert replaced.drop_when_due(pipeline.settings, now=later(1000))


def test_the_replaced_database_stays_while_the_last_recount_is_broken(pipeline: Pipeline) -> None:
    pipeline.backup()
    pipeline.restore()
    with pipeline.connect() as connection:
        connection.execute("DELETE FROM public.events WHERE record_number = 2")
    assert not reconcile.reconcile(pipeline.settings, pipeline.settings.owner_dsn).holds
    assert not replaced.drop_when_due(pipeline.settings, now=later(1000))


def test_the_replaced_database_stays_while_somebody_looks_at_it(pipeline: Pipeline) -> None:
    pipeline.backup()
    pipeline.restore()
    with psycopg.connect(pipeline.owner_url(restore.REPLACED)) as looking:
        assert looking.execute("SELECT count(*) FROM ledger.files").fetchone() == (1,)
        assert not replaced.drop_when_due(pipeline.settings, now=later(1000))
    assert replaced.drop_when_due(pipeline.settings, now=later(1000))


def test_whoever_may_drop_the_replaced_database_may_not_change_what_is_in_it(pipeline: Pipeline) -> None:
    pipeline.backup()
    pipeline.restore()
    url = pipeline.server.url(restore.REPLACED, "sluice_writer", "only-for-tests")
    with psycopg.connect(url, autocommit=True) as writer:
        for statement in ("DROP TABLE public.events CASCADE", "CREATE VIEW public.mine AS SELECT 1"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                writer.execute(statement)
