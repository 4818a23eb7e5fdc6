"""What the driver does when Spark fails again and again: it waits, or makes room for another."""

from __future__ import annotations

import itertools
import threading
from typing import Any
from unittest import mock

import pytest
from pyspark.errors import PySparkException

from sluice.base.settings import Settings
from sluice.ledger.leases import EndedHow
from spark_jobs import stream_events

SICK = "Job aborted due to stage failure: Lost task 1.3\njava.io.OptionalDataException\n\tat java.io.ObjectInputStream"
OURS = "Job aborted\nTraceback (most recent call last):\n  File x\nRuntimeError: never seen\n"
SETTINGS = Settings(backoff_seconds=0.001, backoff_max_seconds=0.001)


class Keeper:
    """Whose stream is asked to stop when it has said so many times that it waits."""

    ended_how = EndedHow.ASKED
    epoch = 1

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.stop = threading.Event()

    def say(self, state: str, error: str | None = None) -> None:
        self.patience -= 1
        if self.patience <= 0:
            self.stop.set()


def run(monkeypatch: pytest.MonkeyPatch, errors: list[str], *, master_is_gone: bool = False) -> Any:
    """How it ended, or what it raised, when its attempts fail with ``errors`` in turns."""
    failing = itertools.cycle(errors)

    def fail(*_: Any) -> None:
        raise PySparkException(next(failing))

    spark = mock.MagicMock()
    spark.sparkContext._jsc.sc().isStopped.return_value = master_is_gone
    monkeypatch.setattr(stream_events, "open_spark", lambda: spark)
    monkeypatch.setattr(stream_events, "start_queries", lambda *_, **__: [])
    monkeypatch.setattr(stream_events, "run_queries", fail)
    monkeypatch.setattr(stream_events, "ContractWatch", lambda *_: None)
    try:
        return stream_events.stream(SETTINGS, Keeper(patience=50), drain=False)  # type: ignore[arg-type]
    except PySparkException as error:
        return error


def test_a_jvm_that_fails_at_each_attempt_is_left_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(run(monkeypatch, [SICK]), PySparkException)


@pytest.mark.parametrize("errors", [[OURS], [SICK, OURS]], ids=["a task's", "in between"])
def test_what_tasks_raise_is_waited_for(monkeypatch: pytest.MonkeyPatch, errors: list[str]) -> None:
    assert run(monkeypatch, errors) is EndedHow.ASKED


def test_a_master_that_is_gone_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, [SICK], master_is_gone=True) is EndedHow.ASKED
