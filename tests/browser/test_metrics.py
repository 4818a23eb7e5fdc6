"""A real Prometheus scrapes the real web server, and answers with the ledger's figures."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice.base import database
from sluice.base.settings import Settings
from sluice.running import web
from tests import airflow_server
from tests.airflow_server import MONITOR_TOKEN, Server

PROMETHEUS = shutil.which("prometheus")
Query = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def query(server: Server, tmp_path: Path) -> Iterator[Query]:
    """A question in PromQL to a Prometheus that scrapes the server every second, with its token from a file."""
    if PROMETHEUS is None:
        pytest.skip("there is no prometheus here: Debian's prometheus has it")
    (tmp_path / "token").write_text(f"{MONITOR_TOKEN}\n")
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            {
                "job_name": "sluice",
                "metrics_path": "/sluice/metrics",
                "authorization": {"credentials_file": str(tmp_path / "token")},
                "static_configs": [{"targets": [server.url.removeprefix("http://")]}],
            }
        ],
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = web.port_to_use(0)
    command = [
        PROMETHEUS,
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}/api/v1/query?"

    def ask(expression: str) -> list[dict[str, Any]]:
        """Until there is an answer: a scrape comes within seconds."""
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, (tmp_path / "prometheus.log").read_text()[-2000:]
            try:
                with urllib.request.urlopen(url + urllib.parse.urlencode({"query": expression}), timeout=5) as answer:
                    found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            except OSError:
                found = []
            if found:
                return found
            assert time.monotonic() < deadline, (tmp_path / "prometheus.log").read_text()[-2000:]
            time.sleep(0.2)

    yield ask
    process.terminate()
    process.wait(30)


def test_prometheus_knows_what_the_ledger_says(query: Query, shop: Settings) -> None:
    assert query('up{job="sluice"} == 1')
    assert query("sluice_database_up == 1")
    with database.connect(shop.reader_dsn) as connection:
        counted = connection.execute(
            "SELECT contract, label, sum(amount) AS amount FROM ledger.counts WHERE what = 'rows' GROUP BY 1, 2"
        ).fetchall()
    told = {
        (one["metric"]["contract"], one["metric"]["outcome"]): float(one["value"][1])
        for one in query("sluice_rows_total")
    }
    assert told == {(row["contract"], row["label"]): row["amount"] for row in counted}
    assert told
    assert query("histogram_quantile(0.95, sum by (le) (sluice_landed_to_queryable_seconds_bucket)) >= 0")
    assert query("sluice_build_info")[0]["metric"]["version"]


def test_a_token_that_is_missing_or_another_one_opens_nothing(server: Server) -> None:
    def status(**headers: str) -> int:
        return server.ask("GET", "sluice/metrics", headers=headers).status

    assert status(Authorization=f"Bearer {MONITOR_TOKEN}") == 200
    assert status() == 401
    assert status(Authorization="Bearer") == 401
    assert status(Authorization=f"Bearer {MONITOR_TOKEN}x") == 401
    assert status(Authorization=f"Bearer {MONITOR_TOKEN[:-1]}") == 401
    assert status(Authorization=f"Basic {MONITOR_TOKEN}") == 401
    assert status(Authorization=f"Bearer {server.token('admin')}") == 401, "a login is none"
    assert server.ask("GET", f"sluice/metrics?token={MONITOR_TOKEN}").status == 401
    assert server.ask("GET", "sluice/api/now", token=MONITOR_TOKEN).status in (401, 403), "it opens nothing else"
    assert server.ask("GET", "sluice/metrics").headers["www-authenticate"] == "Bearer"


def test_the_web_server_listens_on_this_machine_only(server: Server) -> None:
    assert "127.0.0.1" in server.url
    assert airflow_server.MONITOR_TOKEN not in server.log.read_text()
