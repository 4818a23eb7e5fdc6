"""The same name with new content: the contract says whether it adds to the old file, replaces it, or may not load."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sluice.base.settings import PROJECT, Settings
from sluice.loading.load_file import FileLoader
from sluice.loading.replay import replay
from sluice.loading.unload import unload_file
from sluice.proof.reconcile import reconcile
from tests.loading import Connection, change_contract, event, owners, paused_at, recount, rejects, state, table


def error(connection: Connection, file_id: int) -> str:
    row = connection.execute("SELECT error FROM ledger.files WHERE file_id = %s", [file_id]).fetchone()
    assert row is not None
    return str(row["error"])


def test_by_default_a_revision_adds_its_rows(load: Any, connection: Connection) -> None:
    first, second = load(table(event(1))), load(table(event(1), event(2)))
    assert recount(connection) == {first: (1, 0, 0), second: (1, 0, 1)}


def test_a_revision_that_replaces_takes_the_place_of_the_old_file(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    change_contract(own_contracts, revision="replace")
    first = load(table(event(1), event(2), event(3, kind="teleport")))
    second = load(table(event(1, price="5"), event(4)))
    assert (state(connection, first), rejects(connection, first)[0]["state"]) == ("replaced", "withdrawn")
    assert owners(connection) == {1: (second, 1), 4: (second, 2)}
    assert connection.execute("SELECT price::text FROM events WHERE record_number = 1").fetchone() == {
        "price": "5.0000"
    }
    assert recount(connection) == {second: (2, 0, 0)}
    [entry] = connection.execute("SELECT action, file_id, reason FROM ledger.audit").fetchall()
    assert entry == {"action": "replace", "file_id": first, "reason": f"replaced by file {second}, a revision"}


@pytest.mark.parametrize("staged_bytes", [0, 1 << 20], ids=["copied-at-once", "staged"])
def test_rows_that_a_file_of_another_name_had_as_well_come_back_from_it(
    own_contracts: Settings, load: Any, connection: Connection, monkeypatch: pytest.MonkeyPatch, staged_bytes: int
) -> None:
    change_contract(own_contracts, revision="replace")
    load(table(event(1), event(2)))
    other = load(table(event(1), event(2)) + "\n", "other.csv")
    monkeypatch.setattr("sluice.loading.one_load.STAGED_BYTES_MAX", staged_bytes)
    second = load(table(event(1), event(2, price="5"), event(3)))
    assert owners(connection) == {1: (other, 1), 2: (other, 2), 3: (second, 3)}
    assert recount(connection) == {other: (2, 0, 0), second: (1, 1, 1)}


def test_a_revision_that_is_rejected_itself_leaves_the_old_file_loaded(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    change_contract(own_contracts, revision="replace", errorBudget={"rows": 0})
    first, second = load(table(event(1))), load(table(event(2), event(3, kind="teleport")))
    assert (state(connection, first), state(connection, second)) == ("loaded", "rejected")
    assert recount(connection) == {first: (1, 0, 0)}


def test_all_loaded_files_of_the_name_are_replaced_when_the_contract_starts_to_say_so(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    load(table(event(1), event(2)))
    load(table(event(2), event(3)))
    change_contract(own_contracts, revision="replace")
    third = load(table(event(4)))
    assert owners(connection) == {4: (third, 1)}
    recount(connection)


def test_an_older_file_does_not_replace_a_newer_one(
    own_contracts: Settings, land: Any, load: Any, connection: Connection, epoch: int
) -> None:
    change_contract(own_contracts, revision="replace")
    older = land(table(event(1)))
    newer = load(table(event(2)))
    loader = FileLoader(own_contracts, epoch)
    assert loader.load(older).state == "rejected"
    loader.close()
    assert f"file {newer} of this name landed later" in error(connection, older)
    assert owners(connection) == {2: (newer, 1)}


def test_a_contract_that_rejects_revisions_names_the_file_that_is_loaded(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    change_contract(own_contracts, revision="reject")
    first, second = load(table(event(1))), load(table(event(2)))
    assert state(connection, second) == "rejected"
    assert f"file {first} of this name is loaded already" in error(connection, second)
    assert state(connection, load(table(event(2)), "other.csv")) == "loaded"
    assert owners(connection).keys() == {1, 2}


def test_the_same_name_under_another_contract_is_no_revision(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    rees46 = (PROJECT / "include/contracts/rees46.odcs.yaml").read_text()
    (own_contracts.contracts_dir / "rees46.odcs.yaml").write_text(rees46)
    load("event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n")
    change_contract(own_contracts, revision="reject")
    assert state(connection, load(table(event(1)))) == "loaded"


def test_of_two_revisions_that_load_at_once_the_last_one_stays(
    own_contracts: Settings, land: Any, connection: Connection, epoch: int
) -> None:
    change_contract(own_contracts, revision="replace")
    files = [land(table(event(1, price=str(price)))) for price in range(1, 5)]

    def load_with_own_connection(file_id: int) -> None:
        loader = FileLoader(own_contracts, epoch)
        while loader.load(file_id).state == "landed":
            pass  # another revision is at it
        loader.close()

    loading = [threading.Thread(target=load_with_own_connection, args=[file_id]) for file_id in files]
    for each in loading:
        each.start()
    for each in loading:
        each.join()
    assert owners(connection) == {1: (files[-1], 1)}
    assert recount(connection) == {files[-1]: (1, 0, 0)}
    assert {state(connection, file_id) for file_id in files[:-1]} <= {"replaced", "rejected"}


def test_a_revision_is_put_off_while_a_load_counts_on_the_old_file_and_holds_up_no_other(
    own_contracts: Settings, load: Any, land: Any, connection: Connection, epoch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_contract(own_contracts, revision="replace")
    first = load(table(event(1)))
    second = land(table(event(1, price="5")))
    loader = FileLoader(own_contracts, epoch)
    with ThreadPoolExecutor() as pool, paused_at(monkeypatch, "load.before_commit") as loading:
        other = pool.submit(load, table(event(2), event(1)), "other.csv")
        assert loading.reached.wait(60)
        begun = time.monotonic()
        assert loader.load(second).state == "landed"
        assert 1.0 <= time.monotonic() - begun < 3.0
    assert loader.load(second).state == "loaded"
    loader.close()
    assert state(connection, first) == "replaced"
    assert recount(connection) == {other.result(): (2, 0, 0), second: (0, 1, 0)}


def test_loads_that_have_no_row_of_the_old_file_do_not_wait_for_the_revision_that_replaces_it(
    own_contracts: Settings, load: Any, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_contract(own_contracts, revision="replace")
    load(table(event(1)))
    loaded = load(table(event(3)), "c.csv")
    with (
        ThreadPoolExecutor() as pool,
        paused_at(monkeypatch, "load.after_replace", "sluice.loading.revisions") as replacing,
    ):
        second = pool.submit(load, table(event(1, price="5")))
        assert replacing.reached.wait(60)
        other = load(table(event(2), event(3)), "other.csv")
        assert not second.done()
    assert recount(connection) == {loaded: (1, 0, 0), other: (1, 0, 1), second.result(): (1, 0, 0)}


def test_the_rejects_of_a_replaced_file_are_not_replayed(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    change_contract(own_contracts, revision="replace")
    load(table(event(1, price="cheap")))
    connection.execute("""UPDATE ledger.rejects SET fields = fields || '{"price": "1"}'""")
    load(table(event(2)))
    assert replay(own_contracts).considered == 0


@pytest.mark.parametrize("point", ["load.after_replace", "load.before_commit", "load.after_commit"])
def test_a_load_killed_while_it_replaces_leaves_the_old_rows_or_the_new_ones(
    own_contracts: Settings, land: Any, load: Any, connection: Connection, tmp_path: Path, epoch: int, point: str
) -> None:
    change_contract(own_contracts, revision="replace")
    first = load(table(event(1)))
    second = land(table(event(1, price="5"), event(2)))
    environment = os.environ | {"SLUICE_CRASH_AT": point, "SLUICE_CRASH_ONCE": str(tmp_path / "once")}
    program = (
        "from sluice.base import settings; from sluice.loading.load_file import FileLoader\n"
        f"FileLoader(settings.load(), {epoch}).load({second})"
    )
    ended = subprocess.run([sys.executable, "-c", program], env=environment, cwd=PROJECT, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    done = point == "load.after_commit"
    assert recount(connection) == ({second: (2, 0, 0)} if done else {first: (1, 0, 0)})
    loader = FileLoader(own_contracts, epoch)
    loader.load(second)
    loader.close()
    assert recount(connection) == {second: (2, 0, 0)}


def test_the_recount_from_the_files_agrees_after_all_of_it(
    own_contracts: Settings, load: Any, connection: Connection
) -> None:
    first = load(table(event(1), event(2), event(3, kind="teleport")), "a.csv")
    load(table(event(2), event(3), event(1, price="5")), "b.csv")
    connection.execute("""UPDATE ledger.rejects SET fields = fields || '{"event_type": "search"}' WHERE file_id = 1""")
    replay(own_contracts)
    unload_file(own_contracts, first, "a wrong file", by_whom="test")
    replay(own_contracts)
    change_contract(own_contracts, revision="replace")
    load(table(event(3), event(4)), "c.csv")
    load(table(event(3, price="7"), event(3)), "b.csv")
    assert reconcile(own_contracts, own_contracts.reader_dsn).broken == []
    assert len(recount(connection)) == 2
