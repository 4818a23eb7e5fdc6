"""A restore goes back in one step; what landed since the backup lands again, and every row is there once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from sluice.base import database, queries
from sluice.base.settings import PROJECT, SQL, Settings
from sluice.cli import backups
from sluice.landing import folders, mover
from sluice.ledger import leases, migrate, receipts, roles
from sluice.loading import backup, expiry, left_behind, merge, restore, unload
from sluice.loading.load_file import FileLoader
from sluice.loading.restore import RestoreError
from sluice.proof import reconcile, sealing
from sluice.reports import tables
from sluice.running import embedded
from sluice.running.pipeline import InstanceError
from tests.changed_days import ChangedDays, counted
from tests.integration.test_merge import STOCK
from tests.integration.test_months import NOVEMBER, OCTOBER
from tests.loading import Connection, change_contract, event, event_id, owners, recount, rejects, state, table
from tests.reports import refresh

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
            return mover.move_landed(self.settings, connection).moved

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
            leases.end(connection, epoch=epoch, how=leases.EndedHow.FAILED, because="test")
        return epoch

    def backup(self) -> None:
        program = self.server.bin_dir / "pg_dump"
        backup.dump(self.server.url("sluice"), program, self.backup_file, self.settings.contracts_dir)

    def restore(self, **options: bool) -> restore.Relanded:
        program = self.server.bin_dir / "pg_restore"
        return restore.restore(
            self.settings, self.server.url, self.owner_url, program, self.backup_file, lambda sentence: None, **options
        )

    def copy_sealed(self) -> left_behind.Copied:
        return restore.copy_sealed(self.settings, self.server.url, self.owner_url)

    def seal(self) -> None:
        """Housekeeping a year later: verified tallies stay, the bytes go."""
        merge.merge(self.settings)
        with self.connect() as connection:
            sealing.seal_archive(self.settings, connection, now=datetime.now(UTC) + timedelta(days=365))

    def reconcile(self) -> list[str]:
        return reconcile.reconcile(self.settings, self.settings.owner_dsn).broken

    def files(self) -> dict[str, str]:
        with self.connect() as connection:
            rows = connection.execute("SELECT name, state FROM ledger.files ORDER BY file_id").fetchall()
        return {row["name"]: row["state"] for row in rows}


@pytest.fixture
def pipeline(settings: Settings, postgres_server: embedded.Server, tmp_path: Path) -> Iterator[Pipeline]:
    yield from lived_in(settings, postgres_server, tmp_path)


def lived_in(settings: Settings, postgres_server: embedded.Server, tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline on a database of its own, which is gone afterwards."""
    names = (restore.LIVING, restore.SIDE, restore.REPLACED)
    with database.connect(postgres_server.url()) as connection:
        roles.make_database(connection, restore.LIVING, "sluice_owner")
        made = Pipeline(settings, postgres_server, tmp_path / "backups" / "one.dump")
        migrate.migrate(made.settings.owner_dsn)
        tables.make(made.settings.owner_dsn)
        with made.connect() as ledger:
            folders.adopt(made.settings, ledger)
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


@pytest.mark.parametrize("dumped_whole", [False, True])
def test_a_restore_runs_nothing_that_the_reader_has_written(pipeline: Pipeline, dumped_whole: bool) -> None:
    """A restore works as superuser, and so would the check of a table. Backups of earlier versions may hold one.

    In those the reader had a schema of its own, report_staging; the restore passes over it, and the upgrade drops it.
    """
    with pipeline.connect() as owner, owner.transaction():
        owner.execute(queries.script(SQL / "migrations" / "0024_reports_by_unit.down.sql"))
        owner.execute("DELETE FROM public.sluice_migrations WHERE name = '0024_reports_by_unit'")
        owner.execute("GRANT CREATE, USAGE ON SCHEMA report_staging TO sluice_reader")
    with database.connect(pipeline.settings.reader_dsn) as reader:
        reader.execute("""
            CREATE TABLE report_staging.ran (who name);
            CREATE FUNCTION report_staging.note(int) RETURNS boolean LANGUAGE plpgsql AS
            $$BEGIN INSERT INTO report_staging.ran VALUES (current_user); RETURN true; END$$;
            CREATE TABLE report_staging.evil (x int CHECK (report_staging.note(x)));
            INSERT INTO report_staging.evil VALUES (1)
        """)
    pipeline.backup()
    if dumped_whole:
        program = str(pipeline.server.bin_dir / "pg_dump")
        pipeline.backup_file.unlink()
        backup.run(
            [program, "--format=custom", f"--file={pipeline.backup_file}"], pipeline.server.url("sluice"), lambda: None
        )
    pipeline.restore()
    with database.connect(pipeline.settings.reader_dsn) as reader:
        found = reader.execute("SELECT to_regnamespace('report_staging')::text AS workshop").fetchone()
        assert found == {"workshop": None}
        assert refresh(reader, pipeline.settings).whole


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
    [waiting] = pipeline.settings.processing_dir.glob("[!.]*")
    waiting.unlink()
    assert pipeline.restore().missing == [f"a.csv (file {file_id})"]


