"""docs/how-to/add-a-feed.md does what it says: its file is drafted, made stricter and loaded as the page tells."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from sluice.base.settings import PROJECT, Settings
from sluice.contracts.check import check
from sluice.contracts.draft import write
from sluice.loading.load_file import FileLoader
from tests.integration.conftest import Land
from tests.loading import Connection, rejects

PAGE = (PROJECT / "docs" / "how-to" / "add-a-feed.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The page's code of that language, without the indent of a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", PAGE, re.DOTALL | re.MULTILINE)
    return [re.sub(f"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


@pytest.fixture
def drafted(own_contracts: Settings, tmp_path: Path) -> Settings:
    """Settings whose contracts hold the draft of the page's file."""
    path = tmp_path / "parcels.csv"
    path.write_text(blocks("csv")[0])
    assert write(path, name=None, output=own_contracts.contracts_dir, contracts=own_contracts.contracts_dir) == 0
    return own_contracts


def load(settings: Settings, epoch: int, land: Land) -> tuple[int, tuple[int, int, int]]:
    """The file's id, and its rows read, loaded, rejected."""
    file_id = land(blocks("csv")[0], "parcels.csv")
    loader = FileLoader(settings, epoch)
    tally = loader.load(file_id)
    loader.close()
    return file_id, (tally.rows_read, tally.rows_loaded, tally.rows_rejected)


def test_the_draft_loads_every_row(drafted: Settings, epoch: int, land: Land) -> None:
    assert load(drafted, epoch, land)[1] == (3, 3, 0)


def test_what_is_known_of_the_feed_is_held(drafted: Settings, epoch: int, land: Land, connection: Connection) -> None:
    path = drafted.contracts_dir / "parcels.odcs.yaml"
    document = yaml.safe_load(path.read_text())
    columns = {column["name"]: column for column in document["schema"][0]["properties"]}
    columns |= {column["name"]: column for text in blocks("yaml") for column in yaml.safe_load(text)}
    document["schema"][0]["properties"] = list(columns.values())
    path.write_text(yaml.safe_dump(document))

    lines, is_well = check(drafted.contracts_dir)
    assert is_well, lines
    file_id, counts = load(drafted, epoch, land)
    assert counts == (3, 2, 1)
    assert [row["rules"] for row in rejects(connection, file_id)] == [["weight kg.minimum"]]
