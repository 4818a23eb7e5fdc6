"""Checks every contract, and says which changes since the last release break those who read or write the data.

What is released is what the newest git tag ``v*`` holds of the contracts' folder. Without a tag nothing is promised
yet: then the changes since the last commit are shown, and none of them is an error.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sluice.contracts.folder import read_contracts
from sluice.contracts.judge import Judge
from sluice.contracts.matching import match
from sluice.contracts.model import SEVERITIES, Column, Contract, ContractError, HeaderError
from sluice.contracts.parse import parse_contract
from sluice.contracts.rules import BOUNDS

# What a contract may say of stray quotes, ever stricter.
_STRAY_QUOTES = ("warn", None, "reject")


@dataclass(frozen=True)
class Change:
    """One difference between two versions of a contract. ``breaks``: "readers", "writers", or "" when compatible."""

    text: str
    breaks: str = ""


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
    for changes, breaks in _compared(contracts, found):
        lines += changes
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


def changes(before: Contract, after: Contract) -> list[Change]:
    """Every difference that somebody could notice, the breaking ones first."""
    found = [*_contract_changes(before, after), *_rule_changes(before, after)]
    renamed = _pairs(before, after)
    for column in before.columns:
        now = renamed.get(column.name)
        if now is None:
            found.append(Change(f"column {column.name} is gone from {_place(column)}", "readers"))
        else:
            found += _column_changes(column, now)
    kept = {column.name for column in renamed.values()}
    for column in after.columns:
        if column.name not in kept:
            needed = column.required and column.transform is None
            text = f"column {column.name} is new{', and files must have it' if needed else ''}"
            found.append(Change(text, "writers" if needed else ""))
    return sorted(found, key=lambda change: not change.breaks)


def _pairs(before: Contract, after: Contract) -> dict[str, Column]:
    """By the old column's name, the column that takes its place: of the same name, or one that has it as an alias."""
    by_name = {name: column for column in after.columns for name in reversed(column.names)}
    by_name |= {column.names[0]: column for column in after.columns}
    return {column.name: by_name[column.names[0]] for column in before.columns if column.names[0] in by_name}


def _place(column: Column) -> str:
    return f"events.{column.target}" if column.target else f"extra->>'{column.name}'"


def _contract_changes(before: Contract, after: Contract) -> Iterator[Change]:
    if replace(before.dialect, stray_quote=None) != replace(after.dialect, stray_quote=None):
        yield Change("csv: files are read in another dialect", "writers")
    if (old_quote := before.dialect.stray_quote) != (new_quote := after.dialect.stray_quote):
        is_stricter = _STRAY_QUOTES.index(new_quote) > _STRAY_QUOTES.index(old_quote)
        yield Change(f"csv.strayQuote {_shown(old_quote)} → {_shown(new_quote)}", "writers" if is_stricter else "")
    if before.timezone != after.timezone:
        yield Change(
            f"timezone {before.timezone} → {after.timezone}: times without a zone mean another moment", "readers"
        )
    if before.revision != after.revision:
        yield Change(f"revision {before.revision} → {after.revision}", "writers")
    if before.cancellations != after.cancellations:
        yield Change(f"cancellations {before.cancellations} → {after.cancellations}", "writers")
    if before.drift != after.drift:
        yield Change(f"drift {before.drift} → {after.drift}", "writers" if after.drift == "reject" else "")
    for name, old, new in (
        ("rows", before.budget_rows, after.budget_rows),
        ("percent", before.budget_percent, after.budget_percent),
    ):
        if old != new:
            is_tighter = new is not None and (old is None or new < old)
            yield Change(f"errorBudget.{name} {_shown(old)} → {_shown(new)}", "writers" if is_tighter else "")


