"""Lanes: which file goes into which, and how many tasks each has."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.base.settings import Settings
from sluice.ledger import lanes


@pytest.mark.parametrize(
    ("name", "size", "lane"),
    [
        ("shop.csv", 64_000_000, "small"),
        ("shop.csv", 64_000_001, "big"),
        ("shop.csv.gz", 8_000_000, "small"),
        ("shop.CSV.GZ", 8_000_001, "big"),
        ("shop.csv.zst", 8_000_001, "big"),
    ],
)
def test_a_packed_file_counts_eight_times(name: str, size: int, lane: str) -> None:
    assert lanes.lane_of(Settings(), name, size) == lane


def test_spark_has_a_core_for_each_task_of_both_lanes_and_one_more() -> None:
    assert [lane.tasks for lane in lanes.lanes(Settings(stream_tasks=1))] == [1, 1]
    assert [lane.tasks for lane in lanes.lanes(Settings(stream_tasks=8))] == [8, 4]
    assert lanes.local_master(Settings(stream_tasks=8)) == "local[13,4]"


def test_each_lane_has_a_checkpoint_of_its_own(tmp_path: Path) -> None:
    places = [lane.checkpoint for lane in lanes.lanes(Settings(home=str(tmp_path)))]
    assert places == [tmp_path / "checkpoint" / "small", tmp_path / "checkpoint" / "big"]
