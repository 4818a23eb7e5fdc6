"""The launcher outlives its PostgreSQL and its disks: it says what is in the way, and brings back what ended."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sluice.base import disks
from sluice.base.settings import Settings
from sluice.running import embedded, logs, status
from sluice.running.child import Child
from sluice.running.embedded import Server
from sluice.running.instance import Instance
from sluice.running.launcher import Launcher
from sluice.running.server_watch import ServerWatch
from tests.full_disk import SmallDisk, small_disk


@pytest.fixture
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="sluice-watched-"))
    made = Server(folder, embedded.binaries(os.environ.get("SLUICE_TEST_POSTGRES_BIN", "")))
    made.start()
    yield made
    made.stop()
    shutil.rmtree(folder)


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with small_disk(160) as made:
        yield made


def look_until(watch: ServerWatch, happened: object, seconds: float = 60) -> None:
    """Look again and again, as the launcher does, until ``happened()``."""
    assert callable(happened)
    deadline = time.monotonic() + seconds
    while not happened():
        watch.look()
        assert time.monotonic() < deadline, watch.trouble
        time.sleep(0.05)


def keep(server: Server) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")


def kept(server: Server) -> bool:
    with psycopg.connect(server.url()) as connection:
        return connection.execute("SELECT one FROM kept").fetchone() == (1,)


def kill(server: Server) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()


def test_a_killed_server_is_brought_back_with_what_it_had_committed(server: Server) -> None:
    said: list[str] = []
    watch = ServerWatch(server, said.append, {})
    assert watch.look() is False
    keep(server)
    kill(server)
    assert watch.look() is True
    assert "exit code -9" in watch.trouble
    look_until(watch, lambda: not watch.trouble)
    assert kept(server)
    assert "PostgreSQL is away since" in said[0]
    assert said[-1].startswith("PostgreSQL is back after")


def test_a_server_that_cannot_start_is_tried_again_and_each_cause_is_said_once(server: Server, tmp_path: Path) -> None:
    attempts, real = tmp_path / "attempts", server.bin_dir
    folder = server.folder / "bin" / "bin"
    folder.mkdir(parents=True)
    (folder / "postgres").write_text(
        f"#!/bin/sh\necho x >> {attempts}\n"
        f'[ "$(wc -l < {attempts})" -gt 4 ] && exec {real}/postgres "$@"\n'
        'echo "FATAL:  could not write lock file: No space left on device" >&2\nexit 1\n'
    )
    (folder / "postgres").chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
    attempts.touch()
    attempts.chmod(0o666)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.geteuid():
            parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
    tmp_path.chmod(0o755)
    kill(server)
    server.bin_dir = folder
    said: list[str] = []
    watch = ServerWatch(server, said.append, {})
    look_until(watch, lambda: "could not write lock file" in watch.trouble)
    look_until(watch, lambda: not watch.trouble)
    assert len(attempts.read_text().split()) == 5
    assert sum("could not write lock file" in sentence for sentence in said) == 1
    assert said[-1].startswith("PostgreSQL is back after")


def test_a_full_disk_under_the_database_is_named_and_waited_for(disk: SmallDisk) -> None:
    server = Server(disk.folder / "postgres", embedded.binaries(os.environ.get("SLUICE_TEST_POSTGRES_BIN", "")))
    server.start()
    try:
        keep(server)
        said: list[str] = []
        watch = ServerWatch(server, said.append, {"the database": server.folder})
        kill(server)
        (server.pgdata / "postmaster.pid").unlink()
        disk.fill()
        failures: set[int] = set()
        look_until(watch, lambda: failures.add(watch._failures) or len(failures) > 3)
        assert f"the disk of the database ({server.folder}) is full" in watch.trouble
        assert len(said) <= 2
        disk.free()
        look_until(watch, lambda: not watch.trouble)
        assert kept(server)
    finally:
        server.stop()


def test_the_launcher_outlives_a_full_state_folder_and_status_names_the_disk(
    disk: SmallDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    instance = Instance(Settings(home=str(disk.folder / "home")))
    instance.make_folders()
    launcher = Launcher(instance)
    launcher.server.start()
    try:
        child = Child("sleeper", ["sleep", "600"], instance.log_dir / "sleeper.log", dict(os.environ))
        child.start()
        launcher.children.append(child)
        assert child.process is not None
        child.process.kill()
        child.process.wait()
        kill(launcher.server)
        (launcher.server.pgdata / "postmaster.pid").unlink()
        disk.fill()
        deadline = time.monotonic() + 60
        while "is full" not in launcher.server_watch.trouble or child.process.poll() is not None:
            launcher._watch_children()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        said = capsys.readouterr().out
        assert said.count("the state folder cannot be written") == 1
        assert "is full" in said
        assert any("is full" in problem for problem in status._machine_problems(instance))
        disk.free()
        while launcher.server_watch.trouble or instance.last_said() is None:
            launcher._watch_children()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "the state folder takes files again" in capsys.readouterr().out
        assert status._machine_problems(instance) == []
        said_pids = instance.last_said()
        assert said_pids is not None
        assert said_pids.pids == {"sleeper": child.process.pid}
    finally:
        for each in launcher.children:
            if each.process is not None:
                each.process.kill()
                each.process.wait()
        launcher.server.stop()


def test_a_disk_is_named_once_with_what_it_holds(disk: SmallDisk) -> None:
    where = {"the state folder": disk.folder, "the archive": disk.folder / "archive", "nothing": disk.folder / "none"}
    (disk.folder / "archive").mkdir()
    assert disks.full(where) == []
    disk.fill()
    (found,) = disks.full(where)
    assert found.startswith(f"the disk of the state folder ({disk.folder}) is full: 0.0 MB left")


def test_the_launcher_rotates_its_own_log_and_the_server_s_while_both_write_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 2_000)
    monkeypatch.setattr(logs, "_LOOK_SECONDS", 0.0)
    with tempfile.TemporaryDirectory(prefix="sluice-logs-") as folder:
        instance = Instance(Settings(home=f"{folder}/home"))
        instance.make_folders()
        launcher = Launcher(instance)
        server, own = launcher.server, instance.launcher_log
        server.log.parent.mkdir(exist_ok=True)
        server.log.write_text("of an earlier start\n" * 95)
        server.start()
        try:
            with own.open("ab") as output:
                output.write(b"a live line\n" * 200)
                output.flush()
                while not server.log.with_name("postgres.log.1").exists():
                    with pytest.raises(psycopg.OperationalError):
                        psycopg.connect(server.url(password="wrong"))
                    launcher._watch_children()
                output.write(b"the newest line\n")
            assert (own.read_text(), own.with_name("launcher.log.1").stat().st_size) == ("the newest line\n", 2400)
            assert server.log.stat().st_size < 2_000
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(server.url(user="nobody", password="wrong"))
            # Read from where the log begins now, not from where it had begun at the launch.
            assert '"nobody"' in server.last_words("FATAL")
            assert "of an earlier start" in server.log.with_name("postgres.log.1").read_text()
        finally:
            server.stop()
