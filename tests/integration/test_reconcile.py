"""The recount: it holds after loading, and names the file when a row is missing, doubled or cannot be verified."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from sluice.base.settings import Settings
from sluice.ledger import leases
from sluice.loading.load_file import FileLoader
from sluice.loading.replay import replay
from sluice.loading.unload import unload_file
from sluice.proof.reconcile import Reconciliation, reconcile
from sluice.reading.block import Block
from sluice.reading.csv_records import RecordReader
from sluice.running import status
from tests.loading import HEADER, Connection, change_contract, event, table, write_contract

Land = Callable[..., int]


@pytest.fixture
def loaded(land: Land, settings: Settings, epoch: int) -> int:
    """A loaded file with good, bad and repeated rows; its file_id."""
    rows = [event(1), event(2, kind="teleport"), event(3, note='"two\nlines"'), event(3, note='"two\nlines"')]
    file_id = land("\n".join([HEADER, *rows]))
    loader = FileLoader(settings, epoch)
    loader.load(file_id)
    loader.close()
    return file_id


def recount(settings: Settings) -> Reconciliation:
    return reconcile(settings, settings.reader_dsn)


def test_conservation_holds_after_loading(loaded: int, settings: Settings) -> None:
    found = recount(settings)
    assert found.holds
    assert found.lines() == ["events: 1 files, 4 read = 2 loaded + 1 rejected + 1 duplicate: holds"]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("DELETE FROM events WHERE record_number = 1", "1 are missing"),
        ("DELETE FROM ledger.rejects", "1 are missing"),
        ("DELETE FROM ledger.duplicates", "1 are missing"),
        ("UPDATE events SET record_number = 9 WHERE record_number = 1", "each once"),
        ("UPDATE events SET file_id = 99 WHERE record_number = 1", "file 99 is not in the ledger"),
        ("UPDATE ledger.files SET rows_loaded = 1, rows_duplicate = 2", "the ledger's tally is"),
        ("UPDATE ledger.files SET state = 'unloaded'", "is unloaded, but"),
    ],
)
def test_a_row_changed_by_hand_breaks_it_and_the_file_is_named(
    loaded: int, settings: Settings, connection: Connection, damage: str, says: str
) -> None:
    connection.execute(damage)  # type: ignore[call-overload]
    found = recount(settings)
    assert not found.holds
    assert any(says in sentence for sentence in found.broken)
    assert any(f"file {loaded} (shop.csv)" in sentence for sentence in found.broken)


def test_a_file_that_is_gone_or_changed_counts_as_broken(
    loaded: int, settings: Settings, connection: Connection
) -> None:
    [path] = settings.archive_dir.rglob("*.csv")
    path.write_bytes(path.read_bytes() + b"\n")
    assert "not those that were registered" in recount(settings).broken[0]
    path.unlink()
    assert "cannot be verified" in recount(settings).broken[0]


def test_a_sealed_file_needs_no_bytes_and_its_rows_are_still_counted(
    loaded: int, settings: Settings, connection: Connection
) -> None:
    connection.execute("UPDATE ledger.files SET sealed_at = now()")
    [path] = settings.archive_dir.rglob("*.csv")
    path.unlink()
    assert recount(settings).lines()[0].startswith("events: 1 files, 1 sealed, 4 read")
    connection.execute("DELETE FROM events WHERE record_number = 1")
    assert not recount(settings).holds


def test_nothing_loaded_holds(settings: Settings, connection: Connection) -> None:
    assert leases.living(connection) is None
    assert recount(settings).lines() == ["no file has been loaded yet"]


# --- a defect in the loader's reader


def losing_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fifth record of each block is passed over, and those after it are numbered as if it were not there."""
    blocks = RecordReader.blocks

    def defective(self: RecordReader, width: int) -> Iterator[Block]:
        for block in blocks(self, width):
            kept = np.flatnonzero(np.arange(len(block.record_numbers)) != 4)
            yield replace(
                block,
                columns=block.columns.take(kept),
                record_numbers=block.record_numbers[:-1],
                places=block.places.of(kept),
            )

    monkeypatch.setattr(RecordReader, "blocks", defective)


def overlooking_a_line_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two records become one, which is set aside."""
    blocks = RecordReader.blocks

    def defective(self: RecordReader, width: int) -> Iterator[Block]:
        self._input.fill()
        lines = self._input.buffer.split(b"\n")
        self._input.buffer = b"\n".join(lines[:4]) + b" " + b"\n".join(lines[4:])
        yield from blocks(self, width)

    monkeypatch.setattr(RecordReader, "blocks", defective)


def shifting_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every record counts, but some values stand in the wrong column."""
    blocks = RecordReader.blocks

    def defective(self: RecordReader, width: int) -> Iterator[Block]:
        for block in blocks(self, width):
            names = block.columns.column_names
            names[2], names[3] = names[3], names[2]
            yield replace(block, columns=block.columns.rename_columns(names).select(sorted(names, key=_number)))

    monkeypatch.setattr(RecordReader, "blocks", defective)


