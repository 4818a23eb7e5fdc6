"""A scheduler counts as lost when its heartbeat stops while the database answers, and not before."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest

from sluice import pulse
from sluice.launcher import Child, Console


class Clock:
    """A clock that a test sets, and a heart that answers what it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.beat: bool | Exception = True
        monkeypatch.setattr(pulse.time, "monotonic", lambda: self.now)
        self.watched = pulse.Pulse(self.ask)

    def ask(self) -> bool:
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
    assert not clock.lost_after(pulse.LOST_SECONDS - 1)
    assert clock.lost_after(pulse.EVERY_SECONDS)


def test_while_the_database_is_away_nobody_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    clock.beat = psycopg.OperationalError("away")
    assert not any(clock.lost_after(60) for _ in range(10))
    clock.beat = False
    assert not clock.lost_after(pulse.EVERY_SECONDS)
    assert clock.lost_after(pulse.LOST_SECONDS)


def test_a_scheduler_may_take_its_time_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    clock.beat = False
    assert not clock.lost_after(pulse.START_SECONDS - 10)
    assert clock.lost_after(20)


def test_the_launcher_ends_a_scheduler_that_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "START_SECONDS", 0.0)
    child = Child("scheduler", ["sleep", "600"], tmp_path / "log", dict(os.environ), beats=lambda: False)
    child.start()
    assert child.process is not None
    assert not child.watch(Console()), "it is started again by a later look"
    child.process.wait(10)
