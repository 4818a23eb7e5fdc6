"""The folder of what does not fit into memory: private, under a name of its own, never left behind for long."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sluice.base.settings import PROJECT
from sluice.base.spill import Spill
from sluice.contracts.judge import Judge


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of this process and of what it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def age(folder: Path) -> None:
    os.utime(folder, (1, 1))


def test_nobody_else_may_look_into_it_and_it_is_gone_at_the_end(temporary: Path) -> None:
    judge = Judge()
    [folder] = temporary.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    judge.close()
    judge.close()
    assert not list(temporary.iterdir())


def test_a_link_under_the_old_predictable_name_is_not_followed(temporary: Path) -> None:
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (temporary / f"sluice-judge-{os.getpid()}").symlink_to(elsewhere)
    age(elsewhere)
    judge = Judge("16MB")
    judge._duckdb.execute("CREATE TABLE much AS SELECT range AS n, repeat('x', 200) AS t FROM range(400000)")
    [folder] = [each for each in temporary.glob("sluice-judge-*") if not each.is_symlink()]
    assert list((folder / "spilled").iterdir()), "it has spilled"
    judge.close()
    assert elsewhere.is_dir()
    assert not list(elsewhere.iterdir())


def test_what_a_killed_process_has_left_is_removed_by_the_next_one(temporary: Path) -> None:
    code = "import os; from sluice.base.spill import Spill; kept = Spill(); os._exit(0)"
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)
    [left] = temporary.iterdir()
    Spill().close()
    assert left.is_dir(), "it may be about to take its lock"
    age(left)
    Spill().close()
    assert not left.exists()


def test_what_a_living_process_uses_is_left_alone(temporary: Path) -> None:
    used = Spill()
    [folder] = temporary.iterdir()
    age(folder)
    Spill().close()
    assert folder.is_dir()
    used.close()
