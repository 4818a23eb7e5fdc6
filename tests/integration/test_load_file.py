"""Loading one file, without Spark: what becomes of its rows, and that it becomes so once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from sluice.base import database
from sluice.base.settings import Settings
from sluice.ledger import leases
from sluice.loading.landed_file import Tally
from sluice.loading.load_file import FileLoader
from sluice.loading.writer_session import WriterSession
from tests.loading import HEADER, Connection, change_contract, event
from tests.public_data import PUBLIC_DATA, needs

REES46 = PUBLIC_DATA / "rees46" / "2019-Oct_first_rows.csv"
Land = Callable[..., int]


@pytest.fixture
def loader(settings: Settings, epoch: int) -> Iterator[FileLoader]:
    """A loader under a living stream's epoch."""
    made = FileLoader(settings, epoch)
    yield made
    made.close()


def rejects(connection: Connection, file_id: int) -> list[dict[str, Any]]:
    return connection.execute(
        "SELECT * FROM ledger.rejects WHERE file_id = %s ORDER BY record_number", [file_id]
    ).fetchall()


def file_row(connection: Connection, file_id: int) -> dict[str, Any]:
    row = connection.execute("SELECT * FROM ledger.files WHERE file_id = %s", [file_id]).fetchone()
    assert row is not None
    return row


def test_every_row_of_a_good_file_is_loaded(loader: FileLoader, land: Land, connection: Connection) -> None:
    file_id = land("\n".join([HEADER, event(1), event(2, kind="search", note='"Mozilla, ""5.0"""')]) + "\n")
    assert loader.load(file_id) == Tally(file_id, "loaded", 2, 2, 0, 0, file_row(connection, file_id)["bytes"])
    rows = connection.execute("SELECT * FROM events ORDER BY event_id").fetchall()
    assert [(row["file_id"], row["record_number"]) for row in rows] == [(file_id, 1), (file_id, 2)]
    assert rows[1]["user_agent"] == 'Mozilla, "5.0"'
    assert str(rows[0]["price"]) == "9.9900"
    assert rows[0]["event_time"].isoformat() == "2026-11-22T10:00:00+00:00"


def test_a_loaded_file_moves_to_the_archive(
    loader: FileLoader, land: Land, connection: Connection, settings: Settings
) -> None:
    file_id = land(f"{HEADER}\n{event(1)}\n")
    loader.load(file_id)
    path = file_row(connection, file_id)["path"]
    assert path.startswith("archive/loaded/")
    assert (settings.home_dir / path).exists()
    assert not list(settings.processing_dir.glob("[!.]*"))


def test_a_bad_row_costs_one_row_and_keeps_its_bytes_line_and_reason(
    loader: FileLoader, land: Land, connection: Connection
) -> None:
    multi_line = event(1, note='"two\nlines"')
    file_id = land("\n".join([HEADER, multi_line, event(2, price="12,50"), event(3, kind="teleport"), event(4)]))
    tally = loader.load(file_id)
    assert (tally.rows_read, tally.rows_loaded, tally.rows_rejected) == (4, 2, 2)
    too_wide, unknown = rejects(connection, file_id)
    assert (too_wide["record_number"], too_wide["line_number"], too_wide["rules"]) == (2, 4, ["record.too_many_fields"])
    assert bytes(too_wide["raw"]).decode() == event(2, price="12,50")
    assert (unknown["line_number"], unknown["rules"], unknown["error_class"]) == (5, ["event_type.enum"], "rule")
    assert unknown["fields"]["event_type"] == "teleport"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("last", [event(3), event(3) + "\n"])
def test_a_file_whose_last_letter_is_cut_loads_all_but_its_last_record(
    loader: FileLoader, land: Land, connection: Connection, encoding: str, last: str
) -> None:
    mark = "\ufeff".encode(encoding)
    data = mark + "\n".join([HEADER, event(1), event(2), last]).encode(encoding)
    tally = loader.load(land(data[:-1]))
    assert (tally.state, tally.rows_read, tally.rows_loaded, tally.rows_rejected) == ("loaded", 3, 2, 1)
    [cut] = rejects(connection, tally.file_id)
    assert (cut["record_number"], cut["line_number"], cut["rules"]) == (3, 4, ["record.invalid_bytes"])
    assert bytes(cut["raw"]) == last.encode(encoding)[:-1]


