"""One broken contract: its own files wait, all others load, and nothing is rejected for it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql.streaming.datasource import ReadMaxFiles

from sluice.base.settings import Settings
from sluice.cli import main as cli
from sluice.contracts import check
from sluice.contracts.folder import read_contracts
from sluice.ledger import contract_waits, leases, waiting_files
from sluice.ledger.leases import EndedHow
from sluice.loading import afterwards
from sluice.loading.contract_watch import ContractWatch
from sluice.loading.landed_file import LandedFile, Tally
from sluice.loading.load_file import FileLoader
from sluice.loading.replay import replay
from sluice.loading.stream_writer import StreamWriter
from sluice.proof.reconcile import reconcile
from sluice.running import load_watch, status
from sluice.running.instance import Instance
from sluice.running.pipeline import Running
from spark_jobs.keeper import Keeper
from spark_jobs.landed_files import LandedFilesReader
from tests.loading import Connection, event, recount, rejects, state, table

Land = Callable[..., int]
NET = "at,kind,amount,note\n2026-01-02T03:04:05Z,purchase,1.5,first\n"
NOT_YAML = "name: [\n"
WRONG_SQL = {"name": "r", "type": "custom", "engine": "sluice", "implementation": "no_such = 1"}


def net(name: str = "net", **changes: Any) -> str:
    """Another feed's contract."""
    properties = [
        {"name": "event_id", "logicalType": "string", "transformLogic": "record_id(file_sha256, record_number)"},
        {"name": "at", "physicalName": "event_time", "logicalType": "timestamp", "required": True},
        {"name": "kind", "physicalName": "event_type", "logicalType": "string", "required": True},
        {"name": "amount", "physicalName": "price", "logicalType": "number", "required": True},
    ]
    document = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": name,
        "name": name,
        "version": "1.0.0",
        "status": "active",
        "schema": [{"name": name, "logicalType": "object", "properties": properties} | changes],
    }
    return yaml.safe_dump(document)


@pytest.fixture
def folder(own_contracts: Settings) -> Path:
    """Contracts events and net."""
    (own_contracts.contracts_dir / "net.odcs.yaml").write_text(net())
    return own_contracts.contracts_dir


@pytest.fixture
def keeper(own_contracts: Settings, epoch: int) -> Iterator[Keeper]:
    made = Keeper(own_contracts.writer_dsn, epoch, lease_seconds=600, life_seconds=600, submitter=None)
    yield made
    made.close(EndedHow.ASKED)


@pytest.fixture
def watch(own_contracts: Settings, folder: Path, keeper: Keeper) -> ContractWatch:
    """The driver's watch, which has seen the folder while all was well."""
    made = ContractWatch(own_contracts, keeper)
    made.look()
    return made


@pytest.fixture
def loader(own_contracts: Settings, epoch: int) -> Iterator[FileLoader]:
    made = FileLoader(own_contracts, epoch)
    yield made
    made.close()


def waiting(connection: Connection) -> dict[str, str]:
    """Why each file that waits for a contract does, by name."""
    rows = connection.execute("SELECT name, error FROM ledger.files WHERE waits_for = 'contract' AND state = 'landed'")
    return {row["name"]: row["error"] for row in rows}


