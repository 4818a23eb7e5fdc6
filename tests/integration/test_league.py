"""The league measures what it says: CPU of trees, the same content, and a loss or a missing member told as such."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import cpu, league, play, tables
from bench.play import Play
from bench.server import bench

KNOWN = Play(seconds=2.0, client_cpu=1.0, server_cpu=1.0, rows=100, checksum="7")


def line(*plays: Play) -> str:
    record = league.Record("copy-per-core")
    record.plays = dict(enumerate(plays))
    told = record.told(100, KNOWN, dict.fromkeys(range(len(plays)), KNOWN))
    return tables.league(
        {
            "name": "league",
            "rows": 100,
            "files": 1,
            "bytes": 10,
            "rounds": 1,
            "when": "",
            "members": [told],
            "machine": {"cores": 2, "processor": "", "memory_gb": 1, "system": ""},
        }
    )


def test_sluice_and_copy_leave_the_same_rows_and_a_member_that_is_not_installed_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(play, "PEERS_PYTHON", tmp_path / "python")
    with bench() as here:
        measured = league.run(here, ["sluice", "copy", "duckdb"], rows=2000, files=2, rounds=1)
        sluice, copy, duckdb = measured["members"]
        assert (sluice["rows_off"], sluice["same"], sluice["error"]) == (0, True, "")
        assert (copy["rows_off"], copy["same"], copy["error"]) == (0, True, "")
        assert sluice["client_us"] > 0
        assert copy["server_us"] > 0
        assert "make bench-peers" in duckdb["missing"]

        loaded, _ = play.play(here, "copy", sorted(here.folder.glob("events-*.csv")))
        assert here.content("league") == (loaded.rows, loaded.checksum)
        [place] = here.one("SELECT min(ctid)::text FROM public.league WHERE price > 0").values()
        here.run(f"UPDATE public.league SET price = price + 1 WHERE ctid = '{place}'")
        assert here.content("league")[0] == loaded.rows
        assert here.content("league")[1] != loaded.checksum


def test_a_member_that_loses_rows_is_shown_with_that() -> None:
    assert "| 3 lost |" in line(KNOWN, Play(1.0, 1.0, 1.0, 97, "8"))
    assert "| 5 too many |" in line(Play(1.0, 1.0, 1.0, 105, "8"))


def test_a_member_that_changes_rows_is_shown_with_that() -> None:
    assert "| all, but changed |" in line(KNOWN, Play(1.0, 1.0, 1.0, 100, "8"))
    assert "| all, unchanged |" in line(KNOWN, KNOWN)


def test_a_member_that_hung_is_shown_with_that() -> None:
    record = league.Record("copy-per-core")
    record.hung = 2
    assert record.told(100, KNOWN, {})["error"] == "hung each time"
    record.plays = {1: KNOWN}
    told = record.told(100, KNOWN, {0: KNOWN, 1: Play(1.0, 1.0, 1.0, 100, "7")})
    assert told["pairs"] == [2.0]
    assert told["hung"] == 2


def test_the_cpu_time_of_a_tree_counts_children_that_have_ended() -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert cpu.seconds(parent.pid) >= 0.5
        assert cpu.descendants(parent.pid) == [parent.pid]
        assert cpu.most_memory(parent.pid) > 1_000_000
        parent.communicate(b"\n")
