"""The recount: it holds after loading, and names the file when a row is missing, doubled or cannot be verified."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sluice import leases
from sluice.reconcile import Reconciliation, reconcile
from sluice.settings import Settings
from spark_jobs.load_file import FileLoader
from tests.loading import HEADER, Connection, event

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
