"""One state folder: one launcher, secrets made once, an environment without the owner's password."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from sluice.base.settings import Settings
from sluice.running import java, logs, pipeline, web
from sluice.running.instance import Instance
from sluice.running.pipeline import InstanceError, Running

RUNNING = Running(pid=1, started_at=0.0, postgres_port=5555, web_port=8888)


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    made = Instance(Settings(home=str(tmp_path / "home")))
    made.make_folders()
    return made


def test_only_one_may_run_a_pipeline(instance: Instance) -> None:
    lock = instance.lock()
    assert lock is not None
    assert instance.lock() is None
    assert instance.lives()
    lock.close()
    assert not instance.lives()


def test_what_a_dead_launcher_said_is_not_believed(instance: Instance) -> None:
    with instance.lock() or pytest.fail("locked") as lock:
        instance.tell(RUNNING)
        assert instance.running() == RUNNING
        lock.close()
    assert instance.running() is None
    assert instance.last_said() == RUNNING


def test_asking_a_folder_that_is_not_there_makes_nothing(tmp_path: Path) -> None:
    instance = Instance(Settings(home=str(tmp_path / "none")))
    assert instance.running() is None
    assert not (tmp_path / "none").exists()


def test_secrets_are_made_once_and_for_their_owner_only(instance: Instance) -> None:
    first = instance.secrets()
    assert instance.secrets() == first
    assert len(set(first.values())) == len(first)
    assert (instance.home / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_airflow_gets_the_roles_but_never_the_owner(instance: Instance) -> None:
    environment = instance.environment(RUNNING, {"PATH": "/bin", "SLUICE_DATABASE_URL": ""})
    assert "sluice_writer" in environment["SLUICE_WRITER_URL"]
    assert "sluice_reader" in environment["AIRFLOW_CONN_SLUICE_READER"]
    assert instance.secrets()["sluice_owner"] not in json.dumps(environment)
    assert "SLUICE_DATABASE_URL" not in environment


def test_with_a_server_of_the_users_own_only_airflow_uses_the_embedded_one(tmp_path: Path) -> None:
    url = "postgresql://me:mine@db.example:5432/shop"
    instance = Instance(Settings(home=str(tmp_path), database_url=url))
    environment = instance.environment(RUNNING, {})
    assert environment["SLUICE_WRITER_URL"] == environment["SLUICE_READER_URL"] == url
    assert "127.0.0.1:5555/airflow" in environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]


def test_the_users_preferences_win_and_what_the_pipeline_relies_on_does_not_give_way(instance: Instance) -> None:
    given = {"AIRFLOW__CORE__PARALLELISM": "3", "AIRFLOW__CORE__LOAD_EXAMPLES": "True", "AIRFLOW__API__HOST": "0.0.0.0"}
    environment = instance.environment(RUNNING, given)
    assert environment["AIRFLOW__CORE__PARALLELISM"] == "3"
    assert environment["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"


def test_a_log_that_has_grown_starts_again_and_keeps_its_old_part(tmp_path: Path) -> None:
    log = tmp_path / "scheduler.log"
    with log.open("ab") as writer:
        writer.write(b"old" * 10)
        writer.flush()
        logs.rotate(log, most=20)
        writer.write(b"new")
    assert log.read_bytes() == b"new"
    assert (tmp_path / "scheduler.log.1").read_bytes() == b"old" * 10


def test_so_many_old_parts_of_a_log_are_kept_and_none_when_it_is_small(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    for number in range(5):
        log.write_text(str(number) * 21)
        assert logs.rotate(log, most=20, keep=3)
    log.write_text("small")
    assert not logs.rotate(log, most=20, keep=3)
    texts = {path.name: path.read_text()[:1] for path in tmp_path.iterdir()}
    assert texts == {"postgres.log": "s", "postgres.log.1": "4", "postgres.log.2": "3", "postgres.log.3": "2"}


def test_a_log_that_cannot_be_copied_for_want_of_room_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "postgres.log"
    log.write_text("x" * 21)

    def is_full(source: Path, target: Path) -> None:
        target.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logs.shutil, "copyfile", is_full)
    monkeypatch.setattr(logs, "MOST_BYTES", 20)
    assert logs.Rotation([log]).look() == []
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"postgres.log": "x" * 21}


def test_logs_are_looked_at_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(logs, "MOST_BYTES", 20)
    log = tmp_path / "launcher.log"
    rotation = logs.Rotation([tmp_path / "none.log", log])
    log.write_text("x" * 21)
    assert rotation.look() == [log]
    log.write_text("y" * 21)
    assert rotation.look() == []
    clock[0] += 60
    assert rotation.look() == [log]


def test_a_web_port_that_is_taken_is_named_with_the_remedy() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(InstanceError, match=rf"port {taken} .*SLUICE_WEB_PORT"):
            web.port_to_use(taken)
    assert web.port_to_use(0) > 0


@pytest.mark.parametrize(
    ("printed", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_401"', 8),
        ('openjdk version "21" 2023-09-19', 21),
        ("no such thing", None),
    ],
)
def test_the_version_of_java_is_read_from_what_it_prints(tmp_path: Path, printed: str, major: int | None) -> None:
    program = tmp_path / "java"
    program.write_text(f"#!/bin/sh\necho '{printed}' >&2\n")
    program.chmod(0o755)
    assert java.version_of(program) == major
    assert java.version_of(tmp_path / "absent") is None


def test_without_java_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(java, "home", lambda: None)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    with pytest.raises(java.JavaError, match=r"sudo apt-get install .*openjdk-17-jre-headless"):
        java.ensure(print)


def test_whoever_wants_no_bytecode_beside_the_sources_has_it_in_the_state_folder_unless_it_is_there(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = {"PYTHONDONTWRITEBYTECODE": "1"}
    assert "PYTHONPYCACHEPREFIX" not in instance.environment(RUNNING, {})
    monkeypatch.setattr(pipeline, "_packages_are_compiled", lambda: False)
    environment = instance.environment(RUNNING, wish)
    assert "PYTHONDONTWRITEBYTECODE" not in environment
    assert environment["PYTHONPYCACHEPREFIX"] == str(instance.run_dir / "bytecode")
    monkeypatch.setattr(pipeline, "_packages_are_compiled", lambda: True)
    environment = instance.environment(RUNNING, wish)
    assert (environment["PYTHONDONTWRITEBYTECODE"], "PYTHONPYCACHEPREFIX" in environment) == ("1", False)
