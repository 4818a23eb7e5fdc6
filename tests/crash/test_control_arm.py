"""The control arm of chaos: a loader with two transactions is right until it is killed, and is found out then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.base import database
from sluice.base.settings import Settings
from sluice.proof.reconcile import reconcile
from sluice.running import embedded
from tests.chaos import control
from tests.chaos.recount import Landing, recount
from tests.loading import Connection, event, table

Land = Callable[..., list[int]]

_LOAD = """
import sys
from sluice.base.settings import load
from sluice.loading.load_file import FileLoader
FileLoader(load(), int(sys.argv[1])).load(int(sys.argv[2]))
"""
_BETWEEN = """
    SELECT count(*) AS n FROM pg_stat_activity
    WHERE datname = %s AND state = 'active' AND query ~ 'between_two_transactions' AND pid <> pg_backend_pid()
"""


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_loader_that_commits_the_ledger_before_the_rows_is_found_out_when_it_is_killed(
    settings: Settings,
    land: Land,
    connection: Connection,
    postgres_server: embedded.Server,
    epoch: int,
    tmp_path: Path,
    is_killed: bool,
) -> None:
    text = table(event(1), event(2), event(2), event(3, kind="teleport"))
    kept = tmp_path / "kept.csv"
    kept.write_text(text)
    [file_id] = land(shop=text)
    project = control.project_with_two_transactions(tmp_path / "project")
    loading = subprocess.Popen(
        [sys.executable, "-c", _LOAD, str(epoch), str(file_id)],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project)},
    )
    if is_killed:
        with database.connect(postgres_server.url()) as superuser:
            _wait_until_between(superuser, connection.info.dbname, loading)
        loading.send_signal(signal.SIGKILL)
    assert loading.wait(60) == (-signal.SIGKILL if is_killed else 0)
    found = recount([Landing("shop.csv", kept)], settings.reader_dsn)
    ours = reconcile(settings, settings.reader_dsn)
    assert (found.lost > 0, ours.holds) == (is_killed, not is_killed), (found, ours.broken)


def _wait_until_between(superuser: Connection, database_name: str, loading: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while superuser.execute(_BETWEEN, [database_name]).fetchone() == {"n": 0}:
        assert loading.poll() is None, "it ended before it came to the moment"
        assert time.monotonic() < deadline
        time.sleep(0.01)
