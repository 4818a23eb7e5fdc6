"""A restore goes back in one step; what landed since the backup lands again, and every row is there once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from sluice import database, embedded, landing, leases, migrate, restore, roles, unload
from sluice.restore import RestoreError
from sluice.settings import Settings
from spark_jobs.load_file import FileLoader
from tests.loading import Connection, event, recount, table

PASSWORD = "only-for-tests"
OTHER_SERVER = os.environ.get("SLUICE_TEST_POSTGRES_BIN", "")
pytestmark = pytest.mark.skipif(
    bool(OTHER_SERVER) and not (Path(OTHER_SERVER) / "pg_dump").exists(),
    reason="this PostgreSQL comes without pg_dump, which makes backups",
)


class Pipeline:
    """A pipeline without Airflow and Spark, on databases of the names that a restore knows."""

    def __init__(self, settings: Settings, server: embedded.Server, backup: Path) -> None:
        self.server = server
        self.backup_file = backup
        self.settings = replace(
            settings,
            database_url=self.owner_url("sluice"),
            writer_url=server.url("sluice", "sluice_writer", PASSWORD),
            reader_url=server.url("sluice", "sluice_reader", PASSWORD),
        )

    def owner_url(self, name: str) -> str:
        return self.server.url(name, "sluice_owner", PASSWORD)

    def connect(self) -> Connection:
        return database.connect(self.settings.owner_dsn)

    def land(self, name: str, first: int) -> None:
        path = self.settings.incoming_dir / name
        path.write_text(table(event(first), event(first + 1), event(first + 2, kind="nonsense")))
        os.utime(path, (time.time() - 60 + first / 1000, time.time() - 60 + first / 1000))

    def move(self) -> list[int]:
        with self.connect() as connection:
            return landing.move_landed(self.settings, connection).moved

    def load(self) -> int:
        """Load everything that waits, as a stream of its own; its epoch."""
        with self.connect() as connection:
            lease = leases.take(connection, submitted_by="test", seconds=60)
            assert lease is not None
            epoch = leases.begin(connection, token=lease.token, host="test", pid=1, seconds=60)
            loader = FileLoader(self.settings, epoch)
            for row in connection.execute("SELECT file_id FROM ledger.files WHERE state = 'landed' ORDER BY file_id"):
                loader.load(row["file_id"])
            loader.close()
            leases.end(connection, epoch=epoch, because="test")
        return epoch

    def backup(self) -> None:
        restore.dump(self.server.url("sluice"), self.server.bin_dir / "pg_dump", self.backup_file)

    def restore(self) -> restore.Relanded:
        program = self.server.bin_dir / "pg_restore"
        return restore.restore(
            self.settings, self.server.url, self.owner_url, program, self.backup_file, lambda sentence: None
        )

    def files(self) -> dict[str, str]:
        with self.connect() as connection:
            rows = connection.execute("SELECT name, state FROM ledger.files ORDER BY file_id").fetchall()
        return {row["name"]: row["state"] for row in rows}


@pytest.fixture
def pipeline(settings: Settings, postgres_server: embedded.Server, tmp_path: Path) -> Iterator[Pipeline]:
    names = (restore.LIVING, restore.SIDE, restore.REPLACED)
    with database.connect(postgres_server.url()) as connection:
        roles.make_database(connection, restore.LIVING, "sluice_owner")
        made = Pipeline(settings, postgres_server, tmp_path / "backups" / "one.dump")
        migrate.migrate(made.settings.owner_dsn)
        yield made
        for name in names:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def test_what_landed_since_the_backup_lands_again_and_every_row_is_there_once(pipeline: Pipeline) -> None:
    pipeline.land("loaded before.csv", 0)
    pipeline.move()
    pipeline.load()
    pipeline.land("moved before.csv", 10)
    pipeline.move()
    pipeline.backup()
    pipeline.load()
    pipeline.land("loaded since.csv", 20)
    pipeline.move()
    pipeline.load()
    pipeline.land("moved since.csv", 30)
    pipeline.move()

    found = pipeline.restore()

    assert sorted(found.returned) == ["loaded since.csv", "moved since.csv"]
    assert len(found.put_back) == 1
    assert pipeline.files() == {"loaded before.csv": "loaded", "moved before.csv": "landed"}
    pipeline.move()
    pipeline.load()
    assert set(pipeline.files().values()) == {"loaded"}
    with pipeline.connect() as connection:
        assert list(recount(connection).values()) == [(2, 1, 0)] * 4


def test_numbers_from_before_the_restore_are_never_given_again(pipeline: Pipeline) -> None:
    pipeline.land("a.csv", 0)
    pipeline.backup()
    last_file = pipeline.move()[-1]
    last_epoch = pipeline.load()

    pipeline.restore()

    assert pipeline.move()[-1] > last_file
    assert pipeline.load() > last_epoch


def test_a_second_restore_finds_everything_where_it_is(pipeline: Pipeline) -> None:
    pipeline.land("a.csv", 0)
    pipeline.move()
    pipeline.load()
    pipeline.backup()
    assert pipeline.restore().returned == []
    found = pipeline.restore()
    assert (found.returned, found.put_back, found.missing) == ([], [], [])
    with pipeline.connect() as connection:
        assert list(recount(connection).values()) == [(2, 1, 0)]


def test_a_file_that_was_unloaded_since_stays_in_the_archive(pipeline: Pipeline) -> None:
    pipeline.backup()
    pipeline.land("wrong.csv", 0)
    [file_id] = pipeline.move()
    pipeline.load()
    unload.unload_file(pipeline.settings, file_id, "it was wrong", by_whom="test")

    found = pipeline.restore()

    assert found.returned == []
    assert found.kept == [f"wrong.csv (file {file_id})"]


def test_duplicates_are_found_again(pipeline: Pipeline) -> None:
    pipeline.backup()
    pipeline.land("a.csv", 0)
    pipeline.move()
    pipeline.load()
    pipeline.land("again.csv", 0)
    pipeline.move()
    assert pipeline.files() == {"a.csv": "loaded", "again.csv": "duplicate"}

    assert sorted(pipeline.restore().returned) == ["a.csv", "again.csv"]
    pipeline.move()
    pipeline.load()
    assert sorted(pipeline.files().values()) == ["duplicate", "loaded"]


def test_a_seal_outlives_the_restore(pipeline: Pipeline) -> None:
    pipeline.land("a.csv", 0)
    [file_id] = pipeline.move()
    pipeline.load()
    pipeline.backup()
    with pipeline.connect() as connection:
        connection.execute("UPDATE ledger.files SET sealed_at = now()")
    [archived] = pipeline.settings.archive_dir.glob("loaded/*/*")
    archived.unlink()

    assert pipeline.restore().missing == []
    with pipeline.connect() as connection:
        row = connection.execute("SELECT sealed_at FROM ledger.files WHERE file_id = %s", [file_id]).fetchone()
    assert row is not None
    assert row["sealed_at"] is not None


def test_a_file_that_waits_in_the_ledger_but_is_gone_is_named(pipeline: Pipeline) -> None:
    pipeline.land("a.csv", 0)
    [file_id] = pipeline.move()
    pipeline.backup()
    [waiting] = pipeline.settings.processing_dir.iterdir()
    waiting.unlink()
    assert pipeline.restore().missing == [f"a.csv (file {file_id})"]


def test_what_is_no_backup_changes_nothing(pipeline: Pipeline) -> None:
    pipeline.land("a.csv", 0)
    pipeline.move()
    pipeline.load()
    pipeline.backup_file.parent.mkdir()
    pipeline.backup_file.write_bytes(b"PGDMP, but not really")
    with pytest.raises(RestoreError, match="nothing was changed"):
        pipeline.restore()
    restore.begin(pipeline.server.url)
    with pytest.raises(RestoreError, match="holds no ledger"):
        restore.finish(pipeline.settings, pipeline.server.url, pipeline.owner_url, print)
    assert pipeline.files() == {"a.csv": "loaded"}


def test_a_session_that_stays_connected_is_ended_and_comes_back_to_the_restored_database(pipeline: Pipeline) -> None:
    pipeline.backup()
    with pipeline.connect() as connection:
        pipeline.restore()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pipeline.connect() as connection:
        assert connection.execute("SELECT count(*) AS n FROM ledger.files").fetchone() == {"n": 0}


def test_nothing_lands_again_while_a_mover_works(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    only_mover = landing.only_mover
    monkeypatch.setattr(landing, "only_mover", lambda connection, wait: only_mover(connection, 0.05))
    with (
        pipeline.connect() as mover,
        pipeline.connect() as connection,
        only_mover(mover, 1),
        pytest.raises(RestoreError, match="stop the pipeline"),
    ):
        restore.reland(pipeline.settings, connection)
