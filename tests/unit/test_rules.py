"""Rule types: each keeps and breaks rows, stands in the docs, and a new one is one entry."""

from __future__ import annotations

import functools
import io
import json
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import yaml

from sluice.base.settings import PROJECT
from sluice.contracts.changes import changes
from sluice.contracts.judge import Judge
from sluice.contracts.matching import match
from sluice.contracts.model import Contract
from sluice.contracts.parse import parse_contract
from sluice.contracts.rules.column_rules import COLUMN_RULES
from sluice.contracts.rules.table import with_table
from sluice.reading.csv_records import RecordReader

PAGE = PROJECT / "docs" / "contracts.md"
HOW_TO = PROJECT / "docs" / "how-to" / "add-a-rule.md"


class Case(NamedTuple):
    """What a column ``x`` declares of a rule; a text that keeps it, one that breaks it; what it needs ``beside``."""

    rule: str
    declares: dict[str, Any]
    keeps: str
    breaks: str
    beside: Mapping[str, Any] = MappingProxyType({})


def option(rule: str, value: Any, keeps: str, breaks: str, logical_type: str = "string") -> Case:
    return Case(rule, {"logicalTypeOptions": {rule: value}}, keeps, breaks, {"logicalType": logical_type})


CASES = [
    Case("type", {"logicalType": "integer"}, "7", "seven"),
    Case("required", {"required": True}, "a", ""),
    Case("enum", {"enum": [{"value": "a"}, {"value": "b"}]}, "a", "c"),
    option("minimum", 5, "5", "4", "integer"),
    option("maximum", 5, "5", "6", "number"),
    option("exclusiveMinimum", "2026-01-01", "2026-01-02", "2026-01-01", "date"),
    option("exclusiveMaximum", 5, "4", "5", "integer"),
    option("multipleOf", 5, "10", "11", "integer"),
    option("minLength", 2, "ab", "a"),
    option("maxLength", 2, "ab", "abc"),
    option("pattern", "[a-c]+", "ab", "abd"),
    option("format", "uuid", "6f1d3c5a-7b2e-5f0e-9a4c-8d1b2f3e4a5c", "6f1d3c5a"),
]


def contract_with(x: dict[str, Any]) -> Contract:
    """A contract of which the file fills ``event_type`` and the column ``x``."""
    columns = [
        {"name": "event_id", "transformLogic": "record_id(file_sha256, record_number)"},
        {"name": "event_type", "required": True},
        {"name": "event_time", "logicalType": "timestamp", "transformLogic": "TIMESTAMPTZ '2026-01-01 00:00:00Z'"},
        {"name": "x"} | x,
    ]
    document = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "test",
        "version": "1.0.0",
        "status": "active",
        "schema": [{"name": "test", "properties": [{"logicalType": "string"} | column for column in columns]}],
    }
    return parse_contract(yaml.safe_dump(document), Path("test.odcs.yaml"))


@functools.cache
def one_judge() -> Judge:
    return Judge()


def broken_rules(contract: Contract, *texts: str) -> list[list[str]]:
    """What each text in column ``x`` breaks."""
    lines = ["event_type,x", *(f"a,{text}" for text in texts)]
    reader = RecordReader(io.BytesIO("".join(f"{line}\n" for line in lines).encode()), contract.dialect)
    found = match([(contract, reader.header())])
    [block] = reader.blocks(2)
    judged = one_judge().judge(block, found, file_id=1, sha256="0" * 64)
    bad = {row: rules for row, rules, _ in judged.bad}
    return [bad.get(row, []) for row in range(len(texts))]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_rule_sets_aside_the_row_that_breaks_it_and_no_other(case: Case) -> None:
    contract = contract_with({**case.beside, **case.declares})
    assert broken_rules(contract, case.keeps, case.breaks) == [[], [f"x.{case.rule}"]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_rule_that_is_new_breaks_somebody_and_one_that_stays_nobody(case: Case) -> None:
    before, after = contract_with({**case.beside}), contract_with({**case.beside, **case.declares})
    assert [change.breaks for change in changes(before, after)] in (["writers"], ["readers"])
    assert changes(after, after) == []


def test_every_rule_type_of_a_column_has_a_case() -> None:
    assert [case.rule for case in CASES] == [rule.name for rule in COLUMN_RULES]


def test_the_table_of_rules_in_the_docs_is_that_of_the_registry() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page), "run python -m sluice.contracts.rules.table docs/contracts.md"


