"""What a draft cannot know of the values that load: in which zone times are, which words reports count, what numbers
are."""

from __future__ import annotations

import re

from sluice.contracts.draft_columns import Draft, shown
from sluice.contracts.draft_targets import describable
from sluice.contracts.findings import Harm
from sluice.contracts.profile import Profile
from sluice.contracts.profiling.columns import ColumnProfile

# Which types reports count by name; theirs is the last word.
COUNTED_TYPES = ("search", "product_view", "add_to_cart", "purchase", "cancellation")
_SUMMED = ("quantity", "price", "total_amount")
_ZONE_AT_END = re.compile(r"([Zz]|UTC|GMT|[+-]\d\d(:?\d\d)?)\s*$")
_NAMED_MOST = 6


def ask_about_meaning(sample: Profile, targets: dict[str, str], drafted: Draft) -> None:
    """Tell what may be meant otherwise than the draft says; ``targets`` are columns of events by column's name."""
    for column in sample.columns:
        if targets.get(column.name) == "event_time":
            _ask_about_zone(column, drafted)
        elif targets.get(column.name) == "event_type":
            _ask_about_types(column, drafted)
    _say_what_is_not_added_up(sample, targets, drafted)


def _ask_about_zone(column: ColumnProfile, drafted: Draft) -> None:
    if column.moments is None or _has_zone(column):
        return
    text = f"{shown(column.examples[0])} carries no time zone, and counts as UTC"
    otherwise = "{property: timezone, value: Europe/Berlin} under the contract's customProperties"
    drafted.asked(text, (column.name, "physicalName"), otherwise, where=column.name)


def _has_zone(column: ColumnProfile) -> bool:
    formats = column.moments.formats if column.moments is not None else ()
    if formats:
        return any(set(re.sub("'[^']*'", "", form)) & set("XxZzVO") for form in formats)
    return any(_ZONE_AT_END.search(example) for example in column.examples if len(example.strip()) > len("2026-01-31"))


def _ask_about_types(column: ColumnProfile, drafted: Draft) -> None:
    unknown = [value for value in column.values if value not in COUNTED_TYPES]
    if not unknown:
        return
    more = f" and {len(unknown) - _NAMED_MOST} more" if len(unknown) > _NAMED_MOST else ""
    text = (
        f"reports count {', '.join(COUNTED_TYPES)} by name; {', '.join(map(shown, unknown[:_NAMED_MOST]))}{more} "
        "are none of them"
    )
    otherwise = f"{{property: valueMap, value: {{{_word(unknown[0])}: …}}}} under customProperties"
    drafted.asked(text, (column.name, "physicalName"), otherwise, where=column.name)


def _word(value: str) -> str:
    return value if re.fullmatch(r"[A-Za-z_]\w*", value) else shown(value)


def _say_what_is_not_added_up(sample: Profile, targets: dict[str, str], drafted: Draft) -> None:
    """Numbers that stay in extra, while a column of events that reports add up has no source."""
    unfilled = [target for target in _SUMMED if target not in targets.values()]
    numbers = [column.name for column in sample.columns if column.name not in targets and _may_be_summed(column)]
    if unfilled and numbers:
        more = f" and {len(numbers) - _NAMED_MOST} more" if len(numbers) > _NAMED_MOST else ""
        text = (
            f"{', '.join(map(shown, numbers[:_NAMED_MOST]))}{more}: kept in extra, which reports do not add up; where "
            f"one is {' or '.join(unfilled)}, say so by physicalName"
        )
        drafted.found(text, Harm.WRONG_VALUES)


def _may_be_summed(column: ColumnProfile) -> bool:
    is_id = column.kind == "integer" and column.is_unique
    return column.kind in ("integer", "number") and column.misfits is None and not is_id and describable(column)
