"""The calendar of feeds over real ledgers, with a clock of the test's own: weeks of a feed, declared and learned."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sluice.base import database, queries
from sluice.base.settings import SettingError, Settings
from sluice.cli import main as cli
from sluice.duty import arrivals, changes, feeds, telling, words
from sluice.duty.conditions import Condition
from sluice.running.instance import Instance
from tests.integration.conftest import Land
from tests.integration.test_watching_files import Watched
from tests.loading import Connection, change_contract, event, table, write_contract
from tests.receivers import http

BERLIN = ZoneInfo("Europe/Berlin")
DAILY = {"daily": "by 06:00 Europe/Berlin", "on": "working days", "rows": "at least 100", "rejected": "at most 2 %"}
_FILE = """
    INSERT INTO ledger.files (
        name, path, sha256, bytes, state, contract, rows_read, rows_loaded, rows_rejected, rows_duplicate, landed_at,
        loaded_at, duplicate_of, rejected_for, waits_for, waits_under
    )
    VALUES (
        %(name)s, '', encode(sha256((random()::text)::bytea), 'hex'), 1, %(state)s, %(contract)s, %(read)s, %(loaded)s,
        %(rejected)s, 0, %(at)s, %(loaded_at)s, %(original)s, %(cause)s, %(waits)s, %(waits)s
    )
    RETURNING file_id
"""
Arrive = Callable[..., int]
Ask = Callable[[str], str]


def at(text: str) -> datetime:
    """A moment by the clock of Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


@pytest.fixture
def arrive(connection: Connection) -> Arrive:
    """Notes a file that landed at a moment of Berlin, and what became of it; returns its file_id."""

    def note(
        when: str | datetime,
        rows: int = 1000,
        rejected: int = 0,
        *,
        contract: str | None = "events",
        name: str = "shop.csv",
        state: str = "loaded",
        original: int | None = None,
        waits: str | None = None,
    ) -> int:
        moment = at(when) if isinstance(when, str) else when
        is_loaded = state in ("loaded", "replaced")
        values = {
            "name": name,
            "state": state,
            "contract": contract,
            "at": moment,
            "original": original,
            "waits": waits,
        }
        values["loaded_at"] = moment if is_loaded else None
        values["cause"] = "content" if state == "rejected" else None
        tally = {"read": rows, "loaded": rows - rejected, "rejected": rejected}
        values |= tally if is_loaded else dict.fromkeys(tally)
        row = connection.execute(_FILE, values).fetchone()
        assert row is not None
        return int(row["file_id"])

    return note


def conditions(connection: Connection, settings: Settings, now: str) -> dict[str, Condition]:
    return {one.name: one for one in feeds.conditions(connection, settings, at(now))}


@pytest.fixture
def state(connection: Connection, own_contracts: Settings) -> Ask:
    """Tells the state of feed events at a moment of Berlin, with a holiday on 27 November 2026."""
    path = own_contracts.home_dir / "holidays.txt"
    path.write_text("2026-11-27 # a Friday\n")
    settings = replace(own_contracts, holidays=str(path))
    return lambda now: conditions(connection, settings, now)["events"].state


def test_a_week_of_a_feed_whose_contract_says_what_it_expects(
    own_contracts: Settings, connection: Connection, arrive: Arrive, state: Ask
) -> None:
    change_contract(own_contracts, expect=DAILY)
    arrive("2026-11-20 05:50")  # the Friday before
    assert state("2026-11-22 12:00") == "fine"
    arrive("2026-11-23 05:50")
    assert state("2026-11-23 06:30") == "fine"
    # On Tuesday none comes until nine.
    assert [state(f"2026-11-24 {time}") for time in ("05:59", "06:00", "06:05", "07:59", "08:00")] == [
        "fine",
        "fine",
        "late",
        "late",
        "missing",
    ]
    arrive("2026-11-24 09:00")
    assert [state("2026-11-24 09:01"), state("2026-11-25 05:59")] == ["fine", "fine"]
    # On Wednesday one of few rows: while the day's files may still come, it is not too small.
    arrive("2026-11-25 05:50", 50)
    assert [state("2026-11-25 05:55"), state("2026-11-25 06:05")] == ["fine", "too_small"]
    arrive("2026-11-25 06:30", 60)
    assert state("2026-11-25 06:35") == "fine"
    dirty = arrive("2026-11-26 05:50", 1000, 30)
    assert [state("2026-11-26 05:55"), state("2026-11-26 12:00")] == ["too_dirty", "too_dirty"]
    connection.execute("UPDATE ledger.files SET rows_rejected = 0, rows_loaded = 1000 WHERE file_id = %s", [dirty])
    assert state("2026-11-26 12:05") == "fine"  # a replay brought its rows back
    # A holiday and a weekend.
    assert {state(f"2026-11-{day} {hour}:00") for day in (27, 28, 29) for hour in ("07", "23")} == {"fine"}
    assert [state("2026-11-30 05:59"), state("2026-11-30 06:05"), state("2026-12-03 06:05")] == [
        "fine",
        "late",
        "missing",
    ]


