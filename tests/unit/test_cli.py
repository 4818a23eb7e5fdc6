"""The command line: each command stands once, the Makefile calls none that is not there, containers start nothing."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from sluice.base.settings import PROJECT, Settings
from sluice.cli import lifecycle, main
from sluice.cli.command import Command
from sluice.containers.instance import PARTS, AllSecrets, Containers
from sluice.running.pipeline import InstanceError


def commands() -> list[Command]:
    return [command for group in main._GROUPS for command in main._commands(group)]


def test_each_command_has_a_name_of_its_own() -> None:
    names = [command.name for command in commands()]
    assert len(names) == len(set(names))


def test_every_module_of_commands_is_listed() -> None:
    modules = {path.stem for path in (PROJECT / "sluice" / "cli").glob("*.py") if "@command(" in path.read_text()}
    assert {group.__name__.rpartition(".")[2] for group in main._GROUPS} == modules


def test_every_command_that_make_calls_is_there() -> None:
    called = set(re.findall(r"\$\(SLUICE\) ([a-z-]+)", (PROJECT / "Makefile").read_text()))
    assert "status" in called
    assert called <= {command.name for command in commands()}


@pytest.mark.parametrize("command", [lifecycle.run, lifecycle.down])
def test_inside_a_container_nothing_is_started_or_stopped(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for part in ("all", "postgres", *PARTS):
        (tmp_path / "dealt" / part).mkdir(parents=True)
    AllSecrets(Settings(home=str(tmp_path)), tmp_path / "dealt").deal()
    inside = Containers(Settings(home=str(tmp_path)), tmp_path / "dealt" / "airflow" / "secrets.json")
    with pytest.raises(InstanceError, match="docker compose"):
        command.run(inside, argparse.Namespace(live_every=1.0))
