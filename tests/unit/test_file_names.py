"""The name of a landed file is made and parsed in one place, and survives both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.base.settings import PROJECT
from sluice.ledger import file_names

SHA256 = st.text("0123456789abcdef", min_size=64, max_size=64)
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)
SOURCES = ("sluice", "plugins", "dags", "spark_jobs", "bench", "tests", "include", "docker")
THE_PLACE = {PROJECT / "sluice/ledger/file_names.py", Path(__file__)}
# How such a name was put together and taken apart elsewhere, once.
SIBLING = re.compile(r"""\[:12\]\}-|\{12\}\)?-|\((\\d|\[0-9\])[+*{][^)]*\)-["(]|split\((["'])-\2, ?[12]\)""")


@given(st.integers(1, 10**18 - 1), SHA256, NAMES)
def test_what_is_made_is_parsed_to_the_same(file_id: int, sha256: str, landed_name: str) -> None:
    made = file_names.make(file_id, sha256, landed_name)
    assert file_names.parse(str(made)) == made
    assert (made.file_id, made.is_of(sha256)) == (file_id, True)
    assert re.fullmatch(r"[A-Za-z0-9-][A-Za-z0-9._-]{0,150}", made.landed_name)


@given(st.text() | st.from_regex(r"\d{1,20}-[0-9a-f]{11,13}-.*", fullmatch=True))
def test_what_is_parsed_is_put_together_to_the_same(basename: str) -> None:
    parts = file_names.parse(basename)
    assert parts is None or str(parts) == basename


@pytest.mark.parametrize(
    "name",
    ["", "a.csv", "7-a.csv", "07-0123456789ab-a.csv", "7-0123456789AB-a.csv", "7-0123456789ab-", "٧-0123456789ab-a"],
)
def test_another_name_is_none_of_ours(name: str) -> None:
    assert file_names.parse(name) is None


def siblings(paths: Iterator[Path]) -> list[str]:
    """The lines that make or parse such a name."""
    lines = ((path, line) for path in paths for line in path.read_text(errors="replace").splitlines())
    return [f"{path.name}: {line.strip()}" for path, line in lines if SIBLING.search(line)]


def test_nothing_else_makes_or_parses_such_a_name() -> None:
    paths = (path for folder in SOURCES for path in (PROJECT / folder).rglob("*.*"))
    assert siblings(path for path in paths if path.suffix in {".py", ".sql", ".sh"} and path not in THE_PLACE) == []


@pytest.mark.parametrize(
    "line",
    [
        'basename = f"{file_id}-{sha256[:12]}-{name}"',
        r'_NAME = re.compile(r"(\d{1,18})-([0-9a-f]{12})-(.+)", re.DOTALL)',
        r'_OURS = re.compile(r"([0-9]+)-([0-9a-f]{12})-.+")',
        r'found = re.match(r"(\d{1,18})-", path.name)',
        'return path.name.split("-", 2)[2]',
    ],
)
def test_one_that_does_is_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "sibling.py").write_text(f"{line}\n")
    assert siblings(tmp_path.iterdir()) == [f"sibling.py: {line}"]
