"""Tests that start a JVM run alone."""

from __future__ import annotations

import re

from sluice.base.settings import PROJECT

STARTS = ("Tree(submit_command(", "submit_command(*", 'pipeline("up"')


def test_each_file_whose_tests_start_a_stream_runs_alone() -> None:
    [listed] = re.findall(r"^ALONE := (.*)$", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    alone = [PROJECT / path for path in listed.split()]
    assert all(path.exists() for path in alone)
    starting = [
        path
        for folder in ("unit", "integration", "crash", "e2e")
        for path in (PROJECT / "tests" / folder).glob("test_*.py")
        if path.name != "test_tests_that_run_alone.py" and any(start in path.read_text() for start in STARTS)
    ]
    assert len(starting) == 4
    assert [path for path in starting if path not in alone and path.parent not in alone] == []
