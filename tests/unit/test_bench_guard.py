"""When the guard of loading's speed lets a change pass."""

from __future__ import annotations

import json

import pytest

from bench import guard

RECORDED = {"wall": 0.9, "cpu": 0.6}


@pytest.mark.parametrize(("name", "ratio"), [("wall", 0.44), ("cpu", 0.44)])
def test_a_ratio_that_is_far_below_the_recorded_one_is_told(name: str, ratio: float) -> None:
    [told] = guard.fallen(RECORDED | {name: ratio}, RECORDED)
    assert f"by {name} time is {ratio}" in told
    assert f"recorded {RECORDED[name]:.2f}" in told


def test_half_of_the_recorded_wall_time_and_three_quarters_of_the_cpu_time_pass() -> None:
    assert guard.fallen({"wall": 0.46, "cpu": 0.46}, RECORDED) == []
    assert guard.fallen({"wall": 2.0, "cpu": 2.0}, RECORDED) == []


def test_the_recorded_ratios_are_those_that_the_guard_measures() -> None:
    recorded = json.loads(guard.RECORDED.read_text())
    assert set(recorded) == set(RECORDED)
    assert all(ratio > 0 for ratio in recorded.values())