def test_quotes_inside_unquoted_fields_count_a_warning_and_are_set_aside_where_they_shift_values(
    loader: FileLoader, land: Land, connection: Connection
) -> None:
    shifted = event(2).replace("10.0.0.1,,,", '10.0.0.1"Mozilla, 5.0""",,')
    rows = [event(1, note='27" monitor'), shifted, event(3, note='5" x 7"'), event(4, note='"27"" monitor"'), event(5)]
    tally = loader.load(land("\n".join([HEADER, *rows])))
    assert (tally.state, tally.rows_read, tally.rows_loaded, tally.rows_rejected) == ("loaded", 5, 4, 1)
    [reject] = rejects(connection, tally.file_id)
    assert (reject["record_number"], reject["rules"], reject["error_class"]) == (2, ["record.stray_quote"], "parse")
    assert bytes(reject["raw"]).decode() == shifted
    assert (reject["fields"]["ip_address"], reject["fields"]["user_agent"]) == ('10.0.0.1"Mozilla', ' 5.0"""')
    assert file_row(connection, tally.file_id)["rows_warned"] == 2
    notes = connection.execute("SELECT user_agent FROM events ORDER BY record_number").fetchall()
    assert [row["user_agent"] for row in notes] == ['27" monitor', '5" x 7"', '27" monitor', None]


def test_loading_twice_adds_nothing(loader: FileLoader, land: Land, connection: Connection) -> None:
    file_id = land(f"{HEADER}\n{event(1)}\n")
    loader.load(file_id)
    assert loader.load(file_id).state == "loaded"
    assert connection.execute("SELECT count(*) AS n FROM events").fetchone() == {"n": 1}


def test_the_same_event_again_is_a_duplicate_and_with_other_content_a_conflict(
    loader: FileLoader, land: Land, connection: Connection
) -> None:
    loader.load(land(f"{HEADER}\n{event(1)}\n"))
    file_id = land("\n".join([HEADER, event(2), event(1), event(1, price="5"), event(2)]))
    tally = loader.load(file_id)
    assert (tally.rows_read, tally.rows_loaded, tally.rows_duplicate, tally.rows_rejected) == (4, 1, 2, 1)
    [conflict] = rejects(connection, file_id)
    assert (conflict["record_number"], conflict["error_class"], conflict["rules"]) == (
        3,
        "conflict",
        ["event_id.conflict"],
    )
    assert bytes(conflict["raw"]).decode() == event(1, price="5")


def test_a_big_file_with_duplicates_goes_through_staging(
    loader: FileLoader, land: Land, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.loading.one_load.STAGED_BYTES_MAX", 0)
    loader.load(land(f"{HEADER}\n{event(1)}\n"))
    tally = loader.load(land(f"{HEADER}\n{event(1)}\n{event(2)}\n"))
    assert (tally.rows_loaded, tally.rows_duplicate) == (1, 1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "the file is empty"),
        ("\n\n", "no header"),
        ("a,b,c\n1,2,3\n", "fits no contract"),
        ("event_id,event_type,user_id\n1,2,3\n", "nearest is events, which also needs timestamp"),
        (f"{HEADER},PRICE\n", "more than once"),
        (b"\x1f\x8b\x08\x00broken", "gzip data, which its name does not say"),
    ],
)
def test_a_file_that_is_no_table_of_a_known_feed_is_rejected_with_the_reason(
    loader: FileLoader, land: Land, connection: Connection, data: str | bytes, reason: str
) -> None:
    file_id = land(data)
    assert loader.load(file_id).state == "rejected"
    assert reason in file_row(connection, file_id)["error"]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            [HEADER, event(1) + ",x", event(2) + ",x"],
            "the header has 15, most records have 16; line 2 is the first of 16",
        ),
        ([HEADER, "", "a,b", event(1)[:60]], "the header has 15, most records have 2; line 3 is the first of 2"),
        (
            [
                "event_id,event_type,timestamp",
                'made on 2026-11-22,"by',
                HEADER,
                event(1),
                event(2, note='"two\nlines"'),
            ],
            "the header has 3, most records have 15; line 3 is the first of 15",
        ),
    ],
)
def test_a_file_of_which_no_row_has_the_headers_width_is_rejected_with_both_widths_and_the_likely_header(
    loader: FileLoader, land: Land, connection: Connection, lines: list[str], says: str
) -> None:
    tally = loader.load(land("\n".join(lines)))
    row = file_row(connection, tally.file_id)
    assert (row["state"], row["contract"]) == ("rejected", "events")
    assert f"no record has as many fields as the header: {says}" in row["error"]
    assert "if it is the true header, take the lines above it away" in row["error"]
    assert rejects(connection, tally.file_id) == []


