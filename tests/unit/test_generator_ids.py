"""Event ids of the generator: random ones by default, time-ordered ones when they are asked for."""

from __future__ import annotations

import csv
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sluice.base import settings
from sluice.base.settings import SettingError, Settings
from sluice.generator.__main__ import main
from sluice.generator.files import land_batch, write_file

NOW = datetime(2026, 11, 22, 18, 42, 4, 123_000, tzinfo=UTC)
CLEAN = {"generate_dirty_share": 0.0, "generate_late_share": 0.0, "generate_repeat_share": 0.0}


def ids_and_times(path: Path) -> list[tuple[uuid.UUID, datetime]]:
    with path.open(newline="") as file:
        return [(uuid.UUID(row["event_id"]), datetime.fromisoformat(row["timestamp"])) for row in csv.DictReader(file)]


def made(tmp_path: Path, *, ordered: bool, seed: str = "s", span: timedelta = timedelta(hours=1)) -> Path:
    path = tmp_path / f"{ordered}-{seed}.csv"
    write_file(path, rows=20_000, seed=seed, now=NOW, span=span, ordered_ids=ordered)
    return path


def test_ordered_ids_are_valid_unique_and_in_the_order_of_time(tmp_path: Path) -> None:
    rows = ids_and_times(made(tmp_path, ordered=True))
    ids = [one for one, _ in rows]
    assert {(one.version, one.variant) for one in ids} == {(7, uuid.RFC_4122)}
    assert len(set(ids)) == 20_000
    assert ids == sorted(ids)
    assert [one.int >> 80 for one in ids] == [round(moment.timestamp() * 1000) for _, moment in rows]


def test_ordered_ids_of_one_millisecond_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = made(tmp_path, ordered=True, span=timedelta(milliseconds=50))
    ids = [one for one, _ in ids_and_times(path)]
    moments = [one.int >> 80 for one in ids]
    assert len(set(moments)) < len(ids)
    assert ids == sorted(ids)


def test_ordered_ids_are_the_same_for_the_same_seed_and_others_for_another(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    same = made(one, ordered=True).read_bytes()
    assert made(other, ordered=True).read_bytes() == same
    ids = {row[0] for row in ids_and_times(made(one, ordered=True))}
    assert ids.isdisjoint(row[0] for row in ids_and_times(made(one, ordered=True, seed="t")))


def test_ids_are_random_by_default(tmp_path: Path) -> None:
    ids = [one for one, _ in ids_and_times(made(tmp_path, ordered=False))]
    assert {one.version for one in ids} == {4}
    assert ids != sorted(ids)


def test_late_events_keep_the_ids_in_order_of_arrival(tmp_path: Path) -> None:
    home = Settings(home=str(tmp_path / "home"), generate_ids="ordered", **CLEAN | {"generate_late_share": 0.2})  # type: ignore[arg-type]
    rows = ids_and_times(land_batch(home, now=NOW, seed="late", rows=2000).path)
    assert [one for one, _ in rows] == sorted(one for one, _ in rows)
    assert [moment for _, moment in rows] != sorted(moment for _, moment in rows)


def test_the_generators_command_makes_ordered_ids(tmp_path: Path) -> None:
    assert main(["--rows", "100", "--out", str(tmp_path / "out.csv"), "--ids", "ordered"]) == 0
    assert {one.version for one, _ in ids_and_times(tmp_path / "out.csv")} == {7}


def test_another_kind_of_ids_is_refused_by_name() -> None:
    with pytest.raises(SettingError, match="SLUICE_GENERATE_IDS='v7' is neither random"):
        settings.load({"SLUICE_GENERATE_IDS": "v7"})
