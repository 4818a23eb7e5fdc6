"""Tests that start a JVM take turns."""

from __future__ import annotations

import pytest

from sluice.base.settings import PROJECT
from tests.turns import TURNS, InTurns

STARTS = ("Tree(submit_command(", "submit_command(*", 'pipeline("up"')


def test_each_file_whose_tests_start_a_stream_has_its_turn() -> None:
    starting = {
        str(path.relative_to(PROJECT))
        for folder in ("unit", "integration", "crash", "e2e")
        for path in (PROJECT / "tests" / folder).glob("test_*.py")
        if path.name != "test_turns.py" and any(start in path.read_text() for start in STARTS)
    }
    assert starting <= set(TURNS)
    assert {path for path in TURNS if not (PROJECT / path).exists()} == set()


@pytest.mark.parametrize("path", TURNS)
def test_tests_of_one_turn_are_of_one_scope(path: str) -> None:
    scope = InTurns._split_scope(None, f"{path}::test_x[a-b]")  # type: ignore[arg-type]
    assert scope == TURNS[path]
    assert InTurns._split_scope(None, "tests/unit/test_x.py::test_y[1]") == "tests/unit/test_x.py::test_y[1]"  # type: ignore[arg-type]
