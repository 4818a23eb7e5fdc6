"""`make load` and `make status`: what they say of a ledger in each state."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sluice.base.settings import Settings
from sluice.cli import main as cli
from sluice.cli import shared
from sluice.ledger import file_names
from sluice.running import load_watch, status
from sluice.running.instance import Instance
from sluice.running.pipeline import InstanceError

Connection = psycopg.Connection[dict[str, Any]]
INSERT = """
    INSERT INTO ledger.files (name, path, sha256, bytes, contract, state, rows_read, rows_loaded, rows_rejected,
        rows_duplicate, landed_at, loaded_at, duplicate_of, error)
    VALUES (%(name)s, 'archive/x', %(sha256)s, 1, 'events', %(state)s, %(read)s, %(loaded)s, %(rejected)s, 0,
        now() - interval '2 seconds', now(), %(duplicate_of)s, %(error)s)
    RETURNING file_id
"""
REJECT = """
    INSERT INTO ledger.rejects
        (file_id, record_number, line_number, raw, rules, error_class, contract, contract_version)
    VALUES (%s, %s, %s, %s, ARRAY['price_is_a_number'], 'type', 'events', '1')
"""


@pytest.fixture
def said() -> list[str]:
    return []


def enter(connection: Connection, name: str, data: bytes, state: str = "loaded", **changes: Any) -> int:
    """A file in the ledger, as the mover and the stream would leave it; its file_id."""
    values = {"read": 8, "loaded": 1, "rejected": 7, "duplicate_of": None, "error": None} | changes
    values |= {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "state": state}
    row = connection.execute(INSERT, values).fetchone()
    assert row is not None
    return int(row["file_id"])


def on_landing(instance: Instance, then: Callable[[str], Any]) -> Callable[[str], None]:
    """A listener that lets ``then`` play mover and stream once the file has landed."""

    def hear(sentence: str) -> None:
        if "waiting for the ledger" in sentence:
            then(max(os.listdir(instance.settings.incoming_dir)))

    return hear


def both(first: Callable[[str], None], said: list[str]) -> Callable[[str], None]:
    return lambda sentence: (said.append(sentence), first(sentence))[0]


def test_a_loaded_file_is_told_with_its_tally_and_its_first_rejects(
    running: Instance, connection: Connection, tmp_path: Path, said: list[str]
) -> None:
    source = tmp_path / "shop.csv"
    source.write_bytes(b"some bytes")

    def load(name: str) -> None:
        file_id = enter(connection, name, b"some bytes")
        for number in range(7):
            connection.execute(REJECT, [file_id, 17_000 + number, 17_001 + number, b"a,\x00\xff" + b"x" * 500])

    assert load_watch.load(running, source, both(on_landing(running, load), said), 30) == 0
    assert said[1] == "shop.csv: loaded as file 1 under contract events: 8 read, 1 loaded, 7 rejected, 0 duplicate"
    assert said[2].startswith("  record 17,000, line 17,001: price_is_a_number (type): a,\\x00\\xff")
    assert said[2].endswith("…")
    assert said[-1] == "  … and 2 more: table ledger.rejects, file_id 1"
    assert len(said) == 2 + 5 + 1


def test_a_duplicate_names_the_file_that_has_its_bytes(
    running: Instance, connection: Connection, tmp_path: Path, said: list[str]
) -> None:
    first = enter(connection, "first.csv", b"same")
    source = tmp_path / "second.csv"
    source.write_bytes(b"same")
    hear = on_landing(running, lambda name: enter(connection, name, b"same", "duplicate", duplicate_of=first))
    assert load_watch.load(running, source, both(hear, said), 30) == 0
    assert f"the same bytes are file {first} (first.csv, loaded); nothing was loaded" in said[1]


def test_a_rejected_file_prints_its_error_and_fails(
    running: Instance, connection: Connection, tmp_path: Path, said: list[str]
) -> None:
    source = tmp_path / "bad.csv"
    source.write_bytes(b"a,b\n")
    hear = on_landing(running, lambda name: enter(connection, name, b"a,b\n", "rejected", error="no contract has a,b"))
    assert load_watch.load(running, source, both(hear, said), 30) == 1
    assert said[1] == "bad.csv: rejected as file 1: no contract has a,b"


def test_an_earlier_file_of_the_same_bytes_and_name_is_not_taken_for_this_one(
    running: Instance, connection: Connection, tmp_path: Path, said: list[str]
) -> None:
    source = tmp_path / "again.csv"
    source.write_bytes(b"same")
    enter(connection, "again.csv", b"same")
    with pytest.raises(InstanceError, match="not registered yet after"):
        load_watch.load(running, source, said.append, 0.2)


@pytest.mark.parametrize("name", [".hidden.csv", "_half.csv", "table.xlsx"])
def test_a_name_that_is_never_taken_is_refused(running: Instance, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(InstanceError, match="never taken"):
        load_watch.load(running, tmp_path / name, print, 1)
    assert os.listdir(running.settings.incoming_dir) == []


def test_without_a_pipeline_nothing_lands(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text("x")
    with pytest.raises(InstanceError, match="make up"):
        load_watch.load(Instance(settings), tmp_path / "shop.csv", print, 1)
    assert os.listdir(settings.incoming_dir) == []


def test_status_without_a_pipeline_is_code_three(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["running"] is False


def test_status_counts_files_rows_backlog_and_lag(
    running: Instance, connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    enter(connection, "a.csv", b"a")
    enter(connection, "b.csv", b"b", "landed", loaded=None, rejected=None, read=None)
    (running.settings.incoming_dir / "c.csv").write_text("waits")
    (running.settings.incoming_dir / "d.csv.part").write_text("half")
    assert cli.main(["status", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == {"landed": 1, "loaded": 1}
    assert found["rows"] == {"read": 8, "loaded": 1, "rejected": 7, "duplicate": 0}
    assert found["backlog"] == {"incoming": 1, "landed": 1, "waiting_for_contract": 0}
    assert found["rows_per_second"] == pytest.approx(1 / 60)
    assert found["landed_to_queryable_seconds"]["newest"] == {"files": 1, "p50": 2.0, "p95": 2.0}
    assert any("no stream is alive" in problem for problem in found["problems"])


def test_status_tells_the_stream_its_lease_and_its_last_error(running: Instance, connection: Connection) -> None:
    connection.execute(
        "INSERT INTO ledger.streams (submitted_by, generation, lease_until, started_at, state, last_error, "
        "last_error_at) VALUES ('a test', 2, now() + interval '15 seconds', now(), 'waiting', "
        "'server closed the connection', now())"
    )
    found = status.report(running)
    assert found["stream"]["living"]
    text = status.text(found)
    assert "stream       waiting (epoch 1)" in text
    assert "problem      the stream waits: server closed the connection" in text


def test_a_lapsed_lease_is_a_problem(running: Instance, connection: Connection) -> None:
    connection.execute(
        "INSERT INTO ledger.streams (submitted_by, generation, lease_until, state)"
        " VALUES ('a test', 2, now() - interval '1 second', 'running')"
    )
    assert "its lease lapsed" in status.text(status.report(running))


def test_what_is_refused_is_a_problem_and_no_backlog(
    running: Instance, connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    incoming = running.settings.incoming_dir
    (incoming / "a folder").mkdir()
    (incoming / "book.xlsx").write_text("x")
    (incoming / "old\nbook.xls").write_text("x")
    (incoming / "link.csv").symlink_to(incoming / "c.csv")
    (incoming / os.fsdecode(b"\xff.doc")).write_text("x")
    (incoming / "c.csv").write_text("taken")
    assert cli.main(["status", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["backlog"]["incoming"] == 1
    assert found["refused"].keys() == {"a folder", "book.xlsx", "old\nbook.xls", "link.csv", "\\xff.doc"}
    said = status.text(status.report(running))
    assert f"problem      book.xlsx in {incoming} is not taken: it is a workbook: save each sheet as CSV" in said
    assert f"problem      old\\nbook.xls in {incoming} is not taken" in said
    assert f"problem      a folder in {incoming} is not taken: it is a folder" in said
    assert "1 in incoming, 0 landed" in said


def test_status_hands_no_command_of_a_files_name_to_the_terminal(running: Instance, connection: Connection) -> None:
    connection.execute(
        "INSERT INTO ledger.streams (submitted_by, generation, lease_until, state, last_error, last_error_at)"
        " VALUES ('a test', 2, now() + interval '15 seconds', 'waiting', %s, now())",
        ["\x1b[2Ja.csv\nfiles 0 is unreadable"],
    )
    said = status.text(status.report(running))
    assert "problem      the stream waits: \\x1b[2Ja.csv\\nfiles 0 is unreadable" in said


def test_many_that_are_refused_are_counted(running: Instance, connection: Connection) -> None:
    for number in range(12):
        (running.settings.incoming_dir / f"{number}.xlsx").write_text("x")
    refused = [problem for problem in status.report(running)["problems"] if "taken" in problem]
    assert len(refused) == status.SHOWN + 1
    assert refused[-1].startswith("and 7 more in ")


@pytest.mark.parametrize(
    "name", ["a b.csv", 'it\'s\n"quoted".csv', os.fsdecode(b"\xffcoded.csv"), "-dash.csv", "%s$x.csv"]
)
def test_a_file_of_any_name_is_loaded_and_told_on_one_line(
    running: Instance, connection: Connection, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).write_bytes(b"some bytes")

    def hear(sentence: str) -> None:
        shared.say(sentence)
        if "waiting for the ledger" in sentence:
            [landed] = running.settings.incoming_dir.iterdir()
            assert landed.name == name
            enter(connection, file_names.readable(name), b"some bytes", rejected=0, read=1)

    assert load_watch.load(running, tmp_path / name, hear, 30) == 0
    said = capsys.readouterr().out
    said.encode()
    assert len(said.splitlines()) == 2
