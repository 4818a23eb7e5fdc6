"""What `make check-file` says of a file is what a load then does with it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluice.base import database
from sluice.base.settings import Settings
from sluice.cli import main as cli
from sluice.generator.files import write_file
from sluice.generator.records import Shares
from sluice.loading.dry_run import EXAMPLES, DryRun, dry_run
from sluice.loading.unload import unload_file
from tests.loading import HEADER, Connection, event, table

Load = Callable[..., int]
BAD = [
    event(2, price="abc"),
    event(3, note="<script>"),
    "only,three,fields",
    event(4, kind="no_such_kind"),
    event(5).replace("2026-11-22T10:00:00Z", "yesterday"),
    event(6, note="nul\0").replace("u1", "\x07"),
]
FILES: dict[str, bytes] = {
    "good.csv": table(event(1), event(2)).encode(),
    "bad-rows.csv": table(event(1), *BAD).encode(),
    "packed.csv.gz": gzip.compress(table(event(1), event(2, price="1e99")).encode()),
    "truncated.csv.gz": gzip.compress(table(*(event(i) for i in range(500))).encode())[:-200],
    "no-feed.csv": b"a,b\n1,2\n",
    "empty.csv": b"",
    "header-only.csv": (HEADER + "\n").encode(),
    "lies.csv": b"PK\x03\x04" + b"\0" * 100,
    "latin.csv": table(event(1, note="caf\xe9")).encode("latin-1"),
    "open-quote.csv": table(event(1), event(2, note='"never ends')).encode(),
    "wide.csv": table(*(event(i) + ",more" for i in range(20))).encode(),
}

OF_RECORDS = """
apiVersion: v3.2.0
kind: DataContract
id: sluice.gate
name: gate
version: 0.1.0
status: draft
schema:
  - name: gate
    logicalType: object
    physicalName: events
    properties:
      - {name: event_id, logicalType: string, transformLogic: "record_id(file_sha256, record_number)"}
      - {name: event_type, logicalType: string, transformLogic: "'gate'"}
      - {name: gate, logicalType: string, required: true}
      - {name: stamp, physicalName: event_time, logicalType: timestamp, required: true}
"""


def judged(settings: Settings, folder: Path, name: str, data: bytes, **how: Any) -> DryRun:
    path = folder / "upload"
    path.write_bytes(data)
    return dry_run(settings, path, name, **how)


def said(connection: Connection, file_id: int) -> dict[str, Any]:
    row = connection.execute("SELECT * FROM ledger.files WHERE file_id = %s", [file_id]).fetchone()
    assert row is not None
    return row


@pytest.mark.parametrize("name", FILES)
def test_a_dry_run_says_what_a_load_then_does(
    own_contracts: Settings, load: Load, connection: Connection, tmp_path: Path, name: str
) -> None:
    found = judged(own_contracts, tmp_path, name, FILES[name])
    file = said(connection, load(FILES[name], name))
    assert (found.bytes, found.sha256) == (file["bytes"], file["sha256"])
    if file["state"] == "rejected":
        assert found.outcome in ("rejected", "no_contract")
        assert found.why == file["error"]
        return
    assert (found.outcome, found.contract, found.contract_version) == (
        "loads", file["contract"], file["contract_version"],
    )  # fmt: skip
    assert (found.rows_read, found.rows_set_aside) == (file["rows_read"], file["rows_rejected"])
    assert found.rows_good == file["rows_loaded"] + file["rows_duplicate"]
    kept = connection.execute(
        "SELECT record_number, line_number, rules, raw FROM ledger.rejects ORDER BY record_number"
    ).fetchall()
    assert [(one.record, one.line, one.rules) for one in found.examples] == [
        (row["record_number"], row["line_number"], row["rules"]) for row in kept
    ]
    assert [one.raw for one in found.examples] == [
        bytes(row["raw"]).decode("utf-8", "backslashreplace") for row in kept
    ]


def test_of_a_generated_file_every_rule_is_counted(
    own_contracts: Settings, load: Load, connection: Connection, tmp_path: Path
) -> None:
    path = tmp_path / "made.csv"
    write_file(path, rows=3_000, shares=Shares(0.2, 0.1, 0), seed="dry")
    found = dry_run(own_contracts, path, path.name)
    file = said(connection, load(path.read_bytes(), path.name))
    assert (found.rows_read, found.rows_set_aside) == (file["rows_read"], file["rows_rejected"]) == (3_000, 600)
    counted = connection.execute(
        "SELECT rule, count(*) AS rows FROM ledger.rejects, unnest(rules) AS rule GROUP BY rule"
    ).fetchall()
    assert found.broken == {row["rule"]: row["rows"] for row in counted}
    assert len(found.examples) == EXAMPLES


def test_ids_that_are_made_of_the_file_are_those_that_a_load_gives(
    own_contracts: Settings, load: Load, connection: Connection, tmp_path: Path
) -> None:
    (own_contracts.contracts_dir / "gate.odcs.yaml").write_text(OF_RECORDS)
    data = b"gate,stamp\nnorth,2026-11-22T10:00:00Z\n"
    found = judged(own_contracts, tmp_path, "gate.csv", data)
    load(data, "gate.csv")
    row = connection.execute("SELECT event_id::text AS event_id FROM public.events").fetchone()
    assert row is not None
    assert [first["event_id"] for first in found.first_rows] == [row["event_id"]]


def test_the_ledger_knows_duplicates_and_what_a_revision_replaces(
    own_contracts: Settings, load: Load, connection: Connection, tmp_path: Path
) -> None:
    first = load(FILES["good.csv"])
    found = judged(own_contracts, tmp_path, "other-name.csv", FILES["good.csv"], connection=connection)
    assert (found.outcome, found.duplicate_of) == ("duplicate", first)
    unload_file(own_contracts, first, "a test", by_whom="test")
    found = judged(own_contracts, tmp_path, "other-name.csv", FILES["good.csv"], connection=connection)
    assert (found.outcome, found.ledger_was_asked) == ("loads", True)


def test_reading_that_is_stopped_says_after_which_row(own_contracts: Settings, tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    write_file(path, rows=30_000, shares=Shares(0, 0, 0), seed="long")
    found = dry_run(own_contracts, path, path.name, seconds=0)
    assert not found.is_whole
    assert 0 < found.rows_read < 30_000
    assert found.bytes == path.stat().st_size


def test_a_name_that_is_never_taken_is_said(own_contracts: Settings, tmp_path: Path) -> None:
    for name in (".hidden.csv", "a/b.csv", "x.tmp"):
        assert judged(own_contracts, tmp_path, name, FILES["good.csv"]).outcome == "never_taken"


@pytest.mark.parametrize(("name", "code"), [("good.csv", 0), ("bad-rows.csv", 3), ("no-feed.csv", 1)])
def test_the_command_s_exit_code_tells_what_would_happen(
    own_contracts: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, code: int
) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    assert cli.main(["check-file", "--json", str(path)]) == code
    assert json.loads(capsys.readouterr().out)["name"] == name
    assert cli.main(["check-file", str(path)]) == code
    assert capsys.readouterr().out.isascii()


def test_a_dry_run_needs_no_more_than_the_right_to_read(
    own_contracts: Settings, connection: Connection, tmp_path: Path
) -> None:
    with database.connect(own_contracts.reader_dsn) as reader:
        found = judged(own_contracts, tmp_path, "good.csv", FILES["good.csv"], connection=reader)
    assert found.outcome == "loads"
    assert connection.execute("SELECT FROM ledger.files").fetchall() == []