def test_a_page_without_a_place_for_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the table"):
        with_table("# Contracts\n")


def test_nothing_outside_of_the_rules_knows_a_rule_by_its_name() -> None:
    names = "|".join(rule.name for rule in COLUMN_RULES if rule.name not in ("type", "required", "format"))
    known = re.compile(rf"""["'](?:{names})["']|\.type["']|\.required["']|cancellation\.sign""")
    modules = (PROJECT / "sluice" / "contracts").rglob("*.py")
    knowing = {
        (str(path.relative_to(PROJECT)), line.strip())
        for path in modules
        # A draft writes declarations into a contract.
        if path.parent.name != "rules" and path.name != "draft_columns.py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if known.search(line)
    }
    assert knowing == set()


# Run in a copy of the project, by which a new rule type is known.
TRIAL = """
import json, sys
sys.path.insert(0, "tests/unit")
from test_rules import broken_rules, changes, contract_with
from sluice.contracts.model import ContractError
def declares(value):
    return {"customProperties": [{"property": "startsWith", "value": value}]}
def refused(x):
    try:
        contract_with(x)
    except ContractError as error:
        return str(error)
print(json.dumps({
    "broken": broken_rules(contract_with(declares("K")), "K17", "17", ""),
    "quoted": broken_rules(contract_with(declares("'")), "'a", "a"),
    "refused": refused(declares(["K"])),
    "misplaced": refused({"logicalType": "integer"} | declares("K")),
    "misspelt": refused({"customProperties": [{"property": "startswith", "value": "K"}]}),
    "changes": [(c.text, c.breaks) for c in changes(contract_with(declares("K")), contract_with(declares("L")))],
    "gone": [(c.text, c.breaks) for c in changes(contract_with(declares("K")), contract_with({}))],
}))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project to which the entry of the how-to page was added, and nothing else."""
    for part in ("sluice", "include/sql", "tests/unit", "docs"):
        shutil.copytree(PROJECT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    entry = HOW_TO.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    module = tmp_path / "sluice" / "contracts" / "rules" / "column_rules.py"
    text = module.read_text(encoding="utf-8")
    assert text.endswith("    ),\n)\n")
    module.write_text(text.removesuffix(")\n") + textwrap.indent(entry, "    ") + ")\n", encoding="utf-8")
    return tmp_path


def run(copy: Path, *arguments: str) -> str:
    ran = subprocess.run([sys.executable, *arguments], cwd=copy, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_rule_type_of_the_how_to_page_is_one_entry_that_does_it_all(copy: Path) -> None:
    found = json.loads(run(copy, "-c", TRIAL))
    assert found["broken"] == [[], ["x.startsWith"], []]
    assert found["quoted"] == [[], ["x.startsWith"]]
    assert found["refused"].endswith("x: startsWith: ['K'] must be the text that stands in the file: put it in quotes")
    assert found["misplaced"].endswith("x: startsWith means nothing for a integer: it is for string")
    assert found["misspelt"].endswith("custom property 'startswith' is unknown: did you mean startsWith?")
    assert found["changes"] == [["column x: startsWith K → L", "writers"]]
    assert found["gone"] == [["column x: startsWith K → none", ""]]
    run(copy, "-m", "sluice.contracts.rules.table", "docs/contracts.md")
    line = (
        "| `<column>.startsWith` | `customProperties`: `startsWith`, of string | the text begins with something else "
    )
    line += "| writers, when it is new or another one |\n"
    assert line in (copy / "docs" / "contracts.md").read_text(encoding="utf-8")
