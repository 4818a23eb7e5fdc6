"""The README's example does what it says: its command makes the file, and the file loads with the tally it tells."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from sluice.base.settings import PROJECT, Settings
from sluice.generator.__main__ import main as generate
from sluice.loading.load_file import FileLoader
from tests.integration.conftest import Land
from tests.loading import Connection, rejects

README = (PROJECT / "README.md").read_text(encoding="utf-8")


def test_the_example_makes_its_file_and_loads_it(
    settings: Settings,
    epoch: int,
    land: Land,
    connection: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    command = re.search(r"^\$ \S+ -m sluice\.generator (.*)$", README, re.MULTILINE)
    assert command is not None
    assert generate(shlex.split(command[1])) == 0

    loader = FileLoader(replace(settings, contracts=str(PROJECT / "include" / "contracts")), epoch)
    file_id = land((tmp_path / "shop.csv").read_bytes(), "shop.csv")
    tally = loader.load(file_id)
    loader.close()
    told = (
        f"{tally.rows_read:,} read, {tally.rows_loaded:,} loaded, "
        f"{tally.rows_rejected:,} rejected, {tally.rows_duplicate:,} duplicate"
    )
    assert told in README
    found = rejects(connection, file_id)
    lines = [f"record {row['record_number']:,}, line {row['line_number']:,}: {row['rules'][0]}" for row in found]
    assert [line for line in lines if line not in README] == []
