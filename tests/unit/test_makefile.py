"""What is given to make reaches the commands as it was written; make itself is run, with a stub for Python."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from sluice.base.settings import PROJECT

STUB = """#!/usr/bin/env python3
import json, os, sys
with open(os.environ["STUB_SAID"], "w") as file:
    json.dump(sys.argv[1:], file)
sys.exit(int(os.environ.get("STUB_CODE", "0")))
"""
NASTY = [
    "SELECT 1",
    "SELECT 'a$b', '$', $$x$$, '$(HOME)', '${HOME}', $1",
    "SELECT \"x\", 'it''s' -- # no comment",
    "SELECT `id`, '\\\\', '%', '!', '*'\n  , 'second line $x'\n",
    "$(shell false) $(error no)",
    "spaces  and\ttabs = := ünïcode;& | > < \\",
]


class Make:
    """Runs the project's Makefile; the environment looks as if it were installed."""

    def __init__(self, folder: Path) -> None:
        self.venv = folder / "venv"
        (self.venv / "bin").mkdir(parents=True)
        for name in ("uv", "python"):
            (self.venv / "bin" / name).write_text(STUB)
            (self.venv / "bin" / name).chmod(0o755)
        (self.venv / ".runtime").touch()
        self.said = folder / "said.json"

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        self.said.unlink(missing_ok=True)
        return subprocess.run(
            ["make", f"VENV={self.venv}", "CONTAINERS=no", *arguments],
            cwd=PROJECT,
            env=os.environ | {"STUB_SAID": str(self.said)} | environment,
            capture_output=True,
            text=True,
        )

    def words(self, *arguments: str, **environment: str) -> list[str]:
        """What the command gets after `python -m sluice`."""
        done = self.run(*arguments, **environment)
        assert (done.returncode, done.stderr) == (0, "")
        words: list[str] = json.loads(self.said.read_text())
        assert words[:2] == ["-m", "sluice"]
        return words[2:]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return Make(tmp_path)


@pytest.mark.parametrize("text", NASTY)
def test_what_is_given_to_make_arrives_as_it_was_written(make: Make, text: str) -> None:
    assert make.words("psql", f"SQL={text}") == ["psql", "-c", text]
    assert make.words("psql", SQL=text) == ["psql", "-c", text]


def test_so_it_arrives_at_every_command(make: Make) -> None:
    text = "\n".join(NASTY)
    assert make.words("load", f"FILE={text}") == ["load", "--", text]
    assert make.words("contract", f"FILE={text}", f"NAME={text}", f"OUT={text}") == [
        *("contract", f"--name={text}", f"--output={text}", "--", text)
    ]
    assert make.words("unload", "FILE_ID=7", f"REASON={text}") == ["unload", "--", "7", text]
    asked = make.words("rejudge", f"CONTRACT={text}", f"VERSION={text}", f"REASON={text}")
    assert asked == ["rejudge", f"--version={text}", "--", text, text]
    chosen = make.words("rejects", f"RULE={text}", f"CONTRACT={text}")
    assert chosen == ["rejects", f"--contract={text}", f"--rule={text}"]
    assert make.words("dags-test", f"DAG={text}", f"CONF={text}") == ["dags-test", f"--conf={text}", "--", text]
    assert make.words("airflow", f"ARGS={text}") == ["airflow-line", "--", text]
    assert make.words("backup", f"FILE={text}") == ["backup", "--", text]
    assert make.words("restore-drill", f"FILE={text}", "JSON=1") == ["restore-drill", "--json", "--", text]
    assert make.words("restore", f"FILE={text}", "COPY_SEALED=1") == ["restore", "--copy-sealed", "--", text]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("load", "FILE="),
        ("unload", "FILE_ID="),
        ("rejudge", "CONTRACT="),
        ("receipt", "FILE_ID="),
        ("restore", "FILE="),
        ("contract", "FILE="),
        ("dags-test", "DAG="),
        ("airflow", "ARGS="),
    ],
)
def test_what_is_missing_is_asked_for(make: Make, target: str, says: str) -> None:
    done = make.run(target)
    assert done.returncode == 2
    assert f"make {target} {says}" in done.stderr
    assert not make.said.exists()


def test_an_unload_without_a_reason_asks_for_it(make: Make) -> None:
    assert "why? make unload" in make.run("unload", "FILE_ID=7").stderr


def test_a_drill_of_containers_is_refused_and_runs_nothing(make: Make) -> None:
    done = make.run("restore-drill", "CONTAINERS=yes")
    assert (done.returncode, make.said.exists()) == (2, False)
    assert "not for containers" in done.stderr


def test_help_lists_every_target_that_has_a_text(make: Make) -> None:
    listed = {line.split()[1] for line in make.run("help").stdout.splitlines() if line.startswith("  make ")}
    lines = (PROJECT / "Makefile").read_text().splitlines()
    assert {line.partition(":")[0] for line in lines if ": " in line and " ## " in line} <= listed


def test_no_page_promises_a_code_that_make_does_not_keep(make: Make) -> None:
    assert make.run("status", STUB_CODE="3").returncode == 2
    lines = [line for line in (PROJECT / "Makefile").read_text().splitlines() if " ## " in line]
    assert [line for line in lines if "exit code" in line] == []
