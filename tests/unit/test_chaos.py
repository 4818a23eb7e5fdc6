"""The chaos harness's own bookkeeping: what it plays, and that it cannot call a failure a success."""

from __future__ import annotations

import argparse
import itertools
from typing import Any

import pytest

from sluice.base.settings import PROJECT
from tests.chaos.__main__ import Result, chosen, summary, table
from tests.chaos.faults import FAULTS
from tests.chaos.recount import Recount

OPTIONS = argparse.Namespace(rounds=1, seed="s")
PLAYED = Result(1, "driver killed", back=20.0, flowing=21.0, streams=1)


def recounted(**changes: int) -> Recount:
    """An independent count where all is well, but for ``changes``."""
    counts = {"files": 1, "sent": 10, "loaded": 8, "rejected": 1, "duplicate": 1, "lost": 0, "doubled": 0, "wrong": 0}
    return Recount(**counts | changes, findings=[])


def test_every_fault_is_played_before_one_is_played_again_in_an_order_that_the_seed_decides() -> None:
    first = list(chosen("a", len(FAULTS), None, set()))
    assert sorted(first) == sorted(FAULTS)
    assert list(chosen("a", len(FAULTS), None, set())) == first
    assert list(chosen("b", len(FAULTS), None, set())) != first
    assert list(itertools.islice(chosen("a", 99, ["driver killed"], set()), 3)) == ["driver killed"] * 3


def test_a_run_without_a_finding_holds() -> None:
    outcome = summary(OPTIONS, [PLAYED], recounted(), [], set())
    assert outcome["holds"]
    assert table(outcome).endswith("nothing lost, nothing twice")


@pytest.mark.parametrize(
    ("results", "found", "problems"),
    [
        ([PLAYED], recounted(lost=1), []),
        ([PLAYED], recounted(doubled=1), []),
        ([PLAYED], recounted(wrong=1), []),
        ([PLAYED], None, []),
        ([PLAYED], recounted(), ["left behind: java"]),
        ([], recounted(), []),
        ([Result(1, "driver killed", problems=["missed: no driver lives"])], recounted(), []),
    ],
    ids=["lost", "doubled", "wrong", "not counted", "left behind", "not played", "not hit"],
)
def test_anything_else_does_not(results: list[Any], found: Recount | None, problems: list[str]) -> None:
    outcome = summary(OPTIONS, results, found, problems, set())
    assert not outcome["holds"]
    assert table(outcome).endswith("NOT AS PROMISED")


def test_the_readme_counts_the_kinds_of_faults() -> None:
    assert f"one fault a round out of {len(FAULTS)} kinds" in (PROJECT / "README.md").read_text(encoding="utf-8")