def test_the_folders_stay_the_pipelines_own_though_the_backup_is_of_another_ledger(pipeline: Pipeline) -> None:
    with pipeline.connect() as connection:
        connection.execute("UPDATE ledger.identity SET ledger_id = gen_random_uuid()")
        pipeline.backup()
        connection.execute("UPDATE ledger.identity SET ledger_id = gen_random_uuid()")
        folders.adopt(pipeline.settings, connection)
    pipeline.restore()
    with pipeline.connect() as connection:
        assert folders.problem(pipeline.settings, connection) == ""


def test_a_restore_changes_nothing_while_a_folder_is_not_there(pipeline: Pipeline) -> None:
    pipeline.backup()
    pipeline.land("since.csv", 0)
    pipeline.move()
    (pipeline.settings.archive_dir / folders.MARKER).unlink()
    with pytest.raises(RestoreError, match="archive lacks"):
        pipeline.restore()
    assert pipeline.files() == {"since.csv": "landed"}


def test_what_is_no_backup_changes_nothing(pipeline: Pipeline) -> None:
    pipeline.land("a.csv", 0)
    pipeline.move()
    pipeline.load()
    pipeline.backup_file.parent.mkdir()
    pipeline.backup_file.write_bytes(b"PGDMP, but not really")
    with pytest.raises(RestoreError, match="nothing was changed"):
        pipeline.restore()
    restore.begin(pipeline.settings, pipeline.server.url)
    with pytest.raises(RestoreError, match="holds no ledger"):
        restore.finish(pipeline.settings, pipeline.server.url, pipeline.owner_url, print)
    assert pipeline.files() == {"a.csv": "loaded"}


def test_a_backup_overwrites_nothing_and_says_where_it_cannot_be_written(
    pipeline: Pipeline, tmp_path: Path, settings: Settings
) -> None:
    (tmp_path / "a file").write_text("mine")
    with pytest.raises(InstanceError, match="exists already"):
        backups.backup_file(tmp_path, tmp_path / "a file")
    assert backups.backup_file(tmp_path / "other", tmp_path).parent == tmp_path
    assert backups.backup_file(tmp_path, None).parent == tmp_path
    pipeline.backup_file = tmp_path / "a file" / "one.dump"
    with pytest.raises(RestoreError, match="no backup was made"):
        pipeline.backup()
    assert (tmp_path / "a file").read_text() == "mine"


def test_a_session_that_stays_connected_is_ended_and_comes_back_to_the_restored_database(pipeline: Pipeline) -> None:
    pipeline.backup()
    with pipeline.connect() as connection:
        pipeline.restore()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pipeline.connect() as connection:
        assert connection.execute("SELECT count(*) AS n FROM ledger.files").fetchone() == {"n": 0}


