"""A feed without a moment of its own: event_time is when the file landed, whatever becomes of the file."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.base import database, queries
from sluice.base.settings import Settings
from sluice.contracts.judge import Judge
from sluice.contracts.parse import parse_contract
from sluice.loading import unload
from sluice.loading.replay import replay
from sluice.proof.reconcile import reconcile
from tests.integration.conftest import Land
from tests.loading import Connection, recount, state

STOCK = "sku,count\nA1,3\nA2,many\nA3,5\n"
CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: shop.stock
name: stock
version: 1.0.0
status: active
schema:
  - name: stock
    logicalType: object
    properties:
      - {name: event_id, logicalType: string, transformLogic: "record_id(file_sha256, record_number)"}
      - {name: event_time, logicalType: timestamp, transformLogic: landed_at()}
      - {name: event_type, logicalType: string, transformLogic: "'stock'"}
      - {name: sku, physicalName: product_id, logicalType: string, required: true}
      - {name: count, physicalName: quantity, logicalType: integer, required: true}
"""


@pytest.fixture
def stock(own_contracts: Settings) -> Settings:
    """Settings whose contracts are the one above."""
    for path in own_contracts.contracts_dir.iterdir():
        path.unlink()
    (own_contracts.contracts_dir / "stock.odcs.yaml").write_text(CONTRACT)
    return own_contracts


def moments(connection: Connection) -> list[tuple[int, Any, Any]]:
    """(record, event_time, landed_at of its file) of every event."""
    rows = connection.execute(
        "SELECT record_number, event_time, landed_at FROM events JOIN ledger.files USING (file_id) ORDER BY 1"
    )
    return [(row["record_number"], row["event_time"], row["landed_at"]) for row in rows]


def mend(connection: Connection, file_id: int) -> None:
    connection.execute(
        "UPDATE ledger.rejects SET fields = jsonb_set(fields, '{count}', '\"4\"') WHERE file_id = %s", [file_id]
    )


def test_every_row_has_the_moment_at_which_its_file_landed(stock: Settings, load: Land, connection: Connection) -> None:
    load(STOCK)
    found = moments(connection)
    assert [record for record, _, _ in found] == [1, 3]
    assert all(at == landed for _, at, landed in found)
    assert reconcile(stock, stock.reader_dsn).holds


def test_a_replay_gives_the_same_moment(stock: Settings, load: Land, connection: Connection) -> None:
    file_id = load(STOCK)
    mend(connection, file_id)
    assert replay(stock).loaded == 1
    found = moments(connection)
    assert len(found) == 3
    assert len({at for _, at, _ in found}) == 1
    assert found[1][1] == found[1][2]


def test_the_recount_sees_another_moment(stock: Settings, load: Land, connection: Connection) -> None:
    load(STOCK)
    connection.execute("UPDATE events SET event_time = event_time + interval '1 us' WHERE record_number = 3")
    [broken] = reconcile(stock, stock.reader_dsn).broken
    assert "record 3 (line 4): event_time is" in broken
    assert "its bytes landed at" in broken


def test_rows_that_a_duplicate_takes_over_keep_their_moment_and_so_do_its_replays(
    stock: Settings, load: Land, connection: Connection
) -> None:
    first = load(STOCK)
    heir = connection.execute(
        "INSERT INTO ledger.files (name, path, sha256, bytes, landed_at, state, duplicate_of, sealed_at) "
        "SELECT 'b.csv', path, sha256, bytes, landed_at + interval '1 day', 'duplicate', file_id, now() "
        "FROM ledger.files WHERE file_id = %s RETURNING file_id",
        [first],
    ).fetchone()
    assert heir is not None
    was = moments(connection)[0][1]
    unload.unload_file(stock, first, "a wrong file", by_whom="test")
    assert (state(connection, first), state(connection, heir["file_id"])) == ("unloaded", "loaded")
    mend(connection, heir["file_id"])
    assert replay(stock).loaded == 1
    assert {at for _, at, _ in moments(connection)} == {was}
    assert recount(connection) == {heir["file_id"]: (3, 0, 0)}


def test_bytes_that_a_restore_lands_again_keep_the_moment_that_their_rows_had(
    stock: Settings, load: Land, connection: Connection
) -> None:
    file_id = load(STOCK)
    with database.connect(stock.writer_dsn) as writer:
        arrival = queries.row(writer, "restore.arrival", file_id=file_id)
        queries.run(writer, "restore.keep_arrival", **arrival)
        connection.execute("UPDATE ledger.files SET state = 'unloaded' WHERE file_id = %s", [file_id])
        values = {
            "name": "again.csv",
            "sha256": arrival["sha256"],
            "bytes": 1,
            "landed_at": "2030-01-01Z",
            "lane": "big",
        }
        again = queries.row(writer, "ledger/files.insert_landed", **values)
    row = connection.execute("SELECT * FROM ledger.files WHERE file_id = %s", [again["file_id"]]).fetchone()
    assert row is not None
    assert row["rows_landed_at"] == arrival["landed_at"] != row["landed_at"]
    assert connection.execute("SELECT * FROM ledger.arrivals").fetchall() == []


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("record_id(file_sha256, record_number)", "feed_id('stock', sku)", "derive event_id by record_id"),
        ("\"'stock'\"", "landed_at()::text", "event_type: landed_at() can only make event_time"),
        ("landed_at()", "getvariable('sluice_landed_at')", "gives another value each time"),
    ],
)
def test_a_contract_that_could_not_keep_its_moments_is_refused(tmp_path: Any, old: str, new: str, why: str) -> None:
    contract = parse_contract(CONTRACT.replace(old, new), tmp_path / "stock.odcs.yaml")
    judge = Judge()
    problems = judge.problems(contract)
    judge.close()
    assert any(why in problem for problem in problems), problems


def test_a_rule_may_ask_when_the_file_landed(stock: Settings, load: Land, connection: Connection) -> None:
    rule = "    quality:\n      - {name: not_before_2020, type: custom, engine: sluice, severity: reject, "
    rule += "implementation: \"landed_at() < TIMESTAMPTZ '2020-01-01'\"}\n"
    (stock.contracts_dir / "stock.odcs.yaml").write_text(CONTRACT + rule)
    load(STOCK)
    [row] = connection.execute("SELECT rows_loaded, rows_rejected FROM ledger.files").fetchall()
    assert (row["rows_loaded"], row["rows_rejected"]) == (0, 3)
