"""Files that are landed and loaded while the scale is measured: by this process, and by another one beside it."""

from __future__ import annotations

import contextlib
import itertools
import logging
import multiprocessing
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.peers.sluice_tasks import register
from sluice.base.settings import Settings
from sluice.generator.files import Shares, write_file
from sluice.loading.load_file import FileLoader

SMALL_ROWS = 1_000
_ID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=,)", re.MULTILINE)
WARMING, ALONE = 5, 20
_SHARES = Shares(late=Settings.generate_late_share)
_SPAWN = multiprocessing.get_context("spawn")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class When:
    """When the events of a file happened: within ``span``, which ended so long ``ago``; a few rows are late."""

    span: timedelta = timedelta(days=1)
    ago: timedelta = timedelta(0)


_NOW = When()


class Loads:
    """Lands and loads files, of now or of ``when``, a few rows of each late, as a task of the stream does."""

    def __init__(self, settings: Settings, epoch: int, name: str, when: When = _NOW) -> None:
        self.settings = settings
        self._name = name
        self._when = when
        self._folder = Path(settings.home).with_suffix(".files")
        self._folder.mkdir(exist_ok=True)
        self._loader = FileLoader(settings, epoch)
        self._files = itertools.count(1)

    def land(self, rows: int, ids: Sequence[str] = ()) -> int:
        """A file in the ledger as landed, its first rows under these ids; its file_id."""
        path = self._folder / f"{self._name}-{next(self._files)}.csv"
        now = datetime.now(UTC) - self._when.ago
        write_file(path, rows=rows, seed=path.stem, shares=_SHARES, now=now, span=self._when.span)
        if ids:
            rename_rows(path, ids)
        file_id = register(self.settings, path)
        path.unlink()
        return file_id

    def load(self, file_id: int) -> float:
        """Seconds until it is loaded, those in which it was put off among them."""
        started = time.monotonic()
        while (state := self._loader.load(file_id).state) == "landed":
            pass
        assert state == "loaded", state
        return time.monotonic() - started

    def one(self) -> float:
        """Land a small file, and load it; seconds of the load."""
        return self.load(self.land(SMALL_ROWS))

    def close(self) -> None:
        """End the session."""
        self._loader.close()


def rename_rows(path: Path, ids: Sequence[str]) -> None:
    """A row begins with its id; some reach over two lines."""
    given = iter(ids)
    path.write_text(_ID.sub(lambda own: next(given), path.read_text(), count=len(ids)))


@contextlib.contextmanager
def loads_beside(settings: Settings, epoch: int) -> Iterator[dict[str, Any]]:
    """While the block runs, a process of its own loads small files one after the other.

    What is given is filled at the end: how many loads there were, and by how many seconds the longest was longer than
    the median of those before the block.
    """
    with each_load_beside(settings, epoch) as found:
        yield found
    alone, meanwhile = found.pop("alone"), found.pop("meanwhile")
    waited = max(0.0, max(meanwhile) - statistics.median(alone))
    found |= {"loads_beside": len(meanwhile), "longest_wait_of_a_load": waited}


@contextlib.contextmanager
def each_load_beside(settings: Settings, epoch: int, when: When = _NOW) -> Iterator[dict[str, Any]]:
    """The same; what is given is filled with the seconds of each load before the block, and of each meanwhile."""
    found: dict[str, Any] = {}
    ours, theirs = _SPAWN.Pipe()
    name = f"beside-{next(_numbers)}"
    process = _SPAWN.Process(target=_load_until_told, args=(settings, epoch, name, when, theirs))
    process.start()
    theirs.close()
    try:
        found["alone"] = ours.recv()
        yield found
        ours.send(None)
        found["meanwhile"] = ours.recv()
    finally:
        ours.close()
        process.join()


def _load_until_told(settings: Settings, epoch: int, name: str, when: When, told: Connection) -> None:
    logging.getLogger("sluice").setLevel(logging.ERROR)
    loads = Loads(settings, epoch, name, when)
    for _ in range(WARMING):
        loads.one()
    with contextlib.suppress(EOFError, BrokenPipeError):
        told.send([loads.one() for _ in range(ALONE)])
        meanwhile = [loads.one()]
        while not told.poll():
            meanwhile.append(loads.one())
        told.recv()
        told.send(meanwhile)
    loads.close()
