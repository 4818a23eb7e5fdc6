"""Receipts: made after the load, true for exactly the rows that a file has, and following all that come or go."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from sluice.base import database
from sluice.base.settings import PROJECT, Settings
from sluice.ledger import migrate, receipts
from sluice.loading import merge
from sluice.loading.receipt_maker import ReceiptMaker
from sluice.loading.replay import replay
from sluice.loading.unload import unload_file
from sluice.proof import sealing
from sluice.proof.reconcile import reconcile
from sluice.running import embedded
from tests.loading import Connection, change_contract, event, make_months, table

Load = Callable[..., int]

CHANGES = {
    "record_number": "4",
    "event_id": "'00000000-0000-4000-8000-00000000ffff'",
    "event_type": "'search'",
    "event_time": "event_time + interval '1 microsecond'",
    "user_id": "NULL",
    "product_id": "''",
    "category": "'shoes '",
    "price": "price + 0.0001",
    "session_id": "E's1\\n'",
    "ip_address": "'10.0.0.2'",
    "user_agent": "''",
    "search_query": "''",
    "search_results_count": "0",
    "quantity": "1",
    "total_amount": "0",
    "payment_method": "'NULL'",
    "extra": "'{}'",
}
ODD_SESSION = """
    SET datestyle = 'SQL, DMY'; SET timezone = 'Asia/Kathmandu'; SET extra_float_digits = -15;
    SET bytea_output = 'escape'; SET intervalstyle = 'sql_standard'; SET standard_conforming_strings = off;
    SET quote_all_identifiers = on; SET lc_numeric = 'C'