def test_the_stream_says_once_that_two_feeds_may_bring_the_same_sales(
    watch: ContractWatch, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clicks = yaml.safe_load(net("clicks"))
    clicks["schema"][0]["properties"][2]["enum"] = [{"value": "product_view"}, {"value": "purchase"}]
    (folder / "clicks.odcs.yaml").write_text(yaml.safe_dump(clicks))
    for text in (net(), NOT_YAML, net()):
        (folder / "net.odcs.yaml").write_text(text)
        watch.look()
    [said] = [message for message in caplog.messages if message.startswith("clicks.odcs.yaml: ")]
    assert "its purchases count as sales in reports, and so do those of net: " in said


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(NOT_YAML, id="not YAML"),
        pytest.param(net(quality=[WRONG_SQL]), id="SQL"),
        pytest.param("name: \udc80", id="not UTF-8"),
    ],
)
def test_a_file_of_a_broken_contract_waits_and_every_other_feed_loads(
    watch: ContractWatch, folder: Path, loader: FileLoader, land: Land, connection: Connection, broken: str
) -> None:
    (folder / "net.odcs.yaml").write_bytes(broken.encode("utf-8", "surrogateescape"))
    other, own = land(table(event(1)), "shop.csv"), land(NET, "net.csv")
    assert (loader.load(own).state, loader.load(other).state) == ("landed", "loaded")
    assert recount(connection) == {other: (1, 0, 0)}
    assert list(waiting(connection)) == ["net.csv"]
    assert waiting(connection)["net.csv"].startswith("net.odcs.yaml: ")

    (folder / "net.odcs.yaml").write_text(net())
    assert loader.load(own).state == "loaded"
    assert waiting(connection) == {}
    assert recount(connection) == {other: (1, 0, 0), own: (1, 0, 0)}


def test_a_broken_contract_matches_by_its_last_usable_version_though_another_one_fits_too(
    watch: ContractWatch, folder: Path, loader: FileLoader, land: Land, connection: Connection
) -> None:
    (folder / "wide.odcs.yaml").write_text(net("wide"))
    document = yaml.safe_load((folder / "wide.odcs.yaml").read_text())
    document["schema"][0]["properties"].append({"name": "note", "logicalType": "string", "required": True})
    (folder / "wide.odcs.yaml").write_text(yaml.safe_dump(document))
    watch.look()
    (folder / "wide.odcs.yaml").write_text(NOT_YAML)
    file_id = land(NET, "net.csv")
    loader.load(file_id)
    assert waiting(connection)["net.csv"].startswith("wide.odcs.yaml: not YAML")
    (folder / "wide.odcs.yaml").unlink()
    loader.load(file_id)
    assert state(connection, file_id) == "loaded"


def test_a_file_that_fits_no_usable_contract_waits_while_one_that_was_never_usable_is_broken(
    folder: Path, loader: FileLoader, land: Land, connection: Connection
) -> None:
    (folder / "new.odcs.yaml").write_text(NOT_YAML)
    file_id = land("colour,size\nred,1\n", "colours.csv")
    loader.load(file_id)
    assert "fits no contract" in waiting(connection)["colours.csv"]
    assert "but new.odcs.yaml: not YAML" in waiting(connection)["colours.csv"]
    (folder / "new.odcs.yaml").unlink()
    loader.load(file_id)
    assert state(connection, file_id) == "rejected"
    assert waiting(connection) == {}


def test_a_file_of_either_of_two_contracts_of_one_name_waits(
    watch: ContractWatch, folder: Path, loader: FileLoader, land: Land, connection: Connection
) -> None:
    (folder / "net-2.odcs.yaml").write_text(net(description="a copy"))
    other, own = land(table(event(1)), "shop.csv"), land(NET, "net.csv")
    loader.load(own)
    loader.load(other)
    assert "more than one contract is named 'net' (net-2.odcs.yaml, net.odcs.yaml)" in waiting(connection)["net.csv"]
    assert state(connection, other) == "loaded"


def test_without_any_usable_contract_everything_waits(
    folder: Path, loader: FileLoader, land: Land, connection: Connection
) -> None:
    for path in folder.iterdir():
        path.unlink()
    file_id = land(table(event(1)), "shop.csv")
    loader.load(file_id)
    assert f"no contract in {folder}" in waiting(connection)["shop.csv"]


