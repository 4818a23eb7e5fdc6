"""How the page asks the database when that ends sessions, or falls silent."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import psycopg
import pytest

from sluice.base.settings import Settings
from sluice.running import embedded
from sluice.watching import arrivals
from sluice.watching import reader as watching_reader
from sluice.watching.reader import AwayError, Reader


@pytest.fixture
def reader(settings: Settings) -> Iterator[Reader]:
    made = Reader(settings)
    yield made
    made.close()


def ask(reader: Reader) -> int:
    with reader.asking() as connection:
        return arrivals.last(connection)


def session(reader: Reader) -> int:
    """The process of the server that serves it."""
    with reader.asking() as connection:
        return connection.info.backend_pid


def test_after_the_server_has_been_away_the_first_question_is_answered(
    reader: Reader, postgres_server: embedded.Server
) -> None:
    pid = session(reader)
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
    assert ask(reader) == 0
    assert session(reader) != pid


def test_a_server_that_is_frozen_is_away_and_holds_nobody_for_ever(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching_reader, "SILENT_SECONDS", 0.5)
    pid = session(reader)
    os.kill(pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        with pytest.raises(AwayError, match="does not answer since"):
            ask(reader)
        assert time.monotonic() - begun < 10
    finally:
        os.kill(pid, signal.SIGCONT)
    assert ask(reader) == 0