@pytest.mark.parametrize(
    "lines", [[event(1) + ",x", event(2)], [event(1) + ",x", event(2, note="\0")], ['"never closed', event(2) + '"x']]
)
def test_one_row_of_the_headers_width_or_none_whose_width_is_known_leaves_the_file_to_be_judged_row_by_row(
    loader: FileLoader, land: Land, lines: list[str]
) -> None:
    tally = loader.load(land("\n".join([HEADER, *lines])))
    assert (tally.state, tally.rows_read) == ("loaded", 2)


def test_the_width_of_the_header_is_said_before_the_error_budget(
    own_contracts: Settings, load: Land, connection: Connection
) -> None:
    change_contract(own_contracts, errorBudget={"rows": 0})
    file_id = load(f"{HEADER}\n{event(1)},x\n")
    assert "the header has 15, most records have 16" in file_row(connection, file_id)["error"]


def test_a_file_of_more_columns_than_the_limit_is_rejected_with_its_width_and_the_setting(
    settings: Settings, epoch: int, land: Land, connection: Connection
) -> None:
    loader = FileLoader(replace(settings, columns_max=20), epoch)
    names, values = (",".join(f"{letter}{i}" for i in range(5)) for letter in "xy")
    assert loader.load(land(f"{HEADER},{names}\n{event(1)},{values}\n")).rows_loaded == 1
    tally = loader.load(land(f"{HEADER},{names},one_more\n{event(2)},{values},1\n"))
    loader.close()
    assert tally.state == "rejected"
    error = file_row(connection, tally.file_id)["error"]
    assert "has 21 columns, more than SLUICE_COLUMNS_MAX=20 allows" in error


def test_many_columns_that_the_contract_does_not_know_are_kept_each_with_its_value(
    loader: FileLoader, land: Land, connection: Connection
) -> None:
    count = 700
    names = ",".join(f"n{i}" for i in range(count))
    full, last = [f'v"{i}' for i in range(count)], [""] * (count - 1) + ["x"]
    rows = [",".join('"' + value.replace('"', '""') + '"' for value in full), ",".join(last), "," * (count - 1)]
    lines = [f"{event(number)},{row}" for number, row in enumerate(rows, start=1)]
    assert loader.load(land("\n".join([f"{HEADER},{names}", *lines]))).rows_loaded == 3
    kept = connection.execute("SELECT extra FROM events ORDER BY record_number").fetchall()
    wanted = {f"n{i}": value for i, value in enumerate(full)}
    assert [row["extra"] for row in kept] == [wanted, {f"n{count - 1}": "x"}, None]


def test_a_header_without_rows_is_loaded_with_zero_rows(loader: FileLoader, land: Land) -> None:
    assert loader.load(land(HEADER)).rows_read == 0


def test_a_file_that_changed_after_it_was_registered_does_not_commit_and_goes_back(
    loader: FileLoader, land: Land, connection: Connection, settings: Settings
) -> None:
    file_id = land(f"{HEADER}\n{event(1)}\n", name="growing.csv")
    [path] = settings.processing_dir.glob("[!.]*")
    with path.open("a") as still_writing:
        still_writing.write(event(2) + "\n")
    assert loader.load(file_id).state == "rejected"
    assert "changed after it was registered" in file_row(connection, file_id)["error"]
    assert (settings.incoming_dir / "growing.csv").exists()
    assert connection.execute("SELECT count(*) AS n FROM events").fetchone() == {"n": 0}