def test_a_week_of_a_feed_that_is_learned(arrive: Arrive, state: Ask) -> None:
    days = [at("2026-11-02 05:50") + timedelta(days=day) for day in range(21) if day % 7 < 5]
    for number, day in enumerate(days):
        assert state("2026-11-02 05:00") == "unknown"
        arrive(day + timedelta(minutes=number % 5), 1000 + number, 5)
    assert [state("2026-11-21 12:00"), state("2026-11-22 12:00")] == ["fine", "fine"]  # a weekend
    assert [state("2026-11-23 08:00"), state("2026-11-23 10:00"), state("2026-11-24 10:00")] == [
        "fine",
        "late",
        "missing",
    ]
    arrive("2026-11-24 10:05", 1000, 5)
    assert state("2026-11-24 10:06") == "fine"
    arrive("2026-11-25 05:50", 100)
    assert state("2026-11-25 05:51") == "too_small"
    arrive("2026-11-26 05:50", 1000, 100)
    assert state("2026-11-26 05:51") == "too_dirty"
    arrive("2026-11-26 06:50", 1000, 5)
    assert {state(f"2026-11-{day} 23:00") for day in (26, 27, 28, 29)} == {"fine"}  # the 27th is a holiday
    # A Monday without a file was last week: only the Tuesday after it is one on which files came in both weeks.
    assert [state("2026-11-30 12:00"), state("2026-12-01 12:00")] == ["fine", "late"]


def test_the_basis_is_shown(own_contracts: Settings, connection: Connection, arrive: Arrive) -> None:
    for day in range(12):
        arrive(at("2026-11-02 05:50") + timedelta(days=day), 1000, 10)
    found = conditions(connection, own_contracts, "2026-11-14 12:00")["events"]
    numbers = found.numbers
    assert json.loads(json.dumps(numbers)) == numbers
    assert (numbers["by"], numbers["interval_seconds"], numbers["deliveries_seen"]) == ("learned", 86_400, 12)
    assert (numbers["rows_usual"], numbers["rejected_usual"], numbers["deliveries_compared"]) == (1000, 0.01, 11)
    assert datetime.fromisoformat(numbers["expected_at"]) == at("2026-11-14 05:50")
    assert found.state == "late"
    assert found.since == datetime.fromisoformat(numbers["late_at"])
    assert "the last was shop.csv (file 12)" in words.says(found)
    assert "learned: about 24 h between 12 deliveries, at 04:50 UTC, late after 27 h" in words.basis(found)


def test_what_the_contract_says_wins_over_what_is_learned(
    own_contracts: Settings, connection: Connection, arrive: Arrive
) -> None:
    for day in range(12):
        arrive(at("2026-11-02 05:50") + timedelta(days=day), 1000)
    arrive("2026-11-14 05:50", 10, 5)

    def states(**expect: str) -> list[str]:
        change_contract(own_contracts, expect=expect)
        moments = ("2026-11-14 12:00", "2026-11-16 12:00")
        return [conditions(connection, own_contracts, now)["events"].state for now in moments]

    assert states(every="1 week") == ["too_dirty", "too_dirty"]
    assert states(every="1 week", rejected="at most 60 %") == ["too_small", "too_small"]
    assert states(every="1 week", rejected="at most 60 %", rows="at least 10") == ["fine", "fine"]
    assert states(rejected="at most 60 %", volume="at least 1 % of the usual") == ["fine", "missing"]
    change_contract(own_contracts, expect="nothing")
    found = conditions(connection, own_contracts, "2027-11-14 12:00")["events"]
    assert (found.state, words.says(found)) == ("fine", "no file is expected")


