"""Fixtures to load files without Spark, under contracts that a test may change."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sluice.base import database
from sluice.base.settings import Settings
from sluice.ledger import file_names
from sluice.loading.load_file import FileLoader
from sluice.running.instance import Instance
from sluice.running.pipeline import Running
from tests.loading import Connection, change_contract

Land = Callable[..., int]


@pytest.fixture
def running(settings: Settings) -> Iterator[Instance]:
    """A state folder whose launcher seems to live: this test holds its lock."""
    instance = Instance(settings)
    instance.make_folders()
    lock = instance.lock()
    assert lock is not None
    instance.tell(Running(pid=os.getpid(), started_at=0.0, web_port=8080, pids={"scheduler": os.getpid()}))
    yield instance
    lock.close()


@pytest.fixture
def writer(settings: Settings) -> Iterator[Connection]:
    """A connection as the role that really moves, loads and seals."""
    with database.connect(settings.writer_dsn) as opened:
        yield opened


@pytest.fixture
def own_contracts(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose folder of contracts is the test's own; it holds contract events."""
    made = replace(settings, contracts=str(tmp_path / "contracts"))
    monkeypatch.setenv("SLUICE_CONTRACTS", made.contracts)
    change_contract(made)
    return made


@pytest.fixture
def land(settings: Settings, connection: Connection) -> Land:
    """Registers bytes as a landed file, as the mover does; returns its file_id."""

    def register(data: bytes | str, name: str = "shop.csv") -> int:
        data = data.encode() if isinstance(data, str) else data
        sha256 = hashlib.sha256(data).hexdigest()
        row = connection.execute(
            "INSERT INTO ledger.files (name, path, sha256, bytes, landed_at) "
            "VALUES (%s, '', %s, %s, now()) RETURNING file_id",
            [name, sha256, len(data)],
        ).fetchone()
        assert row is not None
        basename = str(file_names.make(row["file_id"], sha256, name))
        (settings.processing_dir / basename).write_bytes(data)
        connection.execute(
            "UPDATE ledger.files SET path = %s WHERE file_id = %s", [f"processing/{basename}", row["file_id"]]
        )
        return int(row["file_id"])

    return register


@pytest.fixture
def load(own_contracts: Settings, epoch: int, land: Land) -> Iterator[Land]:
    """Lands bytes and loads them under the test's own contracts; returns the file_id."""
    loader = FileLoader(own_contracts, epoch)

    def load_bytes(data: bytes | str, name: str = "shop.csv") -> int:
        file_id = land(data, name)
        while loader.load(file_id).state == "landed":
            pass  # as the stream does: it waits for rows that somebody else holds
        return file_id

    yield load_bytes
    loader.close()


@pytest.fixture
def property_loader(
    settings: Settings, epoch: int, land: Land, connection: Connection
) -> Iterator[Callable[[bytes, str, int], tuple[int, Settings]]]:
    """Loads bytes into emptied tables, reading in chunks of so many bytes; returns the file_id and the settings."""
    loaders: dict[int, FileLoader] = {}

    def load_into_emptied(data: bytes, name: str, chunk: int) -> tuple[int, Settings]:
        connection.execute("TRUNCATE events, ledger.files, ledger.rejects, ledger.duplicates CASCADE")
        for day in settings.archive_dir.glob("*/*/"):  # the ledger does not know these files any more
            shutil.rmtree(day)
        used = replace(settings, chunk_bytes=chunk)
        file_id = land(data, name)
        loaders.setdefault(chunk, FileLoader(used, epoch)).load(file_id)
        return file_id, used

    yield load_into_emptied
    for loader in loaders.values():
        loader.close()
