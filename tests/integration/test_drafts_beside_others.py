"""A draft beside the contracts that are there: its name is free, and it says who takes such files already."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sluice.contracts.draft import draft
from sluice.contracts.draft_columns import Draft
from sluice.contracts.profiling.names import file_pattern, names_by_position

ROWS = "when,what\n2025-12-24,a\n2025-12-25,b\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "contracts"
    made.mkdir()
    return made


def first_draft(folder: Path, file: Path) -> Draft:
    drafted = draft(file, contracts=folder)
    (folder / f"{drafted.name}.odcs.yaml").write_text(drafted.text)
    return drafted


def saved(tmp_path: Path, data: str = ROWS, name: str = "orders.csv") -> Path:
    path = tmp_path / name
    path.write_text(data)
    return path


def test_a_name_that_a_contract_has_is_not_drafted_again(tmp_path: Path, folder: Path) -> None:
    first_draft(folder, saved(tmp_path))
    again = draft(saved(tmp_path, "day,other\n2025-12-24,1\n"), contracts=folder)
    assert again.name == yaml.safe_load(again.text)["name"] == "orders_2"
    assert "a contract is named 'orders' already, so this one is 'orders_2'" in again.notes


def test_a_name_that_was_asked_for_stays_and_is_said_to_be_taken(tmp_path: Path, folder: Path) -> None:
    first_draft(folder, saved(tmp_path))
    again = draft(saved(tmp_path), "orders", contracts=folder)
    assert again.name == "orders"
    assert any("draft again under another name" in note for note in again.notes)


def test_a_contract_that_cannot_be_used_keeps_its_name_too(tmp_path: Path, folder: Path) -> None:
    (folder / "orders.odcs.yaml").write_text("no: contract")
    assert draft(saved(tmp_path), contracts=folder).name == "orders_2"


def test_files_that_two_contracts_would_take_equally_well_are_said_to_be_rejected(tmp_path: Path, folder: Path) -> None:
    first_draft(folder, saved(tmp_path))
    again = draft(saved(tmp_path), contracts=folder)
    assert any(
        "go to contract orders already" in n and "both fit, and such files are rejected" in n for n in again.notes
    )


def test_files_that_go_to_the_wider_contract_are_said_to_go_there(tmp_path: Path, folder: Path) -> None:
    first_draft(folder, saved(tmp_path))
    wider = draft(saved(tmp_path, "when,what,more\n2025-12-24,a,1\n2025-12-25,b,2\n"), contracts=folder)
    assert any("go to contract orders already" in n and "they come here" in n for n in wider.notes)


def test_a_contract_without_a_header_that_takes_the_file_is_said_too(tmp_path: Path, folder: Path) -> None:
    data = "2025-12-24,a,1\n2025-12-25,b,2\n"
    first_draft(folder, saved(tmp_path, data, "till-2025-12-24.csv"))
    again = draft(saved(tmp_path, data, "till-2025-12-25.csv"), contracts=folder)
    assert any("go to contract till already" in note for note in again.notes)
    assert not any("go to contract" in note for note in draft(saved(tmp_path, data), contracts=folder).notes)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("berlin-2025-12-24.csv", "berlin-*.csv"),
        ("Berlin_20251224T1805_v2.csv.gz", "Berlin_*_v*.csv"),
        ("24.12.2025.csv", "[0-9][0-9].[0-9][0-9].[0-9][0-9][0-9][0-9].csv"),
        ("orders.csv", "orders.csv"),
        ("what[is]this?7.csv", "what[[]is]this[?]*.csv"),
    ],
)
def test_the_pattern_of_a_feeds_files_lets_their_digits_differ(name: str, pattern: str) -> None:
    assert file_pattern(name) == pattern


@pytest.mark.parametrize(
    ("names", "width", "made"),
    [
        ([], 2, ["column_1", "column_2"]),
        (["a", "", "a", "A "], 4, ["a", "column_2", "a_2", "A_3"]),
        (["column_2", "", "x\0y"], 4, ["column_2", "column_2_2", "column_3", "column_4"]),
        (["record_number", "__x", "ok"], 3, ["column_1", "column_2", "ok"]),
        (["a", "a_2", "a"], 3, ["a", "a_2", "a_3"]),
    ],
)
def test_names_by_position_are_those_that_a_contract_can_describe_no_two_alike(
    names: list[str], width: int, made: list[str]
) -> None:
    assert names_by_position(names, width) == made
