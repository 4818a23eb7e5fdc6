"""The mover dies by SIGKILL at each of its steps; the next one finishes: no file is lost, none registered twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sluice.base.settings import PROJECT, Settings

MOVE = """
from sluice.base import database
from sluice.base.settings import load
from sluice.landing import mover
settings = load()
with database.connect(settings.writer_dsn) as connection:
    mover.move_landed(settings, connection)
"""
POINTS = [
    "mover.before_register",
    "mover.after_register",
    "mover.after_one_rename",
    "mover.after_rename",
    "mover.after_commit",
]


def move(point: str, once: Path) -> int:
    """Run one mover that dies at ``point`` unless the file ``once`` exists; return its exit code."""
    environment = os.environ | {"SLUICE_CRASH_AT": point, "SLUICE_CRASH_ONCE": str(once)}
    return subprocess.run([sys.executable, "-c", MOVE], env=environment, cwd=PROJECT, timeout=60).returncode


@pytest.mark.parametrize("twins", [False, True], ids=["different-files", "same-bytes"])
@pytest.mark.parametrize("point", POINTS)
def test_a_mover_killed_anywhere_loses_and_doubles_nothing(
    settings: Settings, connection: psycopg.Connection[dict[str, Any]], tmp_path: Path, point: str, twins: bool
) -> None:
    contents = [b"the same\n"] * 2 if twins else [b"first\n", b"second\n"]
    for number, content in enumerate(contents):
        path = settings.incoming_dir / f"file-{number}.csv"
        path.write_bytes(content)
        os.utime(path, (time.time() - 10 + number, time.time() - 10 + number))
    assert move(point, tmp_path / "once") == -signal.SIGKILL
    assert move(point, tmp_path / "once") == 0
    rows = connection.execute("SELECT state, path, name FROM ledger.files ORDER BY name").fetchall()
    assert sorted(row["name"] for row in rows) == ["file-0.csv", "file-1.csv"]
    assert sorted(row["state"] for row in rows) == (["duplicate", "landed"] if twins else ["landed", "landed"])
    assert sorted((settings.home_dir / row["path"]).read_bytes() for row in rows) == sorted(contents)
    assert list(settings.incoming_dir.iterdir()) == []
    assert len([path for path in settings.home_dir.rglob("[!.]*") if path.is_file()]) == 2


@pytest.mark.parametrize("point", POINTS)
def test_a_mover_killed_over_a_duplicate_leaves_it_to_the_next(
    settings: Settings, connection: psycopg.Connection[dict[str, Any]], tmp_path: Path, point: str
) -> None:
    for name in ("first.csv", "second.csv"):
        path = settings.incoming_dir / name
        path.write_bytes(b"the same\n")
        os.utime(path, (time.time() - 10, time.time() - 10))
        death = point if name == "second.csv" else "nowhere"
        assert move(death, tmp_path / "once") == (-signal.SIGKILL if death == point else 0)
    assert move(point, tmp_path / "once") == 0
    rows = connection.execute("SELECT name, state, path FROM ledger.files ORDER BY file_id").fetchall()
    assert [(row["name"], row["state"]) for row in rows] == [("first.csv", "landed"), ("second.csv", "duplicate")]
    files = {path for path in settings.home_dir.rglob("[!.]*") if path.is_file()}
    assert files == {settings.home_dir / row["path"] for row in rows}


@pytest.mark.parametrize("point", POINTS)
def test_a_mover_killed_over_many_files_loses_and_doubles_none_of_them(
    settings: Settings, connection: psycopg.Connection[dict[str, Any]], tmp_path: Path, point: str
) -> None:
    contents = {f"file-{number:02}.csv": f"{number % 30}\n".encode() for number in range(40)}  # the last ten come twice
    for age, (name, content) in enumerate(reversed(contents.items()), start=10):
        (settings.incoming_dir / name).write_bytes(content)
        os.utime(settings.incoming_dir / name, (time.time() - age, time.time() - age))
    assert move(point, tmp_path / "once") == -signal.SIGKILL
    assert move(point, tmp_path / "once") == 0
    rows = connection.execute("SELECT name, state, path FROM ledger.files ORDER BY name").fetchall()
    assert [row["name"] for row in rows] == list(contents)
    assert sorted(row["state"] for row in rows) == ["duplicate"] * 10 + ["landed"] * 30
    assert {row["name"]: (settings.home_dir / row["path"]).read_bytes() for row in rows} == contents
    assert len([path for path in settings.home_dir.rglob("[!.]*") if path.is_file()]) == 40


def test_what_a_kill_leaves_of_many_files_is_all_of_them_or_none(
    settings: Settings, connection: psycopg.Connection[dict[str, Any]], tmp_path: Path
) -> None:
    for number in range(10):
        (settings.incoming_dir / f"{number}.csv").write_text(f"{number}\n")
        os.utime(settings.incoming_dir / f"{number}.csv", (1, 1))
    assert move("mover.after_one_rename", tmp_path / "once") == -signal.SIGKILL
    assert len(list(settings.processing_dir.glob("[!.]*"))) == 1, "it died among the renames"
    assert connection.execute("SELECT FROM ledger.files").rowcount == 0
