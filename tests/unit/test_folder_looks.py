"""What is kept of each file of a folder: little, in the order of the days, and enough to know types and ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.contracts import folder_looks
from sluice.contracts.folder_feeds import feeds_of
from sluice.contracts.folder_looks import FileLook, in_order, looks_at
from sluice.contracts.folder_profile import together


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few values are kept as otherwise of hundreds of files."""
    monkeypatch.setattr(folder_looks, "_VALUES_MOST", 10)
    monkeypatch.setattr(folder_looks, "_VALUES_LEAST", 8)


def looks(folder: Path, **files: str) -> list[FileLook]:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return looks_at(list(folder.iterdir()))[0]


def table(first: int, bad: str = "") -> str:
    rows = [f"k{n},{n % 3},{n}.5,{'long text ' * 20}{n}\n" for n in range(first, first + 200)]
    return "id,kind,price,text\n" + "".join(rows).replace(f",{first + 150}.5,", f",{bad or first + 150},")


def test_a_file_keeps_its_share_of_values_and_those_that_do_not_fit(tmp_path: Path, few: None) -> None:
    [look] = looks(tmp_path, a=table(0, bad="teuer"))
    assert {name: column.rows for name, column in look.columns.items()} == dict.fromkeys(look.columns, 200)
    assert len(look.columns["id"].profile.counts) == 8
    assert "teuer" in look.columns["price"].profile.counts
    assert look.columns["kind"].profile.counts == {"0": 67, "1": 67, "2": 66}
    assert not look.profile.blocks


def test_characters_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_looks, "_CHARACTERS_MOST", 4 * 1_000)
    [look] = looks(tmp_path, a=table(0))
    assert 1 <= len(look.columns["text"].profile.counts) <= 5
    assert len(look.columns["id"].profile.counts) == 200


def test_of_values_that_were_not_kept_the_whole_is_known_all_the_same(tmp_path: Path, few: None) -> None:
    [feed] = feeds_of(looks(tmp_path, a=table(0), b=table(1000, bad="teuer")), None)
    columns = {column.name: column for column in together(feed).sample.columns}
    assert columns["id"].is_unique
    assert not columns["kind"].is_unique
    misfits = columns["price"].misfits
    assert misfits is not None
    assert (misfits.file, misfits.line, misfits.value) == ("b.csv", 152, "teuer")


def test_an_id_that_one_file_repeats_is_none_though_the_repeated_value_was_not_kept(tmp_path: Path, few: None) -> None:
    twice = table(0) + "k7,1,2.5,x\n"
    [feed] = feeds_of(looks(tmp_path, a=twice, b=table(1000)), None)
    assert not {column.name: column for column in together(feed).sample.columns}["id"].is_unique


def test_files_are_in_the_order_of_their_numbers() -> None:
    names = ["b-10.csv", "b-9.csv", "a.csv", "B-9-2.csv", "b.csv"]
    assert [path.name for path in in_order(map(Path, names))] == ["a.csv", "B-9-2.csv", "b-9.csv", "b-10.csv", "b.csv"]
