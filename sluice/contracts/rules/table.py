"""The table of rules in docs/contracts.md, made of the registry: ``python -m sluice.contracts.rules.table PAGE``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from sluice.contracts.rules.column_rules import COLUMN_RULES
from sluice.contracts.rules.contract_rules import CONTRACT_RULES
from sluice.contracts.rules.rule_types import LOGICAL_TYPES, ColumnRule

_BEGIN, _END = "<!-- rules: made by python -m sluice.contracts.rules.table -->\n", "<!-- rules end -->\n"


def with_table(page: str) -> str:
    """``page`` with the table of today's rules between its two marks. Raises ValueError when a mark is missing."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"the page has no place for the table of rules: it needs the lines {_BEGIN!r} and {_END!r}")
    return "".join([before, begin, "\n", *_lines(), "\n", end, after])


def _lines() -> Iterator[str]:
    yield "| rule | declared as | a row breaks it when | a change of it breaks |\n|---|---|---|---|\n"
    for column_rule in COLUMN_RULES:
        name, words = f"`<column>.{column_rule.name}`", column_rule.comparison.words
        yield f"| {name} | {_declared(column_rule)} | {column_rule.says} | {words} |\n"
    for rule in CONTRACT_RULES:
        name = f"`{rule.name}`" if rule.name else "its own name"
        yield f"| {name} | {rule.written} | {rule.says} | {rule.breaks} |\n"


def _declared(rule: ColumnRule) -> str:
    written = rule.written or (f"`{rule.name}`" if rule.place == "column" else f"`{rule.place}`: `{rule.name}`")
    return written if rule.types == LOGICAL_TYPES else f"{written}, of {', '.join(rule.types)}"


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(with_table(path.read_text(encoding="utf-8")), encoding="utf-8")
