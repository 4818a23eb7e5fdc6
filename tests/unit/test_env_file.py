"""The file .env: what it says is the same to `make` and to docker compose, or it is refused with the line's number."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sluice.base.env_file import read_env_file
from sluice.base.settings import SettingError

# From compose's documentation: a line, with KEY for the name, and the value it stands for. FRUIT and NOTHING are set.
FRUIT = {"FRUIT": "pear", "NOTHING": ""}
CASES = [
    ("KEY=data", "data"),
    ("KEY = data", "data"),
    ("  KEY=  data  ", "data"),
    ("export KEY=data", "data"),
    ("KEY=", ""),
    ("KEY=''", ""),
    ("KEY=data # a comment", "data"),
    ("KEY=data# no comment", "data# no comment"),
    ("KEY=#data", "#data"),
    ("KEY=a=b c", "a=b c"),
    ("KEY=it's", "it's"),
    (r"KEY=a\nb", r"a\nb"),
    ("KEY='data # no comment' # a comment", "data # no comment"),
    ('KEY="data # no comment" # a comment', "data # no comment"),
    (r"KEY='it\'s'", "it's"),
    (r'KEY="so \"quoted\""', 'so "quoted"'),
    (r'KEY="two\nlines\tand \\"', "two\nlines\tand \\"),
    ('KEY="two\nlines"', "two\nlines"),
    ("KEY=a ${FRUIT}", "a pear"),
    ('KEY="a ${FRUIT}"', "a pear"),
    ("KEY=${MISSING}", ""),
    ("KEY=${MISSING:-a plum}", "a plum"),
    ("KEY=${FRUIT:-a plum}", "pear"),
    ("KEY=${NOTHING:-a plum}", "a plum"),
    ("KEY='a ${FRUIT}'", "a ${FRUIT}"),
    ("KEY='a $FRUIT'", "a $FRUIT"),
    ("KEY=5$ or $(so)", "5$ or $(so)"),
    ("KEY=data\r", "data"),
]
FILE = "".join(f"{line.replace('KEY', f'KEY_{number}', 1)}\n" for number, (line, _) in enumerate(CASES))
VALUES = {f"KEY_{number}": value for number, (_, value) in enumerate(CASES)}


def read(folder: Path, text: str, **environ: str) -> dict[str, str]:
    """What the file adds to the environment."""
    (folder / ".env").write_text(text, newline="")
    known = dict(environ)
    read_env_file(folder / ".env", known)
    return {name: value for name, value in known.items() if name not in environ}


@pytest.mark.parametrize(("line", "value"), CASES)
def test_a_value_is_what_the_documentation_of_docker_compose_says(tmp_path: Path, line: str, value: str) -> None:
    assert read(tmp_path, f"{line}\n", **FRUIT) == {"KEY": value}


def test_docker_compose_reads_the_same_file_alike(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")} | FRUIT
    compose = ["docker", "compose", "--project-name=x", "--file=x.yaml", "--env-file=.env", "config", "--format=json"]
    (tmp_path / "x.yaml").write_text(json.dumps({"services": {"x": {"image": "x", "environment": list(VALUES)}}}))
    (tmp_path / ".env").write_text(FILE, newline="")
    if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        pytest.skip("there is no docker compose here: the table of its documentation stands for it")
    done = subprocess.run(compose, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)["services"]["x"]["environment"]
    # Printed as a compose file, in which $$ stands for a $.
    assert {name: value.replace("$$", "$") for name, value in said.items()} == VALUES
    assert read(tmp_path, FILE, **FRUIT) == VALUES


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    text = "# a comment\n\nexport SLUICE_WEB_PORT=1\nSLUICE_HOME='my data'\nSLUICE_GENERATOR=off\n"
    assert read(tmp_path, text, SLUICE_WEB_PORT="2", SLUICE_GENERATOR="") == {"SLUICE_HOME": "my data"}


def test_a_line_may_use_what_an_earlier_one_set_and_the_environment_wins_there_too(tmp_path: Path) -> None:
    text = "ROOT=/srv\nSLUICE_HOME=${ROOT}/data\n"
    assert read(tmp_path, text)["SLUICE_HOME"] == "/srv/data"
    assert read(tmp_path, text, ROOT="/mnt")["SLUICE_HOME"] == "/mnt/data"


def test_a_comment_alone_is_no_value(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeffSLUICE_HOME= # a comment\n") == {"SLUICE_HOME": ""}


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("SLUICE_HOME=data\n".encode("utf-16"))
    with pytest.raises(SettingError, match=r"\.env is not in UTF-8"):
        read_env_file(tmp_path / ".env", {})


@pytest.mark.parametrize(
    "line", ["SLUICE WEB PORT 2", "SLUICE_HOME", "=data", "'KEY'=data", 'KEY="data', "KEY='data", 'KEY="data" more']
)
def test_a_line_that_is_no_setting_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    with pytest.raises(SettingError, match=r"\.env line 4: .* is not KEY=VALUE"):
        read(tmp_path, f"SLUICE_WEB_PORT=1\n\n# a comment\n{line}\n")


@pytest.mark.parametrize(
    "value", ["a$FRUIT", "$$a", "${FRUIT-a}", "${FRUIT:+a}", "${FRUIT:?no}", "${FRUIT", "${}", r'"a\${FRUIT}"', r"'\\'"]
)
def test_what_docker_compose_would_read_differently_is_refused_with_another_way(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingError, match=r"\.env line 2: .*: write "):
        read(tmp_path, f"SLUICE_WEB_PORT=1\nKEY={value}\n", **FRUIT)
