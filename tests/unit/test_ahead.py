"""One ahead: the next item is made while the present one is worked on, and nothing is lost of how making them ends."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from sluice.base.ahead import one_ahead


def test_the_next_item_is_made_while_the_present_one_is_worked_on() -> None:
    is_second_made = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        is_second_made.set()
        yield 2

    made = one_ahead(items())
    assert next(made) == 1
    assert is_second_made.wait(30), "the second item is made only when it is asked for"
    assert list(made) == [2]


def test_only_one_item_is_made_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            yield number

    for number in one_ahead(items()):
        assert len(made) <= number + 2
    assert made == [0, 1, 2, 3, 4]


def test_an_error_is_raised_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("broken")

    made = one_ahead(items())
    assert next(made) == 1
    with pytest.raises(KeyError, match="broken"):
        next(made)


def test_after_it_is_closed_nothing_runs_any_more() -> None:
    under_way, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 1
        under_way.set()
        may_end.wait(30)
        ended.set()
        yield 2

    with contextlib.closing(one_ahead(items())) as made:
        assert next(made) == 1
        assert under_way.wait(30)
        may_end.set()
    assert ended.is_set()
