"""Spark may write the same share of files again, later or at the same moment: every row is there once.

A retried or speculated task, a replayed micro-batch and a stage that runs again all come down to this. The real ones
are in tests/crash/test_stream_crash_points.py; here two tasks meet without Spark, as closely as they can.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest

from sluice.base.settings import PROJECT, Settings
from sluice.generator.files import write_file
from sluice.loading.load_file import FileLoader
from sluice.proof.reconcile import reconcile
from tests.crash.conftest import Land
from tests.loading import Connection, event, recount, table

# What Spark does in a task: the writer is given the share's rows. It begins when its standard input says so.
WRITE = """
import sys
import pyarrow as pa
from spark_jobs.event_loader import EventLoadWriter, loader
epoch, *file_ids = map(int, sys.argv[1:])
loader(epoch)
print("ready", flush=True)
sys.stdin.readline()
print(*EventLoadWriter(epoch, "small").write(iter([pa.record_batch({"file_id": file_ids})])).file_ids)
"""


Task = subprocess.Popen[str]
Begin = Callable[..., Task]


@pytest.fixture
def begin(epoch: int) -> Iterator[Begin]:
    """Begins a process that is ready to write these files, in this order; none outlives the test."""
    with ExitStack() as stack:

        def start(file_ids: list[int]) -> Task:
            command = [sys.executable, "-c", WRITE, str(epoch), *map(str, file_ids)]
            task = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT)
            stack.enter_context(task)
            stack.callback(task.kill)
            assert pipe(task.stdout).readline() == "ready\n"
            return task

        yield start


def pipe(end: IO[str] | None) -> IO[str]:
    assert end is not None
    return end


def write(tasks: list[Task]) -> list[list[int]]:
    """Let the tasks write, all at once; the files that each says are done."""
    for task in tasks:
        pipe(task.stdin).write("go\n")
        pipe(task.stdin).flush()
    said = [task.communicate(timeout=120)[0] for task in tasks]
    assert [task.returncode for task in tasks] == [0] * len(tasks)
    return [[int(word) for word in each.split()] for each in said]


@pytest.mark.parametrize("backwards", [False, True], ids=["same-order", "opposite-order"])
def test_two_tasks_that_write_the_same_files_at_once_both_return_and_every_row_is_there_once(
    settings: Settings, connection: Connection, begin: Begin, land: Land, tmp_path: Path, backwards: bool
) -> None:
    big = write_file(tmp_path / "big.csv", rows=35_000, seed="big")
    small = {f"file{n}": table(event(n), event(100), event(n + 50, kind="teleport")) for n in range(8)}
    file_ids = land(big=big.path, **small)
    orders = [file_ids, file_ids[::-1] if backwards else file_ids]
    done = {file_id for each in write([begin(order) for order in orders]) for file_id in each}
    # A task leaves a file that the other holds for more than a moment: to the other, or to the next micro-batch.
    rest = [file_id for file_id in file_ids if file_id not in done]
    assert write([begin(rest)]) == [rest]
    found = recount(connection)
    assert found.keys() == set(file_ids)
    assert found.pop(file_ids[0]) == (big.rows, 0, 0)
    assert sum(loaded for loaded, _, _ in found.values()) == 8 + 1, "each file's own event, and the one they share"
    assert reconcile(settings, settings.reader_dsn).holds


def test_a_task_that_writes_files_again_adds_nothing(connection: Connection, begin: Begin, land: Land) -> None:
    file_ids = land(a=table(event(1), event(2)), b=table(event(2), event(3)), c="no table of a known feed\n")
    for _ in range(2):
        assert write([begin(file_ids)]) == [file_ids]
        assert recount(connection) == {file_ids[0]: (2, 0, 0), file_ids[1]: (1, 0, 1)}
    assert connection.execute("SELECT state FROM ledger.files ORDER BY file_id").fetchall()[2] == {"state": "rejected"}


CHANGES = {
    "cut": lambda data: data[:-40],
    "emptied": lambda data: b"",
    "overwritten": lambda data: data.replace(b"9.99", b"1.11"),
    "turned-into-no-table": lambda data: b"x" * len(data),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_was_changed_after_it_was_registered_commits_no_row_and_goes_back(
    settings: Settings, connection: Connection, epoch: int, land: Land, change: str
) -> None:
    [file_id] = land(changed=table(event(1), event(2)))
    [path] = settings.processing_dir.glob("[!.]*")
    path.write_bytes(CHANGES[change](path.read_bytes()))
    loader = FileLoader(settings, epoch)
    assert loader.load(file_id).state == "rejected"
    loader.close()
    assert connection.execute("SELECT FROM public.events").rowcount == 0
    [row] = connection.execute("SELECT error FROM ledger.files").fetchall()
    assert "changed after it was registered" in row["error"]
    assert [path.name for path in settings.incoming_dir.iterdir()] == ["changed.csv"]
