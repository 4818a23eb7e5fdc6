"""The list of files: what fits, the newest first, a page at a time, and never by reading the whole ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluice.base.settings import Settings
from sluice.watching import files, one_file
from sluice.watching.files import Filter
from sluice.watching.reader import Reader
from tests.integration.conftest import Land
from tests.loading import Connection, event, table

NEWEST = datetime(2026, 11, 30, tzinfo=UTC)
FILES = 5000
# One a minute. Each 1,000th is rejected, each 900th of a contract of few files, each 700th has another name.
_FILES = """
    INSERT INTO ledger.files (
        name, path, sha256, bytes, state, contract, filled, rows_read, rows_loaded, rows_rejected, rows_duplicate,
        landed_at, moved_at, loaded_at, claim, merged_at, sealed_at, receipt, receipt_version, receipt_at
    )
    SELECT
        CASE WHEN one %% 700 = 0 THEN 'rare_' ELSE 'old-' END || one || '.csv',
        '', encode(sha256(one::text::bytea), 'hex'), 1000,
        CASE WHEN one %% 1000 = 0 THEN 'rejected' ELSE 'loaded' END,
        CASE WHEN one %% 900 = 0 THEN 'rare' ELSE 'events' END, '{"rows": 1}', 1, 1, 0, 0,
        at, at, at + interval '2 s', one, at, at, repeat('0', 32), 1, at
    FROM generate_series(1, %(files)s) AS one
    CROSS JOIN LATERAL (SELECT %(newest)s::timestamptz - make_interval(mins => %(files)s - one) AS at) AS made
"""


class Watched:
    """A connection that notes the plan of each statement."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.plans: list[str] = []

    def execute(self, query: Any, values: Any = None) -> Any:
        text = query if isinstance(query, str) else query.as_string(self.connection)
        rows = self.connection.execute(f"EXPLAIN {text}", values).fetchall()  # type: ignore[call-overload]
        self.plans.append("\n".join(row["QUERY PLAN"] for row in rows))
        return self.connection.execute(text, values)  # type: ignore[call-overload]


