"""What a container does while the database is away, or refuses it: it waits and says so, or names the remedy."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.containers import waiting
from sluice.running import embedded
from sluice.running.pipeline import InstanceError


@pytest.fixture
def late(tmp_path_factory: pytest.TempPathFactory, postgres_server: embedded.Server) -> Iterator[embedded.Server]:
    """A server that somebody still has to start; its port is known."""
    folder = postgres_server.folder.with_name(f"{postgres_server.folder.name}-late")
    made = embedded.Server(Path(folder), postgres_server.bin_dir, port=embedded.free_port())
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_a_database_that_comes_up_late_is_waited_for_and_it_is_said(late: embedded.Server) -> None:
    said: list[str] = []
    late.folder.mkdir()
    url = late.url("postgres")
    starter = threading.Timer(1.0, late.start)
    starter.start()
    waiting.wait_for_database(url, tell=said.append)
    starter.join()
    assert said[0].startswith(f"waiting for PostgreSQL at 127.0.0.1:{late.port} (database postgres, role postgres)")
    assert "answers after" in said[-1]


def test_it_does_not_wait_for_ever(late: embedded.Server) -> None:
    late.folder.mkdir()
    begun = time.monotonic()
    with pytest.raises(InstanceError, match="docker compose logs postgres"):
        waiting.wait_for_database(late.url("postgres"), patience=0.2, tell=lambda sentence: None)
    assert time.monotonic() - begun < 10


def test_a_refused_password_is_said_at_once_with_the_remedy(postgres_server: embedded.Server) -> None:
    with pytest.raises(InstanceError, match="/set-password"):
        waiting.wait_for_database(postgres_server.url(password="wrong"))
    with pytest.raises(InstanceError, match="docker compose up"):
        waiting.wait_for_database(postgres_server.url("postgres", "sluice_writer", "wrong"))
