"""Tries a drafted contract on the file that it was drafted from."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sluice.contracts.draft_telling import as_they_would_stand
from sluice.contracts.judge import Judge
from sluice.contracts.matching import Match
from sluice.contracts.model import Contract
from sluice.contracts.parse import parse_contract
from sluice.contracts.profile import Profile
from sluice.reading.block import Block


@dataclass
class Trial:
    """What the drafted contract makes of the sample: rows that it would set aside, and how many break each rule.

    ``first_bad`` is the line of the first row that breaks one, and which.
    """

    contract: Contract
    set_aside: int
    broken: Counter[str]
    first_rows: list[dict[str, Any]]
    first_bad: tuple[int, str] | None = None

    def judge(self, judge: Judge, blocks: Iterable[Block], match: Match) -> None:
        """Judge the rows of ``blocks`` too, as if their file landed now."""
        now = int(time.time()) * 1_000_000
        for block in blocks:
            judged = judge.judge(block, match, file_id=0, sha256="0" * 64, landed_at=now)
            self.first_rows = self.first_rows or as_they_would_stand(judged.good)
            self.set_aside += len(judged.bad)
            self.broken.update(rule for _, rules, _ in judged.bad for rule in rules)
            if judged.bad and not self.first_bad:
                row, rules, _ = judged.bad[0]
                self.first_bad = (int(block.line_numbers[row]), rules[0])


def try_(sample: Profile, document: dict[str, Any]) -> Trial:
    """Judge the sample's rows under the contract that ``document`` is, as if the file landed now."""
    contract = contract_of(document)
    trial, judge = Trial(contract, sample.broken, Counter(), []), Judge()
    try:
        trial.judge(judge, sample.blocks, Match(contract, sample.header))
    finally:
        judge.close()
    return trial


def contract_of(document: dict[str, Any]) -> Contract:
    """The contract that ``document`` is."""
    name = f"{document['name']}.odcs.yaml"
    return parse_contract(yaml.safe_dump(document, allow_unicode=True), Path(name))