def _rule_changes(before: Contract, after: Contract) -> Iterator[Change]:
    old, new = ({rule.name: rule for rule in contract.rules} for contract in (before, after))
    for name, rule in old.items():
        now = new.get(name)
        if now is None:
            yield Change(f"rule {name} is gone")
        elif " ".join(now.predicate.split()) != " ".join(rule.predicate.split()):
            yield Change(f"rule {name} says something else", "writers" if now.severity != "warn" else "")
        if now and now.severity != rule.severity:
            is_tighter = SEVERITIES.index(now.severity) > SEVERITIES.index(rule.severity)
            yield Change(f"rule {name} {rule.severity} → {now.severity}", "writers" if is_tighter else "")
    for name in new.keys() - old.keys():
        yield Change(f"rule {name} ({new[name].severity}) is new", "writers" if new[name].severity != "warn" else "")


def _column_changes(before: Column, after: Column) -> Iterator[Change]:
    name = before.name
    if _place(before) != _place(after):
        yield Change(f"column {name} moves from {_place(before)} to {_place(after)}", "readers")
    for what in (
        "logical_type",
        "integer",
        "digits",
        "is_float",
        "decimal_separator",
        "trim",
        "transform",
        "value_map",
    ):
        old, new = getattr(before, what), getattr(after, what)
        if old != new and not (what in ("integer", "digits", "is_float") and before.logical_type != after.logical_type):
            yield _value_change(name, what, old, new)
    if before.required != after.required:
        yield (
            Change(f"column {name} is required now", "writers")
            if after.required
            else Change(f"column {name} may be null now", "readers")
        )
    for alias in sorted(set(before.names) - set(after.names)):
        yield Change(f"column {name} no longer answers to {alias!r}", "writers")
    for alias in sorted(set(after.names) - set(before.names)):
        yield Change(f"column {name} also answers to {alias!r}")
    yield from _domain_changes(before, after)


def _value_change(name: str, what: str, old: object, new: object) -> Change:
    words = {"logical_type": "logicalType", "value_map": "valueMap", "transform": "transformLogic", "digits": "digits"}
    if what == "value_map" and isinstance(old, dict) and isinstance(new, dict) and old.items() <= new.items():
        return Change(f"column {name}: valueMap has more values")
    if what == "digits" and isinstance(old, tuple) and isinstance(new, tuple) and old[0] <= new[0] and old[1] <= new[1]:
        return Change(f"column {name}: numbers may have more digits")
    return Change(f"column {name}: {words.get(what, what)} {_shown(old)} → {_shown(new)}", "readers")


def _domain_changes(before: Column, after: Column) -> Iterator[Change]:
    """Changes of what values are allowed: narrower breaks those who write files."""
    name = before.name
    if before.enum != after.enum:
        fewer = sorted(set(before.enum) - set(after.enum)) if after.enum else []
        if after.enum and (fewer or not before.enum):
            yield Change(f"column {name}: enum no longer allows {', '.join(fewer) or 'other values'}", "writers")
        if more := sorted(set(after.enum) - set(before.enum)) if before.enum else []:
            yield Change(f"column {name}: enum also allows {', '.join(more)}")
        if before.enum and not after.enum:
            yield Change(f"column {name}: any value is allowed now")
    for pattern in before.formats:
        if pattern not in after.formats and after.formats:
            yield Change(f"column {name}: format {pattern} is no longer read", "writers")
    if after.formats and not before.formats:
        yield Change(f"column {name}: ISO times are no longer read", "writers")
    elif set(after.formats) - set(before.formats):
        yield Change(f"column {name}: more formats are read")
    for option in sorted(before.options.keys() | after.options.keys()):
        old, new = before.options.get(option), after.options.get(option)
        if old != new and option != "format":
            is_wider = _is_wider(option, old, new)
            yield Change(f"column {name}: {option} {_shown(old)} → {_shown(new)}", "" if is_wider else "writers")


def _is_wider(option: str, old: object, new: object) -> bool:
    if new is None:
        return True
    if old is None or isinstance(old, str) != isinstance(new, str) or option not in (*BOUNDS, "minLength", "maxLength"):
        return False
    lower = option in ("minimum", "exclusiveMinimum", "minLength")
    return bool(new < old if lower else new > old)  # type: ignore[operator]


def _shown(value: object) -> str:
    if value is None:
        return "none"
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:57]}…"
