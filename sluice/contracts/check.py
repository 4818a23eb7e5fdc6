"""Checks every contract, and says which changes since the last release break those who read or write the data.

What is released is what the newest git tag ``v*`` holds of the contracts' folder. Without a tag nothing is promised
yet: then the changes since the last commit are shown, and none of them is an error.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sluice.contracts.changes import changes
from sluice.contracts.folder import read_contracts
from sluice.contracts.judge import Judge
from sluice.contracts.matching import match
from sluice.contracts.model import Contract, ContractError, HeaderError
from sluice.contracts.parse import parse_contract


@dataclass(frozen=True)
class Baseline:
    """What contracts are compared with: file texts by name. ``is_released`` says whether anybody relies on them."""

    name: str
    texts: dict[str, str]
    is_released: bool


def check(folder: Path) -> tuple[list[str], bool]:
    """Lines that say how every contract in ``folder`` stands, and whether all is well."""
    contracts, lines, warnings = _usable(folder)
    is_well = not lines
    lines += [f"{contract.path.name}: {contract.name} {contract.version} is sound" for contract in contracts]
    lines += warnings
    if overlapping := list(_overlaps(contracts)):
        lines, is_well = lines + overlapping, False
    found = baseline(folder)
    if found is None:
        return [*lines, f"not compared: {folder} is in no git repository with a commit"], is_well
    lines.append(_compared_with(found))
    for said, breaks in _compared(contracts, found):
        lines += said
        is_well = is_well and not breaks
    return lines, is_well


def _usable(folder: Path) -> tuple[list[Contract], list[str], list[str]]:
    """The contracts that can be used, what is wrong with the others, and what is doubtful in the usable ones."""
    judge = Judge()
    try:
        found = read_contracts(folder, problems=judge.problems)
        warnings = [
            f"{contract.path.name}: warning: {warning}"
            for contract in found.usable
            for warning in judge.warnings(contract)
        ]
    finally:
        judge.close()
    # Two contracts of one name are said to be so once.
    problems = list(dict.fromkeys(broken.why for broken in found.broken))
    return list(found.usable), problems, warnings


def _overlaps(contracts: Sequence[Contract]) -> Iterator[str]:
    """Contracts whose own full header, or required header, another one takes or disputes."""
    for contract in contracts:
        required = [column.name for column in contract.read_columns if column.required]
        for header in ([column.name for column in contract.read_columns], required):
            try:
                best = match([(other, header) for other in contracts]).contract if header else contract
            except HeaderError as error:
                yield f"{contract.path.name}: {error}"
                break
            if best is not contract:
                yield f"{contract.path.name}: files with header {header} go to contract {best.name}: make them differ"
                break


def baseline(folder: Path) -> Baseline | None:
    """The last release's contracts, or the last commit's when there is no release; None without git."""
    top = _git(folder, "rev-parse", "--show-toplevel")
    if top is None or _git(folder, "rev-parse", "--verify", "--quiet", "HEAD") is None:
        return None
    tags = (_git(folder, "tag", "--list", "v*", "--sort=-version:refname") or "").split()
    commit = tags[0] if tags else "HEAD"
    inside = folder.resolve().relative_to(Path(top.strip()).resolve()).as_posix()
    listed = _git(folder, "ls-tree", "--name-only", "--full-tree", commit, f"{inside}/") or ""
    paths = [path for path in listed.splitlines() if path.endswith(".odcs.yaml")]
    texts = {Path(path).name: _git(folder, "show", f"{commit}:{path}") or "" for path in paths}
    return Baseline(commit, texts, is_released=bool(tags))


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says; None when it is missing, refuses, or knows no such thing."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout


def _compared_with(found: Baseline) -> str:
    if found.is_released:
        return f"compared with release {found.name}:"
    return "no release yet (no tag v*): nothing is promised; changes since the last commit:"


def _compared(contracts: Sequence[Contract], found: Baseline) -> Iterator[tuple[list[str], bool]]:
    """For each contract: lines about its changes, and whether they break a promise."""
    today = {contract.name: contract for contract in contracts}
    for file_name, text in found.texts.items():
        try:
            before = parse_contract(text, Path(file_name))
        except ContractError as error:
            yield (
                [f"  {file_name} of {found.name} is no usable contract by today's rules, and is not compared: {error}"],
                False,
            )
            continue
        after = today.get(before.name)
        if after is None:
            yield [f"  {before.name} is gone: its files would be rejected"], found.is_released
        else:
            yield _verdict(before, after, is_released=found.is_released)


def _verdict(before: Contract, after: Contract, *, is_released: bool) -> tuple[list[str], bool]:
    found = changes(before, after)
    if not found:
        return [f"  {after.name}: unchanged"], False
    breaking = [change for change in found if change.breaks]
    old, new = _numbers(before.version), _numbers(after.version)
    lines = [f"  {after.name} {before.version} → {after.version}:"]
    lines += [f"    breaks {change.breaks}: {change.text}" for change in breaking]
    lines += [f"    compatible: {change.text}" for change in found if not change.breaks]
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
