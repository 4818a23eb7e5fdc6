"""Tries a drafted contract on the file that it was drafted from."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sluice.contracts.draft_telling import as_they_would_stand
from sluice.contracts.judge import Judge
from sluice.contracts.matching import Match
from sluice.contracts.parse import parse_contract
from sluice.contracts.profile import Profile


@dataclass
class Trial:
    """What the drafted contract makes of the sample: rows that it would set aside, and how many break each rule."""

    set_aside: int
    broken: Counter[str]
    first_rows: list[dict[str, Any]]


def try_(sample: Profile, document: dict[str, Any]) -> Trial:
    """Judge the sample's rows under the contract that ``document`` is, as if the file landed now."""
    name = f"{document['name']}.odcs.yaml"
    contract = parse_contract(yaml.safe_dump(document, allow_unicode=True), Path(name))
    judge, now = Judge(), int(time.time()) * 1_000_000
    try:
        match = Match(contract, sample.header)
        trial = Trial(sample.broken, Counter(), [])
        for block in sample.blocks:
            judged = judge.judge(block, match, file_id=0, sha256="0" * 64, landed_at=now)
            trial.first_rows = trial.first_rows or as_they_would_stand(judged.good)
            trial.set_aside += len(judged.bad)
            trial.broken.update(rule for _, rules, _ in judged.bad for rule in rules)
    finally:
        judge.close()
    return trial
