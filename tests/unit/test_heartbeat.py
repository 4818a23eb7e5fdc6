"""A scheduler counts as lost when its heartbeat stops while the database answers, and not before."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest

from sluice.running import heartbeat
from sluice.running.child import Child
from sluice.running.console import Console


class Clock:
    """A clock that a test sets, and a heart that answers what it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.beat: bool | Exception = True
        monkeypatch.setattr(heartbeat.time, "monotonic", lambda: self.now)
        self.watched = heartbeat.Watchdog(self.ask)

    def ask(self, seconds: float) -> bool:
        self.asked = seconds
        if isinstance(self.beat, Exception):
            raise self.beat
        return self.beat

    def lost_after(self, seconds: float) -> bool:
        self.now += seconds
        return self.watched.is_lost()


def test_a_scheduler_that_beats_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    assert not any(clock.lost_after(60) for _ in range(10))


def test_a_scheduler_that_stopped_beating_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    assert not clock.lost_after(10)
    clock.beat = False
    assert not clock.lost_after(heartbeat.LOST_SECONDS - 1)
    assert clock.lost_after(heartbeat.EVERY_SECONDS)


def test_while_the_database_is_away_nobody_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    clock.beat = psycopg.OperationalError("away")
    assert not any(clock.lost_after(60) for _ in range(10))
    clock.beat = False
    assert not clock.lost_after(heartbeat.EVERY_SECONDS)
    assert clock.lost_after(heartbeat.LOST_SECONDS)


@pytest.mark.parametrize("told", [True, False])
def test_a_scheduler_that_did_not_outlive_an_outage_is_lost_soon_after_it(
    monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    clock = Clock(monkeypatch)
    assert not clock.lost_after(10)
    if told:
        clock.watched.database_came_back()
    else:
        clock.beat = psycopg.OperationalError("away")
        assert not clock.lost_after(10)
        clock.beat = True  # a beat from before the outage
        assert not clock.lost_after(10)
    clock.beat = False
    assert not clock.lost_after(heartbeat.BACK_SECONDS / 2)
    assert clock.asked <= heartbeat.BACK_SECONDS / 2, "a beat from before the outage would count"
    assert clock.lost_after(heartbeat.BACK_SECONDS / 2)


def test_a_scheduler_that_outlived_an_outage_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    assert not clock.lost_after(10)
    clock.watched.database_came_back()
    assert not any(clock.lost_after(5) for _ in range(20))


def test_a_scheduler_may_take_its_time_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    clock.beat = False
    assert not clock.lost_after(heartbeat.START_SECONDS - 10)
    assert clock.lost_after(20)


def test_the_launcher_ends_a_scheduler_that_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "START_SECONDS", 0.0)
    child = Child("scheduler", ["sleep", "600"], tmp_path / "log", dict(os.environ), beats=lambda seconds: False)
    child.start()
    assert child.process is not None
    assert not child.watch(Console()), "it is started again by a later look"
    child.process.wait(10)
