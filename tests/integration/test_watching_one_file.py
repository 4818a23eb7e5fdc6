"""One file as its room shows it: its way, where its bytes lie, its rows, its rejects, its receipt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import anyio
import pytest
from sluice_ui.answers import Answers
from sluice_ui.desk import BusyError
from sluice_ui.rooms import files as room
from starlette.routing import Route

from sluice.base import queries
from sluice.base.settings import Settings
from sluice.ledger import receipts
from sluice.loading.load_file import FileLoader
from sluice.watching import one_file
from sluice.watching.reader import Reader
from sluice.watching.unknown import UnknownError
from tests.integration.conftest import Land
from tests.loading import Connection, event, event_id, table

Ask = Callable[..., Any]


@pytest.fixture
def ask(settings: Settings) -> Iterator[Ask]:
    """Asks a question as the page does."""
    reader = Reader(settings)

    def asking(question: Callable[..., Any], *asked: Any) -> Any:
        with reader.asking() as connection:
            return question(connection, *asked)

    yield asking
    reader.close()


def steps(story: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(step["step"], step["is_done"]) for step in story["timeline"]]


def test_a_file_that_is_not_there_is_named(ask: Ask, settings: Settings) -> None:
    for question, asked in ((one_file.story, [settings]), (one_file.rows, []), (one_file.verify, [])):
        with pytest.raises(UnknownError, match="no file 42") as raised:
            ask(question, *asked, 42)
        assert raised.value.code == "unknown_file"


def test_the_way_of_a_loaded_file_says_what_is_still_to_come(
    ask: Ask, settings: Settings, load: Land, connection: Connection, epoch: int
) -> None:
    file_id = load(table(event(1), event(2, price="free"), event(1)))
    story = ask(one_file.story, settings, file_id)
    assert steps(story) == [
        ("landed", True), ("moved", True), ("loaded", True), ("receipt", False), ("merged", False), ("sealed", False)
    ]  # fmt: skip
    connection.execute("UPDATE ledger.files SET claim = 1 WHERE file_id = %s", [file_id])
    receipts.make(connection, file_id)
    story = ask(one_file.story, settings, file_id)
    assert steps(story)[2:5] == [("claimed", True), ("loaded", True), ("receipt", True)]
    loaded, receipt = story["timeline"][3:5]
    assert receipt["seconds"] == pytest.approx((receipt["at"] - loaded["at"]).total_seconds())
    assert story["run"] == {"epoch": epoch, "run_id": None, "batch": None}
    assert story["bytes_lie"]["path"].startswith("archive/loaded/")
    assert story["rejects"] == {
        "by_rule": [{"rule": "price.type", "state": "quarantined", "rejects": 1}], "of_first": None
    }  # fmt: skip


def test_the_moments_of_a_claim_and_of_a_rejection_are_kept(
    ask: Ask, settings: Settings, land: Land, connection: Connection, epoch: int
) -> None:
    file_id = land(table(event(1)))
    queries.run(connection, "ledger/claims.claim_landed", start=0, lane="small", limit=10)
    loader = FileLoader(settings, epoch)
    loader.load(file_id)
    way = ask(one_file.story, settings, file_id)["timeline"]
    assert [step["step"] for step in way][:4] == ["landed", "moved", "claimed", "loaded"]
    assert [step["at"] is None or step["seconds"] is None for step in way[:4]] == [False] * 4
    refused = land("no,feed\n1,2\n", "refused.csv")
    loader.load(refused)
    loader.close()
    way = ask(one_file.story, settings, refused)["timeline"]
    assert [(step["step"], step["at"] is not None) for step in way] == [
        (name, True) for name in ("landed", "moved", "rejected")
    ]


def test_the_run_and_the_micro_batch_that_loaded_it_are_named(
    ask: Ask, settings: Settings, load: Land, connection: Connection, epoch: int
) -> None:
    file_id = load(table(event(1)))
    connection.execute("UPDATE ledger.streams SET run_id = 'manual__1 on 2'")
    for batch, lane, seconds in ((6, "small", -5), (7, "small", 5), (8, "small", 10), (3, "big", 1)):
        connection.execute(
            "INSERT INTO ledger.batches (epoch, batch, lane, committed_at) "
            "SELECT %s, %s, %s, loaded_at + %s FROM ledger.files WHERE file_id = %s",
            [epoch, batch, lane, timedelta(seconds=seconds), file_id],
        )
    run = ask(one_file.story, settings, file_id)["run"]
    assert (run["run_id"], run["batch"]["batch"]) == ("manual__1 on 2", 7)


def test_where_the_bytes_lie_is_looked_up_on_the_disk(
    ask: Ask, settings: Settings, land: Land, connection: Connection
) -> None:
    file_id = land(table(event(1)))
    there = ask(one_file.story, settings, file_id)["bytes_lie"]
    assert (there["is_there"], there["why"]) == (True, None)
    place = settings.home_dir / there["path"]
    assert place.is_file()
    place.rename(place.with_suffix(".away"))
    assert ask(one_file.story, settings, file_id)["bytes_lie"]["why"] == "gone"
    place.symlink_to("/etc/passwd")
    assert ask(one_file.story, settings, file_id)["bytes_lie"]["is_there"] is False
    connection.execute("UPDATE ledger.identity SET ledger_id = gen_random_uuid()")
    assert ask(one_file.story, settings, file_id)["bytes_lie"]["why"] == "unseen"
    connection.execute("UPDATE ledger.files SET sealed_at = now()")
    assert ask(one_file.story, settings, file_id)["bytes_lie"]["why"] == "sealed"


def test_the_first_rows_come_in_the_order_of_the_file(ask: Ask, load: Land) -> None:
    load(table(event(900)), "other.csv")
    file_id = load(table(*(event(number) for number in range(150, 0, -1)), event(200, price="free")))
    answer = ask(one_file.rows, file_id)
    assert [row["record_number"] for row in answer["rows"]] == list(range(1, 101))
    assert str(answer["rows"][0]["event_id"]) == event_id(150)
    assert answer["rows"][0]["price"] == "9.9900"
    assert answer["of_more"] is False
    reject = answer["first_reject"]
    assert (reject["record_number"], reject["line_number"], reject["rules"]) == (151, 152, ["price.type"])
    assert "free" in reject["raw"]


def test_a_long_field_and_bytes_that_are_no_text_are_bounded_and_readable(ask: Ask, load: Land) -> None:
    data = table(event(1, note="x" * 100_000), "a,b").encode() + b"\xff\xfe,c\n"
    answer = ask(one_file.rows, load(data))
    assert answer["rows"][0]["user_agent"] == "x" * 300 + "…"
    assert answer["first_reject"]["raw"].startswith("a,b")


def test_rows_without_bounds_in_time_are_told(ask: Ask, load: Land, connection: Connection) -> None:
    file_id = load(table(event(1)))
    connection.execute("UPDATE ledger.files SET first_event_time = '-infinity', last_event_time = NULL")
    assert len(ask(one_file.rows, file_id)["rows"]) == 1


def test_a_file_that_is_not_loaded_has_no_rows(ask: Ask, load: Land) -> None:
    assert ask(one_file.rows, load("a,b\n1,2\n")) == {"rows": [], "of_more": False, "first_reject": None}


def test_other_files_of_its_name_and_of_its_bytes_are_named(
    ask: Ask, settings: Settings, load: Land, connection: Connection
) -> None:
    first = load(table(event(1)))
    second = load(table(event(2)))
    elsewhere = load(table(event(3)), "elsewhere.csv")
    connection.execute(
        "INSERT INTO ledger.files (name, path, sha256, bytes, landed_at, state, duplicate_of) "
        "SELECT 'copy.csv', '', sha256, bytes, now(), 'duplicate', file_id FROM ledger.files WHERE file_id = %s",
        [second],
    )
    story = ask(one_file.story, settings, second)
    assert [file["file_id"] for file in story["same_name"]] == [first]
    assert [(file["name"], file["state"]) for file in story["same_bytes"]] == [("copy.csv", "duplicate")]
    copy = ask(one_file.story, settings, elsewhere + 1)
    assert [file["file_id"] for file in copy["same_bytes"]] == [second]
    assert steps(copy)[-1] == ("duplicate", True)


def test_what_was_done_to_a_file_is_in_its_way_and_its_audit(
    ask: Ask, settings: Settings, load: Land, connection: Connection
) -> None:
    old, new = load(table(event(1)), "one.csv"), load(table(event(2)), "two.csv")
    connection.execute(
        "INSERT INTO ledger.audit (action, file_id, reason, by_whom, details) "
        "VALUES ('replace', %s, 'a <b>newer</b> one came', 'test', jsonb_build_object('replaced_by', %s::bigint))",
        [old, new],
    )
    connection.execute("UPDATE ledger.files SET state = 'replaced' WHERE file_id = %s", [old])
    story = ask(one_file.story, settings, old)
    assert steps(story)[-1] == ("replace", True)
    assert [line["reason"] for line in story["audit"]] == ["a <b>newer</b> one came"]
    assert [file["file_id"] for file in ask(one_file.story, settings, new)["replaced"]] == [old]


def test_a_receipt_holds_until_a_row_is_changed(ask: Ask, load: Land, connection: Connection) -> None:
    file_id = load(table(event(1), event(2)))
    assert ask(one_file.verify, file_id)["holds"] is None
    receipts.make(connection, file_id)
    assert ask(one_file.verify, file_id)["holds"] is True
    connection.execute("UPDATE public.events SET user_id = 'other' WHERE record_number = 1")
    verified = ask(one_file.verify, file_id)
    assert (verified["holds"], len(verified["problems"])) == (False, 1)


def sleeps(connection: Connection, file_id: int) -> None:
    connection.execute("SELECT pg_sleep(10)")


@pytest.fixture
def verify(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Awaitable[Any]]]:
    """The endpoint, for a file whose receipt takes longer than it may."""
    monkeypatch.setattr(one_file, "verify", sleeps)
    monkeypatch.setattr(room, "VERIFY_MS", 300)
    answers = Answers(settings)
    routes = [route for route in room.router(answers).routes if isinstance(route, Route)]
    yield next(route.endpoint for route in routes if route.path.endswith("/receipt"))
    answers.close()


def test_a_file_that_is_too_large_to_verify_here_says_so(verify: Callable[[int], Awaitable[Any]]) -> None:
    assert anyio.run(verify, 42) == {"file_id": 42, "is_too_large": True}


def test_receipts_are_verified_one_at_a_time_and_only_two_wait(verify: Callable[[int], Awaitable[Any]]) -> None:
    ends: list[str] = []

    async def one() -> None:
        try:
            await verify(42)
            ends.append("asked")
        except BusyError:
            ends.append("busy")

    async def four() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(one)

    anyio.run(four)
    assert ends == ["busy", "asked", "asked", "asked"]
