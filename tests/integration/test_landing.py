"""Landing: what is taken, what is refused and why, and that moving neither loses nor doubles a file."""

from __future__ import annotations

import errno
import gzip
import hashlib
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sluice.base import database
from sluice.base.renaming import rename_if_free
from sluice.base.settings import PROJECT, Settings
from sluice.landing import incoming, mover, predicate, tidy
from sluice.ledger import file_names

Connection = psycopg.Connection[dict[str, Any]]
NOW = 2_000_000_000.0


def land(settings: Settings, name: str | bytes, content: bytes = b"a,b\n1,2\n", age: float = 10) -> Path:
    """A file in incoming that changed ``age`` seconds ago."""
    path = settings.incoming_dir / os.fsdecode(name)
    path.write_bytes(content)
    if age:
        os.utime(path, (time.time() - age, time.time() - age))
    return path


def files(connection: Connection) -> list[dict[str, Any]]:
    """The ledger's files, oldest first."""
    return connection.execute("SELECT * FROM ledger.files ORDER BY file_id").fetchall()


def everything(settings: Settings) -> list[bytes]:
    """The contents of all files in the state folder, the folders' own markers left out."""
    return sorted(path.read_bytes() for path in settings.home_dir.rglob("[!.]*") if path.is_file())


def verdict(settings: Settings, path: Path) -> predicate.Look:
    """The look of a settled entry."""
    return predicate.look(path, settings.settle_seconds)


# --- the predicate -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a.csv", "A.CSV", "a.csv.gz", "a.csv.zst", "a.tsv", "a.psv", "a.ssv", "a.txt", "é b.csv"]
)
def test_a_settled_file_is_taken(settings: Settings, name: str) -> None:
    assert incoming.takeable(settings) == []
    path = land(settings, name)
    assert incoming.takeable(settings) == [path]


