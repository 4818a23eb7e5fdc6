"""What the pipeline keeps is nobody else's to see, unless the settings say so."""

from __future__ import annotations

import grp
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sluice.base import database, permissions
from sluice.base.settings import PROJECT, SettingError, Settings, load
from sluice.landing import mover
from sluice.loading.load_file import FileLoader
from sluice.running.instance import Instance
from sluice.running.pipeline import Running
from tests.loading import Connection, event, table

Move = Callable[..., list[int]]


@pytest.fixture
def move(settings: Settings) -> Move:
    """Lands this text as another program does, readable for everybody, and moves it; the file_ids."""

    def land_and_move(text: str, name: str = "shop.csv", **more: str) -> list[int]:
        path = settings.incoming_dir / name
        path.write_text(text)
        path.chmod(0o644)
        with database.connect(settings.writer_dsn) as connection:
            found = mover.move_landed(replace(settings, settle_seconds=0.001, **more), connection)
        return found.moved + found.duplicates

    return land_and_move


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(folder: Path) -> set[int]:
    """The modes of all files below the folder, the pipeline's marker too."""
    return {mode(path) for path in folder.rglob("*") if path.is_file()}


def test_a_file_that_everybody_may_read_is_closed_when_it_is_taken(
    settings: Settings, move: Move, connection: Connection, epoch: int
) -> None:
    for folder in (settings.processing_dir, settings.archive_dir):
        folder.chmod(0o755)
    [file_id] = move(table(event(1)))
    move(table(event(1)), "again.csv")
    assert modes(settings.processing_dir) == modes(settings.archive_dir) == {0o600}
    loader = FileLoader(settings, epoch)
    assert loader.load(file_id).state == "loaded"
    loader.close()
    assert modes(settings.archive_dir) == {0o600}
    kept = [settings.incoming_dir, settings.processing_dir, settings.archive_dir, *settings.archive_dir.rglob("*/")]
    assert {mode(folder) for folder in kept if folder.is_dir()} == {0o700}


def test_the_umask_of_the_settings_lets_the_group_read(settings: Settings, move: Move) -> None:
    move(table(event(1)), umask="027")
    assert [mode(path) for path in settings.processing_dir.glob("*.csv")] == [0o640]
    Instance(replace(settings, umask="027")).make_folders()
    assert mode(settings.home_dir / "logs") == 0o750


@pytest.mark.parametrize("umask", ["777", "22", "abc", "0700", "o77"])
def test_a_umask_that_is_none_or_shuts_this_user_out_is_an_error(umask: str) -> None:
    with pytest.raises(SettingError, match="SLUICE_UMASK"):
        load({"SLUICE_UMASK": umask})


def test_the_landing_folder_is_opened_to_a_group_of_producers(settings: Settings, move: Move) -> None:
    group = grp.getgrgid(os.getegid()).gr_name
    made = replace(settings, incoming_group=group)
    Instance(made).make_folders()
    assert mode(settings.incoming_dir) == 0o3770
    assert settings.incoming_dir.stat().st_gid == os.getegid()
    assert mode(settings.home_dir) == 0o711, "members pass through and see nothing else"
    assert move(table(event(1)), incoming_group=group)
    assert mode(settings.incoming_dir) == 0o3770
    assert mode(settings.processing_dir) == 0o700


def test_a_group_that_does_not_exist_is_an_error(settings: Settings) -> None:
    with pytest.raises(SettingError, match="SLUICE_INCOMING_GROUP='nobody-knows' is no group"):
        permissions.make_incoming(replace(settings, incoming_group="nobody-knows"))


def test_all_folders_of_the_state_folder_are_closed_though_an_earlier_version_left_them_open(
    settings: Settings,
) -> None:
    instance = Instance(settings)
    for folder in (settings.home_dir, instance.log_dir, settings.checkpoint_dir, instance.postgres_dir):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    instance.make_folders()
    through = 0o711 if os.geteuid() == 0 else 0o700
    passed = (settings.home_dir, instance.postgres_dir)
    assert {mode(folder) for folder in passed} == {through}
    assert {mode(folder) for folder in settings.home_dir.iterdir() if folder not in passed} == {0o700}


@pytest.mark.parametrize(("umask", "folder", "file"), [("077", "0o700", "0o600"), ("027", "0o750", "0o640")])
def test_airflow_is_told_the_modes_of_its_logs(settings: Settings, umask: str, folder: str, file: str) -> None:
    told = Instance(replace(settings, umask=umask)).environment(Running(pid=1, started_at=0))
    assert told["AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS"] == folder
    assert told["AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS"] == file


def test_what_a_command_makes_is_private_whatever_the_umask_was(settings: Settings) -> None:
    code = """if True:
        import os, sys
        from sluice.cli import main as cli
        os.umask(0)
        cli.main(["login"])
        print(oct(os.umask(0)))
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0o77"


def test_a_file_of_a_producer_whose_owner_the_mover_is_not_stays_as_it_is() -> None:
    code = """if True:
        import os, sys
        from pathlib import Path
        from sluice.base.permissions import tighten
        if os.geteuid() == 0:
            os.setuid(65534)
        tighten(Path(sys.argv[1]), 0o600)
    """
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)  # noqa: S103 - another user has to get through
        path = Path(folder, "x.csv") if os.geteuid() == 0 else Path("/etc/hosts")
        if os.geteuid() == 0:
            path.touch()
            path.chmod(0o644)
        subprocess.run([sys.executable, "-c", code, str(path)], cwd=PROJECT, check=True)
        assert mode(path) == 0o644
