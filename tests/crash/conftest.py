"""Fixtures to break things: files land through the real mover, and are loaded under a living stream's epoch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sluice.base import database
from sluice.base.settings import Settings
from sluice.landing import mover
from tests.loading import Connection

Move = Callable[[], mover.MoveResult]
Land = Callable[..., list[int]]


@pytest.fixture
def writer(settings: Settings) -> Iterator[Connection]:
    """An autocommit connection as the pipeline's own role."""
    with database.connect(settings.writer_dsn, application_name="sluice-mover") as opened:
        yield opened


@pytest.fixture
def move(settings: Settings, writer: Connection) -> Move:
    """Moves what has landed, after the tidy step, as the task move_files does."""
    return lambda: mover.move_landed(settings, writer)


@pytest.fixture
def land(settings: Settings, move: Move) -> Land:
    """Lands texts, or files that are copied, as name=content, and moves them; returns their file_ids in that order."""

    def put(**contents: str | Path) -> list[int]:
        for age, (name, content) in enumerate(reversed(contents.items()), start=60):
            path = settings.incoming_dir / f"{name}.csv"
            path.write_bytes(content.read_bytes() if isinstance(content, Path) else content.encode())
            os.utime(path, (path.stat().st_ctime - age, path.stat().st_ctime - age))
        return move().moved

    return put
