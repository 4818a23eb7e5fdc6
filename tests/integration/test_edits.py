"""Edits that come with a replay: all of them are written or none, and exactly their rejects are judged again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from dags import replay_quarantine
from sluice.base.settings import PROJECT, Settings
from sluice.loading.edits import EditError, edit_and_replay
from sluice.loading.unload import unload_file
from tests.loading import Connection, event, event_id, owners, recount, rejects, table


@dataclass(frozen=True)
class Run:
    """What a task is told of its run."""

    run_id: str = "manual__1"
    triggering_user_name: str | None = "maria"


def edit(file_id: int, record: int, **fields: str | None) -> dict[str, Any]:
    return {"file_id": file_id, "record_number": record, "fields": fields}


def judge(settings: Settings, *given: dict[str, Any], run: str = "manual__1") -> dict[str, Any]:
    return edit_and_replay(settings, given, by_whom=f"maria (run {run})", run=run)


def audit(connection: Connection) -> list[dict[str, Any]]:
    return connection.execute("SELECT * FROM ledger.audit WHERE action = 'edit' ORDER BY audit_id").fetchall()


@pytest.fixture
def task_run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the DAG's task as Airflow does, with these parameters."""

    def run(**params: Any) -> dict[str, Any]:
        given = {"contract": None, "rule": None, "file_id": None, "edits": None} | params
        context = {"params": given, "dag_run": Run()}
        monkeypatch.setattr("dags.replay_quarantine.get_current_context", lambda: context)
        return replay_quarantine.judge_rejects_again.function()

    return run


