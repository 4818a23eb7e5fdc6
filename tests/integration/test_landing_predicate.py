"""Sensor, mover, `make load` and status judge a name alike: each asks the one landing predicate."""

from __future__ import annotations

import ast
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg

from sluice.base.settings import PROJECT, Settings
from sluice.landing import mover, predicate
from sluice.ledger import leases
from sluice.running import load_watch, status
from sluice.running.instance import Instance
from sluice.running.pipeline import InstanceError

Connection = psycopg.Connection[dict[str, Any]]
TAKEN = [f"shop{ending}" for ending in predicate.ENDINGS] + ["SHOP.CSV", "shop.Csv.Gz", "é b.csv"]
REFUSED = {
    "shop.xlsx": "save each sheet as CSV",
    "shop.csv.zip": "unpack it",
    "shop.json": "convert it to CSV",
    "shop.csv.lz4": "ends in none of",
    "shop": "ends in none of",
    "_shop.csv": "not finished",
}
UNFINISHED = [".shop.csv", "shop.csv.part", "shop.csv.gz.TMP"]
NAMES = [*TAKEN, *REFUSED, *UNFINISHED]


class LandedError(Exception):
    """The file has landed: what comes then is another test's."""


def put(folder: Path, name: str) -> None:
    """A file that rests."""
    (folder / name).write_text(f"a,b\n1,{name}\n")
    os.utime(folder / name, (time.time() - 60, time.time() - 60))


def test_the_mover(settings: Settings, writer: Connection) -> None:
    for name in NAMES:
        put(settings.incoming_dir, name)
    result = mover.move_landed(settings, writer)
    registered = writer.execute("SELECT name FROM ledger.files").fetchall()
    assert sorted(row["name"] for row in registered) == sorted(TAKEN)
    assert set(result.refused) == set(REFUSED)
    assert [name for name, says in REFUSED.items() if says not in result.refused[name]] == []
    assert {path.name for path in settings.incoming_dir.iterdir()} == {*REFUSED, *UNFINISHED}


def test_the_sensor(settings: Settings, writer: Connection) -> None:
    from airflow.sdk.api.datamodels._generated import DagRunType
    from landed_file_sensor import LandedFileSensor

    lease = leases.take(writer, submitted_by="an older run", seconds=600)
    assert lease is not None
    leases.begin(writer, token=lease.token, host="here", pid=1, seconds=600)
    sensor = LandedFileSensor(task_id="sense_files")
    context: Any = {"dag_run": SimpleNamespace(run_type=DagRunType("scheduled"))}
    fired = []
    for name in NAMES:
        put(settings.incoming_dir, name)
        fired += [name] if sensor.poke(context) else []
        (settings.incoming_dir / name).unlink()
    sensor._disconnect()
    assert fired == TAKEN


def test_make_load(running: Instance, connection: Connection, tmp_path: Path) -> None:
    def landed(sentence: str) -> None:
        raise LandedError

    reasons = {}
    for name in NAMES:
        put(tmp_path, name)
        try:
            load_watch.load(running, tmp_path / name, landed, 30)
        except LandedError:
            continue
        except InstanceError as error:
            reasons[name] = str(error)
    assert {path.name for path in running.settings.incoming_dir.iterdir()} == set(TAKEN)
    assert set(reasons) == {*REFUSED, *UNFINISHED}
    assert [name for name, said in reasons.items() if REFUSED.get(name, "not finished") not in said] == []


def test_status(running: Instance, connection: Connection) -> None:
    for name in NAMES:
        put(running.settings.incoming_dir, name)
    found = status.report(running)
    assert found["backlog"]["incoming"] == len(TAKEN)
    assert set(found["refused"]) == set(REFUSED)
    assert [name for name, says in REFUSED.items() if says not in found["refused"][name]] == []


def test_nobody_else_knows_the_endings() -> None:
    """A list of endings in another module that lands or takes is a second predicate in the making."""
    endings = set(predicate.ENDINGS) - {".csv", ".txt"}
    rooms = [PROJECT / "plugins", PROJECT / "dags", PROJECT / "sluice/landing", PROJECT / "sluice/running"]
    others = [path for room in rooms for path in room.rglob("*.py") if path.name != "predicate.py"]
    texts = (
        (path, node.value)
        for path in others
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
    )
    assert {f"{path.name}: {text}" for path, text in texts if text in endings} == set()