@pytest.fixture
def long_ledger(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """5,000 files, of which a page looks at 1,000."""
    connection.execute(_FILES, {"files": FILES, "newest": NEWEST})
    connection.execute("VACUUM ANALYZE ledger.files")
    monkeypatch.setattr(files, "LOOK", 1000)
    monkeypatch.setattr(files, "NAMES", 100)
    return connection


def ids(answer: dict[str, Any]) -> list[int]:
    return [file["file_id"] for file in answer["files"]]


def all_pages(connection: Any, wanted: Filter, most: int = 50) -> list[int]:
    found, before = [], None
    while True:
        answer = files.page(connection, wanted, before=before, most=most)
        found += ids(answer)
        if (before := answer["older"]) is None:
            return found


def test_pages_follow_one_another_the_newest_first(long_ledger: Connection) -> None:
    first = files.page(long_ledger, Filter(), most=10)
    assert ids(first) == list(range(FILES, FILES - 10, -1))
    assert first["newer"] is None
    second = files.page(long_ledger, Filter(), before=first["older"], most=10)
    assert ids(second) == list(range(FILES - 10, FILES - 20, -1))
    back = files.page(long_ledger, Filter(), after=second["newer"], most=10)
    assert ids(back) == ids(first)
    assert back["older"] == first["older"]


def test_the_last_page_says_that_it_is_the_last(long_ledger: Connection) -> None:
    assert files.page(long_ledger, Filter(), before=4, most=10) == {
        "files": files.page(long_ledger, Filter(), before=4, most=3)["files"],
        "older": None,
        "newer": 3,
        "looked_only": False,
        "by_landing": False,
    }


MINUTE = timedelta(minutes=1)
FITTING = [
    (Filter(state="rejected"), lambda one: one % 1000 == 0),
    (Filter(state="loaded", contract="rare"), lambda one: one % 900 == 0),
    (Filter(contract="rare"), lambda one: one % 900 == 0),
    (Filter(state="rejected", contract="events"), lambda one: one % 1000 == 0),
    (Filter(prefix="rare_"), lambda one: one % 700 == 0),
    (Filter(prefix="rare_14"), lambda one: one == 1400),
    (Filter(prefix="RARE"), lambda one: False),
    (Filter(prefix="rare%"), lambda one: False),
    (Filter(prefix="old-1", state="rejected"), lambda one: one == 1000),
    (Filter(since=NEWEST - 9 * MINUTE, until=NEWEST - 4 * MINUTE), lambda one: FILES - 9 <= one < FILES - 4),
    (
        Filter(state="loaded", since=NEWEST - 2000 * MINUTE, until=NEWEST),
        lambda one: FILES - 2000 <= one < FILES and one % 1000,
    ),
    (Filter(state="rejected", until=NEWEST - 2000 * MINUTE), lambda one: one % 1000 == 0 and one < FILES - 2000),
    (Filter(state="landed"), lambda one: False),
    (Filter(state="waiting"), lambda one: False),
    (Filter(state="duplicate"), lambda one: False),
]


@pytest.mark.parametrize(("wanted", "fits"), FITTING)
def test_all_pages_together_hold_what_fits_and_nothing_else(long_ledger: Connection, wanted: Filter, fits: Any) -> None:
    assert all_pages(long_ledger, wanted) == [one for one in range(FILES, 0, -1) if fits(one)]


@pytest.mark.parametrize("wanted", [wanted for wanted, _ in FITTING] + [Filter(), Filter(state="loaded")])
def test_no_page_and_no_count_reads_the_whole_ledger(long_ledger: Connection, wanted: Filter) -> None:
    watched: Any = Watched(long_ledger)
    files.page(watched, wanted)
    files.page(watched, wanted, before=2500)
    files.page(watched, wanted, after=2500)
    files.count(watched, wanted)
    assert [plan for plan in watched.plans if "Seq Scan on files" in plan] == []


def test_the_story_of_a_file_does_not_read_the_whole_ledger(long_ledger: Connection, settings: Settings) -> None:
    watched: Any = Watched(long_ledger)
    assert one_file.story(watched, settings, 2500)["file"]["name"] == "old-2500.csv"
    assert [plan for plan in watched.plans if "Seq Scan on files" in plan] == []
    (of_name,) = [plan for plan in watched.plans if "files_by_name" in plan]
    assert "Sort" not in of_name


def test_a_page_of_few_that_fit_says_how_far_it_looked(long_ledger: Connection) -> None:
    wanted = Filter(contract="rare", state="loaded", since=NEWEST - 4000 * MINUTE)
    looked = files.page(long_ledger, wanted)
    assert (ids(looked), looked["older"], looked["looked_only"]) == ([4500], 4001, True)
    further = files.page(long_ledger, wanted, before=looked["older"])
    assert (ids(further), further["older"]) == ([3600], 3001)


@pytest.mark.parametrize(
    ("wanted", "counted"),
    [
        (Filter(), {"files": 5000, "is_more": False}),
        (Filter(state="rejected"), {"files": 5, "is_more": False}),
        (Filter(state="loaded"), {"files": 999, "is_more": True}),  # of the newest 1,000
        (Filter(prefix="rare_"), {"files": 7, "is_more": False}),
    ],
)
def test_a_count_says_when_there_may_be_more(long_ledger: Connection, wanted: Filter, counted: dict[str, Any]) -> None:
    assert files.count(long_ledger, wanted) == counted


def test_a_count_stops(long_ledger: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "COUNTED", 300)
    assert files.count(long_ledger, Filter()) == {"files": 300, "is_more": True}


def test_files_that_landed_late_come_where_they_landed(long_ledger: Connection) -> None:
    long_ledger.execute("UPDATE ledger.files SET landed_at = %s WHERE file_id = 4990", [NEWEST - 30 * MINUTE])
    answer = files.page(long_ledger, Filter(since=NEWEST - 32 * MINUTE, until=NEWEST - 28 * MINUTE))
    assert ids(answer) == [4971, 4990, 4970, 4969, 4968]
    assert answer["by_landing"] is True
    rest = files.page(long_ledger, Filter(since=NEWEST - 32 * MINUTE, until=NEWEST - 28 * MINUTE), before=4990)
    assert ids(rest) == [4970, 4969, 4968]


def test_the_reader_sees_the_tally_and_lag_of_a_file(settings: Settings, load: Land, connection: Connection) -> None:
    file_id = load(table(event(1), event(2, price="free")), "a\u202eb.csv")
    reader = Reader(settings)
    with reader.asking() as asking:
        (file,) = files.page(asking, Filter(prefix="a\u202e"))["files"]
    reader.close()
    assert file["file_id"] == file_id
    assert (file["rows_read"], file["rows_loaded"], file["rows_rejected"], file["rows_duplicate"]) == (2, 1, 1, 0)
    assert (file["state"], file["contract"], file["waits_for_contract"]) == ("loaded", "events", False)
    assert 0 <= file["lag_seconds"] < 60


def test_files_that_wait_for_a_contract_are_told_from_those_that_wait_to_be_loaded(
    settings: Settings, load: Land, land: Land
) -> None:
    reader, landed = Reader(settings), land("event_id\n1\n", "landed.csv")
    with reader.asking() as asking:
        found = files.page(asking, Filter(state="landed"))
        assert ids(found) == [landed]
        assert found["files"][0]["lag_seconds"] is None
        assert ids(files.page(asking, Filter(state="waiting"))) == []
    reader.close()