def test_edited_rejects_are_judged_by_their_fields_and_no_others_are(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    file_id = load(table(event(1, price="cheap"), event(2, price="dear"), event(3, price="-5")))
    said = judge(own_contracts, edit(file_id, 1, price="12.50"), edit(file_id, 3, price="-6"))
    assert said == {
        "edited": 2,
        "considered": 2,
        "loaded": 1,
        "duplicate": 0,
        "still_rejected": 1,
        "still_rejected_by_rule": {"price.minimum": 1},
        "not_judged": [],
    }
    assert owners(connection) == {1: (file_id, 1)}
    first, second, third = rejects(connection, file_id)
    assert (first["state"], first["fields"]["price"], first["edited_at"] is not None) == ("replayed", "12.50", True)
    assert (second["state"], second["edited_at"], second["rules"]) == ("quarantined", None, ["price.type"])
    assert (third["fields"]["price"], third["rules"]) == ("-6", ["price.minimum"])
    assert recount(connection) == {file_id: (1, 2, 0)}


def test_the_audit_says_who_edited_which_fields_and_not_what_they_hold(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    file_id = load(table(event(1, price="cheap"), event(2, price="dear")))
    judge(own_contracts, edit(file_id, 2, price="7", user_id="Erika Mustermann"), edit(file_id, 1, price="3"))
    [line] = audit(connection)
    assert (line["file_id"], line["by_whom"]) == (file_id, "maria (run manual__1)")
    assert line["details"] == {"run": "manual__1", "records": {"1": ["price"], "2": ["price", "user_id"]}}


def test_edits_of_several_files_are_one_decision(own_contracts: Settings, load: Any, connection: Connection) -> None:
    first, second = load(table(event(1, price="cheap"))), load(table(event(2, price="dear")))
    with pytest.raises(EditError, match=f"file {second}, record 1, field 'prize': it has no such field"):
        judge(own_contracts, edit(first, 1, price="1"), edit(second, 1, prize="2"))
    assert [rejects(connection, file)[0]["edited_at"] for file in (first, second)] == [None, None]
    assert audit(connection) == []
    assert judge(own_contracts, edit(second, 1, price="2"), edit(first, 1, price="1"))["loaded"] == 2
    assert [line["file_id"] for line in audit(connection)] == [first, second]


def test_a_field_may_be_made_to_have_no_value(own_contracts: Settings, load: Any, connection: Connection) -> None:
    file_id = load(table(event(1, price="cheap")))
    assert judge(own_contracts, edit(file_id, 1, price=None))["loaded"] == 1
    assert connection.execute("SELECT price FROM events").fetchall() == [{"price": None}]


def test_a_record_of_another_width_must_be_given_every_field(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    file_id = load(table(event(1), f"{event_id(2)},search,u1", event(3) + ",a,b"))
    with pytest.raises(
        EditError, match=f"file {file_id}, record 2: it has not as many fields as the header.*'product_id'"
    ):
        judge(own_contracts, edit(file_id, 2, user_id="u2"))
    header = connection.execute("SELECT header FROM ledger.files").fetchall()[0]["header"]
    whole = [dict(zip(header, event(number).split(","), strict=True)) for number in (2, 3)]
    said = judge(own_contracts, edit(file_id, 2, **whole[0]), edit(file_id, 3, **whole[1]))
    assert (said["loaded"], recount(connection)) == (2, {file_id: (3, 0, 0)})
    assert all(set(reject["fields"]) == set(header) for reject in rejects(connection, file_id))


def test_numbers_that_somebody_wrote_by_hand_keep_their_digits(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    file_id = load(table(event(1, price="cheap")))
    connection.execute("""UPDATE ledger.rejects SET fields = fields || '{"price": 1.10}'""")
    judge(own_contracts, edit(file_id, 1, event_type="teleport"))
    assert rejects(connection, file_id)[0]["fields"]["price"] == "1.10"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (edit(9, 1, price="1"), "there is no file 9"),
        (edit(1, 9, price="1"), "file 1, record 9: no reject has this number"),
        (edit(1, 1, price="1"), "file 1, record 1: no reject has this number"),
        (
            edit(1, 2, **{"Preis <b>": "1"}),
            "file 1, record 2, field 'Preis <b>': it has no such field: write one of 'event_id'",
        ),
        (edit(1, 2, price="1\0"), "file 1, record 2, field 'price': PostgreSQL cannot hold a NUL"),
        (edit(1, 2, price="\ud800"), "file 1, record 2, field 'price': PostgreSQL cannot hold"),
        (edit(1, 2, price="x" * 70_000), "file 1, record 2: its fields have 70,013 bytes, more than 65,536"),
    ],
)
def test_an_edit_that_cannot_be_made_says_where_and_changes_nothing(
    own_contracts: Settings, load: Any, connection: Connection, given: dict[str, Any], says: str
) -> None:
    file_id = load(table(event(1), event(2, price="cheap"), event(3, price="dear")))
    with pytest.raises(EditError) as raised:
        judge(own_contracts, edit(file_id, 3, price="3"), given)
    assert says in str(raised.value)
    assert [reject["edited_at"] for reject in rejects(connection, file_id)] == [None, None]
    assert recount(connection) == {file_id: (1, 2, 0)}


def test_one_reject_is_edited_once_in_a_run_and_not_too_many_are(own_contracts: Settings) -> None:
    with pytest.raises(EditError, match="file 1, record 2 is edited twice"):
        judge(own_contracts, edit(1, 2, price="1"), edit(1, 2, user_id="1"))
    with pytest.raises(EditError, match="101 edits are more than 100"):
        judge(own_contracts, *(edit(1, record, price="1") for record in range(1, 102)))


def test_a_reject_that_left_the_quarantine_is_not_edited(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    file_id = load(table(event(1, price="cheap"), event(2, price="dear")))
    judge(own_contracts, edit(file_id, 1, price="1"))
    with pytest.raises(
        EditError, match="record 1 is replayed, only a quarantined reject is edited: its row is in events"
    ):
        judge(own_contracts, edit(file_id, 1, price="2"), run="manual__2")
    unload_file(own_contracts, file_id, "wrong file", by_whom="test")
    with pytest.raises(EditError, match=r"file 1 \(shop.csv\) is unloaded: only rejects of a loaded file are edited"):
        judge(own_contracts, edit(file_id, 2, price="2"), run="manual__3")


@pytest.mark.parametrize(
    "point", ["edits.before_commit", "edits.after_commit", "replay.before_commit", "replay.after_commit"]
)
def test_a_run_killed_anywhere_goes_on_and_tells_all_of_it(
    own_contracts: Settings, load: Any, connection: Connection, tmp_path: Path, point: str
) -> None:
    first, second = load(table(event(1, price="cheap"))), load(table(event(2, price="dear")))
    given = [edit(first, 1, price="1"), edit(second, 1, price="2")]
    environment = os.environ | {"SLUICE_CRASH_AT": point, "SLUICE_CRASH_ONCE": str(tmp_path / "once")}
    program = (
        "import json; from sluice.base import settings; from sluice.loading.edits import edit_and_replay; "
        f"print(json.dumps(edit_and_replay(settings.load(), {given!r}, by_whom='maria', run='manual__1')))"
    )
    tries = [
        subprocess.run(
            [sys.executable, "-c", program], env=environment, cwd=PROJECT, timeout=120, capture_output=True, text=True
        )
        for _ in range(2)
    ]
    assert [each.returncode for each in tries] == [-signal.SIGKILL, 0]
    said = json.loads(tries[1].stdout)
    assert (said["edited"], said["considered"], said["loaded"], said["still_rejected"]) == (2, 2, 2, 0)
    assert recount(connection) == {first: (1, 0, 0), second: (1, 0, 0)}
    assert len(audit(connection)) == 2


def test_the_task_writes_edits_in_the_name_of_who_triggered_it(
    own_contracts: Settings, load: Any, connection: Connection, task_run: Any
) -> None:
    file_id = load(table(event(1, price="cheap"), event(2, kind="teleport")))
    assert task_run(edits=[edit(file_id, 1, price="1")])["loaded"] == 1
    assert audit(connection)[0]["by_whom"] == "maria (run manual__1)"
    assert task_run(rule="event_type.enum")["still_rejected_by_rule"] == {"event_type.enum": 1}
    assert "edited" not in task_run()


def test_the_task_fails_at_once_where_trying_again_cannot_help(
    own_contracts: Settings, load: Any, task_run: Any
) -> None:
    file_id = load(table(event(1, price="cheap")))
    with pytest.raises(AirflowFailException, match="no reject has this number"):
        task_run(edits=[edit(file_id, 7, price="1")])
    with pytest.raises(AirflowFailException, match="leave contract, rule and file_id empty"):
        task_run(edits=[edit(file_id, 1, price="1")], rule="price.type")