def test_a_file_that_waits_is_dealt_out_again_only_when_the_folder_has_changed(
    own_contracts: Settings,
    watch: ContractWatch,
    folder: Path,
    loader: FileLoader,
    land: Land,
    epoch: int,
    connection: Connection,
) -> None:
    path = folder / "net.odcs.yaml"
    before = path.stat()
    path.write_text(NOT_YAML)
    land(NET, "net.csv")
    reader = LandedFilesReader(epoch, 1, "small")
    claim = {"claim": 0}

    def dealt() -> list[int]:
        nonlocal claim
        start, claim = claim, reader.latestOffset(claim, ReadMaxFiles(10))
        return [file_id for share in reader.partitions(start, claim) for file_id, *_ in share.files]  # type: ignore[attr-defined]

    [file_id] = dealt()
    loader.load(file_id)
    assert dealt() == []
    assert reader.reportLatestOffset() == claim
    assert waiting_files.waiting_range(connection) is None
    assert waiting_files.still_landed(connection, file_id, file_id) == 0
    assert leases.pulse(connection).waiting is False

    # The clock went back to where it was, and the text is as long as the one before.
    path.write_text(NOT_YAML.replace("name", "mane"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert dealt() == [file_id]
    loader.load(file_id)
    assert dealt() == []
    path.write_text(net())
    assert dealt() == [file_id]
    loader.load(file_id)
    assert state(connection, file_id) == "loaded"
    reader.stop()


def test_a_change_between_judging_and_marking_is_not_missed(
    own_contracts: Settings,
    watch: ContractWatch,
    folder: Path,
    loader: FileLoader,
    land: Land,
    epoch: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (folder / "net.odcs.yaml").write_text(NOT_YAML)
    file_id = land(NET, "net.csv")
    hold = afterwards.hold

    def correct_and_hold(writer: StreamWriter, file: LandedFile, why: str) -> Tally:
        (folder / "net.odcs.yaml").write_text(net())
        return hold(writer, file, why)

    monkeypatch.setattr(afterwards, "hold", correct_and_hold)
    loader.load(file_id)
    reader = LandedFilesReader(epoch, 1, "small")
    assert reader.latestOffset({"claim": 0}, ReadMaxFiles(10)) == {"claim": 1}
    reader.stop()


def test_what_is_broken_and_how_many_files_wait_is_said_once_a_change(
    watch: ContractWatch,
    folder: Path,
    loader: FileLoader,
    land: Land,
    connection: Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def said() -> list[str]:
        watch.look()
        found = [record.getMessage() for record in caplog.records if record.name == "sluice.loading.contract_watch"]
        caplog.clear()
        return found

    caplog.set_level("INFO", "sluice.loading.contract_watch")
    assert said() == []
    (folder / "net.odcs.yaml").write_text(NOT_YAML)
    [broken] = said()
    assert broken.startswith("files that need it wait, all others load: net.odcs.yaml: not YAML")
    for number in range(2):
        loader.load(land(f"{NET}{number}", f"net-{number}.csv"))
    [files] = said()
    assert files.startswith("2 files wait for a contract; the oldest: net-0.csv: net.odcs.yaml: not YAML")
    row = connection.execute("SELECT state, last_error FROM ledger.streams").fetchone()
    assert row == {"state": "running", "last_error": files}
    assert said() == []
    (folder / "net.odcs.yaml").write_text(net())
    assert said() == ["all contracts can be used again: the files that waited are loaded"]


def test_make_status_and_make_load_and_make_contracts_say_it(
    own_contracts: Settings,
    watch: ContractWatch,
    folder: Path,
    loader: FileLoader,
    land: Land,
    connection: Connection,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    instance = Instance(own_contracts)
    instance.make_folders()
    lock = instance.lock()
    assert lock is not None
    instance.tell(Running(pid=os.getpid(), started_at=time.time(), web_port=8080, pids={}))
    (folder / "net.odcs.yaml").write_text(NOT_YAML)
    watch.look()
    source, said = tmp_path / "net.csv", list[str]()
    source.write_text(NET)

    def stream(sentence: str) -> None:
        said.append(sentence)
        if "waiting for the ledger" in sentence:
            loader.load(land(NET, max(os.listdir(own_contracts.incoming_dir))))

    assert load_watch.load(instance, source, stream, 60) == 1
    assert "net.csv: waits as file 1 for a contract: net.odcs.yaml: not YAML" in said[-1]

    found = status.report(instance)
    assert any(problem.startswith("net.odcs.yaml: not YAML") for problem in found["problems"])
    assert any(problem.startswith("1 file waits for a contract") for problem in found["problems"])
    assert (found["backlog"]["landed"], found["backlog"]["waiting_for_contract"]) == (0, 1)
    assert "0 landed, 1 waiting for a contract" in status.text(found)
    assert status.exit_code(found) == status.UNHEALTHY
    assert cli.main(["contracts"]) == 1
    assert "net.odcs.yaml: not YAML" in capsys.readouterr().out

    (folder / "net.odcs.yaml").write_text(net())
    assert not any("net" in problem for problem in status.report(instance)["problems"])
    lock.close()


def test_a_run_made_by_hand_takes_files_up_again_that_need_not_wait_any_longer(
    own_contracts: Settings, watch: ContractWatch, folder: Path, loader: FileLoader, land: Land, connection: Connection
) -> None:
    (folder / "net.odcs.yaml").write_text(NOT_YAML)
    file_id = land(NET, "net.csv")
    loader.load(file_id)
    assert contract_waits.release(own_contracts, connection) == 0
    assert contract_waits.names(connection) == [f"net.csv (file {file_id})"]
    (folder / "net.odcs.yaml").write_text(net())
    assert contract_waits.release(own_contracts, connection) == 1
    assert waiting_files.waiting_range(connection) == {"first": file_id, "last": file_id}


def test_a_replay_leaves_the_rejects_of_a_broken_contract_as_they_are_and_replays_the_others(
    own_contracts: Settings, watch: ContractWatch, folder: Path, loader: FileLoader, land: Land, connection: Connection
) -> None:
    own, other = land(NET + "soon,purchase,1,x\n", "net.csv"), land(table(event(1, price="x")), "shop.csv")
    loader.load(own)
    loader.load(other)
    connection.execute(
        "UPDATE ledger.rejects SET fields = jsonb_set(fields, '{price}', '\"1\"') WHERE file_id = %s", [other]
    )
    before = rejects(connection, own)
    (folder / "net.odcs.yaml").write_text(NOT_YAML)
    tally = replay(own_contracts)
    assert tally.loaded == 1
    [why] = tally.not_judged
    assert f"file {own}: contract net cannot be used: net.odcs.yaml: not YAML" in why
    assert rejects(connection, own) == before


def test_reconcile_counts_the_files_of_a_broken_contract_by_its_last_usable_version(
    own_contracts: Settings, watch: ContractWatch, folder: Path, loader: FileLoader, land: Land
) -> None:
    loader.load(land(NET, "net.csv"))
    (folder / "net.odcs.yaml").write_text(NOT_YAML)
    assert reconcile(own_contracts, own_contracts.reader_dsn).broken == []


def test_an_unchanged_contract_is_the_same_when_another_file_of_the_folder_changes(folder: Path) -> None:
    before = read_contracts(folder)
    (folder / "net.odcs.yaml").write_text(net(description="other"))
    after = read_contracts(folder)
    assert after.usable[0] is before.usable[0]
    assert after.usable[1] is not before.usable[1]
    assert after.digest != before.digest


def test_what_cannot_be_read_is_broken_alone(folder: Path) -> None:
    (folder / "net.odcs.yaml").unlink()
    (folder / "net.odcs.yaml").mkdir()
    found = read_contracts(folder)
    assert [contract.name for contract in found.usable] == ["events"]
    assert found.why() == "net.odcs.yaml: it cannot be read (Is a directory): give this user permission"
    with pytest.raises(LookupError):
        found.named("net")
    lines, is_well = check.check(folder)
    assert (found.why() in lines, is_well) == (True, False)