def _number(name: str) -> int:
    return int(name[1:])


@pytest.mark.parametrize(
    ("defect", "says"),
    [
        (losing_a_record, "the loader's reader found 9 records, this one 10: report the defect"),
        (overlooking_a_line_end, "the loader's reader found 9 records, this one 10: report the defect"),
        (shifting_values, "record 1 (line 2): user_id is 'p1', the file says 'u1'"),
    ],
)
def test_a_defect_of_the_loaders_reader_does_not_hide_from_the_recount(
    load: Land,
    own_contracts: Settings,
    monkeypatch: pytest.MonkeyPatch,
    defect: Callable[[pytest.MonkeyPatch], None],
    says: str,
) -> None:
    good = load(table(event(100)))
    assert recount(own_contracts).holds
    defect(monkeypatch)
    file_id = load(table(*map(event, range(10))))
    found = recount(own_contracts)
    assert [sentence for sentence in found.broken if f"file {good} " in sentence] == []
    [sentence] = found.broken
    assert sentence.startswith(f"file {file_id} (shop.csv)")
    assert says in sentence


# --- sampled rows


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("UPDATE events SET user_id = 'u2'", "user_id is 'u2', the file says 'u1'"),
        ("UPDATE events SET category = NULL", "category is None, the file says 'shoes'"),
        ("UPDATE events SET search_query = ''", "search_query is '', the file says ''"),
        ("UPDATE events SET price = 9.9901", "price is Decimal('9.9901'), the file says '9.99'"),
        ("UPDATE events SET quantity = 0", "quantity is 0, the file says ''"),
        ("UPDATE events SET event_time = event_time + interval '1 us'", "the file says '2026-11-22T10:00:00Z'"),
        ("UPDATE events SET event_id = gen_random_uuid()", "event_id is "),
        ("UPDATE events SET extra = '{}'", "extra.note is None, the file says 'a \"b\"'"),
        ("UPDATE ledger.rejects SET raw = 'x'", "its reject keeps b'x', the file says b'"),
        ("UPDATE ledger.rejects SET line_number = 9", "its reject says line 9"),
        ("UPDATE ledger.rejects SET record_number = 7", "record 2 (line 3) is in no table"),
    ],
)
def test_a_sampled_record_that_is_not_what_the_file_says_is_named(
    load: Land, own_contracts: Settings, connection: Connection, damage: str, says: str
) -> None:
    rows = [f'{event(1)},"a ""b"""', f"{event(2, kind='teleport')},", f'{event(3)},"a ""b"""']
    load("\n".join([f"{HEADER},note", *rows]))
    assert recount(own_contracts).holds
    connection.execute(damage)  # type: ignore[call-overload]
    [sentence] = recount(own_contracts).broken
    assert says in sentence


def test_numbers_with_thousands_and_currency_are_compared_as_what_they_mean(
    load: Land, own_contracts: Settings, connection: Connection
) -> None:
    document = change_contract(own_contracts)
    price = next(c for c in document["schema"][0]["properties"] if c["name"] == "price")
    marks = {"decimalSeparator": ",", "thousandsSeparator": ".", "currency": ["€"]}
    price["customProperties"] = [{"property": name, "value": value} for name, value in marks.items()]
    write_contract(own_contracts, document)
    load(table(event(1, price='"-€ 1.234,50"'), event(2, price="1.001 €"), event(3, price="1.01 €")))
    assert recount(own_contracts).broken == []
    connection.execute("UPDATE events SET price = 1.001 WHERE record_number = 2")
    [sentence] = recount(own_contracts).broken
    assert "price is Decimal('1.0010'), the file says '1.001 €'" in sentence


def test_a_duplicate_is_compared_with_the_row_that_it_repeats(
    load: Land, own_contracts: Settings, connection: Connection
) -> None:
    first, second = load(table(event(1))), load(table(event(1), event(2)))
    connection.execute("UPDATE events SET session_id = 's2' WHERE record_number = 1")
    assert [sentence.partition(":")[0] for sentence in recount(own_contracts).broken] == [
        f"file {first} (shop.csv)",
        f"file {second} (shop.csv)",
    ]


def test_rows_that_a_person_edited_and_rows_that_were_given_back_are_no_false_alarm(
    load: Land, own_contracts: Settings, connection: Connection
) -> None:
    first = load(table(event(1), event(2)))
    load(table(event(1), event(3, price="cheap"), event(4, kind="teleport"), event(2)))
    connection.execute("""UPDATE ledger.rejects SET fields = fields || '{"price": "1", "user_id": "u9"}'""")
    assert replay(own_contracts).loaded == 1
    unload_file(own_contracts, first, "a test feed by mistake", by_whom="test")
    found = recount(own_contracts)
    assert found.broken == []
    assert found.lines() == ["events: 1 files, 4 read = 3 loaded + 1 rejected + 0 duplicate: holds"]


