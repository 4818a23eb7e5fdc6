"""What `python -m sluice rejects`, `replay` and `unload` show and do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluice.base import plain_text
from sluice.base.settings import Settings
from sluice.cli import main as cli
from tests.loading import HEADER, Connection, change_contract, event, recount, rejects, state, table, write_contract


@pytest.fixture
def shown(own_contracts: Settings, load: Any, connection: Connection, capsys: pytest.CaptureFixture[str]) -> Any:
    """What a command prints, as lines."""

    def run(*arguments: str, code: int = 0) -> list[str]:
        assert cli.main(arguments) == code
        said = capsys.readouterr()
        return (said.out if code == 0 else said.err).splitlines()

    return run


def test_an_empty_quarantine_says_so(shown: Any) -> None:
    assert shown("rejects") == ["nothing is in quarantine"]


def test_rejects_are_grouped_by_rule_with_three_examples_and_the_remedy(shown: Any, load: Any) -> None:
    load(table(*(event(number, kind="teleport") for number in range(5)), event(9, price="cheap")), "a.csv")
    lines = shown("rejects")
    assert lines[0].startswith("events  event_type.enum  5 rows of 1 file, the newest of 20")
    assert lines[1].startswith("    file 1 (a.csv), record 1, line 2, ")
    assert lines[2].strip() == event(0, kind="teleport")
    assert [line for line in lines if line.startswith("events  ")][1].startswith("events  price.type  1 row of 1 file")
    assert sum(line.startswith("    file ") for line in lines) == 4
    assert "make replay" in lines[-1]


def test_rejects_show_only_what_was_asked_for(shown: Any, load: Any) -> None:
    load(table(event(1, kind="teleport"), event(2, price="cheap")))
    assert shown("rejects", "--rule", "price.type")[0].startswith("events  price.type  1 row")
    assert shown("rejects", "--file-id", "9") == ["nothing is in quarantine that fits"]


def test_nothing_of_a_file_reaches_the_terminal_as_a_command(shown: Any, load: Any) -> None:
    load(table(event(1, kind="\x1b[31mred\x07\u202e", note="\x9b2J")), "\x1b]0;title\x07.csv".replace("/", ""))
    text = "\n".join(shown("rejects"))
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "\\x1b[31mred\\x07\\u202e" in text


def test_a_long_raw_text_is_cut() -> None:
    assert plain_text.shown("x" * 1000, 10) == "xxxxxxxxxx…"
    assert plain_text.shown(b"\xff\x00ok") == "\\xff\\x00ok"


def test_the_remedy_can_be_run_as_it_stands(shown: Any, load: Any, connection: Connection) -> None:
    file_id = load(table(event(1, price="cheap")))
    [remedy] = [line.strip() for line in shown("rejects") if line.strip().startswith("UPDATE")]
    assert """'{"price": "…"}'""" in remedy
    connection.execute(remedy.replace("…", "9.99"))  # type: ignore[call-overload]
    assert json.loads("\n".join(shown("replay", "--contract", "events")))["loaded"] == 1
    assert recount(connection) == {file_id: (1, 0, 0)}


def test_unload_takes_a_file_back_and_notes_who_did(shown: Any, load: Any, connection: Connection) -> None:
    file_id = load(table(event(1)))
    assert json.loads("\n".join(shown("unload", str(file_id), "a wrong file")))["rows_removed"] == 1
    assert state(connection, file_id) == "unloaded"
    [entry] = connection.execute("SELECT by_whom FROM ledger.audit").fetchall()
    assert entry["by_whom"].endswith("(command line)")


def test_what_cannot_be_unloaded_is_one_clear_sentence(shown: Any) -> None:
    assert shown("unload", "77", "a wrong file", code=1) == [
        "sluice: there is no file 77: the files are in ledger.files"
    ]


def test_the_remedy_edits_a_field_that_the_reject_has(
    own_contracts: Settings, shown: Any, load: Any, connection: Connection
) -> None:
    header, line = HEADER.replace("price", "Price's"), event(1, price="cheap")
    document = change_contract(own_contracts)
    [price] = [one for one in document["schema"][0]["properties"] if one["name"] == "price"]
    price |= {"name": "Price's", "physicalName": "price"}
    write_contract(own_contracts, document)
    file_id = load(f"{header}\n{line}\n")
    [reject] = rejects(connection, file_id)
    [remedy] = [line.strip() for line in shown("rejects") if line.strip().startswith("UPDATE")]
    connection.execute(remedy)  # type: ignore[call-overload]
    [edited] = rejects(connection, file_id)
    assert edited["fields"].keys() == reject["fields"].keys()
    assert edited["fields"] != reject["fields"]


def test_the_remedy_gives_all_columns_when_the_record_has_not_the_header_s(
    shown: Any, load: Any, connection: Connection
) -> None:
    file_id = load(table(event(2), event(1) + ",one,field,more"))
    [remedy] = [line.strip() for line in shown("rejects") if line.strip().startswith("UPDATE")]
    connection.execute(remedy)  # type: ignore[call-overload]
    [edited] = rejects(connection, file_id)
    assert edited["fields"].keys() == set(HEADER.split(","))