@pytest.mark.parametrize("name", [".a.csv", "a.csv.part", "a.csv.tmp", "a.csv.TMP", ".part", ".a.csv.Xy12ab"])
def test_a_name_that_says_unfinished_is_never_taken_and_said_when_nobody_wrote_for_an_hour(
    settings: Settings, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    changed = land(settings, name).stat().st_ctime
    assert incoming.sort(settings, changed + 3599) == ([], {})
    assert incoming.survey(settings, changed + 3599) == incoming.Survey(0, {})
    assert caplog.records == []
    why = "its name says that it is not finished: rename it when it is"
    for hour in (1, 2, 30):
        assert incoming.sort(settings, changed + hour * 3600) == ([], {name: why})
        assert incoming.survey(settings, changed + hour * 3600) == incoming.Survey(0, {name: why})
    assert [record.getMessage() for record in caplog.records] == [f"refused {name!r}: {why}"]


def test_a_name_that_begins_with_an_underscore_is_said_at_once(settings: Settings) -> None:
    land(settings, "_a.csv")
    why = "its name says that it is not finished: rename it when it is"
    assert incoming.sort(settings) == ([], {"_a.csv": why})
    assert incoming.survey(settings) == incoming.Survey(0, {"_a.csv": why})


@pytest.mark.parametrize("name", [".gitkeep", ".DS_Store", ".nfs000000a1"])
def test_a_hidden_name_of_nobodys_data_is_never_said(settings: Settings, name: str) -> None:
    changed = land(settings, name).stat().st_ctime
    assert incoming.sort(settings, changed + 1e6) == ([], {})
    assert incoming.survey(settings, changed + 1e6) == incoming.Survey(0, {})


@pytest.mark.parametrize(
    ("name", "says"),
    [("a.XLSX", "save each sheet as CSV"), ("a.csv.zip", "unpack it"), ("a.json", "convert it to CSV")],
)
def test_a_known_other_format_is_refused_with_what_to_do(settings: Settings, name: str, says: str) -> None:
    found = verdict(settings, land(settings, name))
    assert found.verdict is predicate.Verdict.REFUSE
    assert says in found.reason


@pytest.mark.parametrize("name", ["a.doc", "csv", "a.csv.bak", "a.csv.lz4"])
def test_another_ending_is_refused(settings: Settings, name: str) -> None:
    assert verdict(settings, land(settings, name)) == (
        predicate.Verdict.REFUSE,
        f"its name ends in none of {', '.join(predicate.ENDINGS)}: rename it",
    )


def test_a_folder_named_like_a_file_is_never_taken(settings: Settings) -> None:
    (settings.incoming_dir / "x.csv").mkdir()
    assert incoming.takeable(settings) == []
    assert "is a folder" in verdict(settings, settings.incoming_dir / "x.csv").reason


@pytest.mark.parametrize("target", ["real.csv", "nowhere", "/etc/passwd"])
def test_a_link_is_never_taken(settings: Settings, target: str) -> None:
    real = land(settings, "real.csv")
    (settings.incoming_dir / "x.csv").symlink_to(target)
    assert incoming.takeable(settings) == [real]
    assert "is a link" in verdict(settings, settings.incoming_dir / "x.csv").reason


def test_a_special_file_is_never_taken(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(settings.incoming_dir / "x.csv")
    monkeypatch.chdir(settings.incoming_dir)  # a socket's address is short
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind("y.csv")
        assert incoming.takeable(settings) == []
    assert "special file" in verdict(settings, settings.incoming_dir / "x.csv").reason


def test_a_file_that_changed_a_moment_ago_waits(settings: Settings) -> None:
    path = land(settings, "x.csv", age=0)
    changed = path.stat().st_mtime
    assert predicate.look(path, 1.0, changed + 0.9).verdict is predicate.Verdict.WAIT
    assert predicate.look(path, 1.0, changed + 1.1).verdict is predicate.Verdict.TAKE


def test_a_file_that_was_renamed_after_its_last_write_does_not_wait(settings: Settings) -> None:
    hidden = land(settings, ".x.csv.part", age=0)
    while predicate.look(hidden.rename(hidden.with_name("x.csv")), 60.0).verdict is not predicate.Verdict.TAKE:
        hidden.with_name("x.csv").rename(hidden)  # within one tick of the kernel's clock both times are one
    with (settings.incoming_dir / "x.csv").open("ab") as still:
        assert predicate.look(settings.incoming_dir / "x.csv", 60.0).reason == "it is open for writing"
        still.write(b"3,4\n")
    assert predicate.look(settings.incoming_dir / "x.csv", 60.0).reason == "it changed a moment ago"


def test_an_empty_file_whose_permissions_were_set_waits_for_its_rows(settings: Settings) -> None:
    path = land(settings, "x.csv", b"", age=0)
    path.chmod(0o640)
    assert predicate.look(path, 60.0).verdict is predicate.Verdict.WAIT


def test_a_file_does_not_wait_until_a_clock_that_was_set_back_has_caught_up(settings: Settings) -> None:
    path = land(settings, "x.csv", age=0)
    changed = path.stat().st_ctime
    assert predicate.look(path, 1.0, changed - 3600).verdict is predicate.Verdict.TAKE
    assert predicate.look(path, 1.0, changed - 1).verdict is predicate.Verdict.WAIT


def test_a_modification_time_in_the_future_does_not_wait_for_it(settings: Settings) -> None:
    path = land(settings, "x.csv")
    changed = path.stat().st_ctime
    os.utime(path, (changed + 86_400, changed + 86_400))
    assert predicate.look(path, 1.0, changed + 0.5).verdict is predicate.Verdict.WAIT
    assert predicate.look(path, 1.0, changed + 1.5).verdict is predicate.Verdict.TAKE


def test_a_file_that_is_open_for_writing_waits(settings: Settings) -> None:
    path = land(settings, "x.csv")
    with path.open("ab"):
        assert verdict(settings, path) == (predicate.Verdict.WAIT, "it is open for writing")
        assert incoming.takeable(settings) == []
    with path.open("rb"):
        assert incoming.takeable(settings) == [path]


def test_a_file_without_read_permission_is_refused() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)  # noqa: S103 - another user has to get through
        path = Path(folder, "x.csv")
        path.write_bytes(b"a\n1\n")
        path.chmod(0)
        code = f"""if True:
            import os
            from pathlib import Path
            from sluice.landing import predicate
            if os.geteuid() == 0:
                os.setuid(65534)  # root may read everything: look as nobody
            print(predicate.look(Path({str(path)!r}), 0))
        """
        done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert "REFUSE" in done.stdout, done.stderr
    assert "cannot be read" in done.stdout


def test_the_oldest_file_is_first(settings: Settings) -> None:
    young, old, middle = (
        land(settings, "a.csv", age=5),
        land(settings, "b.csv", age=50),
        land(settings, "c.csv", age=20),
    )
    assert incoming.takeable(settings) == [old, middle, young]


def test_a_refusal_is_logged_once_with_its_reason(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    (settings.incoming_dir / "logged.csv").mkdir()
    for _ in range(3):
        incoming.takeable(settings)
    assert [record.getMessage() for record in caplog.records if "logged.csv" in record.getMessage()] == [
        "refused 'logged.csv': it is a folder: land files directly in incoming"
    ]


def test_missing_folders_are_made(settings: Settings, writer: Connection) -> None:
    writer.execute("UPDATE ledger.identity SET folders_marked_at = NULL")
    for folder in (settings.incoming_dir, settings.processing_dir, settings.archive_dir):
        shutil.rmtree(folder)
    assert incoming.takeable(settings) == []
    assert mover.move_landed(settings, writer) == mover.MoveResult()
    assert settings.incoming_dir.is_dir()


# --- moving ------------------------------------------------------------------------------------------------------


def test_a_moved_file_is_registered_and_renamed(settings: Settings, writer: Connection) -> None:
    content = b"a,b\n1,2\n"
    changed = land(settings, "my file.csv", content).stat().st_ctime
    result = mover.move_landed(settings, writer)
    (row,) = files(writer)
    digest = hashlib.sha256(content).hexdigest()
    assert (result.moved, row["state"], row["name"], row["bytes"]) == ([row["file_id"]], "landed", "my file.csv", 8)
    assert row["sha256"] == digest
    assert row["path"] == f"processing/{file_names.make(row['file_id'], digest, 'my-file.csv')}"
    assert (settings.home_dir / row["path"]).read_bytes() == content
    assert row["landed_at"].timestamp() == pytest.approx(changed, abs=0.001)
    assert list(settings.incoming_dir.iterdir()) == []


def test_moving_twice_adds_nothing(settings: Settings, writer: Connection) -> None:
    land(settings, "x.csv")
    mover.move_landed(settings, writer)
    before = files(writer)
    assert mover.move_landed(settings, writer) == mover.MoveResult()
    assert files(writer) == before


@pytest.mark.parametrize("state", ["landed", "loaded"])
def test_the_same_bytes_under_another_name_are_a_duplicate(settings: Settings, writer: Connection, state: str) -> None:
    land(settings, "first.csv")
    (first,) = mover.move_landed(settings, writer).moved
    if state == "loaded":
        loaded(settings, writer, first)
    land(settings, "second.csv")
    duplicates = mover.move_landed(settings, writer).duplicates
    row = files(writer)[1]
    assert duplicates == [row["file_id"]]
    assert (row["state"], row["duplicate_of"]) == ("duplicate", first)
    assert row["path"].startswith(f"archive/duplicate/{row['moved_at'].astimezone().strftime('%Y-')}")
    assert (settings.home_dir / row["path"]).exists()


def test_the_same_bytes_land_again_after_a_rejection(settings: Settings, writer: Connection) -> None:
    land(settings, "x.csv")
    mover.move_landed(settings, writer)
    writer.execute("UPDATE ledger.files SET state = 'rejected', path = 'archive/rejected/x'")
    land(settings, "x.csv")
    assert len(mover.move_landed(settings, writer).moved) == 1
    assert [row["state"] for row in files(writer)] == ["rejected", "landed"]


def test_a_landed_file_that_was_lost_is_replaced_by_the_same_bytes(settings: Settings, writer: Connection) -> None:
    land(settings, "x.csv")
    mover.move_landed(settings, writer)
    (row,) = files(writer)
    (settings.home_dir / row["path"]).unlink()
    land(settings, "again.csv")
    assert mover.move_landed(settings, writer).moved == [row["file_id"]]
    assert files(writer) == [row]
    assert (settings.home_dir / row["path"]).exists()


def test_an_empty_file_is_moved_like_any_other(settings: Settings, writer: Connection) -> None:
    land(settings, "x.csv", b"")
    mover.move_landed(settings, writer)
    assert files(writer)[0]["bytes"] == 0


@pytest.mark.parametrize(
    ("name", "ledger_name", "end_of_path"),
    [
        ("caf\u00e9.csv", "caf\u00e9.csv", "-caf-.csv"),
        (b"caf\xe9.csv", "caf\\xe9.csv", "-caf-.csv"),
        ("../..csv".replace("/", "\u2215"), "..\u2215..csv", None),
        ("a\nb'; DROP TABLE x;--.csv", "a\nb'; DROP TABLE x;--.csv", "-a-b-DROP-TABLE-x---.csv"),
        ("\u65e5\u672c.csv", "\u65e5\u672c.csv", "-x-.csv"),
        ("x" * 251 + ".csv", "x" * 251 + ".csv", "x" * 146 + ".csv"),
    ],
)
def test_any_name_that_a_file_can_have_is_registered(
    settings: Settings, writer: Connection, name: str | bytes, ledger_name: str, end_of_path: str | None
) -> None:
    if end_of_path is None:  # begins with a dot: never taken
        land(settings, name)
        assert mover.move_landed(settings, writer) == mover.MoveResult()
        return
    land(settings, name)
    mover.move_landed(settings, writer)
    (row,) = files(writer)
    assert row["name"] == ledger_name
    assert row["path"].endswith(end_of_path)
    assert (settings.home_dir / row["path"]).exists()


def test_what_is_refused_stays_and_stops_nothing(settings: Settings, writer: Connection) -> None:
    (settings.incoming_dir / "a.csv").mkdir()
    (settings.incoming_dir / "b.csv").symlink_to("c.csv")
    os.mkfifo(settings.incoming_dir / "d.csv")
    land(settings, "c.csv")
    result = mover.move_landed(settings, writer)
    assert len(result.moved) == 1
    assert sorted(result.refused) == ["a.csv", "b.csv", "d.csv"]
    assert sorted(path.name for path in settings.incoming_dir.iterdir()) == ["a.csv", "b.csv", "d.csv"]


def test_a_file_that_vanished_is_no_error(
    settings: Settings, writer: Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gone, stays = land(settings, "gone.csv", b"a\n"), land(settings, "stays.csv", b"b\n")
    monkeypatch.setattr(incoming, "in_order", lambda *_: [gone, stays])
    gone.unlink()
    with caplog.at_level(logging.INFO):
        result = mover.move_landed(settings, writer)
    assert (len(result.moved), result.failed) == (1, {})
    assert "'gone.csv' vanished" in caplog.text


def test_a_file_that_vanishes_after_it_was_registered_leaves_no_row(
    settings: Settings, writer: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = land(settings, "gone.csv")
    monkeypatch.setattr(mover, "crash_point", lambda name: path.unlink() if name == "mover.after_register" else None)
    assert mover.move_landed(settings, writer) == mover.MoveResult()
    assert files(writer) == []


@pytest.mark.parametrize("point", ["mover.before_register", "mover.after_register"])
def test_a_file_that_changed_while_it_was_moved_waits(
    settings: Settings, writer: Connection, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    path = land(settings, "x.csv", b"half")
    grow = [lambda: path.write_bytes(b"half and half")]
    with monkeypatch.context() as patched:
        patched.setattr(mover, "crash_point", lambda name: grow.pop()() if name == point and grow else None)
        assert mover.move_landed(settings, writer).moved == []
    assert (files(writer), path.read_bytes()) == ([], b"half and half")
    os.utime(path, (time.time() - 10, time.time() - 10))
    mover.move_landed(settings, writer)
    assert files(writer)[0]["bytes"] == 13


def test_a_second_mover_waits_and_then_says_busy(settings: Settings, writer: Connection) -> None:
    land(settings, "x.csv")
    with database.connect(settings.writer_dsn) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [mover._LOCK])
        assert mover.move_landed(settings, writer, wait_seconds=0.05).busy
        assert files(writer) == []
        other.execute("SELECT pg_advisory_unlock(%s)", [mover._LOCK])
    assert len(mover.move_landed(settings, writer).moved) == 1


def test_the_mover_releases_its_lock(settings: Settings, writer: Connection) -> None:
    mover.move_landed(settings, writer)
    with database.connect(settings.writer_dsn) as other:
        assert other.execute("SELECT pg_try_advisory_lock(%s) AS free", [mover._LOCK]).fetchone() == {"free": True}


def cut(settings: Settings, session: Connection) -> None:
    """End ``session`` on the server's side."""
    with database.connect(settings.writer_dsn) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [session.info.backend_pid])


def test_a_lost_database_moves_nothing_and_says_so(settings: Settings, writer: Connection) -> None:
    path = land(settings, "x.csv")
    cut(settings, writer)
    with pytest.raises(psycopg.OperationalError):
        mover.move_landed(settings, writer)
    assert path.exists()


def test_a_session_that_dies_before_commit_is_put_right_by_the_next_mover(
    settings: Settings, writer: Connection, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(settings, "x.csv", b"the only copy")
    with monkeypatch.context() as patched:
        patched.setattr(mover, "crash_point", lambda name: cut(settings, writer) if "rename" in name else None)
        with pytest.raises(psycopg.OperationalError):
            mover.move_landed(settings, writer)
    assert files(connection) == []
    with database.connect(settings.writer_dsn) as fresh:
        result = mover.move_landed(settings, fresh)
    assert (result.returned, len(result.moved)) == (["x.csv"], 1)
    assert everything(settings) == [b"the only copy"]


def test_folders_on_different_file_systems_are_an_error_with_a_remedy(settings: Settings, writer: Connection) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        shutil.copytree(settings.archive_dir, elsewhere, dirs_exist_ok=True)
        shutil.rmtree(settings.archive_dir)
        settings.archive_dir.symlink_to(elsewhere)
        with pytest.raises(mover.LandingError, match="different file systems"):
            mover.move_landed(settings, writer)


# --- tidying -----------------------------------------------------------------------------------------------------


def loaded(settings: Settings, connection: Connection, file_id: int) -> str:
    """Write what a load transaction writes, without the rename that follows it; return the path in the archive."""
    (row,) = [row for row in files(connection) if row["file_id"] == file_id]
    path = f"archive/loaded/2030-01-01/{Path(row['path']).name}"
    connection.execute(
        "UPDATE ledger.files SET state = 'loaded', path = %s, rows_read = 1, rows_loaded = 1, rows_rejected = 0, "
        "rows_duplicate = 0, loaded_at = clock_timestamp(), contract = 'events' WHERE file_id = %s",
        [path, file_id],
    )
    return path


def test_a_loaded_file_whose_task_died_is_moved_to_the_archive(settings: Settings, writer: Connection) -> None:
    land(settings, "x.csv", b"content")
    (file_id,) = mover.move_landed(settings, writer).moved
    path = loaded(settings, writer, file_id)
    assert len(mover.move_landed(settings, writer).finished) == 1
    assert (settings.home_dir / path).read_bytes() == b"content"
    assert list(settings.processing_dir.glob("[!.]*")) == []
    assert mover.move_landed(settings, writer) == mover.MoveResult()


def test_a_file_that_the_ledger_does_not_know_is_landed_again(settings: Settings, writer: Connection) -> None:
    land(settings, "x.csv", b"content")
    mover.move_landed(settings, writer)
    writer.close()
    with database.connect(settings.owner_dsn) as owner:
        owner.execute("DELETE FROM ledger.files")  # as a restored database would have it
        result = mover.move_landed(settings, owner)
        assert (result.returned, len(result.moved), len(files(owner))) == (["x.csv"], 1, 1)
    assert everything(settings) == [b"content"]


def test_a_file_id_of_other_content_is_not_taken_for_the_ledgers(settings: Settings, writer: Connection) -> None:
    land(settings, "x.csv", b"content")
    (file_id,) = mover.move_landed(settings, writer).moved
    (settings.processing_dir / f"{file_id}-{'0' * 12}-other.csv").write_bytes(b"other")
    os.utime(settings.processing_dir / f"{file_id}-{'0' * 12}-other.csv", (1, 1))
    result = mover.move_landed(settings, writer)
    assert (result.returned, len(result.moved)) == (["other.csv"], 1)
    assert everything(settings) == [b"content", b"other"]


def test_returning_never_overwrites(settings: Settings) -> None:
    basename = str(file_names.make(7, "a" * 64, "x.csv"))
    (settings.processing_dir / basename).write_bytes(b"old")
    land(settings, "x.csv", b"new")
    assert tidy.return_to_incoming(settings, basename) == "returned-1-x.csv"
    assert everything(settings) == [b"new", b"old"]
    with pytest.raises(FileNotFoundError):
        tidy.return_to_incoming(settings, basename)


def test_a_file_that_cannot_be_linked_overwrites_none_that_lands_after_the_look(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of another user may not be linked; what the look says may be over by the time of the rename."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "not your file")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os.path, "lexists", lambda path: False)
    old, new = settings.processing_dir / "old", settings.incoming_dir / "new.csv"
    old.write_bytes(b"old")
    new.write_bytes(b"new")
    assert not rename_if_free(old, new)
    assert (old.read_bytes(), new.read_bytes()) == (b"old", b"new")
    assert rename_if_free(old, settings.incoming_dir / "free.csv")
    assert everything(settings) == [b"new", b"old"]
    with pytest.raises(FileNotFoundError):
        rename_if_free(old, settings.incoming_dir / "free-too.csv")


def test_a_rename_to_where_a_file_lies_already_leaves_it_there(settings: Settings) -> None:
    path = settings.incoming_dir / "a.csv"
    path.write_text("x")
    assert rename_if_free(path, path)
    assert path.read_text() == "x"


def test_a_file_that_goes_back_never_takes_the_name_of_a_new_one_and_the_ledger_says_where_it_is(
    settings: Settings, writer: Connection, connection: Connection
) -> None:
    """Its loader died before it put the file away, and a new file of that name lands."""
    land(settings, "x.csv", b"old")
    mover.move_landed(settings, writer)
    writer.execute("UPDATE ledger.files SET state = 'rejected', path = 'incoming/x.csv'")
    new = land(settings, "x.csv", b"new")
    os.utime(new, None)  # it is still being written
    finished = mover.move_landed(settings, writer)
    assert (len(finished.finished), finished.moved) == (1, []), "what goes back has to settle"
    os.utime(settings.incoming_dir / "returned-1-x.csv", (1, 1))
    os.utime(new, None)
    assert len(mover.move_landed(settings, writer).moved) == 1
    assert everything(settings) == [b"new", b"old"]
    assert new.read_bytes() == b"new"
    first, returned = files(connection)
    assert (first["path"], returned["name"], returned["bytes"]) == ("incoming/returned-1-x.csv", "returned-1-x.csv", 3)


@pytest.mark.parametrize("name", ["\u65e5\u672c.csv", " .csv", "-_.csv", "x" * 300 + "\u00e9_.csv"])
def test_a_returned_file_has_a_name_that_is_taken(settings: Settings, name: str) -> None:
    basename = str(file_names.make(7, "a" * 64, name))
    (settings.processing_dir / basename).write_bytes(b"old")
    returned = settings.incoming_dir / tidy.return_to_incoming(settings, basename)
    os.utime(returned, (1, 1))
    assert incoming.takeable(settings) == [returned]


def test_strays_are_what_the_tidy_step_would_touch(settings: Settings, writer: Connection) -> None:
    land(settings, "waits.csv", b"1")
    land(settings, "done.csv", b"2")
    first, second = mover.move_landed(settings, writer).moved
    assert tidy.strays(settings, writer, older_than_seconds=0) == []
    done = Path(files(writer)[0]["path"]).name
    loaded(settings, writer, first)
    unknown = f"{second + 1}-{'0' * 12}-x.csv"
    (settings.processing_dir / unknown).write_bytes(b"3")
    assert sorted(tidy.strays(settings, writer, older_than_seconds=0)) == sorted([done, unknown])
    assert tidy.strays(settings, writer, older_than_seconds=60) == []


def test_compressed_files_are_moved_by_their_own_bytes(settings: Settings, writer: Connection) -> None:
    packed = gzip.compress(b"a,b\n1,2\n", mtime=0)
    land(settings, "x.csv.gz", packed)
    mover.move_landed(settings, writer)
    assert files(writer)[0]["sha256"] == hashlib.sha256(packed).hexdigest()


def test_a_file_whose_name_waits_in_a_lane_joins_it(settings: Settings, writer: Connection) -> None:
    narrow = replace(settings, big_file_bytes=12)
    land(settings, "a.csv", b"a,b\n1,2\n3,4\n5,6\n")
    land(settings, "b.csv", b"a,b\n1,2\n")
    mover.move_landed(narrow, writer)
    land(settings, "a.csv", b"a,b\n7,8\n")
    mover.move_landed(narrow, writer)
    writer.execute("UPDATE ledger.files SET state = 'rejected' WHERE name = 'a.csv'")
    land(settings, "a.csv", b"a,b\n9,9\n")
    mover.move_landed(narrow, writer)
    rows = writer.execute("SELECT name, lane FROM ledger.files ORDER BY file_id").fetchall()
    assert [tuple(row.values()) for row in sorted(rows[:2], key=lambda row: row["name"])] == [
        ("a.csv", "big"),
        ("b.csv", "small"),
    ]
    assert [tuple(row.values()) for row in rows[2:]] == [("a.csv", "big"), ("a.csv", "small")]