def test_nothing_lands_again_while_a_mover_works(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    only_mover = mover.only_mover
    monkeypatch.setattr(mover, "only_mover", lambda connection, wait: only_mover(connection, 0.05))
    with (
        pipeline.connect() as moving,
        pipeline.connect() as connection,
        only_mover(moving, 1),
        pytest.raises(RestoreError, match="stop the pipeline"),
    ):
        restore.reland(pipeline.settings, connection)


def sealed_after_the_backup(pipeline: Pipeline) -> None:
    """File 1 is loaded and 2 waits at the backup; since then 2, 3 (two ids of 1's) and a duplicate of 3 are sealed."""
    pipeline.land("before.csv", 0)
    pipeline.move()
    pipeline.load()
    pipeline.land("waits.csv", 20)
    pipeline.move()
    pipeline.backup()
    pipeline.load()
    pipeline.land("overlaps.csv", 1)
    pipeline.move()
    pipeline.load()
    pipeline.land("again.csv", 1)
    pipeline.move()
    pipeline.seal()
    assert not [path for path in pipeline.settings.archive_dir.rglob("[!.]*") if path.is_file()]


def receipts_of(connection: Connection) -> dict[int, bool | None]:
    """Whether each loaded file's rows give its receipt; None while it is pending."""
    rows = connection.execute(
        "SELECT file_id, ledger.verify(file_id) -> 'holds' AS holds FROM ledger.files WHERE state = 'loaded'"
    )
    return {row["file_id"]: row["holds"] for row in rows}


def test_a_restore_names_the_files_that_were_sealed_after_the_backup(pipeline: Pipeline) -> None:
    sealed_after_the_backup(pipeline)
    found = pipeline.restore()
    assert [(row["name"], row["rows_read"]) for row in found.left.files] == [("waits.csv", 3), ("overlaps.csv", 3)]
    assert "2 files with 6 rows" in "\n".join(found.lines())
    assert "waits.csv (file 2), overlaps.csv (file 3)" in "\n".join(found.lines())


@pytest.mark.parametrize("later", [False, True])
def test_rows_of_sealed_files_are_copied_over_on_request(pipeline: Pipeline, later: bool) -> None:
    sealed_after_the_backup(pipeline)
    with pipeline.connect() as connection:
        before, owned = recount(connection), owners(connection)
        rejected = [rejects(connection, file_id) for file_id in before]

    found = pipeline.restore(copy_sealed=not later)
    copied = pipeline.copy_sealed() if later else found.copied

    assert copied is not None
    assert (copied.files, copied.loaded, copied.rejected, copied.duplicates) == (2, 3, 2, 1)
    assert later or (found.missing, found.left.files) == ([], [])
    assert pipeline.files() == {
        "before.csv": "loaded",
        "waits.csv": "loaded",
        "overlaps.csv": "loaded",
        "again.csv": "duplicate",
    }
    with pipeline.connect() as connection:
        assert (recount(connection), owners(connection)) == (before, owned)
        assert [rejects(connection, file_id) for file_id in before] == rejected
        assert receipts_of(connection) == {1: None, 2: True, 3: True}
        noted = connection.execute("SELECT file_id FROM ledger.audit WHERE action = 'copy' ORDER BY file_id").fetchall()
        assert noted == [{"file_id": 2}, {"file_id": 3}]
    assert pipeline.reconcile() == []
    assert pipeline.copy_sealed().files == 0
    pipeline.land("new.csv", 40)
    assert pipeline.move() > [4]


def test_the_reports_count_what_waited_for_them_at_the_backup_and_what_is_copied_since(pipeline: Pipeline) -> None:
    sealed_after_the_backup(pipeline)
    pipeline.restore()
    with pipeline.connect() as connection:
        waited = connection.execute("SELECT file_id FROM ledger.report_changes").fetchall()
        assert waited == [{"file_id": 1}]
        days = ChangedDays(connection)
        pipeline.copy_sealed()
        noted = connection.execute("SELECT file_id FROM ledger.report_changes ORDER BY file_id").fetchall()
        assert noted == [{"file_id": 2}, {"file_id": 3}]
        assert days.look() == {("events", "2026-11-22")}


def test_a_sealed_file_that_lost_a_month_is_copied_with_what_is_left_and_says_so(pipeline: Pipeline) -> None:
    old = [event(number).replace("2026-11-22", "2020-02-03") for number in (1, 2)]
    pipeline.backup()
    for name, lines in (("first.csv", [*old, event(3)]), ("second.csv", [old[0], event(4)])):
        path = pipeline.settings.incoming_dir / name
        path.write_text(table(*lines))
        os.utime(path, (time.time() - 60, time.time() - 60))
        pipeline.move()
        pipeline.load()
    with pipeline.connect() as connection:
        receipts.make(connection, 1)
        receipts.make(connection, 2)
        counted(connection)
        expiry.expire(replace(pipeline.settings, keep_events_months=60))
        before = recount(connection)
        assert before == {1: (3, 0, 0), 2: (1, 0, 1)}
    pipeline.seal()

    copied = pipeline.restore(copy_sealed=True).copied

    assert copied is not None
    assert (copied.files, copied.not_whole) == (2, [])
    with pipeline.connect() as connection:
        connection.execute("INSERT INTO ledger.retentions VALUES ('2021-01-01Z')")
        assert recount(connection) == before
        assert receipts_of(connection) == {1: True, 2: True}
    assert pipeline.reconcile() == []


def test_rows_of_months_that_expired_after_the_restore_are_copied_too_and_expire_then(pipeline: Pipeline) -> None:
    pipeline.backup()
    path = pipeline.settings.incoming_dir / "old.csv"
    path.write_text(table(event(1).replace("2026-11-22", "2020-02-03"), event(2)))
    os.utime(path, (time.time() - 60, time.time() - 60))
    pipeline.move()
    pipeline.load()
    pipeline.seal()
    pipeline.restore()
    keeping = replace(pipeline.settings, keep_events_months=60)
    expiry.expire(keeping)

    assert pipeline.copy_sealed().loaded == 2

    with pipeline.connect() as connection:
        assert recount(connection) == {1: (2, 0, 0)}
        counted(connection)
        done = expiry.expire(keeping)
        assert done is not None
        assert (done.months, done.rows) == (["events_2020_02"], 1)
        assert recount(connection) == {1: (2, 0, 0)}
    assert pipeline.reconcile() == []


def test_a_row_whose_other_owner_lands_again_is_copied_as_the_only_one(pipeline: Pipeline) -> None:
    pipeline.backup()
    pipeline.land("first.csv", 0)
    pipeline.move()
    pipeline.load()
    pipeline.land("second.csv", 1)
    pipeline.move()
    pipeline.load()
    with pipeline.connect() as connection:
        assert recount(connection) == {1: (2, 1, 0), 2: (1, 1, 1)}
        receipts.make(connection, 2)
        connection.execute("UPDATE ledger.files SET sealed_at = now() WHERE file_id = 2")
    [second] = pipeline.settings.archive_dir.glob("loaded/*/2-*")
    second.unlink()

    assert pipeline.restore(copy_sealed=True).returned == ["first.csv"]

    with pipeline.connect() as connection:
        assert recount(connection) == {2: (2, 1, 0)}
        assert receipts_of(connection) == {2: None}
    pipeline.move()
    pipeline.load()
    with pipeline.connect() as connection:
        assert recount(connection) == {2: (2, 1, 0), 3: (1, 1, 1)}
    assert pipeline.reconcile() == []


def test_a_row_whose_other_owner_is_of_another_month_is_copied_to_the_month_that_it_is_in(
    pipeline: Pipeline, own_contracts: Settings
) -> None:
    """Of a feed that is timed by arrival: a merge has made the later row a duplicate of one of another month."""
    [contract] = own_contracts.contracts_dir.iterdir()
    contract.write_text(STOCK)
    pipeline.settings = replace(pipeline.settings, contracts=own_contracts.contracts)
    pipeline.backup()
    for name, moment, lines in (("first.csv", OCTOBER, "A,3\n"), ("second.csv", NOVEMBER, "A,3\nB,4\n")):
        path = pipeline.settings.incoming_dir / name
        path.write_text(f"sku,count\n{lines}")
        os.utime(path, (time.time() - 60, time.time() - 60))
        [file_id] = pipeline.move()
        with pipeline.connect() as connection:
            connection.execute("UPDATE ledger.files SET landed_at = %s WHERE file_id = %s", [moment, file_id])
        pipeline.load()
    merge.merge(pipeline.settings)
    with pipeline.connect() as connection:
        assert recount(connection) == {1: (1, 0, 0), 2: (1, 0, 1)}
        connection.execute("UPDATE ledger.files SET sealed_at = now() WHERE file_id = 2")
    [second] = pipeline.settings.archive_dir.glob("loaded/*/2-*")
    second.unlink()

    pipeline.restore()
    with pipeline.connect() as connection:
        days = ChangedDays(connection)
        pipeline.copy_sealed()
        assert days.look() == {("stock", OCTOBER[:10]), ("stock", NOVEMBER[:10])}
        assert recount(connection) == {2: (2, 0, 0)}


def test_what_was_loaded_meanwhile_decides_what_a_copied_row_becomes(pipeline: Pipeline) -> None:
    pipeline.backup()
    pipeline.land("sealed.csv", 0)
    pipeline.land("same bytes.csv", 50)
    pipeline.move()
    pipeline.load()
    pipeline.seal()
    pipeline.restore()
    path = pipeline.settings.incoming_dir / "meanwhile.csv"
    path.write_text(table(event(0), event(1, price="1.00")))
    os.utime(path, (time.time() - 60, time.time() - 60))
    pipeline.land("same bytes.csv", 50)
    pipeline.move()
    pipeline.load()

    copied = pipeline.copy_sealed()

    assert (copied.files, copied.loaded, copied.rejected, copied.duplicates) == (1, 0, 2, 1)
    with pipeline.connect() as connection:
        assert sorted(recount(connection).values()) == [(0, 2, 1), (2, 0, 0), (2, 1, 0)]
        [conflict, _] = rejects(connection, 1)
        assert receipts_of(connection)[1] is None
    assert (conflict["rules"], conflict["error_class"]) == (["event_id.conflict"], "conflict")
    assert (conflict["fields"]["event_id"], conflict["fields"]["price"]) == (event_id(1), 9.99)
    assert pipeline.reconcile() == []


def test_an_older_revision_leaves_when_the_newer_is_copied(pipeline: Pipeline, own_contracts: Settings) -> None:
    pipeline.settings = replace(pipeline.settings, contracts=own_contracts.contracts)
    change_contract(pipeline.settings, revision="replace")
    pipeline.land("prices.csv", 0)
    pipeline.move()
    pipeline.load()
    pipeline.backup()
    pipeline.land("prices.csv", 10)
    pipeline.move()
    pipeline.load()
    pipeline.seal()

    pipeline.restore()
    with pipeline.connect() as connection:
        days = ChangedDays(connection)
        copied = pipeline.copy_sealed()
        assert (copied.files, copied.replaced) == (1, [1])
        assert days.look() == {("events", "2026-11-22")}
        assert recount(connection) == {2: (2, 1, 0)}
        assert state(connection, 1) == "replaced"
    assert pipeline.reconcile() == []


def test_a_restore_does_not_delete_the_only_rows_of_sealed_files(pipeline: Pipeline) -> None:
    sealed_after_the_backup(pipeline)
    pipeline.restore()
    with pytest.raises(RestoreError, match="2 files whose bytes are gone: `make copy-sealed`"):
        pipeline.restore()
    assert pipeline.copy_sealed().files == 2
    pipeline.backup()
    assert pipeline.restore().left.files == []
    assert pipeline.restore(discard_replaced=True).left.files == []


def test_a_restore_names_what_people_did_after_the_backup(pipeline: Pipeline) -> None:
    pipeline.land("wrong.csv", 0)
    pipeline.land("edited.csv", 10)
    pipeline.move()
    pipeline.load()
    pipeline.backup()
    with pipeline.connect() as connection:
        connection.execute('UPDATE ledger.rejects SET fields = fields || \'{"event_type": "cart"}\' WHERE file_id = 2')
    unload.unload_file(pipeline.settings, 1, "it was wrong", by_whom="somebody")

    said = "\n".join(pipeline.restore().lines())

    assert "has or loads them again: wrong.csv (file 1)" in said
    assert "edits of rejects made after the backup: 1 of edited.csv (file 2)" in said
    assert "1 entries of ledger.audit" in said
    assert "unload of file 1 by somebody: it was wrong" in said


COPY = """
import sys
from sluice.base import settings
from sluice.loading import restore
server, owner = sys.argv[1:]
restore.copy_sealed(settings.load(), lambda name: server % name, lambda name: owner % name)
"""


@pytest.mark.parametrize("point", ["restore.before_copied"])
def test_a_copy_that_is_killed_leaves_nothing(pipeline: Pipeline, point: str, tmp_path: Path) -> None:
    sealed_after_the_backup(pipeline)
    pipeline.restore()
    urls = [pipeline.server.url("sluice").replace("/sluice", "/%s"), pipeline.owner_url("%s")]
    environment = os.environ | {"SLUICE_CRASH_AT": point, "SLUICE_CRASH_ONCE": str(tmp_path / "died")}
    killed = subprocess.run([sys.executable, "-c", COPY, *urls], env=environment, cwd=PROJECT)
    assert killed.returncode == -signal.SIGKILL
    with pipeline.connect() as connection:
        assert recount(connection) == {1: (2, 1, 0)}
    assert pipeline.files() == {"before.csv": "loaded", "waits.csv": "landed"}
    assert pipeline.copy_sealed().files == 2
    assert pipeline.reconcile() == []
