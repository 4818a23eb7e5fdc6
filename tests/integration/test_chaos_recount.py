"""The chaos harness's proof: it holds after loading, and finds, counts and names whatever is broken by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sluice.base.settings import Settings
from sluice.generator.files import write_file
from sluice.generator.records import Shares
from sluice.landing import mover
from sluice.loading import expiry, merge
from sluice.loading.load_file import FileLoader
from sluice.loading.unload import unload_file
from tests import reports
from tests.chaos.recount import Landing, Recount, recount
from tests.loading import Connection, event, event_id, table

Load = Callable[..., int]
NOW = datetime(2026, 11, 22, tzinfo=UTC)


@dataclass
class Landed:
    """What landed in a test, kept beside; and the proof over it."""

    folder: Path
    dsn: str
    connection: Connection
    landings: list[Landing] = field(default_factory=list)

    def keep(self, data: bytes | str, name: str) -> None:
        path = self.folder / f"{len(self.landings)}"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        self.landings.append(Landing(name, path))

    def proof(self, *unloaded: str, merged: bool = False) -> Recount:
        found = recount(self.landings, self.dsn, unloaded, merged=merged)
        assert bool(found.findings) != found.holds
        return found

    def change(self, statement: str) -> None:
        """Break something; exactly one row must be hit."""
        assert self.connection.execute(statement).rowcount == 1  # type: ignore[call-overload]


@pytest.fixture
def landed(tmp_path: Path, settings: Settings, connection: Connection) -> Landed:
    folder = tmp_path / "kept"
    folder.mkdir()
    return Landed(folder, settings.reader_dsn, connection)


@pytest.fixture
def put(landed: Landed, load: Load) -> Load:
    """Lands and loads bytes, and keeps a copy for the proof; returns the file_id."""

    def land_and_keep(data: bytes | str, name: str = "shop.csv") -> int:
        landed.keep(data, name)
        return load(data, name)

    return land_and_keep


@pytest.fixture
def two_files(put: Load, landed: Landed) -> Landed:
    """Files 1 and 2: six records loaded, two rejected (record 2 of each), and record 3 of file 2 a duplicate."""
    put(table(event(1), event(2, kind="teleport"), event(3, note='"two\nlines"'), event(4)), "one.csv")
    put(table(event(5), event(6, price="abc"), event(3, note='"two\nlines"'), event(7)), "two.csv")
    return landed


def counts(found: Recount) -> tuple[int, int, int]:
    return found.lost, found.doubled, found.wrong


def test_it_holds_for_what_the_generator_writes_dirty_late_and_repeated(
    put: Load, landed: Landed, tmp_path: Path
) -> None:
    shares = Shares(dirty=0.05, late=0.05, repeated=0.05)
    made = [write_file(tmp_path / f"{n}.csv", rows=1500, shares=shares, seed=str(n), now=NOW) for n in range(3)]
    for manifest in made:
        put(manifest.path.read_bytes(), manifest.path.name)
    copies = b"\n".join([table().encode().strip(), *made[0].tail[:50]]) + b"\n"
    put(copies, "copies.csv")
    found = landed.proof()
    assert found.holds, found.findings
    dirty, repeated = sum(one.dirty for one in made), sum(one.repeated for one in made)
    assert found.as_dict() == {
        "files": 4,
        "sent": 4550,
        "loaded": 4500 - dirty - repeated,
        "rejected": dirty,
        "duplicate": repeated + 50,
        "expired": 0,
        "lost": 0,
        "doubled": 0,
        "wrong": 0,
        "findings": [],
    }


def test_it_holds_when_months_have_expired_and_late_copies_were_rejected(
    put: Load, landed: Landed, own_contracts: Settings
) -> None:
    old = [event(number).replace("2026-11-22", "2020-02-03") for number in range(1, 4)]
    put(table(*old[:2], event(5)), "one.csv")
    put(table(old[1], event(6)), "two.csv")
    # A month is not dropped before the reports have counted it.
    reports.refresh_as_the_reader(own_contracts)
    expiry.expire(replace(own_contracts, keep_events_months=60))
    put(table(old[0], old[2], event(7)), "late.csv")
    found = landed.proof()
    assert found.holds, found.findings
    assert (found.sent, found.loaded, found.expired, found.rejected, found.duplicate) == (8, 3, 2, 2, 1)
    landed.change("UPDATE ledger.files SET rows_expired = 1 WHERE file_id = 1")
    assert counts(landed.proof()) == (0, 0, 1)


def test_an_id_in_two_months_is_doubled_unless_a_merge_has_set_the_later_row_aside(
    put: Load, landed: Landed, own_contracts: Settings
) -> None:
    earlier = event(1).replace("2026-11-22", "2025-11-22")
    put(table(event(1), event(2)), "one.csv")
    put(table(earlier, event(3)), "two.csv")
    put(table(earlier, event(4)), "three.csv")
    assert landed.proof().holds
    assert counts(landed.proof(merged=True)) == (0, 1, 0)
    merge.merge(own_contracts)
    found = landed.proof(merged=True)
    assert found.holds, found.findings
    assert (found.sent, found.loaded, found.rejected, found.duplicate) == (6, 4, 2, 0)


def test_it_holds_for_every_kind_of_end_and_value(put: Load, landed: Landed) -> None:
    odd = [event(1, note=' "x" '), event(2, note="œ☃🛒"), event(3, note='"a\tb\\c\r\nd"'), event(4, price=" 007.5 ")]
    put("\r\n".join([table().strip(), *odd, "", event(5, note='"never'), event(6, note='5" wide')]), "odd.csv")
    put("\r".join([table().strip(), event(7), event(8, kind="")]) + "\r", "mac.csv")
    put(table(), "empty.csv")
    found = landed.proof()
    assert found.holds, found.findings
    assert (found.sent, found.loaded, found.rejected) == (8, 6, 2)


def test_a_file_that_was_taken_back_on_purpose_is_gone_by_intent_and_only_then(
    two_files: Landed, own_contracts: Settings
) -> None:
    assert counts(two_files.proof("one.csv")) == (0, 0, 1)  # it is loaded yet
    unload_file(own_contracts, 1, "a test", by_whom="test")
    found = two_files.proof("one.csv")
    assert found.holds, found.findings
    assert (found.sent, found.loaded, found.rejected, found.duplicate) == (4, 3, 1, 0)
    assert counts(two_files.proof()) == (4, 0, 1)


def test_it_holds_for_the_same_id_with_other_content(put: Load, landed: Landed) -> None:
    put(table(event(1), event(1, price="5")))
    assert landed.proof().holds
    landed.change("UPDATE events SET price = 5")
    found = landed.proof()
    assert (found.lost, found.doubled) == (0, 0)
    assert any("rejected as a conflict, but events has no other content" in one for one in found.findings)


def test_it_holds_for_the_same_bytes_under_two_names_and_for_a_file_put_back(
    put: Load, landed: Landed, settings: Settings, connection: Connection
) -> None:
    data = table(event(1), event(2, kind="teleport"))
    put(data, "one.csv")
    for name in ("one.csv", "other.csv", "returned-1-other.csv"):
        landed.keep(data, name)
        (settings.incoming_dir / name).write_text(data)
    moved = mover.move_landed(Settings(**{**vars(settings), "settle_seconds": 0.0}), connection)
    assert len(moved.duplicates) == 3
    found = landed.proof()
    assert found.holds, found.findings
    assert (found.files, found.sent, found.loaded, found.rejected, found.duplicate) == (2, 4, 1, 1, 2)
    landed.change("UPDATE ledger.files SET duplicate_of = file_id WHERE name = 'other.csv'")
    found = landed.proof()
    assert counts(found) == (0, 0, 1)
    assert ", which is not another file of the same bytes" in found.findings[0]
    landed.change("UPDATE ledger.files SET sha256 = repeat('0', 64) WHERE name = 'one.csv' AND state = 'duplicate'")
    found = landed.proof()
    assert any(one.endswith("is duplicate, but no such file landed") for one in found.findings)


def test_a_duplicate_that_is_not_loaded_after_its_original_was_taken_back_is_lost(
    own_contracts: Settings, load: Load, landed: Landed, connection: Connection, epoch: int
) -> None:
    data = table(event(1), event(2, kind="teleport"))
    original = load(data, "one.csv")
    (own_contracts.incoming_dir / "other.csv").write_text(data)
    moved = mover.move_landed(replace(own_contracts, settle_seconds=0.0), connection)
    landed.keep(data, "one.csv")
    landed.keep(data, "other.csv")
    unload_file(own_contracts, original, "a test of chaos", by_whom="test")
    found = landed.proof("one.csv")
    assert (found.sent, found.lost, found.doubled, found.wrong) == (2, 2, 0, 0)
    assert "lost: other.csv: is only landed, all 2 records" in found.findings

    loader = FileLoader(own_contracts, epoch)
    loader.load(*moved.duplicates)
    loader.close()
    found = landed.proof("one.csv")
    assert found.holds, found.findings
    assert (found.sent, found.loaded, found.rejected, found.duplicate) == (2, 1, 1, 0)
    assert any("one.csv (file 1) is unloaded, but nobody asked for it" in one for one in landed.proof().findings)


def test_a_file_that_changed_after_it_was_registered_counts_as_what_was_loaded(
    put: Load, landed: Landed, land: Load, connection: Connection
) -> None:
    half, whole = table(event(1)), table(event(1), event(2))
    file_id = land(half, "grown.csv")
    connection.execute("UPDATE ledger.files SET state = 'rejected', error = 'changed' WHERE file_id = %s", [file_id])
    put(whole, "grown.csv")
    assert landed.proof().holds, "the half was never whole when the copy was made"
    landed.keep(half, "grown.csv")
    found = landed.proof()
    assert found.holds, found.findings
    assert (found.files, found.sent) == (1, 2)


@pytest.mark.parametrize(
    ("damage", "counted", "says"),
    [
        (
            "DELETE FROM events WHERE file_id = 1 AND record_number = 1",
            (1, 0, 1),
            [
                f"lost: one.csv (file 1), record 1 (line 2, event {event_id(1)}): is not in events",
                "wrong: one.csv (file 1): the ledger says 3 rows loaded, but counted are 2",
            ],
        ),
        (
            "DELETE FROM events WHERE file_id = 1 AND record_number = 3",
            (2, 0, 1),
            [
                f"lost: one.csv (file 1), record 3 (line 4, event {event_id(3)}): is not in events",
                f"lost: two.csv (file 2), record 3 (line 4, event {event_id(3)}): is not in events",
            ],
        ),
        (
            "UPDATE events SET price = 9.98 WHERE file_id = 2 AND record_number = 4",
            (0, 0, 1),
            [f"wrong: two.csv (file 2), record 4 (line 6, event {event_id(7)}): events has price 9.9800, not 9.9900"],
        ),
        (
            "UPDATE events SET price = 9.98 WHERE file_id = 1 AND record_number = 3",
            (0, 0, 2),
            [
                f"record 3 (line 4, event {event_id(3)}): events has price 9.9800, not 9.9900",
                f"wrong: two.csv (file 2), record 3 (line 4, event {event_id(3)}): is noted as a duplicate, "
                "but the row in events has other values",
            ],
        ),
        (
            "UPDATE events SET event_time = event_time + '1 us'::interval WHERE (file_id, record_number) = (1, 1)",
            (0, 0, 1),
            ["events has event_time 2026-11-22 10:00:00.000001+00, not 2026-11-22 10:00:00+00"],
        ),
        (
            "UPDATE events SET user_agent = '' WHERE file_id = 1 AND record_number = 1",
            (0, 0, 1),
            ["events has user_agent , not \\N"],
        ),
        (
            "UPDATE events SET extra = '{}' WHERE file_id = 1 AND record_number = 1",
            (0, 0, 1),
            ["events has extra {}, not \\N"],
        ),
        (
            f"UPDATE events SET event_id = '{event_id(99)}' WHERE file_id = 1 AND record_number = 1",
            (0, 0, 1),
            [f"events has event_id {event_id(99)}, not {event_id(1)}"],
        ),
        (
            "INSERT INTO events (event_id, event_type, event_time, file_id, record_number) "
            f"VALUES ('{event_id(99)}', 'search', now(), 2, 9)",
            (0, 0, 2),
            [f"wrong: events has record 9 (event {event_id(99)}) of file 2, two.csv, which has 4 records"],
        ),
        (
            "INSERT INTO events (event_id, event_type, event_time, file_id, record_number) "
            f"VALUES ('{event_id(99)}', 'search', now(), 99, 1)",
            (0, 0, 1),
            [f"wrong: events has record 1 (event {event_id(99)}) of file 99, which the ledger does not know"],
        ),
        (
            "INSERT INTO events (event_id, event_type, event_time, file_id, record_number) "
            f"VALUES ('{event_id(99)}', 'search', now(), 0, 1)",
            (0, 0, 1),
            [f"wrong: events has record 1 (event {event_id(99)}) of file 0, which the ledger does not know"],
        ),
        (
            "UPDATE events SET record_number = 9 WHERE file_id = 1 AND record_number = 1",
            (1, 0, 1),
            [
                f"lost: one.csv (file 1), record 1 (line 2, event {event_id(1)}): is not in events",
                f"wrong: events has record 9 (event {event_id(1)}) of file 1, one.csv, which has 4 records",
            ],
        ),
        (
            "UPDATE events SET record_number = 4 WHERE file_id = 1 AND record_number = 1",
            (1, 1, 1),
            [
                f"lost: one.csv (file 1), record 1 (line 2, event {event_id(1)}): is not in events",
                f"doubled: one.csv (file 1), record 4 (line 6, event {event_id(4)}): events has it 2 times",
                f"events has event_id {event_id(1)}, not {event_id(4)}",
            ],
        ),
        (
            "UPDATE events SET record_number = 2 WHERE file_id = 1 AND record_number = 1",
            (1, 1, 1),
            [
                "doubled: one.csv (file 1), record 2 (line 3): is in 2 places at once, should be in one",
                "is in events, though event_type 'teleport' is unknown",
            ],
        ),
        (
            "DELETE FROM ledger.rejects WHERE file_id = 2",
            (1, 0, 1),
            [
                "lost: two.csv (file 2), record 2 (line 3): is not in ledger.rejects (amount 'abc' is no decimal",
                "wrong: two.csv (file 2): the ledger says 1 rows rejected, but counted are 0",
            ],
        ),
        (
            "UPDATE ledger.rejects SET state = 'withdrawn' WHERE file_id = 2",
            (1, 0, 1),
            ["lost: two.csv (file 2), record 2 (line 3): is not in ledger.rejects"],
        ),
        (
            "UPDATE ledger.rejects SET raw = raw || 'x' WHERE file_id = 1",
            (0, 0, 1),
            ["wrong: one.csv (file 1), record 2 (line 3): its reject has the bytes"],
        ),
        (
            "UPDATE ledger.rejects SET record_number = 1 WHERE file_id = 1",
            (1, 1, 2),
            [
                "lost: one.csv (file 1), record 2 (line 3): is not in ledger.rejects",
                f"doubled: one.csv (file 1), record 1 (line 2, event {event_id(1)}): is in 2 places at once",
                "was rejected, though nothing is wrong with it",
            ],
        ),
        (
            "UPDATE ledger.rejects SET record_number = 9 WHERE file_id = 1",
            (1, 0, 1),
            ["wrong: one.csv (file 1): ledger.rejects has record 9, but the file has 4"],
        ),
        (
            "UPDATE ledger.rejects SET file_id = 2, record_number = 9 WHERE file_id = 1",
            (1, 0, 3),
            ["wrong: two.csv (file 2): ledger.rejects has record 9, but the file has 4"],
        ),
        (
            "DELETE FROM ledger.duplicates",
            (0, 0, 2),
            [
                f"wrong: two.csv (file 2), record 3 (line 4, event {event_id(3)}): "
                "is in events from an equal record, but is not noted as a duplicate",
                "wrong: two.csv (file 2): the ledger says 1 rows duplicate, but counted are 0",
            ],
        ),
        (
            f"UPDATE ledger.duplicates SET event_id = '{event_id(1)}'",
            (0, 0, 1),
            [f"is noted as a duplicate of event {event_id(1)}, which it is not"],
        ),
        (
            f"INSERT INTO ledger.duplicates VALUES (1, 1, '{event_id(1)}', '2026-11-22T10:00:00Z')",
            (0, 1, 1),
            [f"doubled: one.csv (file 1), record 1 (line 2, event {event_id(1)}): is in 2 places at once"],
        ),
        (
            "UPDATE ledger.files SET rows_read = 5, rows_loaded = 4 WHERE file_id = 1",
            (0, 0, 2),
            ["the ledger says 5 rows read, but counted are 4", "the ledger says 4 rows loaded, but counted are 3"],
        ),
        (
            "UPDATE ledger.files SET bytes = 7 WHERE file_id = 1",
            (0, 0, 1),
            ["wrong: one.csv (file 1): the ledger says 7 bytes, but"],
        ),
        (
            "UPDATE ledger.files SET sha256 = repeat('0', 64) WHERE file_id = 2",
            (4, 0, 5),
            [
                "wrong: two.csv (file 2) is loaded, but no such file landed",
                "lost: two.csv: is not in the ledger, all 4 records",
            ],
        ),
        (
            "UPDATE ledger.files SET state = 'landed' WHERE file_id = 2",
            (4, 0, 4),
            [
                "lost: two.csv: is only landed, all 4 records",
                f"wrong: events has record 1 (event {event_id(5)}) of file 2, two.csv, which is landed",
                "wrong: two.csv (file 2) is landed, but ledger.rejects has 1 rows of it",
            ],
        ),
        (
            "UPDATE ledger.files SET state = 'rejected' WHERE file_id = 2",
            (4, 0, 4),
            ["lost: two.csv: is only rejected, all 4 records"],
        ),
    ],
)
def test_what_is_broken_by_hand_is_found_counted_and_named(
    two_files: Landed, damage: str, counted: tuple[int, int, int], says: list[str]
) -> None:
    before = two_files.proof()
    assert before.holds, before.findings
    assert (before.sent, before.loaded, before.rejected, before.duplicate) == (8, 5, 2, 1)
    two_files.change(damage)
    found = two_files.proof()
    assert counts(found) == counted, found.findings
    for sentence in says:
        assert any(sentence in one for one in found.findings), found.findings


def test_a_row_that_is_there_twice_is_doubled_once(two_files: Landed) -> None:
    two_files.connection.execute("ALTER TABLE events_2026_11 DROP CONSTRAINT events_2026_11_pkey")
    two_files.change("INSERT INTO events SELECT * FROM events WHERE file_id = 1 AND record_number = 1")
    found = two_files.proof()
    assert counts(found) == (0, 1, 1), found.findings
    assert "the ledger says 3 rows loaded, but counted are 4" in found.findings[1]


def test_an_event_with_rows_of_two_files_is_doubled(two_files: Landed) -> None:
    two_files.connection.execute("ALTER TABLE events_2026_11 DROP CONSTRAINT events_2026_11_pkey")
    two_files.connection.execute("DELETE FROM ledger.duplicates")
    two_files.change(
        "INSERT INTO events SELECT (jsonb_populate_record(events, '{\"file_id\": 2}')).* FROM events "
        "WHERE file_id = 1 AND record_number = 3"
    )
    found = two_files.proof()
    assert (found.lost, found.doubled) == (0, 1), found.findings
    assert f"record 3 (event {event_id(3)}): this event has another row in events" in found.findings[0]


def test_a_landing_that_nobody_knows_of_makes_its_rows_wrong(two_files: Landed) -> None:
    forgotten = two_files.landings.pop()
    found = two_files.proof()
    assert forgotten.name == "two.csv"
    assert found.lost == found.doubled == 0
    assert found.wrong == 1 + 2 + 1 + 1, "the file, its rows, its reject, its duplicate"
    assert found.findings[0] == "wrong: two.csv (file 2) is loaded, but no such file landed"


def test_a_file_that_never_reached_the_ledger_is_lost(two_files: Landed) -> None:
    two_files.keep(table(event(8), event(9, kind="teleport")), "late.csv")
    found = two_files.proof()
    assert counts(found) == (2, 0, 0)
    assert found.findings == ["lost: late.csv: is not in the ledger, all 2 records"]
    assert found.sent == found.loaded + found.rejected + found.duplicate + found.lost


def test_a_good_record_that_was_rejected_is_wrong(put: Load, landed: Landed, load: Load) -> None:
    put(table(event(1), event(2)))
    landed.connection.execute(
        "INSERT INTO ledger.rejects "
        "(file_id, record_number, line_number, raw, rules, error_class, contract, contract_version) "
        "VALUES (1, 2, 3, %s, '{x}', 'rule', 'events', '1')",
        [event(2).encode()],
    )
    landed.change("DELETE FROM events WHERE record_number = 2")
    landed.change("UPDATE ledger.files SET rows_loaded = 1, rows_rejected = 1")
    found = landed.proof()
    assert found.findings == [
        f"wrong: shop.csv (file 1), record 2 (line 3, event {event_id(2)}): "
        "was rejected, though nothing is wrong with it"
    ]


def test_a_damaged_record_that_was_loaded_is_wrong(put: Load, landed: Landed) -> None:
    put(table(event(1), event(2)))
    kept = landed.landings[0].path
    kept.write_text(table(event(1), event(2, kind="teleport")))
    landed.connection.execute(
        "UPDATE ledger.files SET sha256 = encode(sha256(%s), 'hex'), bytes = %s",
        [
            kept.read_bytes(),
            kept.stat().st_size,
        ],
    )
    found = landed.proof()
    assert found.findings == [
        "wrong: shop.csv (file 1), record 2 (line 3): is in events, though event_type 'teleport' is unknown"
    ]
