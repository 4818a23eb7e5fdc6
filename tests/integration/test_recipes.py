"""docs/recipes.md: each file loads, whole, under the contract that stands below it."""

from __future__ import annotations

import re

import pytest

from sluice.base.settings import PROJECT, Settings
from tests.integration.conftest import Land
from tests.loading import Connection

PAGE = (PROJECT / "docs" / "recipes.md").read_text(encoding="utf-8")
RECIPES = re.findall(r"^## (.*?)\n.*?^```csv\n(.*?)^```.*?^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(("title", "file", "contract"), RECIPES)
def test_a_recipe_loads_every_row(
    own_contracts: Settings, load: Land, connection: Connection, title: str, file: str, contract: str
) -> None:
    (own_contracts.contracts_dir / "recipe.odcs.yaml").write_text(contract)
    file_id = load(file)
    row = connection.execute(
        "SELECT state, rows_loaded, error FROM ledger.files WHERE file_id = %s", [file_id]
    ).fetchone()
    assert row == {"state": "loaded", "rows_loaded": file.count("\n") - 1, "error": None}, title