def test_each_contract_has_a_feed_and_one_that_never_had_a_file_is_missed_only_when_it_says_so(
    own_contracts: Settings, connection: Connection, arrive: Arrive
) -> None:
    document = change_contract(own_contracts, expect={"every": "15 minutes"})
    write_contract(own_contracts, document | {"name": "prices"}, "prices")
    write_contract(own_contracts, document | {"name": "quiet", "customProperties": []}, "quiet")
    written = at("2026-11-02 12:00").timestamp()
    for path in own_contracts.contracts_dir.iterdir():
        os.utime(path, (written, written))
    arrive("2026-11-02 12:30")

    def states(now: str) -> dict[str, str]:
        return {name: one.state for name, one in conditions(connection, own_contracts, now).items()}

    assert states("2026-11-02 12:10") == {"events": "fine", "prices": "fine", "quiet": "unknown"}
    assert states("2026-11-02 12:34") == {"events": "fine", "prices": "missing", "quiet": "unknown"}
    arrive("2026-11-02 12:35", contract="prices")
    assert states("2026-11-02 12:40") == {"events": "fine", "prices": "fine", "quiet": "unknown"}
    (own_contracts.contracts_dir / "prices.odcs.yaml").unlink()
    assert states("2026-11-09 12:40").keys() == {"events", "quiet"}


def test_a_file_that_is_not_loaded_is_an_arrival_too(
    own_contracts: Settings, connection: Connection, arrive: Arrive, state: Ask
) -> None:
    change_contract(own_contracts, expect={"every": "1 hour"})
    first = arrive("2026-11-02 12:00", name="shop-20261102.csv")
    assert state("2026-11-02 13:20") == "late"
    # Registered and not judged, or waiting for a contract: its name tells whose it is.
    arrive("2026-11-02 13:21", contract=None, name="shop-20261103.csv", state="landed")
    assert [state("2026-11-02 13:22"), state("2026-11-02 14:50")] == ["fine", "late"]
    arrive("2026-11-02 14:51", contract=None, name="shop-20261104.csv", state="landed", waits="contract")
    assert state("2026-11-02 14:52") == "fine"
    # The same bytes again: in time, but without rows.
    arrive("2026-11-02 16:00", contract=None, name="other.csv", state="duplicate", original=first)
    assert state("2026-11-02 16:01") == "fine"  # nothing says yet how many rows there must be
    change_contract(own_contracts, expect={"every": "1 hour", "rows": "at least 1"})
    assert state("2026-11-02 16:01") == "too_small"
    # Rejected as a whole: its contract is known, or it fits none and its name is the feed's.
    arrive("2026-11-02 16:30", state="rejected")
    assert state("2026-11-02 16:31") == "too_dirty"
    arrive("2026-11-02 16:40", name="shop-20261105.csv")
    assert state("2026-11-02 16:41") == "fine"
    arrive("2026-11-02 16:50", contract=None, name="shop-20261106.csv", state="rejected")
    arrive("2026-11-02 16:51", contract=None, name="price-list.csv", state="rejected")
    assert state("2026-11-02 16:52") == "too_dirty"
    arrive("2026-11-02 17:00", name="shop-20261107.csv", state="replaced")
    arrive("2026-11-02 17:10", name="shop-20261107.csv")
    assert state("2026-11-02 17:20") == "fine"


def test_bytes_that_a_restore_lands_again_arrived_when_they_first_did(
    own_contracts: Settings, connection: Connection, arrive: Arrive, state: Ask
) -> None:
    change_contract(own_contracts, expect={"every": "1 hour"})
    again = arrive("2026-11-02 20:00")
    connection.execute(
        "UPDATE ledger.files SET rows_landed_at = %s WHERE file_id = %s", [at("2026-11-02 12:00"), again]
    )
    assert state("2026-11-02 20:10") == "missing"