def test_what_is_read_a_second_time_for_conflicts_is_held_against_size_and_hash_too(
    loader: FileLoader, land: Land, connection: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader.load(land(f"{HEADER}\n{event(1)}\n"))
    file_id = land(f"{HEADER}\n{event(1, price='5')}\n", name="b.csv")
    [path] = settings.processing_dir.glob("[!.]*")
    run = WriterSession.run

    def change_it_first(self: WriterSession, name: str, *parameters: object, **parts: sql.Composable) -> object:
        if name == "load/load.sort_repeated":
            path.write_bytes(path.read_bytes().replace(b",5,", b",6,"))
        return run(self, name, *parameters, **parts)

    monkeypatch.setattr(WriterSession, "run", change_it_first)
    assert loader.load(file_id).state == "rejected"
    assert "changed after it was registered" in file_row(connection, file_id)["error"]
    assert rejects(connection, file_id) == []
    assert (settings.incoming_dir / "b.csv").exists()


@pytest.mark.parametrize("name", ["shop.csv", "shop.csv.gz", "shop.csv.zst"])
def test_a_file_that_cannot_be_read_now_waits_packed_or_not(
    loader: FileLoader, land: Land, connection: Connection, name: str
) -> None:
    file_id = land(f"{HEADER}\n{event(1)}\n", name)
    # Its first bytes cannot be read by anybody, as those of a disk that fails.
    connection.execute("ALTER TABLE ledger.files DROP CONSTRAINT a_file_lies_in_one_of_our_folders")
    connection.execute("UPDATE ledger.files SET path = '/proc/self/mem' WHERE file_id = %s", [file_id])
    with pytest.raises(OSError, match="Input/output error"):
        loader.load(file_id)
    assert file_row(connection, file_id)["state"] == "landed"


def test_a_file_that_cannot_be_loaded_for_a_reason_of_its_own_costs_only_itself(
    loader: FileLoader, land: Land, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("a value that nobody thought of")

    with monkeypatch.context() as patched:
        patched.setattr(loader._writer.judge, "judge", fail)
        file_id = land(f"{HEADER}\n{event(1)}\n")
        assert loader.load(file_id).state == "rejected"
    row = file_row(connection, file_id)
    assert row["error"].startswith("the file cannot be loaded")
    assert "a value that nobody thought of" in row["error"]
    assert row["path"].startswith("archive/rejected/")
    assert loader.load(land(f"{HEADER}\n{event(1)}\n")).rows_loaded == 1, "the same bytes, landed again"


def test_a_fenced_stream_cannot_load(loader: FileLoader, land: Land, connection: Connection) -> None:
    file_id = land(f"{HEADER}\n{event(1)}\n")
    connection.execute("UPDATE ledger.streams SET state = 'fenced', ended_at = now(), ended_how = 'fenced'")
    with pytest.raises(leases.StreamFenced):
        loader.load(file_id)
    assert file_row(connection, file_id)["state"] == "landed"


def test_a_lost_connection_raises_and_the_next_load_succeeds(
    loader: FileLoader, land: Land, settings: Settings
) -> None:
    loader.load(land(f"{HEADER}\n{event(1)}\n"))
    with database.connect(settings.writer_dsn) as writer:
        writer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'sluice-stream-%'"
        )
    file_id = land(f"{HEADER}\n{event(2)}\n")
    with pytest.raises(psycopg.Error):
        loader.load(file_id)
    assert loader.load(file_id).rows_loaded == 1


@needs("rees46")
def test_rees46_loads_17434_rows_and_sets_the_cut_record_aside(
    loader: FileLoader, land: Land, connection: Connection, settings: Settings, tmp_path: Path
) -> None:
    copy = shutil.copy(REES46, tmp_path / "oct.csv")
    file_id = land(Path(copy).read_bytes())
    tally = loader.load(file_id)
    assert (tally.rows_read, tally.rows_loaded, tally.rows_rejected, tally.rows_duplicate) == (17_435, 17_434, 1, 0)
    [cut] = rejects(connection, file_id)
    assert (cut["line_number"], cut["rules"], cut["fields"]["user_id"]) == (
        17_436,
        ["record.too_few_fields"],
        "52040330",
    )
    row = connection.execute("SELECT extra->>'category_id' AS id FROM events WHERE record_number = 1").fetchone()
    assert row == {"id": "2103807459595387724"}
