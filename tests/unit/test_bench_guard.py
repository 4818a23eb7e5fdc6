"""When the guard of loading's speed lets a change pass."""

from __future__ import annotations

import json

from bench import guard

RECORDED = {"wall": 0.9, "cpu": 0.6}


def test_a_ratio_that_is_more_than_a_third_below_the_recorded_one_is_told() -> None:
    [told] = guard.fallen({"wall": 0.59, "cpu": 0.6}, RECORDED)
    assert "by wall time is 0.59" in told
    assert "recorded 0.90" in told


def test_ratios_a_third_below_or_better_pass() -> None:
    assert guard.fallen({"wall": 0.61, "cpu": 0.41}, RECORDED) == []
    assert guard.fallen({"wall": 2.0, "cpu": 2.0}, RECORDED) == []


def test_the_recorded_ratios_are_those_that_the_guard_measures() -> None:
    recorded = json.loads(guard.RECORDED.read_text())
    assert set(recorded) == set(RECORDED)
    assert all(ratio > 0 for ratio in recorded.values())
