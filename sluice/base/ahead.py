"""Makes the next of some items in a thread of its own, while the present one is worked on."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def one_ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """``items``, of which the next is made while who asks for them works on the last one.

    What ``items`` raises is raised in its place. Close it, and nothing of ``items`` runs any more: whoever leaves
    early waits for the item that is under way.
    """
    over = object()
    with ThreadPoolExecutor(1, "one-ahead") as thread:
        coming = thread.submit(next, items, over)
        while (item := coming.result()) is not over:
            coming = thread.submit(next, items, over)
            yield item  # type: ignore[misc]
