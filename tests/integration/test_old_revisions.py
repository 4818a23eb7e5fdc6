"""An old revision that lands again does not undo a newer one, unless somebody says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sluice.base import queries
from sluice.base.settings import PROJECT, Settings
from sluice.ledger import insist
from sluice.ledger.insist import InsistError
from sluice.loading.load_file import FileLoader
from sluice.proof.reconcile import reconcile
from sluice.running import load_watch
from tests.integration.test_takeover import Put, file, loader, put, seal, states, unload
from tests.loading import Connection, change_contract, event, owners, recount, state, table

__all__ = ["loader", "put"]  # fixtures
V1, V2, V3 = table(event(1, price="1")), table(event(1, price="2")), table(event(1, price="3"))


@pytest.fixture(autouse=True)
def replaces(own_contracts: Settings) -> None:
    change_contract(own_contracts, revision="replace")


def put_and_load(put: Put, loader: FileLoader, *contents: str, name: str = "a.csv") -> list[int]:
    files = [put(content, name) for content in contents]
    for file_id in files:
        loader.load(file_id)
    return files


def test_a_replaced_revision_that_lands_again_is_set_aside_and_its_error_says_how_to_insist(
    put: Put, loader: FileLoader, connection: Connection
) -> None:
    first, second = put_and_load(put, loader, V1, V2)
    [again] = put_and_load(put, loader, V1)
    assert states(connection, first, second, again) == ["replaced", "loaded", "rejected"]
    error = file(connection, again)["error"]
    assert f"the bytes of file {first}, which was replaced, and file {second} of this name is newer" in error
    assert f"make insist FILE_ID={again}" in error
    assert owners(connection) == {1: (second, 1)}


def test_it_is_set_aside_also_while_the_newer_one_only_waits(
    put: Put, loader: FileLoader, connection: Connection, own_contracts: Settings
) -> None:
    _, second = put_and_load(put, loader, V1, V2)
    unload(own_contracts, second)
    third, again = put(V3, "a.csv"), put(V1, "a.csv")
    loader.load(again)
    loader.load(third)
    assert states(connection, third, again) == ["loaded", "rejected"]
    assert recount(connection) == {third: (1, 0, 0)}


def test_it_loads_after_the_newer_one_was_unloaded(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    _, second = put_and_load(put, loader, V1, V2)
    unload(own_contracts, second)
    [again] = put_and_load(put, loader, V1)
    assert recount(connection) == {again: (1, 0, 0)}


def test_another_name_or_new_bytes_are_no_old_revision(put: Put, loader: FileLoader, connection: Connection) -> None:
    put_and_load(put, loader, V1, V2)
    [elsewhere] = put_and_load(put, loader, V1, name="b.csv")
    [newest] = put_and_load(put, loader, V3)
    assert states(connection, elsewhere, newest) == ["loaded", "loaded"]


def test_whoever_insists_loads_it_once_and_the_audit_keeps_who_and_why(
    put: Put, loader: FileLoader, connection: Connection
) -> None:
    _, second = put_and_load(put, loader, V1, V2)
    insist.note_wish(connection, "a.csv", file(connection, second - 1)["sha256"], "the correction was wrong", "anna")
    [again] = put_and_load(put, loader, V1)
    assert recount(connection) == {again: (1, 0, 0)}
    [entry] = connection.execute("SELECT file_id, reason, by_whom FROM ledger.audit WHERE action = 'insist'").fetchall()
    assert entry == {"file_id": again, "reason": "the correction was wrong", "by_whom": "anna"}

    [_, last] = put_and_load(put, loader, V2, V3)
    [once_more] = put_and_load(put, loader, V1)
    assert states(connection, last, once_more) == ["loaded", "rejected"]


def test_a_file_that_is_set_aside_already_is_loaded_after_all_from_where_it_lies(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    put_and_load(put, loader, V1, V2)
    [again] = put_and_load(put, loader, V1)
    assert insist.land_again(connection, own_contracts.home_dir, again, "the correction was wrong", "anna") == "a.csv"
    assert state(connection, again) == "landed"
    assert loader.load(again).state == "loaded"
    assert recount(connection) == {again: (1, 0, 0)}
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds
    assert connection.execute("SELECT FROM ledger.audit WHERE action = 'insist' AND by_whom = 'anna'").rowcount == 1
    seal(own_contracts)
    assert file(connection, again)["sealed_at"] is not None


@pytest.mark.parametrize("reason", ["", " x "])
def test_insisting_needs_a_reason(own_contracts: Settings, connection: Connection, reason: str) -> None:
    with pytest.raises(InsistError, match="says nothing"):
        insist.note_wish(connection, "a.csv", "0" * 64, reason, "anna")
    assert connection.execute("SELECT FROM ledger.insistences").rowcount == 0


def test_only_a_file_that_was_set_aside_for_this_can_be_insisted_on(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    first, second = put_and_load(put, loader, V1, V2)
    for file_id, says in ((first, "is replaced"), (second, "is loaded"), (77, "there is no file 77")):
        with pytest.raises(InsistError, match=says):
            insist.land_again(connection, own_contracts.home_dir, file_id, "for a test", "anna")


def test_a_duplicate_that_takes_over_does_not_undo_a_newer_revision_either(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    put_and_load(put, loader, V1, V2)
    [other] = put_and_load(put, loader, V1, name="b.csv")
    again = put(V1, "a.csv")
    unload(own_contracts, other)
    assert state(connection, again) == "landed"
    loader.load(again)
    assert (state(connection, again), file(connection, again)["rejected_for"]) == ("rejected", "undoes")


def test_rows_are_not_handed_over_to_an_old_revision(
    own_contracts: Settings, put: Put, loader: FileLoader, connection: Connection
) -> None:
    _, second = put_and_load(put, loader, V1, V2)
    [other] = put_and_load(put, loader, table(event(7)), name="b.csv")
    third = put(table(event(7)), "a.csv")  # a duplicate of b's
    connection.execute(
        "UPDATE ledger.files SET sha256 = (SELECT sha256 FROM ledger.files WHERE file_id = %s) WHERE file_id = 1",
        [other],
    )
    seal(own_contracts)
    left = unload(own_contracts, other)
    assert (left.duplicates.heir, left.duplicates.set_aside, left.rows_removed) == (None, [third], 1)
    assert recount(connection) == {second: (1, 0, 0)}


def test_a_revision_replaces_older_duplicates_of_its_name_too(
    put: Put, loader: FileLoader, connection: Connection, own_contracts: Settings
) -> None:
    """Else the old rows of a.csv would come back when b.csv is unloaded."""
    [other] = put_and_load(put, loader, V1, name="b.csv")
    older = put(V1, "a.csv")
    [newer] = put_and_load(put, loader, V2)
    assert states(connection, older, newer) == ["replaced", "loaded"]
    unload(own_contracts, other)
    assert recount(connection) == {newer: (0, 1, 0)}


def test_every_replace_says_what_it_took_out(
    put: Put, loader: FileLoader, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    old = table(*map(event, range(781)))
    caplog.set_level("INFO")
    first, second = put_and_load(put, loader, old, V2)
    assert f"file {second} (a.csv) replaces file {first}, 781 rows out" in caplog.text
    said: list[str] = []
    values = {"after": first, "sha256": file(connection, second)["sha256"], "name": "a.csv"}
    found = queries.row(connection, "ledger/landing_watch.landed_file", **values)
    assert load_watch._tell(connection, found, said.append) == 0
    assert f"a.csv: replaces file {first}, 781 rows out" in said
    [entry] = connection.execute("SELECT details FROM ledger.audit WHERE action = 'replace'").fetchall()
    assert (entry["details"]["rows_taken_out"], entry["details"]["replaced_by"]) == (781, second)


@pytest.mark.parametrize("point", ["insist.after_note"])
def test_a_wish_is_in_the_ledger_before_the_file_can_be_loaded(
    own_contracts: Settings, connection: Connection, tmp_path: Path, point: str
) -> None:
    source = tmp_path / "a.csv"
    source.write_text(V1)
    program = (
        "import sys; from pathlib import Path; from sluice.base import database, settings\n"
        "from sluice.landing.land import land; from sluice.ledger import insist\n"
        "made = settings.load()\n"
        "with database.connect(made.owner_dsn) as opened:\n"
        "    land(made, 'a.csv', [Path(sys.argv[1]).read_bytes()],\n"
        "        before=lambda name, sha256: insist.note_wish(opened, name, sha256, 'for a test', 'anna'))"
    )
    environment = os.environ | {"SLUICE_CRASH_AT": point, "SLUICE_CRASH_ONCE": str(tmp_path / "once")}
    ended = subprocess.run([sys.executable, "-c", program, str(source)], env=environment, cwd=PROJECT, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert [path.name for path in own_contracts.incoming_dir.iterdir() if path.suffix == ".csv"] == []
    assert connection.execute("SELECT name, file_id FROM ledger.insistences").fetchall() == [
        {"name": "a.csv", "file_id": None}
    ]
