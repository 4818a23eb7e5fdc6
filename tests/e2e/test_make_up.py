"""What a new user does: up, see rows arrive, load a file, down; with nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import psutil
import pytest

from sluice.base.settings import PROJECT, Settings
from sluice.running import embedded, processes

UP_SECONDS = 420


class Pipeline:
    """The command line as a user calls it, on a state folder of the test's own."""

    def __init__(self, home: Path, **changes: str) -> None:
        self.home = home
        # An empty value is the default and wins over a developer's .env.
        blank = {f"SLUICE_{field.name.upper()}": "" for field in fields(Settings)}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SLUICE_", "AIRFLOW"))}
        self.environment = kept | blank | {"SLUICE_HOME": str(home), "SLUICE_WEB_PORT": "0"} | changes

    def __call__(self, *arguments: str, within: float = 120) -> subprocess.CompletedProcess[str]:
        """Run one command to its end; what it printed is in ``stdout``."""
        command = [sys.executable, "-m", "sluice", *arguments]
        return subprocess.run(
            command,
            cwd=PROJECT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=within,
        )

    def status(self) -> dict[str, Any]:
        """The report of `make status JSON=1`."""
        report: dict[str, Any] = json.loads(self("status", "--json").stdout)
        return report

    def alive(self) -> list[str]:
        """What still runs of this pipeline."""
        found = processes.members(self.home)
        if (server := embedded.running(self.home / "postgres" / "pgdata")) is not None:
            found.append(server)
        return [str(process) for process in found]


@pytest.fixture
def home() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="sluice-e2e-"))
    yield made
    Pipeline(made)("down")
    shutil.rmtree(made, ignore_errors=True)


def test_up_brings_rows_a_file_is_loaded_and_down_leaves_nothing(home: Path, tmp_path: Path) -> None:
    pipeline = Pipeline(home, SLUICE_GENERATE_ROWS="200", SLUICE_GENERATE_SEED="e2e")

    up = pipeline("up", f"--timeout={UP_SECONDS}", within=UP_SECONDS + 60)
    assert up.returncode == 0, up.stdout
    assert "the first file is loaded" in up.stdout

    found = pipeline.status()
    assert found["rows"]["loaded"] > 0
    assert all(found["processes"].values())
    assert found["stream"]["living"]
    assert_loopback_only(pipeline)
    assert open_to_others(home) == []

    loaded = pipeline("load", str(shop_file(tmp_path)), within=300)
    assert loaded.returncode == 0, loaded.stdout
    assert "under contract events: 3 read, 2 loaded, 1 rejected, 0 duplicate" in loaded.stdout

    counted = pipeline("psql", "-XAtc", "SELECT count(*) > 0, count(DISTINCT event_id) = count(*) FROM events")
    assert counted.stdout.strip() == "t|t"
    assert "already runs" in pipeline("run").stdout

    down = pipeline("down")
    assert down.returncode == 0, down.stdout
    assert pipeline.alive() == []
    assert pipeline("status").returncode == 3


def test_a_killed_launcher_takes_everything_along(home: Path) -> None:
    pipeline = Pipeline(home, SLUICE_GENERATOR="off")
    started = subprocess.Popen(
        [sys.executable, "-m", "sluice", "run"],
        cwd=PROJECT,
        env=pipeline.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with started:
        assert started.stdout is not None
        for line in started.stdout:
            if "starting Airflow" in line:
                break
        started.kill()
    deadline = time.monotonic() + 60
    while pipeline.alive() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert pipeline.alive() == []


def open_to_others(home: Path) -> list[str]:
    """What other users may see or change in the state folder; PostgreSQL's data is for it to guard."""
    passed = {home, home / "postgres"} if os.geteuid() == 0 else set()
    found = []
    for folder, inner, files in os.walk(home):
        inner[:] = [name for name in inner if name != "pgdata"]
        for path in (Path(folder), *(Path(folder, name) for name in files)):
            with contextlib.suppress(FileNotFoundError):
                about = path.lstat()
                beyond = 0o066 if path in passed else 0o077
                if not stat.S_ISLNK(about.st_mode) and about.st_mode & beyond:
                    found.append(f"{path} {stat.filemode(about.st_mode)}")
    return found


def assert_loopback_only(pipeline: Pipeline) -> None:
    """Nothing of the pipeline listens on an address that another machine could reach."""
    listening = set()
    for process in processes.members(pipeline.home):
        with contextlib.suppress(psutil.NoSuchProcess):  # a task's process may end while it is looked at
            connections = process.net_connections(kind="tcp")
            listening |= {(one.laddr.ip, one.laddr.port) for one in connections if one.status == psutil.CONN_LISTEN}
    assert listening, "nothing listens at all"
    assert {ip for ip, _ in listening} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, listening


def shop_file(folder: Path) -> Path:
    """Three rows of the default contract; the last one's type is not a known one."""
    header = (
        "event_id,event_type,user_id,product_id,category,price,timestamp,session_id,ip_address,user_agent,"
        "search_query,search_results_count,quantity,total_amount,payment_method"
    )
    rows = [
        f"{uuid.uuid4()},{kind},u1,p1,books,9.99,2026-05-04T10:00:0{number}Z,s1,192.0.2.1,test,,,,,"
        for number, kind in enumerate(("product_view", "add_to_cart", "teleport"))
    ]
    path = folder / "from_a_shop.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path
