"""Every rule that a record can break is said in words, and names the columns that it looks at."""

from __future__ import annotations

import re

import pytest

from sluice.base.settings import PROJECT
from sluice.contracts.parse import parse_contract
from sluice.contracts.rules import registry
from sluice.contracts.rules_in_words import OF_NO_CONTRACT, explain

CONTRACTS = sorted((PROJECT / "include/contracts").glob("*.odcs.yaml"))


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.name)
def test_each_rule_of_our_contracts_has_words_of_its_own_and_columns(path: object) -> None:
    contract = parse_contract(path.read_text(), path)  # type: ignore[attr-defined]
    said = {check.rule: explain(check.rule, contract) for check in registry.checks(contract)}
    assert [rule for rule, explained in said.items() if "no rule of this name" in explained.words] == []
    known = {name for column in contract.read_columns for name in column.names}
    assert [rule for rule, explained in said.items() if not explained.columns <= known] == []
    read = {column.name for column in contract.read_columns}
    assert [rule for rule, each in said.items() if rule.rpartition(".")[0] in read and not each.columns] == []


def test_each_rule_that_no_contract_has_is_in_words() -> None:
    texts = "".join(
        path.read_text() for path in [*PROJECT.glob("sluice/reading/*.py"), *PROJECT.glob("sluice/loading/*.py")]
    )
    named = set(re.findall(r'"(record\.[a-z_]+|event_id\.conflict|event_time\.expired)"', texts))
    assert named == set(OF_NO_CONTRACT)


def test_a_rule_that_nobody_knows_says_so() -> None:
    assert explain("gone", None).words == "the contract of today has no rule of this name"
