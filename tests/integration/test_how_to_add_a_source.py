"""The DAG of docs/how-to/add-a-source.md, as it stands there, fetches from a server; what it lands is loaded once."""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pytest

from sluice.base import database
from sluice.base.settings import PROJECT, Settings
from sluice.landing import mover
from sluice.loading.load_file import FileLoader
from tests.loading import event, recount, table

Connection = psycopg.Connection[dict[str, Any]]
PAGE = PROJECT / "docs/how-to/add-a-source.md"
CONTENT = table(event(1), event(2), event(3)).encode()
# Airflow reads the folder, finds the task and calls its function, as a task's process does.
RUN = """
import sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder=sys.argv[1])
assert bag.import_errors == {}, bag.import_errors
print("LANDED", bag.dags["fetch_prices"].get_task("fetch").python_callable(ds="2026-11-22"))
"""


class Server(http.server.BaseHTTPRequestHandler):
    """Has the file of one day; breaks off in its middle while ``cut`` is set."""

    cut = False
    asked: ClassVar[list[tuple[str, str]]]

    def do_GET(self) -> None:
        """Answer, and note what was asked for and by whom."""
        self.asked.append((self.path, self.headers.get("Authorization", "")))
        self.send_response(200 if self.path == "/prices-2026-11-22.csv" else 404)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:20] if self.cut else CONTENT)

    def log_message(self, *_: Any) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def server() -> Iterator[type[Server]]:
    """The server's handler; AIRFLOW_CONN_SHOP_PRICES leads to it."""
    handler = type("Handler", (Server,), {"asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        host, port = listening.server_address[:2]
        shop = {"conn_type": "http", "schema": "http", "host": host, "port": port, "login": "reader", "password": "p"}
        os.environ["AIRFLOW_CONN_SHOP_PRICES"] = json.dumps(shop)
        yield handler
        del os.environ["AIRFLOW_CONN_SHOP_PRICES"]
        listening.shutdown()
        thread.join()


def run_dag(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the page's DAG once, in a process of its own."""
    [code] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    (folder / "dags").mkdir(exist_ok=True)
    (folder / "dags" / "fetch_prices.py").write_text(code)
    environment = os.environ | {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(PROJECT),
    }
    return subprocess.run(
        [sys.executable, "-c", RUN, str(folder / "dags")], env=environment, capture_output=True, text=True, check=False
    )


def test_what_it_fetches_lands_and_is_loaded_once_however_often_it_runs(
    server: type[Server], own_contracts: Settings, connection: Connection, epoch: int, tmp_path: Path
) -> None:
    runs = [run_dag(tmp_path) for _ in range(2)]
    assert ["LANDED prices-2026-11-22" in ran.stdout for ran in runs] == [True, True], runs[0].stderr
    assert sorted(path.name for path in own_contracts.incoming_dir.iterdir()) == [
        "prices-2026-11-22-2.csv",
        "prices-2026-11-22.csv",
    ]
    assert {path for path, _ in server.asked} == {"/prices-2026-11-22.csv"}
    assert all(said.startswith("Basic ") for _, said in server.asked)
    with database.connect(own_contracts.writer_dsn) as writer:
        moved = mover.move_landed(replace(own_contracts, settle_seconds=0.001), writer)
    loader = FileLoader(own_contracts, epoch)
    assert [loader.load(file_id).state for file_id in moved.moved] == ["loaded"]
    loader.close()
    assert len(moved.duplicates) == 1
    assert recount(connection) == {moved.moved[0]: (3, 0, 0)}


def test_a_server_that_breaks_off_lands_nothing(
    server: type[Server], settings: Settings, connection: Connection, tmp_path: Path
) -> None:
    server.cut = True
    ran = run_dag(tmp_path)
    assert ran.returncode == 1
    assert "without sending complete message body" in ran.stderr
    assert list(settings.incoming_dir.iterdir()) == []