def test_who_looks_again_after_a_pause_gives_files_time_to_load(
    own_contracts: Settings, connection: Connection, arrive: Arrive, state: Ask
) -> None:
    change_contract(own_contracts, expect={"every": "15 minutes"})
    arrive("2026-11-02 12:00")

    def stream(begun: str, ended: str | None) -> None:
        connection.execute(
            "INSERT INTO ledger.streams (submitted_by, generation, started_at, lease_until, ended_at, ended_how, state)"
            " VALUES ('test', 2, %s, %s, %s, %s, %s)",
            [
                at(begun),
                at(ended or "2026-11-03 12:00"),
                ended and at(ended),
                ended and "asked",
                "ended" if ended else "running",
            ],
        )

    stream("2026-11-02 11:00", "2026-11-02 12:10")
    assert state("2026-11-02 13:00") == "missing"
    stream("2026-11-02 14:00", None)
    assert [state("2026-11-02 14:04"), state("2026-11-02 14:06")] == ["unknown", "missing"]


def test_what_the_generator_made_is_not_missed_once_it_is_off(
    own_contracts: Settings, connection: Connection, arrive: Arrive
) -> None:
    for minutes in range(0, 3 * 24 * 60, 30):
        moment = at("2026-11-02 00:00") + timedelta(minutes=minutes)
        arrive(moment, name=f"events-{moment:%Y%m%dT%H%M%S}000Z-{'0' * 32}.csv")
    without = replace(own_contracts, generator=False)
    assert conditions(connection, own_contracts, "2026-11-06 12:00")["events"].state == "missing"
    assert conditions(connection, without, "2026-11-06 12:00")["events"].state == "unknown"


def test_a_contract_that_breaks_expects_what_it_did(
    own_contracts: Settings, connection: Connection, load: Land
) -> None:
    change_contract(own_contracts, expect={"every": "15 minutes"})
    load(table(event(1)))
    text = (own_contracts.contracts_dir / "events.odcs.yaml").read_text()  # which the stream notes
    queries.run(connection, "ledger/contracts.note_usable", file="events.odcs.yaml", usable=text, digest="0")
    (own_contracts.contracts_dir / "events.odcs.yaml").write_text("name: [broken")
    (found,) = feeds.conditions(connection, own_contracts, datetime.now(UTC) + timedelta(hours=1))
    assert (found.name, found.state) == ("events", "missing")


def test_files_that_are_really_loaded_are_seen(own_contracts: Settings, connection: Connection, load: Land) -> None:
    change_contract(
        own_contracts, expect={"every": "15 minutes", "rejected": "at most 10 %"}, errorBudget={"percent": 60}
    )
    states = []
    for data in (table(event(1)), table(event(2), event(3, price="x")), table(event(4, price="x")), table(event(5))):
        load(data)
        (found,) = feeds.conditions(connection, own_contracts, datetime.now(UTC))
        states.append((found.state, found.numbers["is_refused"], found.numbers["rows"]))
    assert states == [("fine", False, 1), ("too_dirty", False, 2), ("too_dirty", True, 0), ("fine", False, 1)]


# --- what it costs

_LONG = """
    INSERT INTO ledger.files (
        name, path, sha256, bytes, state, contract, rows_read, rows_loaded, rows_rejected, rows_duplicate, landed_at,
        loaded_at, rejected_for, merged_at, sealed_at
    )
    SELECT
        'old-' || one || '.csv', '', encode(sha256(one::text::bytea), 'hex'), 1,
        CASE WHEN one %% 100 = 0 THEN 'rejected' ELSE 'loaded' END,
        CASE WHEN one = 5 THEN 'rare' ELSE 'events' END, 1, 1, 0, 0, at, at,
        CASE WHEN one %% 100 = 0 THEN 'content' END, at, at
    FROM generate_series(1, 20000) AS one
    CROSS JOIN LATERAL (SELECT %(until)s::timestamptz - make_interval(mins => 20000 - one) AS at) AS made
"""


def test_it_looks_at_the_newest_files_by_index_however_many_there_are(
    own_contracts: Settings, connection: Connection
) -> None:
    document = change_contract(own_contracts)
    write_contract(own_contracts, document | {"name": "rare"}, "rare")
    write_contract(own_contracts, document | {"name": "never"}, "never")
    connection.execute(_LONG, {"until": at("2026-11-20 12:00")})
    connection.execute("VACUUM ANALYZE ledger.files")
    watched: Any = Watched(connection)
    with connection.transaction():
        found = {one.name: one for one in feeds.conditions(watched, own_contracts, at("2026-11-20 12:05"))}
    assert {name: one.state for name, one in found.items()} == {"events": "fine", "never": "unknown", "rare": "unknown"}
    assert found["events"].numbers["files_seen"] == arrivals.FILES + 3  # rejected ones, 1 in 100
    assert found["events"].numbers["interval_seconds"] == 60
    assert len(watched.plans) == 5
    assert [plan for plan in watched.plans if "Seq Scan on files" in plan] == []