"""


def verify(connection: Connection, file_id: int) -> dict[str, Any]:
    found = receipts.verify(connection, file_id)
    assert found is not None
    return found


def make_all(writer: Connection) -> list[int]:
    """Make every pending receipt; the files, in order."""
    made = []
    while file_id := receipts.make_next(writer):
        made.append(file_id)
    return made


def audited(connection: Connection) -> list[tuple[int, int, int]]:
    """(file_id, rows in, rows out) of each change of a receipt."""
    rows = connection.execute("SELECT file_id, details FROM ledger.audit WHERE action = 'receipt' ORDER BY audit_id")
    return [(row["file_id"], row["details"]["rows_in"], row["details"]["rows_out"]) for row in rows]


def test_a_receipt_is_pending_until_it_is_made_and_then_holds(load: Load, writer: Connection) -> None:
    file_id = load(table(event(1), event(2), event(3, kind="teleport"), event(2)))
    before = verify(writer, file_id)
    assert (before["receipt"], before["holds"], before["problems"]) == ("pending", None, [])
    assert make_all(writer) == [file_id]
    after = verify(writer, file_id)
    assert (after["receipt"], after["holds"], after["version"]) == (before["digest"], True, 1)
    assert (after["rows_loaded"], after["rows_rejected"], after["rows_duplicate"]) == (2, 1, 1)


def test_the_reader_may_verify_and_nobody_else_of_the_public(load: Load, settings: Settings) -> None:
    file_id = load(table(event(1)))
    with database.connect(settings.reader_dsn) as reader:
        assert verify(reader, file_id)["problems"] == []
        assert receipts.verify(reader, 999) is None
        query = "SELECT count(*) AS n FROM pg_proc, aclexplode(proacl) AS acl WHERE proname = 'verify' AND grantee = 0"
        assert reader.execute(query).fetchone() == {"n": 0}


def test_every_column_of_a_row_is_in_the_receipt(load: Load, writer: Connection, connection: Connection) -> None:
    file_id = load(table(event(1), event(2), event(3)))
    make_all(writer)
    columns = connection.execute("SELECT attname AS name FROM pg_attribute WHERE attrelid = 'events'::regclass")
    ours = {row["name"] for row in columns if row["name"] in CHANGES or row["name"] == "file_id"}
    listed = set(verify(writer, file_id)["columns"])
    count = connection.execute(
        "SELECT count(*) AS n FROM pg_attribute WHERE attrelid = 'events'::regclass AND attnum > 0 AND NOT attisdropped"
    ).fetchone()
    assert ours == listed | {"file_id"} == set(CHANGES) | {"file_id"}
    assert count == {"n": len(ours)}
    for column, value in CHANGES.items():
        with connection.transaction(force_rollback=True):
            connection.execute(f"UPDATE events SET {column} = {value} WHERE record_number = 1")  # type: ignore[call-overload]
            found = verify(connection, file_id)
            assert found["holds"] is False, column
            assert "was changed, added or taken by hand" in found["problems"][0]
        assert verify(connection, file_id)["holds"] is True


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM events WHERE record_number = 2",
        "UPDATE events SET record_number = 3 - record_number WHERE record_number < 3",
        "UPDATE events SET file_id = 0 WHERE record_number = 2",
        "INSERT INTO events (event_id, event_type, event_time, file_id, record_number) "
        "SELECT gen_random_uuid(), 'search', last_event_time, file_id, 9 FROM ledger.files",
        "UPDATE ledger.files SET rows_loaded = 2, rows_duplicate = 1",
        "UPDATE ledger.files SET receipt = repeat('0', 32)",
    ],
)
def test_a_row_that_was_deleted_swapped_moved_or_added_is_found_and_reconcile_says_so(
    load: Load, own_contracts: Settings, writer: Connection, connection: Connection, damage: str
) -> None:
    file_id = load(table(event(1), event(2), event(3)))
    make_all(writer)
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds
    connection.execute(damage)  # type: ignore[call-overload]
    assert verify(writer, file_id)["holds"] is False
    assert not reconcile(own_contracts, own_contracts.reader_dsn).holds


def test_reconcile_names_the_file_whose_receipt_alone_does_not_hold(
    load: Load, own_contracts: Settings, writer: Connection, connection: Connection
) -> None:
    file_id = load(table(*(event(number) for number in range(200))))
    make_all(writer)
    connection.execute('UPDATE events SET extra = \'{"a": "b"}\' WHERE record_number = 77')
    [sentence] = [each for each in reconcile(own_contracts, own_contracts.reader_dsn).broken if "receipt" in each]
    assert sentence.startswith(f"file {file_id} (shop.csv): its receipt is ")


def test_no_setting_of_a_session_changes_the_digest(load: Load, settings: Settings, writer: Connection) -> None:
    file_id = load(table(event(1, note="back\\slash 'quoted'"), event(2, note="œ☃")))
    make_all(writer)
    with database.connect(settings.reader_dsn) as reader:
        for statement in ODD_SESSION.split(";"):
            reader.execute(statement)  # type: ignore[call-overload]
        assert verify(reader, file_id) == verify(writer, file_id)
        assert verify(reader, file_id)["holds"] is True


def test_the_same_rows_have_the_same_digest_on_every_version_of_postgresql(connection: Connection) -> None:
    make_months(connection, "2026-11-22")
    connection.execute("""
        INSERT INTO events VALUES
        ('00000000-0000-4000-8000-000000000001', 'purchase', '2026-11-22 10:00:00.000001+00', 'u1', '', 'a''b\\c', 9.99,
         NULL, '10.0.0.1', 'œ☃', NULL, 7, -2, 0.0001, 'card', '{"b": 1, "a": ["x", null, 1.50]}', 5, 1),
        ('00000000-0000-4000-8000-000000000002', 'search', '0001-01-02 00:00:00+00', NULL, NULL, NULL, NULL,
         NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 5, 2)
    """)
    row = connection.execute("SELECT ledger.digest(5) AS digest, ledger.digest(6) AS nothing").fetchone()
    assert row == {"digest": "4be6e533685b7db84eab5f8e3f19cf62", "nothing": "0" * 32}


def test_an_unload_leaves_the_receipt_of_nothing_and_those_of_its_heirs_hold(
    load: Load, own_contracts: Settings, writer: Connection, connection: Connection
) -> None:
    first = load(table(event(1), event(2), event(3)))
    second = load(table(event(9), event(2), event(3), event(3)))
    make_all(writer)
    third = load(table(event(3), event(1)))  # still pending, and stays so
    unload_file(own_contracts, first, "a test feed by mistake", by_whom="test")
    assert [verify(writer, file_id)["holds"] for file_id in (first, second, third)] == [True, True, None]
    assert verify(writer, first)["receipt"] == "0" * 32
    assert audited(connection) == [(first, 0, 3), (second, 2, 0)]
    assert make_all(writer) == [third]
    assert verify(writer, third)["holds"] is True


def test_an_unload_does_not_hide_that_a_receipt_did_not_hold(
    load: Load, own_contracts: Settings, writer: Connection, connection: Connection
) -> None:
    file_id = load(table(event(1), event(2)))
    make_all(writer)
    connection.execute("UPDATE events SET price = 1 WHERE record_number = 1")
    unload_file(own_contracts, file_id, "a test feed by mistake", by_whom="test")
    assert verify(writer, file_id)["holds"] is False


def test_a_revision_that_replaces_a_file_changes_its_receipt(
    own_contracts: Settings, load: Load, writer: Connection, connection: Connection
) -> None:
    change_contract(own_contracts, revision="replace")
    first = load(table(event(1), event(2)))
    make_all(writer)
    second = load(table(event(1), event(2), event(3)))
    make_all(writer)
    assert [verify(writer, file_id)["holds"] for file_id in (first, second)] == [True, True]
    assert audited(connection) == [(first, 0, 2)]


def test_a_replay_changes_the_receipt_by_the_rows_that_came(
    load: Load, own_contracts: Settings, writer: Connection, connection: Connection
) -> None:
    other = load(table(event(7)))
    file_id = load(table(event(1), event(2, price="cheap"), event(7, price="cheap"), event(4, price="dear")))
    make_all(writer)
    connection.execute("""UPDATE ledger.rejects SET fields = fields || '{"price": "9.99"}' WHERE record_number < 4""")
    assert replay(own_contracts).loaded == 1
    assert verify(writer, file_id)["holds"] is True
    assert audited(connection) == [(file_id, 1, 0)]
    unload_file(own_contracts, other, "a test feed by mistake", by_whom="test")
    assert verify(writer, file_id)["holds"] is True
    assert audited(connection) == [(file_id, 1, 0), (other, 0, 1), (file_id, 1, 0)]


def test_a_conflict_that_is_loaded_later_changes_the_receipt(
    load: Load, own_contracts: Settings, writer: Connection, connection: Connection
) -> None:
    first, second = load(table(event(1))), load(table(event(1, price="5"), event(2)))
    make_all(writer)
    unload_file(own_contracts, first, "a test feed by mistake", by_whom="test")
    assert replay(own_contracts).loaded == 1
    assert verify(writer, second)["holds"] is True
    assert audited(connection) == [(first, 0, 1), (second, 1, 0)]


def test_no_receipt_is_made_while_a_file_waits(load: Load, land: Load, writer: Connection) -> None:
    file_id = load(table(event(1)))
    land(table(event(2)))
    assert make_all(writer) == []
    assert receipts.make_pending(writer) == 1
    assert verify(writer, file_id)["holds"] is True


def test_a_receipt_that_is_made_while_a_file_is_unloaded_waits_for_it(
    load: Load, own_contracts: Settings, settings: Settings, writer: Connection
) -> None:
    file_id = load(table(event(1)))
    with database.connect(settings.writer_dsn) as other, other.transaction():
        other.execute("SELECT FROM ledger.files WHERE file_id = %s FOR UPDATE", [file_id])
        assert make_all(writer) == []
    assert make_all(writer) == [file_id]


def test_the_stream_makes_receipts_and_goes_on_after_its_connection_is_cut(
    load: Load, settings: Settings, connection: Connection, postgres_server: embedded.Server, monkeypatch: Any
) -> None:
    monkeypatch.setattr("sluice.loading.receipt_maker._LOOK_SECONDS", 0.05)
    monkeypatch.setattr("sluice.loading.receipt_maker._AFTER_FAILURE_SECONDS", 0.05)
    maker = ReceiptMaker(settings.writer_dsn)
    maker.start()
    try:
        first = load(table(event(1)))
        _wait_for(lambda: verify(connection, first)["holds"])
        with psycopg.connect(postgres_server.url(), autocommit=True) as superuser:
            ended = superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'sluice-receipts' AND datname = %s",
                [connection.info.dbname],
            ).fetchall()
        assert ended == [(True,)]
        second = load(table(event(2)))
        _wait_for(lambda: verify(connection, second)["holds"])
    finally:
        maker.close()
        maker.join(10)
    assert not maker.is_alive()


def test_housekeeping_does_not_seal_a_file_whose_receipt_does_not_hold(
    load: Load, own_contracts: Settings, writer: Connection, connection: Connection
) -> None:
    changed, good, pending = (load(table(event(number))) for number in range(3))
    for _ in range(2):
        receipts.make_next(writer)
    connection.execute("UPDATE events SET price = 1 WHERE file_id = %s", [changed])
    connection.execute("UPDATE ledger.files SET loaded_at = '2025-01-02'")
    merge.merge(own_contracts)
    with pytest.raises(sealing.UnverifiedError, match="its receipt is"):
        sealing.seal_archive(own_contracts, writer)
    rows = connection.execute("SELECT file_id, sealed_at IS NOT NULL AS sealed FROM ledger.files ORDER BY 1").fetchall()
    assert [(row["file_id"], row["sealed"]) for row in rows] == [(changed, False), (good, True), (pending, True)]
    assert verify(writer, pending)["holds"] is True


def test_the_migration_can_be_taken_back_and_made_again(
    load: Load, database_url: str, connection: Connection, writer: Connection
) -> None:
    file_id = load(table(event(1)))
    make_all(writer)
    folder = PROJECT / "include" / "sql" / "migrations"
    later = [path.name for path in sorted(folder.glob("*.down.sql")) if path.name >= "0009"]
    assert later
    for name in reversed(later):
        connection.execute((folder / name).read_text())  # type: ignore[call-overload]
        connection.execute("DELETE FROM sluice_migrations WHERE name = %s", [name.removesuffix(".down.sql")])
    migrate.migrate(database_url)
    assert verify(connection, file_id)["receipt"] == "pending"


def _wait_for(what: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)
