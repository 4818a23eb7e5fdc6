"""docs/recipes.md: each file becomes the rows that stand below its contract, all of them, and is recounted so."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

import pytest
import yaml

from sluice.base.settings import PROJECT, Settings
from sluice.proof.reconcile import reconcile
from tests.integration.conftest import Land
from tests.loading import Connection

PAGE = (PROJECT / "docs" / "recipes.md").read_text(encoding="utf-8")


class Recipe(NamedTuple):
    """What stands under one title; ``files`` are (what is said of the file, its text), ``table`` is lines of cells."""

    title: str
    files: list[tuple[str, str]]
    contracts: list[str]
    table: list[list[str]]


def recipes() -> Iterator[Recipe]:
    for section in PAGE.split("\n## ")[1:]:
        blocks = re.findall(r"^```(\w+) ?(.*?)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
        lines = re.findall(r"^\|(.*)\|$", section, re.MULTILINE)
        yield Recipe(
            section.splitlines()[0],
            [(about, text) for kind, about, text in blocks if kind == "csv"],
            [text for kind, _, text in blocks if kind == "yaml"],
            [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)] for line in lines],
        )


RECIPES = {recipe.title: recipe for recipe in recipes()}


def landed(load: Land, about: str, text: str) -> tuple[int, str]:
    """Lands the file as it is said to be; its id, and the state that it should have."""
    name, *rest = about.split() or ["shop.csv"]
    state = next((word for word in rest if word in ("rejected", "replaced")), "loaded")
    encoding = next((word for word in rest if word != state), "utf-8")
    data = text.encode(encoding)
    return load(gzip.compress(data) if name.endswith(".gz") else data, name), state


def value(text: object) -> object:
    """A cell or a value of events, so that the two compare: a number, a moment in UTC, a text."""
    if isinstance(text, datetime):
        return text.astimezone(UTC).replace(tzinfo=None)
    try:
        return Decimal(str(text))
    except InvalidOperation:
        pass
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return "" if text is None else text


def events(connection: Connection) -> list[dict[str, object]]:
    rows = connection.execute("SELECT * FROM events ORDER BY file_id, record_number").fetchall()
    return [row | (row["extra"] or {}) for row in rows]


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_becomes_the_rows_that_it_says(
    own_contracts: Settings, load: Land, connection: Connection, title: str
) -> None:
    recipe = RECIPES[title]
    for contract in recipe.contracts:
        (own_contracts.contracts_dir / f"{yaml.safe_load(contract)['name']}.odcs.yaml").write_text(contract)
    states = dict(landed(load, *file) for file in recipe.files)

    files = connection.execute("SELECT file_id, state, rows_rejected, error FROM ledger.files").fetchall()
    assert {file["file_id"]: file["state"] for file in files} == states, files
    assert sum(file["rows_rejected"] or 0 for file in files) == 0

    names, _, *cells = recipe.table
    rows = events(connection)
    assert [[value(row.get(name)) for name in names] for row in rows] == [
        [value(cell) for cell in line] for line in cells
    ]
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds


def test_each_recipe_has_a_file_a_contract_and_rows_and_stands_in_the_table_of_contents() -> None:
    assert len(RECIPES) >= 20
    assert [title for title, recipe in RECIPES.items() if not (recipe.files and recipe.contracts)] == []
    assert [title for title, recipe in RECIPES.items() if len(recipe.table) < 3] == []
    assert re.findall(r"^\|.*\| \[(.*?)\]\(#.*\) \|$", PAGE, re.MULTILINE) == [*RECIPES]