# --- where it is told


def test_status_and_make_feeds_tell_it(
    running: Instance,
    connection: Connection,
    arrive: Arrive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = replace(running.settings, contracts=str(tmp_path / "contracts"))
    monkeypatch.setenv("SLUICE_CONTRACTS", settings.contracts)
    change_contract(settings, expect={"every": "15 minutes"})
    arrive(datetime.now(UTC) - timedelta(hours=3), name="a\nb.csv")
    assert cli.main(["feeds"]) == 1
    said = capsys.readouterr().out
    assert said.count("\n") == 2
    assert "events  missing  1 at " in said
    assert "a\\nb.csv" in said
    assert "contract: every 15 minutes" in said
    assert cli.main(["feeds", "--json"]) == 1
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["state"], told["numbers"]["expects"]) == ("feed", "missing", "every 15 minutes")
    assert cli.main(["status"]) == 1
    assert "problem      feed events is missing: expected by " in capsys.readouterr().out
    arrive(datetime.now(UTC))
    assert cli.main(["feeds"]) == 0
    capsys.readouterr()
    cli.main(["status", "--json"])
    status = json.loads(capsys.readouterr().out)
    assert [one["state"] for one in status["feeds"]] == ["fine"]
    assert not [problem for problem in status["problems"] if problem.startswith("feed ")]


def test_a_bad_list_of_holidays_is_said(
    running: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "days.txt"
    path.write_text("someday\n")
    monkeypatch.setenv("SLUICE_HOLIDAYS", str(path))
    assert cli.main(["feeds"]) == 1
    assert f"sluice: SLUICE_HOLIDAYS: {path}, line 1: 'someday' is no day" in capsys.readouterr().err
    assert cli.main(["status"]) == 1
    assert f"problem      the calendar of feeds: SLUICE_HOLIDAYS: {path}, line 1" in capsys.readouterr().out
    with database.connect(running.settings.reader_dsn) as reader, pytest.raises(SettingError):
        feeds.conditions(reader, replace(running.settings, holidays=str(path)), datetime.now(UTC))


def test_a_week_is_told_to_a_receiver_each_change_once_in_order_and_none_too_many(
    own_contracts: Settings, connection: Connection, writer: Connection, arrive: Arrive
) -> None:
    holidays = own_contracts.home_dir / "holidays.txt"
    holidays.write_text("2026-11-27 # a Friday\n")
    change_contract(own_contracts, expect=DAILY)
    arrive("2026-11-20 05:50")
    week = {
        "2026-11-23 05:50": lambda: arrive("2026-11-23 05:50"),
        "2026-11-24 09:00": lambda: arrive("2026-11-24 09:00"),
        "2026-11-25 05:50": lambda: arrive("2026-11-25 05:50", 50),
        "2026-11-25 06:30": lambda: arrive("2026-11-25 06:30", 60),
        "2026-11-26 05:50": lambda: arrive("2026-11-26 05:50", 1000, 30),
        "2026-11-26 12:00": lambda: connection.execute(
            "UPDATE ledger.files SET rows_rejected = 0, rows_loaded = 1000 WHERE rows_rejected > 0"
        ),
    }
    with http() as posts:
        settings = replace(own_contracts, holidays=str(holidays), alert_url=posts.url, alert_hold_seconds=240.0)
        now, ends = at("2026-11-23 00:00"), at("2026-11-30 12:00")
        while now < ends:
            for moment in [moment for moment in week if at(moment) <= now]:
                week.pop(moment)()
            changes.note(writer, feeds.conditions(writer, settings, now), now, complete=("feed",))
            telling.tell(writer, settings, now)
            now += timedelta(minutes=10)
        told = [message["title"].removeprefix("Sluice: ") for message in posts.messages]
    assert told == [
        "The feed events is late.",
        "No file of the feed events came.",
        "The feed events is as it should be again.",
        "The feed events brought fewer rows than it should.",
        "The feed events is as it should be again.",
        "Too many rows of the feed events were set aside.",
        "The feed events is as it should be again.",
        "The feed events is late.",  # not on the holiday, nor on the weekend: on the Monday after them
        "No file of the feed events came.",
    ]
