"""The bench of the scale measures what its table says: a few events do, to hold it against what PostgreSQL has."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import pytest

from bench import report, scale, scale_loads, tables
from bench.peers.sluice_tasks import begin
from bench.scale_loads import loads_beside
from bench.server import Bench, bench
from sluice.base import database

FEW = {"LARGE": 2, "LARGE_ROWS": 2_000, "SMALL": 2, "UNLOADS": 2, "DAY_FILES": 2, "DAY_ROWS": 2_000, "CLASHES": 50}
SHARE = 200
ROWS = SHARE * scale.MONTHS


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FEW.items():
        monkeypatch.setattr(scale, name, value)


def partitions(server: Bench) -> list[str]:
    return str(server.one("SELECT string_agg(month, ' ') AS months FROM ledger.months()")["months"]).split()


def test_each_figure_is_of_what_was_done_and_the_table_has_them_all() -> None:
    with bench() as server:
        measured = scale.Scale(server).measure(ROWS)
        left = partitions(server)
        dropped = server.one("SELECT max(rows) AS rows, max(files) AS files FROM ledger.expired_months")
        unloaded = server.one("SELECT count(*) AS n FROM ledger.files WHERE state = 'unloaded'")["n"]
    none, all_of_them = measured["sizes"]
    assert (none["rows"], all_of_them["rows"]) == (0, ROWS)
    assert not set(measured["drop"]["months"]) & set(left)
    assert len(left) == scale.MONTHS - 1 + 1  # and the one of what is later than all
    assert measured["drop"]["rows"] == dropped["rows"] == SHARE
    assert dropped["files"] == SHARE // scale.scale_fill.ROWS_OF_A_FILE
    assert measured["merge"]["conflicts"] == 100
    assert measured["merge"]["rows"] >= 4_000
    assert measured["merge_beside"]["loads_beside"] > 0
    assert unloaded == 2 * FEW["UNLOADS"]
    assert all_of_them["recount"]["rows"] > none["recount"]["rows"] >= FEW["LARGE"] * FEW["LARGE_ROWS"]
    said = tables.of(report.result("scale", asked=ROWS, rows=ROWS, **measured))
    assert f"| {ROWS:,} |" in said
    assert f"The drop of a month of {SHARE} events" in said


def test_one_table_has_all_events_in_one_partition_with_one_key() -> None:
    with bench() as server:
        measured = scale.Scale(server, one_table=True).measure(ROWS)
        assert partitions(server) == ["events_all"]
        assert server.one("SELECT count(*) AS n FROM public.events")["n"] > ROWS
    assert "merge" not in measured
    assert "ONE_TABLE=1" in tables.of(report.result("scale_before", asked=ROWS, rows=ROWS, **measured))


def test_a_load_that_waits_beside_is_told() -> None:
    waiting = "SELECT count(*) AS n FROM pg_locks WHERE NOT granted AND relation = 'public.events'::regclass"
    with bench() as server, loads_beside(server.settings, begin(server.settings)) as found:
        with database.connect(server.url, autocommit=False) as other:
            other.execute("LOCK TABLE public.events IN ACCESS EXCLUSIVE MODE")
            held = time.monotonic()
            while not server.one(waiting)["n"]:
                time.sleep(0.01)
            time.sleep(0.5)
            other.rollback()
        assert time.monotonic() - held >= 0.5
    assert found["longest_wait_of_a_load"] > 0.4


def test_what_the_disk_has_no_room_for_is_not_begun_and_that_is_told() -> None:
    free = scale.WAL_BYTES + scale.SPARE_BYTES + 3_500_000 * scale.ROW_BYTES
    assert scale.fits(free) == 3_000_000
    assert scale.fits(0) == 0
    assert scale.needs(3_000_000, 5_000_000, free).startswith("the disk has no room for 5,000,000 events. 3,000,000 ")
    assert " 11 GB " in scale.needs(3_000_000, 3_000_000, free)


def test_each_of_the_first_rows_gets_another_id_though_one_reaches_over_two_lines(tmp_path: Path) -> None:
    old, new = [str(uuid.uuid4()) for _ in range(3)], [str(uuid.uuid4()) for _ in range(2)]
    path = tmp_path / "a.csv"
    path.write_text(f'event_id,x\n{old[0]},"two\nlines"\n{old[1]},b\n{old[2]},c\n')
    scale_loads.rename_rows(path, new)
    assert path.read_text() == f'event_id,x\n{new[0]},"two\nlines"\n{new[1]},b\n{old[2]},c\n'
