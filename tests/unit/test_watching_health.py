"""Whether it is well, from numbers alone."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.watching import health
from sluice.watching.health import Flow, Judgement, Level, Pace


def stream(**changes: Any) -> dict[str, Any]:
    """A stream as the ledger tells it: alive and running, unless told otherwise."""
    alive = {"epoch": 7, "living": True, "state": "running", "ended_at": None, "ended_because": None, "ended_how": None}
    return alive | {"last_error": None} | changes


def ended(how: str) -> dict[str, Any]:
    return stream(living=False, state="ended", ended_at="then", ended_how=how, ended_because="it says why")


@pytest.mark.parametrize(
    ("arrived", "finished", "waiting", "oldest", "pace"),
    [
        (0, 0, 0, None, Pace.IDLE),
        (100, 100, 0, None, Pace.KEEPING_UP),
        (100, 99, 1, 1, Pace.KEEPING_UP),
        (1, 0, 1, 2, Pace.KEEPING_UP),  # it has only just landed
        (900, 300, 600, 4, Pace.KEEPING_UP),  # and so have all of these
        (600, 600, 20, 9, Pace.KEEPING_UP),  # ten seconds' work
        (300, 600, 200, 90, Pace.CATCHING_UP),
        (600, 300, 300, 90, Pace.FALLING_BEHIND),
        (600, 610, 900, 90, Pace.FALLING_BEHIND),  # so slowly that it is none
        (5, 0, 5, 90, Pace.STANDING_STILL),
    ],
)
def test_the_pace_is_told_from_rates_and_what_waits(
    arrived: int, finished: int, waiting: int, oldest: float | None, pace: Pace
) -> None:
    assert Flow(arrived, finished, waiting, 300, oldest).pace is pace


def test_catching_up_says_how_long_it_takes() -> None:
    assert Flow(300, 600, 200, 300, 90).seconds_left == 200
    assert Flow(600, 300, 300, 300, 90).seconds_left is None


@pytest.mark.parametrize(
    ("newest", "oldest", "held", "level"),
    [
        (stream(), None, 0, Level.GOOD),
        (stream(), 5000, 0, Level.GOOD),  # that files wait is freshness
        (stream(state="submitted"), 3, 0, Level.WARNING),
        (stream(state="waiting", last_error="the disk is full"), 3, 0, Level.WARNING),
        (stream(), None, 2, Level.WARNING),
        (None, None, 0, Level.QUIET),
        (None, 3, 0, Level.WARNING),
        (None, 300, 0, Level.BAD),
        (ended("asked"), None, 0, Level.QUIET),
        (ended("life_over"), 3, 0, Level.WARNING),
        (ended("asked"), 300, 0, Level.BAD),
        (ended("spark_died"), None, 0, Level.WARNING),
        (ended("spark_died"), 300, 0, Level.BAD),
        (ended("environment"), None, 0, Level.BAD),
        (stream(living=False), None, 0, Level.WARNING),  # its lease lapsed
        (stream(living=False), 300, 0, Level.BAD),
    ],
)
def test_what_is_tried_again_is_a_warning_and_what_stands_is_a_failure(
    newest: dict[str, Any] | None, oldest: float | None, held: int, level: Level
) -> None:
    judged = health.load(newest, oldest_seconds=oldest, held=held)
    assert (judged.of, judged.level) == ("load", level)
    assert judged.reason


def test_the_reason_has_what_the_stream_said() -> None:
    waits = stream(state="waiting", last_error="the disk is full\n")
    assert "the disk is full" in health.load(waits, oldest_seconds=None, held=0).reason
    assert "it says why" in health.load(ended("environment"), oldest_seconds=None, held=0).reason


@pytest.mark.parametrize(
    ("flow", "p95", "level"),
    [
        (Flow(0, 0, 0, 300), None, Level.QUIET),
        (Flow(9, 9, 0, 300), 1.5, Level.GOOD),
        (Flow(9, 9, 0, 300), 61.0, Level.WARNING),
        (Flow(300, 600, 200, 300, 90), 5.0, Level.WARNING),
        (Flow(600, 300, 300, 300, 90), 5.0, Level.WARNING),
        (Flow(600, 300, 300, 300, 5000), 5.0, Level.WARNING),  # late, but it loads
        (Flow(5, 0, 5, 300, 5000), None, Level.BAD),
    ],
)
def test_late_files_are_a_warning_and_a_failure_once_none_is_loaded(
    flow: Flow, p95: float | None, level: Level
) -> None:
    assert health.freshness(flow, p95=p95).level is level


def test_nothing_is_said_to_wait_only_when_nothing_waits() -> None:
    assert "nothing waits" in health.freshness(Flow(0, 0, 0, 300), p95=None).reason
    assert "nothing waits" not in health.freshness(Flow(1, 0, 1, 300, 17.0), p95=None).reason


def test_a_recount_that_does_not_hold_is_a_failure() -> None:
    recount = {"holds": True, "problems": 0, "rows": 1000}
    assert health.proof(recount) == Judgement("proof", Level.GOOD, "the last recount held, of 1,000 rows")
    assert health.proof(recount | {"holds": False, "problems": 2}).level is Level.BAD
    assert health.proof(None).level is Level.QUIET


def test_the_badge_is_the_first_of_the_worst_with_its_reason() -> None:
    good, quiet = Judgement("load", Level.GOOD, "fine"), Judgement("proof", Level.QUIET, "never")
    bad, warning = Judgement("freshness", Level.BAD, "stuck"), Judgement("load", Level.WARNING, "slow")
    assert health.worst(good, quiet) == good
    assert health.worst(warning, bad, quiet) == bad
    assert health.worst(quiet, quiet) == quiet
