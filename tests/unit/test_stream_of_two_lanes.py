"""The stream's two queries: the failure of one ends both, and is not over because the other one has nothing to do."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import pytest

from sluice.base.waiting import Waiting
from spark_jobs.stream_events import run_queries


class FailedError(Exception):
    """What a query failed with."""


@dataclass
class Query:
    """A query that ends after some looks, in good order or not."""

    name: str
    looks: int
    fails: bool = False
    lastProgress: dict[str, Any] | None = None  # noqa: N815 - Spark's name
    recentProgress: list[dict[str, Any]] = field(default_factory=list)  # noqa: N815
    was_stopped: bool = False

    @property
    def isActive(self) -> bool:  # noqa: N802
        self.looks -= 1
        return self.looks > 0 and not self.was_stopped

    def awaitTermination(self, timeout: float | None = None) -> bool:  # noqa: N802
        if self.looks <= 0 and self.fails:
            raise FailedError(self.name)
        return self.looks <= 0

    def stop(self) -> None:
        self.was_stopped = True


class Keeper:
    """What the stream says of itself."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.stop = type("Never", (), {"is_set": lambda self: False})()

    def say(self, state: str, error: str | None = None) -> None:
        self.said.append(state)


def waiting() -> Waiting:
    made = Waiting(logging.getLogger("test"), "tried again")
    made.failed("PostgreSQL is away", "no answer")
    return made


def run(*queries: Query) -> Keeper:
    keeper = Keeper()
    contracts = type("Contracts", (), {"look": lambda self: None})()
    run_queries(list(queries), keeper, waiting(), contracts)  # type: ignore[arg-type]
    return keeper


def test_a_lane_without_files_does_not_say_that_the_trouble_of_the_other_is_over() -> None:
    keeper, small = Keeper(), Query("small", looks=9, fails=True)
    contracts = type("Contracts", (), {"look": lambda self: None})()
    big = Query("big", looks=99, lastProgress={"batchId": 0})
    with pytest.raises(FailedError):
        run_queries([small, big], keeper, waiting(), contracts)  # type: ignore[arg-type, list-item]
    assert keeper.said == []
    assert big.was_stopped


@pytest.mark.parametrize("looks", range(1, 9))
def test_a_lane_that_fails_as_the_other_ends_is_a_failure(looks: int) -> None:
    with pytest.raises(FailedError):
        run(Query("small", looks=4), Query("big", looks=looks, fails=True))


def test_trouble_is_over_when_both_lanes_have_ended_in_good_order() -> None:
    assert run(Query("small", looks=3), Query("big", looks=2)).said == ["running"]
