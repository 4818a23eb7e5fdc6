"""The table of exit codes in docs/three-in-the-morning.md: its commands are there, and end as it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from sluice.base.settings import PROJECT, Settings
from sluice.cli import main

PAGE = (PROJECT / "docs" / "three-in-the-morning.md").read_text()


def table() -> dict[str, list[str]]:
    """What each code of a command means, by command: of 0, 1 and 3."""
    rows = re.findall(r"^\| (`[^|]+) \|(.*)\|$", PAGE.partition("## Exit codes")[2], re.MULTILINE)
    return {name: [cell.strip() for cell in cells.split("|")] for names, cells in rows for name in names_of(names)}


def names_of(cell: str) -> list[str]:
    return re.findall(r"`([a-z-]+)`", cell)


def ended(home: Path, *command: str) -> int:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SLUICE_")}
    blank = {f"SLUICE_{field.name.upper()}": "" for field in fields(Settings)}
    own = {"SLUICE_HOME": str(home / "home"), "SLUICE_BACKUP_FOLDER": str(home / "backups"), "SLUICE_WEB_PORT": "0"}
    return subprocess.run(command, cwd=PROJECT, env=kept | blank | own, capture_output=True).returncode


def test_each_command_of_the_table_is_there() -> None:
    known = {command.name for group in main._GROUPS for command in main._commands(group)}
    assert {"status", "doctor", "restore-drill"} <= table().keys() <= known


@pytest.mark.parametrize(
    ("words", "code"),
    [(["status"], 3), (["doctor"], 0), (["reconcile"], 1), (["restore-drill"], 1), (["restore", "no.dump"], 1)],
)
def test_a_command_ends_with_the_code_that_the_table_has(words: list[str], code: int, tmp_path: Path) -> None:
    assert table()[words[0]][{0: 0, 1: 1, 3: 2}[code]] != ""
    assert ended(tmp_path, sys.executable, "-m", "sluice", *words) == code


def test_a_wrong_command_line_ends_with_2(tmp_path: Path) -> None:
    assert ended(tmp_path, sys.executable, "-m", "sluice", "status", "--nonsense") == 2


def test_a_setting_that_is_wrong_ends_with_1(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import os; os.environ['SLUICE_GENRATOR'] = 'off'; "]
    command[-1] += "from sluice.cli import main; raise SystemExit(main.main(['status']))"
    assert ended(tmp_path, *command) == 1
