"""Checks every contract, and says which changes since the last release break those who read or write the data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sluice.contracts import sales
from sluice.contracts.baseline import Baseline, baseline
from sluice.contracts.changes import changes
from sluice.contracts.folder import Contracts, read_contracts
from sluice.contracts.judge import Judge
from sluice.contracts.matching import match
from sluice.contracts.model import Contract, ContractError, HeaderError
from sluice.contracts.parse import parse_contract


def check(folder: Path, shop_feeds: Sequence[str] = ()) -> tuple[list[str], bool]:
    """Lines that say how every contract in ``folder`` stands, and whether all is well.

    ``shop_feeds`` are the names in SLUICE_SHOP_FEEDS.
    """
    contracts, warnings = _read(folder)
    # Two contracts of one name are said to be so once.
    lines = list(dict.fromkeys(broken.why for broken in contracts.broken))
    is_well = not lines
    lines += [f"{contract.path.name}: {contract.name} {contract.version} is sound" for contract in contracts.usable]
    lines += warnings
    lines += [f"warning: {doubt}" for doubt in _nobodys(shop_feeds, contracts)]
    if overlapping := list(_overlaps(contracts.usable)):
        lines, is_well = lines + overlapping, False
    before = baseline(folder)
    if before is None:
        return [*lines, f"not compared: {folder} is in no git repository with a commit"], is_well
    lines.append(before.title())
    for said, breaks in _compared(contracts, before):
        lines += said
        is_well = is_well and not breaks
    return lines, is_well


def _read(folder: Path) -> tuple[Contracts, list[str]]:
    """The contracts in ``folder``, and what is doubtful in the usable ones."""
    judge = Judge()
    try:
        contracts = read_contracts(folder, problems=judge.problems)
        warnings = [
            f"{contract.path.name}: warning: {warning}"
            for contract in contracts.usable
            for warning in judge.warnings(contract)
        ]
        warnings += [f"{contract.path.name}: warning: {doubt}" for contract, doubt in sales.doubts(contracts.usable)]
    finally:
        judge.close()
    return contracts, warnings


def _nobodys(names: Sequence[str], contracts: Contracts) -> Iterator[str]:
    """Which of ``names`` no contract has; nobody can say that while one is broken."""
    there = {contract.name for contract in contracts.usable}
    if not contracts.broken:
        yield from (
            f"SLUICE_SHOP_FEEDS names {name!r}, and no contract is named so: correct it, or the shop's totals lack it"
            for name in dict.fromkeys(names)
            if name not in there
        )


def _overlaps(contracts: Sequence[Contract]) -> Iterator[str]:
    """Contracts whose own full header, or required header, another one takes or disputes."""
    for contract in contracts:
        rivals = [other for other in contracts if other is contract or _may_take_the_same(contract, other)]
        required = [column.name for column in contract.read_columns if column.required]
        for header in ([column.name for column in contract.read_columns], required):
            try:
                best = match([(other, header) for other in rivals]).contract if header else contract
            except HeaderError as error:
                yield f"{contract.path.name}: {error}"
                break
            if best is not contract:
                yield f"{contract.path.name}: files with header {header} go to contract {best.name}: make them differ"
                break


def _may_take_the_same(contract: Contract, other: Contract) -> bool:
    """Whether files of ``contract`` may go to ``other`` by their names, as far as the patterns show it."""
    if not contract.files:
        return not other.files  # which takes such files by their names, and means to
    return any(map(other.takes, contract.files)) or any(map(contract.takes, other.files))


def _compared(contracts: Contracts, baseline: Baseline) -> Iterator[tuple[list[str], bool]]:
    """For each contract: lines about its changes, and whether they break a promise."""
    today = {contract.name: contract for contract in contracts.usable}
    unusable = {broken.file for broken in contracts.broken}
    for file_name, text in baseline.texts.items():
        try:
            before = parse_contract(text, Path(file_name))
        except ContractError as error:
            why = f"{file_name} of {baseline.name} is no usable contract by today's rules, and is not compared: {error}"
            yield [f"  {why}"], False
            continue
        after = today.get(before.name)
        if after is None and file_name in unusable:
            yield [f"  {before.name} is not compared: {file_name} cannot be used"], False
        elif after is None:
            yield [f"  {before.name} is gone: its files would be rejected"], baseline.is_released
        else:
            yield _verdict(before, after, is_released=baseline.is_released)


def _verdict(before: Contract, after: Contract, *, is_released: bool) -> tuple[list[str], bool]:
    differences = changes(before, after)
    if not differences:
        return [f"  {after.name}: unchanged"], False
    breaking = [change for change in differences if change.breaks]
    old, new = _numbers(before.version), _numbers(after.version)
    lines = [f"  {after.name} {before.version} → {after.version}:"]
    lines += [f"    breaks {change.breaks}: {change.text}" for change in breaking]
    lines += [f"    compatible: {change.text}" for change in differences if not change.breaks]
    if breaking and new[0] <= old[0]:
        lines.append(f"    needs a new major version ({old[0] + 1}.0.0), or undo what breaks")
        return lines, is_released
    if new <= old:
        lines.append(f"    raise the version ({old[0]}.{old[1] + 1}.0), so that rejects name the rules they broke")
    return lines, False


def _numbers(version: str) -> tuple[int, int, int]:
    numbers = [int(part) if part.isdigit() else 0 for part in version.lstrip("v").split(".")[:3]]
    major, minor, patch = [*numbers, 0, 0, 0][:3]
    return major, minor, patch