def test_values_are_compared_only_under_the_version_that_loaded_them(
    load: Land, own_contracts: Settings, connection: Connection
) -> None:
    load(table(event(1), event(2, kind="teleport")))
    document = change_contract(own_contracts)
    document["version"] = "2.0.0"
    for column in document["schema"][0]["properties"]:
        if column["name"] in ("user_id", "session_id"):
            column["physicalName"] = {"user_id": "session_id", "session_id": "user_id"}[column["name"]]
    write_contract(own_contracts, document)
    assert recount(own_contracts).broken == []


def test_every_file_of_many_pages_is_recounted(
    load: Land, own_contracts: Settings, connection: Connection, monkeypatch: Any
) -> None:
    monkeypatch.setattr("sluice.proof.reconcile._PAGE", 2)
    files = [load(table(event(2 * number), event(2 * number + 1))) for number in range(5)]
    connection.execute("UPDATE events SET user_id = 'u2' WHERE file_id = ANY(%s)", [files[1:4:2]])
    found = recount(own_contracts)
    assert [sentence.partition(" (")[0] for sentence in found.broken] == [f"file {files[1]}", f"file {files[3]}"]
    assert found.contracts["events"].files == 5


def test_a_file_is_recounted_as_it_was_read_whatever_contract_and_settings_say_today(
    load: Land, own_contracts: Settings, connection: Connection
) -> None:
    load(table(event(1, note='"a\nb"'), event(2, note='"' + "c\n" * 500 + '"')))
    document = change_contract(own_contracts, csv={"quote": "'", "encoding": "utf-16"})
    document["version"] = "2.0.0"
    write_contract(own_contracts, document)
    smaller = replace(own_contracts, record_bytes_max=200)
    assert recount(smaller).broken == []
    connection.execute("DELETE FROM events WHERE record_number = 2")
    assert "1 are missing" in recount(smaller).broken[0]


@pytest.mark.parametrize(
    ("changed", "is_found"),
    [
        ("SELECT", True),
        ("UPDATE ledger.files SET loaded_at = loaded_at - interval '3 days'", False),
        (
            "WITH old AS (UPDATE ledger.files SET loaded_at = loaded_at - interval '3 days' RETURNING file_id) "
            "INSERT INTO ledger.audit (action, file_id, reason, by_whom, details) "
            "SELECT 'receipt', file_id, 'its rows changed', 'a test', '{}' FROM old",
            True,
        ),
    ],
    ids=["loaded since", "before", "before, changed since"],
)
def test_of_some_days_the_files_loaded_or_changed_in_them_are_recounted(
    loaded: int, settings: Settings, connection: Connection, changed: str, is_found: bool
) -> None:
    assert reconcile(settings, settings.reader_dsn, days=1).lines() == recount(settings).lines()
    connection.execute(changed)  # type: ignore[call-overload]
    connection.execute("DELETE FROM events WHERE record_number = 1")
    found = reconcile(settings, settings.reader_dsn, days=1)
    assert any("1 are missing" in sentence for sentence in found.broken) == is_found
    assert not recount(settings).holds


def test_each_recount_leaves_a_row_whatever_it_found(loaded: int, settings: Settings, connection: Connection) -> None:
    assert recount(settings).holds
    reconcile(settings, settings.reader_dsn, days=0.5)
    connection.execute("DELETE FROM events WHERE record_number = 1")
    assert not recount(settings).holds
    noted = connection.execute(
        "SELECT days, files, rows, holds, problems, begun_at <= ended_at AS in_order FROM ledger.recounts "
        "ORDER BY recount_id"
    ).fetchall()
    assert [tuple(row.values()) for row in noted] == [
        (None, 1, 4, True, 0, True),
        (0.5, 1, 4, True, 0, True),
        (None, 1, 4, False, 1, True),
    ]


def test_a_recount_that_cannot_be_noted_says_so_and_stands(
    loaded: int, settings: Settings, connection: Connection
) -> None:
    connection.execute("REVOKE INSERT ON ledger.recounts FROM sluice_reader")
    found = recount(settings)
    assert found.holds
    assert "could not be noted in the ledger" in found.lines()[-1]


def test_the_status_says_when_it_was_recounted_and_what_was_found(
    loaded: int, settings: Settings, connection: Connection
) -> None:
    assert _proof_line(connection) == "proof        never recounted: `make reconcile` does it"
    recount(settings)
    assert _proof_line(connection).endswith(", all 4 rows accounted for")
    connection.execute("DELETE FROM events WHERE record_number = 1")
    recount(settings)
    assert "BROKEN in 1 places" in _proof_line(connection)


def _proof_line(connection: Connection) -> str:
    state = {"running": True, "since": datetime.now(UTC), "pid": 1, "url": "", "processes": {}, "problems": []}
    backlog = {"incoming": 0, "landed": 0, "waiting_for_contract": 0}
    said = status.text(state | {"backlog": backlog} | status.ledger_report(connection))
    return next(line for line in said.splitlines() if line.startswith("proof"))
