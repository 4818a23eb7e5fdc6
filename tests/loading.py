"""For tests that load files without Spark: lines to land, and the recount of what the ledger says from the tables."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
import yaml

from sluice.base.settings import PROJECT, Settings

Connection = psycopg.Connection[dict[str, Any]]
HEADER = (
    "event_id,event_type,user_id,product_id,category,price,timestamp,session_id,ip_address,user_agent,"
    "search_query,search_results_count,quantity,total_amount,payment_method"
)
_CONSERVED = """
    SELECT
        file_id, rows_read, rows_loaded, rows_rejected, rows_duplicate,
        rows_expired + (SELECT count(*) FROM public.events WHERE events.file_id = files.file_id) AS loaded,
        (
            SELECT count(*) FROM ledger.rejects
            WHERE rejects.file_id = files.file_id AND rejects.state = 'quarantined'
        ) AS rejected,
        (SELECT count(*) FROM ledger.duplicates WHERE duplicates.file_id = files.file_id) AS duplicate
    FROM ledger.files
    WHERE state = 'loaded'
    ORDER BY file_id
"""


@dataclass
class Pause:
    """Somebody stands at a crash point: ``reached`` says so, ``go_on`` lets them go."""

    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)


@contextmanager
def paused_at(monkeypatch: pytest.MonkeyPatch, point: str, module: str = "sluice.loading.one_load") -> Iterator[Pause]:
    """The first thread of this process that comes to crash point ``point`` of ``module`` stands there until the end."""
    pause = Pause()
    theirs = importlib.import_module(module).crash_point

    def stand_there(name: str) -> None:
        if name == point and not pause.reached.is_set():
            pause.reached.set()
            assert pause.go_on.wait(60)
        theirs(name)

    monkeypatch.setattr(f"{module}.crash_point", stand_there)
    try:
        yield pause
    finally:
        pause.go_on.set()


def event_id(number: int) -> str:
    """The id that ``event`` gives."""
    return f"00000000-0000-4000-8000-{number:012d}"


def event(number: int, *, kind: str = "product_view", price: str = "9.99", note: str = "") -> str:
    """One line of contract events, good unless told otherwise; ``number`` makes its id."""
    return f"{event_id(number)},{kind},u1,p1,shoes,{price},2026-11-22T10:00:00Z,s1,10.0.0.1,{note},,,,,"


def table(*lines: str) -> str:
    """A file of contract events."""
    return "\n".join([HEADER, *lines]) + "\n"


def recount(connection: Connection) -> dict[int, tuple[int, int, int]]:
    """Loaded (or expired), rejected and duplicate rows of each loaded file, by the tables; the ledger must agree."""
    found = {}
    for row in connection.execute(_CONSERVED):
        counted = (row["loaded"], row["rejected"], row["duplicate"])
        assert counted == (row["rows_loaded"], row["rows_rejected"], row["rows_duplicate"]), f"file {row['file_id']}"
        assert sum(counted) == row["rows_read"], f"file {row['file_id']}"
        found[row["file_id"]] = counted
    outside = connection.execute(
        "SELECT count(*) AS n FROM public.events LEFT JOIN ledger.files USING (file_id) "
        "WHERE state IS DISTINCT FROM 'loaded'"
    ).fetchone()
    assert outside == {"n": 0}, "events of a file that is not loaded"
    homeless = connection.execute(
        "SELECT count(*) AS n FROM ledger.duplicates LEFT JOIN public.events USING (event_id, event_time) "
        "WHERE events.event_id IS NULL AND duplicates.event_time >= ledger.expired_before()"
    ).fetchone()
    assert homeless == {"n": 0}, "duplicates of nothing"
    return found


def make_months(connection: Connection, *days: str) -> None:
    """Partitions for events of these days, as the owner or the writer: for a test that inserts events itself."""
    for day in days:
        connection.execute("SELECT ledger.make_month(%s::date)", [day])


def state(connection: Connection, file_id: int) -> str:
    """The file's state in the ledger."""
    row = connection.execute("SELECT state FROM ledger.files WHERE file_id = %s", [file_id]).fetchone()
    assert row is not None
    return str(row["state"])


def owners(connection: Connection) -> dict[int, tuple[int, int]]:
    """(file_id, record_number) of every event by the number that made its id."""
    rows = connection.execute("SELECT event_id, file_id, record_number FROM public.events")
    return {int(str(row["event_id"])[-12:]): (row["file_id"], row["record_number"]) for row in rows}


def rejects(connection: Connection, file_id: int) -> list[dict[str, Any]]:
    """The file's rejects, in the order of the file."""
    query = "SELECT * FROM ledger.rejects WHERE file_id = %s ORDER BY record_number"
    return connection.execute(query, [file_id]).fetchall()


def change_contract(settings: Settings, **custom: Any) -> dict[str, Any]:
    """Contract events as ``settings`` name it, with these customProperties; returns its document, to go on changing."""
    document: dict[str, Any] = yaml.safe_load((PROJECT / "include/contracts/events.odcs.yaml").read_text())
    document["customProperties"] = [{"property": name, "value": value} for name, value in custom.items()]
    write_contract(settings, document)
    return document


def write_contract(settings: Settings, document: dict[str, Any], name: str = "events") -> None:
    """The contract of that name in the test's own folder of contracts, in the place of what was there."""
    settings.contracts_dir.mkdir(exist_ok=True)
    (settings.contracts_dir / f"{name}.odcs.yaml").write_text(yaml.safe_dump(document))
