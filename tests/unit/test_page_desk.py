"""The desk of the page: few threads, and one question for all who ask at the same time."""

from __future__ import annotations

import threading
import time
from typing import Any

import anyio
import pytest
from sluice_ui import desk
from sluice_ui.desk import BusyError, Desk, Fresh


def test_ten_viewers_who_look_for_three_seconds_cost_one_question_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    fresh = Fresh(Desk(), lambda: asked.append(clock[0]) or len(asked))
    clock = [100.0]
    monkeypatch.setattr(desk.time, "monotonic", lambda: clock[0])
    given: list[Any] = []

    async def look() -> None:
        given.append(await fresh.answer())

    async def all_look() -> None:
        for _ in range(6):  # every half second
            async with anyio.create_task_group() as viewers:
                for _ in range(10):
                    viewers.start_soon(look)
            clock[0] += 0.5

    anyio.run(all_look)
    assert asked == [100.0, 101.0, 102.0]
    assert given == [1] * 20 + [2] * 20 + [3] * 20


def test_what_costs_more_is_asked_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(desk.time, "monotonic", lambda: clock[0])
    numbers = iter(range(10))
    fresh = Fresh(Desk(), lambda: next(numbers), seconds=5)

    async def look() -> list[int]:
        found = []
        for clock[0] in (1.0, 5.9, 6.0):
            found.append(await fresh.answer())
        return found

    assert anyio.run(look) == [0, 0, 1]


def test_a_question_that_failed_is_asked_again_a_second_later(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(desk.time, "monotonic", lambda: clock[0])
    answers = iter([OSError("away"), "there"])

    def ask() -> str:
        if isinstance(answer := next(answers), OSError):
            raise answer
        return answer

    fresh = Fresh(Desk(), ask, seconds=5)

    async def look() -> str:
        for clock[0] in (1.0, 1.9):
            with pytest.raises(OSError, match="away"):
                await fresh.answer()
        clock[0] = 2.0
        return str(await fresh.answer())

    assert anyio.run(look) == "there"


def test_ten_who_look_while_the_database_is_away_cost_one_question() -> None:
    asked: list[int] = []

    def ask() -> None:
        asked.append(len(asked))
        raise OSError("away")

    fresh = Fresh(Desk(), ask)

    async def look() -> None:
        with pytest.raises(OSError, match="away"):
            await fresh.answer()

    async def all_look() -> None:
        async with anyio.create_task_group() as viewers:
            for _ in range(10):
                viewers.start_soon(look)

    anyio.run(all_look)
    assert asked == [0]


def test_who_comes_when_many_wait_is_told_to_come_again() -> None:
    at_desk, go_on = Desk(), threading.Event()
    refused: list[BusyError] = []

    async def ask() -> None:
        try:
            await at_desk.ask(go_on.wait, 30)
        except BusyError as error:
            refused.append(error)

    async def crowd() -> None:
        async with anyio.create_task_group() as viewers:
            for _ in range(desk.THREADS + desk.MOST_WAITING + 3):
                viewers.start_soon(ask)
            await anyio.sleep(0.1)
            assert len(refused) == 3
            go_on.set()

    begun = time.monotonic()
    anyio.run(crowd)
    assert time.monotonic() - begun < 10
