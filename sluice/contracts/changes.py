"""Which differences between two versions of a contract break those who read or write the data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sluice.contracts.dialect import STRAY_QUOTES
from sluice.contracts.model import Column, Contract
from sluice.contracts.rules import registry
from sluice.contracts.rules.rule_types import Change, shown

# By what a contract calls it: the column's parts that make another value of the same text.
_MAKES_VALUES = {
    "decimalSeparator": "decimal_separator",
    "trim": "trim",
    "transformLogic": "transform",
    "valueMap": "value_map",
}
_ZONES = ("defaultTimezone", "timezone")


def changes(before: Contract, after: Contract) -> list[Change]:
    """Every difference that somebody could notice, the breaking ones first."""
    differences = [*_contract_changes(before, after), *registry.contract_changes(before, after)]
    renamed = _pairs(before, after)
    for column in before.columns:
        now = renamed.get(column.name)
        if now is None:
            differences.append(Change(f"column {column.name} is gone from {_place(column)}", "readers"))
        else:
            differences += _column_changes(column, now)
    kept = {column.name for column in renamed.values()}
    for column in after.columns:
        if column.name not in kept:
            needed = column.required and column.transform is None
            text = f"column {column.name} is new{', and files must have it' if needed else ''}"
            differences.append(Change(text, "writers" if needed else ""))
    return sorted(differences, key=lambda change: not change.breaks)


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
    if before.layout != after.layout:
        yield Change("csv: what of a file is header, footer or passed over is another", "writers")
    yield from _file_changes(before, after)
    yield from _report_changes(before, after)
    if (old_quote := before.dialect.stray_quote) != (new_quote := after.dialect.stray_quote):
        is_stricter = STRAY_QUOTES.index(new_quote) > STRAY_QUOTES.index(old_quote)
        yield Change(f"csv.strayQuote {shown(old_quote)} → {shown(new_quote)}", "writers" if is_stricter else "")
    if before.timezone != after.timezone:
        yield Change(
            f"timezone {before.timezone} → {after.timezone}: times without a zone mean another moment", "readers"
        )
    if before.revision != after.revision:
        yield Change(f"revision {before.revision} → {after.revision}", "writers")
    if before.drift != after.drift:
        yield Change(f"drift {before.drift} → {after.drift}", "writers" if after.drift == "reject" else "")
    for name, old, new in (
        ("rows", before.budget_rows, after.budget_rows),
        ("percent", before.budget_percent, after.budget_percent),
    ):
        if old != new:
            is_tighter = new is not None and (old is None or new < old)
            yield Change(f"errorBudget.{name} {shown(old)} → {shown(new)}", "writers" if is_tighter else "")


def _file_changes(before: Contract, after: Contract) -> Iterator[Change]:
    if before.files == after.files:
        return
    is_narrower = bool(after.files) and (not before.files or not {*before.files} <= {*after.files})
    text = f"files {shown(list(before.files))} → {shown(list(after.files))}"
    yield Change(text, "writers" if is_narrower else "")


def _report_changes(before: Contract, after: Contract) -> Iterator[Change]:
    """What reports say otherwise of the feed, of its earlier days too; no row changes."""
    if (old := before.report_currency) != (new := after.report_currency):
        yield Change(f"reportCurrency {shown(old or None)} → {shown(new or None)}", "readers" if old else "")
    if before.counts_sales != after.counts_sales:
        what = "are" if after.counts_sales else "are no longer"
        yield Change(f"sales: purchases and cancellations {what} counted as sales in reports", "readers")
    if before.expect != after.expect:
        yield Change("expect: another calendar of its files, or another size of them")


def _column_changes(before: Column, after: Column) -> Iterator[Change]:
    name = before.name
    if _place(before) != _place(after):
        yield Change(f"column {name} moves from {_place(before)} to {_place(after)}", "readers")
    for what, attribute in _MAKES_VALUES.items():
        old, new = getattr(before, attribute), getattr(after, attribute)
        if old != new:
            yield _value_change(f"column {name}: {what}", old, new)
    yield from _number_changes(before, after)
    for alias in sorted(set(before.names) - set(after.names)):
        yield Change(f"column {name} no longer answers to {alias!r}", "writers")
    for alias in sorted(set(after.names) - set(before.names)):
        yield Change(f"column {name} also answers to {alias!r}")
    yield from registry.column_changes(before, after)
    yield from _zone_changes(before, after)


def _number_changes(before: Column, after: Column) -> Iterator[Change]:
    name = before.name
    if (old := before.thousands_separator) != (new := after.thousands_separator):
        text = f"column {name}: thousandsSeparator {shown(old or None)} → {shown(new or None)}"
        yield Change(text, "writers" if old else "")
    if fewer := sorted(set(before.currency) - set(after.currency)):
        yield Change(f"column {name}: currency no longer allows {', '.join(fewer)}", "writers")
    if more := sorted(set(after.currency) - set(before.currency)):
        yield Change(f"column {name}: currency also allows {', '.join(more)}")


def _value_change(what: str, old: object, new: object) -> Change:
    if isinstance(old, dict) and isinstance(new, dict) and old.items() <= new.items():
        return Change(f"{what} has more values")
    return Change(f"{what} {shown(old)} → {shown(new)}", "readers")


def _zone_changes(before: Column, after: Column) -> Iterator[Change]:
    for option in _ZONES:
        old, new = before.options.get(option), after.options.get(option)
        if old != new:
            yield Change(
                f"column {before.name}: {option} {shown(old)} → {shown(new)}", "" if new is None else "writers"
            )
