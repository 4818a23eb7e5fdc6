"""The rule types that look at a whole row, one entry each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import duckdb

from sluice.contracts import expressions
from sluice.contracts.event_columns import SIGNED
from sluice.contracts.model import CANCELLATIONS, SEVERITIES, Contract, ContractError, Predicate, more_than_once
from sluice.contracts.rules.rule_types import Change, Check, ContractRule
from sluice.contracts.sql.output import fills_of, is_cancellation
from sluice.contracts.sql.text import quoted

SIGN = "cancellation.sign"


def read_predicates(quality: Sequence[Any] | None, column: str | None) -> tuple[Predicate, ...]:
    """The predicates under ``quality`` of the contract, or of one column. Raises ContractError."""
    predicates = []
    for number, entry in enumerate(quality or [], start=1):
        name = entry.name or f"{column or 'row'}.rule_{number}"
        severity = entry.severity or "reject"
        if entry.type == "text":
            continue
        if entry.type != "custom" or entry.engine != "sluice" or not isinstance(entry.implementation, str):
            raise ContractError(
                f"rule {name!r}: write it as type: custom, engine: sluice, and an implementation that is "
                "an SQL predicate over the contract's columns"
            )
        if severity not in SEVERITIES:
            raise ContractError(f"rule {name!r}: severity {severity!r} is none of {', '.join(SEVERITIES)}")
        predicates.append(Predicate(name, entry.implementation, severity, entry.description or ""))
    return tuple(predicates)


def _predicate_checks(contract: Contract) -> Iterator[Check]:
    """A predicate is broken where it is false or raises; unknown is not broken, as in a CHECK constraint."""
    for predicate in contract.predicates:
        # The line break ends a comment that the predicate may end in.
        is_broken = f"coalesce(TRY(coalesce(NOT ({predicate.sql}\n), false)), true)"
        yield Check(predicate.name, is_broken, predicate.severity)


def _predicate_wrong(contract: Contract) -> Iterator[str]:
    if twice := more_than_once([predicate.name for predicate in contract.predicates]):
        yield f"more than one rule is named {twice}: rename one"


def _predicate_problems(connection: duckdb.DuckDBPyConnection, contract: Contract) -> Iterator[str]:
    columns = [*contract.read_columns, *contract.derived_columns]
    for predicate in contract.predicates:
        for problem in expressions.problems(connection, predicate.sql, columns, "BOOLEAN", is_derived=False):
            yield f"rule {predicate.name!r}: {problem}"


def _predicate_changes(before: Contract, after: Contract) -> Iterator[Change]:
    old, new = ({each.name: each for each in contract.predicates} for contract in (before, after))
    for name, predicate in old.items():
        now = new.get(name)
        if now is None:
            yield Change(f"rule {name} is gone")
        elif " ".join(now.sql.split()) != " ".join(predicate.sql.split()):
            yield Change(f"rule {name} says something else", "writers" if now.severity != "warn" else "")
        if now and now.severity != predicate.severity:
            is_tighter = SEVERITIES.index(now.severity) > SEVERITIES.index(predicate.severity)
            yield Change(f"rule {name} {predicate.severity} → {now.severity}", "writers" if is_tighter else "")
    for name in new.keys() - old.keys():
        yield Change(f"rule {name} ({new[name].severity}) is new", "writers" if new[name].severity != "warn" else "")


def _sign_checks(contract: Contract) -> Iterator[Check]:
    """A cancellation has the sign that the contract says: its quantity, its total, or its price in place of a total."""
    fills = fills_of(contract)
    wrong = ">" if contract.cancellations == "negative" else "<"
    signs = [f"coalesce({quoted(fills[name].name)} {wrong} 0, false)" for name in SIGNED if name in fills]
    if "price" in fills:
        no_total = f"{quoted(fills['total_amount'].name)} IS NULL" if "total_amount" in fills else "true"
        signs.append(f"coalesce({quoted(fills['price'].name)} < 0 AND {no_total}, false)")
    if signs:
        yield Check(SIGN, f"({is_cancellation(fills)} AND ({' OR '.join(signs)}))")


def _sign_wrong(contract: Contract) -> Iterator[str]:
    if contract.cancellations not in CANCELLATIONS:
        yield f"cancellations {contract.cancellations!r} is none of {', '.join(CANCELLATIONS)}"


def _no_sql(connection: duckdb.DuckDBPyConnection, contract: Contract) -> Iterator[str]:
    del connection, contract
    return iter(())


def _sign_changes(before: Contract, after: Contract) -> Iterator[Change]:
    if before.cancellations != after.cancellations:
        yield Change(f"cancellations {before.cancellations} → {after.cancellations}", "writers")


# In the order in which a reject lists what its row breaks, after the rules of the columns.
CONTRACT_RULES = (
    ContractRule(
        name=SIGN,
        written="custom `cancellations` of the contract",
        says="a cancellation has the other sign",
        breaks="writers, when it is another one",
        checks=_sign_checks,
        wrong=_sign_wrong,
        problems=_no_sql,
        changes=_sign_changes,
    ),
    ContractRule(
        name="",
        written="`quality` of the contract or of a column; the entry's `name` is the rule's",
        says="the predicate is false, or raises",
        breaks="writers, when it is new, says something else, or is more severe, and does not only warn",
        checks=_predicate_checks,
        wrong=_predicate_wrong,
        problems=_predicate_problems,
        changes=_predicate_changes,
    ),
)
