"""The enumeration itself: no named crash point without a test that dies there, none that the protocol's page omits."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sluice.base.settings import PROJECT

SOURCES = ("sluice", "spark_jobs", "plugins", "dags")
NAME = re.compile(r"[a-z]+\.[a-z_]+")
DIE = "from sluice.base.crash_points import crash_point\nfor name in 'abc': crash_point(name)"


def in_the_source() -> set[str]:
    """The names of all crash points; each must be written out where it is."""
    names: list[str] = []
    for folder in SOURCES:
        for path in (PROJECT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and "crash_point" in ast.unparse(node.func).split("."):
                    [argument] = node.args
                    assert isinstance(argument, ast.Constant), f"{path}:{node.lineno} gives no name"
                    names.append(str(argument.value))
    assert len(names) == len(set(names)), f"a name must stand for one place: {sorted(names)}"
    return set(names)


def strings(node: ast.expr) -> Iterator[str]:
    """The words of a list that is written out, also those that stand there beside what becomes of them."""
    if isinstance(node, ast.List):
        for element in node.elts:
            words = element.elts if isinstance(element, ast.Tuple) else [element]
            yield from (word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str))


def in_the_tests() -> set[str]:
    """The names in lists of test modules that kill: module constants, and what a test named ``point`` goes over."""
    names: set[str] = set()
    for path in (PROJECT / "tests").rglob("test_*.py"):
        text = path.read_text()
        if path == Path(__file__) or "SLUICE_CRASH_AT" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Assign):
                names |= set(strings(node.value))
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.parametrize":
                names |= set(strings(node.args[1]))
    return names


def test_every_crash_point_has_a_test_that_dies_there() -> None:
    assert in_the_source() - in_the_tests() == set()


def test_the_page_on_the_protocol_names_every_crash_point() -> None:
    page = (PROJECT / "docs" / "protocol.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    named = {word for row in rows for word in re.findall(r"`([^`]+)`", row.split("|")[1]) if NAME.fullmatch(word)}
    assert named == in_the_source()


def test_a_process_dies_at_each_named_place_once(tmp_path: Path) -> None:
    environment = os.environ | {"SLUICE_CRASH_AT": "a,c", "SLUICE_CRASH_ONCE": str(tmp_path / "died")}
    codes = [subprocess.run([sys.executable, "-c", DIE], env=environment, cwd=PROJECT).returncode for _ in range(3)]
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 0]
    assert (tmp_path / "died").read_text().split() == ["a", "c"]
