"""A name of a file forges no line, whatever prints it: commands, logs."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.base import database
from sluice.base.settings import Settings
from sluice.cli import main as cli
from sluice.landing import mover, tidy
from sluice.ledger import contract_waits
from sluice.loading.load_file import FileLoader
from sluice.loading.unload import unload_file
from sluice.proof import sealing
from sluice.running.console import Console
from sluice.running.instance import Instance
from tests.loading import Connection, event, table, write_contract

Land = Callable[..., int]
FORGED = "BROKEN file 99: forged"
NAME = f"shop\n{FORGED}\x1b[2K\r\u2028.csv"


def assert_honest(text: str) -> None:
    """No line is the name's, and nothing in it moves a terminal's cursor."""
    assert "BROKEN" in text, "the name is not in it: this proves nothing"
    # splitlines knows more ends of a line than a terminal does.
    assert not [line for line in text.splitlines() if line.startswith(FORGED)], text
    assert "\x1b" not in text


@pytest.fixture
def forged(running: Instance, load: Land, land: Land, connection: Connection) -> dict[str, int]:
    """Files of that name: one loaded, with a reject; one of its bytes again; one set aside."""
    loaded = load(table(event(1), event(2, kind="teleport")), NAME)
    rejected = load("a,b\n1,2\n", NAME)
    connection.execute(
        "UPDATE ledger.files SET error = %s, rejected_for = 'undoes' WHERE file_id = %s", [f"of {NAME}", rejected]
    )
    return {"loaded": loaded, "rejected": rejected}


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    cli.main(arguments)
    captured = capsys.readouterr()
    return captured.out + captured.err


@pytest.mark.parametrize(
    "command",
    [
        ("rejects",),
        ("unload", "--dry-run", "{loaded}"),
        ("insist", "{rejected}", "because it is so"),
        ("unload", "{loaded}", "because it is so"),
        ("receipt", "{loaded}"),
    ],
    ids=" ".join,
)
def test_a_command_prints_it_in_one_line(
    own_contracts: Settings, forged: dict[str, int], command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys, *(word.format(**forged) for word in command))
    assert not [line for line in text.splitlines() if line.startswith(FORGED)], text
    assert "\x1b" not in text


@pytest.mark.usefixtures("forged")
def test_a_recount_prints_it_in_one_line(
    own_contracts: Settings, connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    connection.execute("DELETE FROM events")
    assert_honest(said(capsys, "reconcile"))


@pytest.mark.usefixtures("forged")
def test_the_state_prints_it_in_one_line(
    own_contracts: Settings, land: Land, epoch: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_contracts.incoming_dir / NAME).symlink_to("/etc/passwd")
    assert_honest(said(capsys, "status"))
    assert_honest(said(capsys, "status", "--json").replace("\\n", " ").replace("\\u001b", ""))


def test_a_dry_run_and_a_load_print_it_in_one_line(
    running: Instance, own_contracts: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / NAME
    path.write_text(table(event(1)))
    assert_honest(said(capsys, "check-file", "--without-ledger", str(path)))
    assert_honest(said(capsys, "load", "--timeout", "0.1", str(path)))
    assert_honest(said(capsys, "load", str(tmp_path / f"none{NAME}")))


def test_adopting_folders_prints_it_in_one_line(
    running: Instance, own_contracts: Settings, land: Land, capsys: pytest.CaptureFixture[str]
) -> None:
    land(table(event(1)), NAME)
    for path in own_contracts.processing_dir.iterdir():
        path.unlink()
    assert_honest(said(capsys, "adopt"))


def test_the_launcher_prints_it_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Console().say(f"the first file is loaded: {NAME}")
    assert_honest(capsys.readouterr().out)


def test_what_is_logged_of_a_file_is_one_line(
    own_contracts: Settings,
    epoch: int,
    land: Land,
    connection: Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "sluice")
    loader = FileLoader(own_contracts, epoch)
    first = land(table(event(1), event(2, kind="teleport")), NAME)
    loader.load(first)
    loader.load(land("a,b\n1,2\n", NAME))
    # The same bytes: the heir of what is unloaded.
    (own_contracts.incoming_dir / NAME).write_text(table(event(1), event(2, kind="teleport")))
    os.utime(own_contracts.incoming_dir / NAME, (0, 0))
    with database.connect(own_contracts.writer_dsn) as writer:
        assert mover.move_landed(own_contracts, writer).duplicates
        unload_file(own_contracts, first, "wrong", by_whom="a test")
        (own_contracts.processing_dir / f"7-0123456789ab-{NAME}").write_text("stray")
        tidy.tidy(own_contracts, writer)
        loader.load(land(table(event(5)), NAME))
        connection.execute("UPDATE ledger.files SET loaded_at = 'epoch', merged_at = now() WHERE state = 'loaded'")
        for path in (own_contracts.archive_dir / "loaded").rglob("*.csv"):
            path.write_text("another")
        with pytest.raises(sealing.UnverifiedError) as unverified:
            sealing.seal_archive(own_contracts, writer)
    (own_contracts.contracts_dir / "events.odcs.yaml").unlink()
    write_contract(own_contracts, {"kind": "broken"})
    loader.load(land(table(event(8)), NAME))
    loader.close()
    messages = [record.getMessage() for record in caplog.records if "BROKEN" in record.getMessage()]
    assert len(messages) >= 6, messages
    for message in [*messages, str(unverified.value)]:
        assert len(message.splitlines()) == 1, message
        assert "\x1b" not in message
    assert "\n" not in str(contract_waits.names(connection))


def test_each_file_that_is_loaded_is_one_entry_of_the_log_with_its_figures(
    own_contracts: Settings, epoch: int, land: Land, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sluice")
    loader = FileLoader(own_contracts, epoch)
    file_id = land(table(event(1), event(2, kind="teleport"), event(1)), "shop.csv")
    loader.load(file_id)
    loader.load(file_id)  # a task that runs again loads nothing
    rejected = land("a,b\n1,2\n", "other.csv")
    loader.load(rejected)
    loader.close()
    facts = [record.facts for record in caplog.records if hasattr(record, "facts")]
    assert [(one["event"], one["file_id"], one["name"]) for one in facts] == [
        ("file_loaded", file_id, "shop.csv"),
        ("file_rejected", rejected, "other.csv"),
    ]
    rows = ("rows_read", "rows_loaded", "rows_rejected", "rows_duplicate")
    assert [facts[0][name] for name in rows] == [3, 1, 1, 1]
    assert (facts[0]["contract"], facts[0]["epoch"]) == ("events", epoch)
    [told] = [record.getMessage() for record in caplog.records if "is loaded under" in record.getMessage()]
    assert told.startswith(f"file {file_id} (shop.csv) is loaded under contract events ")
    assert "3 read, 1 loaded, 1 rejected, 1 duplicate" in told
