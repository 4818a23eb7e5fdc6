"""What a draft cannot know of the values that load: in which zone times are, which words reports count, what numbers
are."""

from __future__ import annotations

import re

from sluice.contracts.draft_columns import Draft, shown
from sluice.contracts.draft_targets import describable, named_like
from sluice.contracts.findings import Harm
from sluice.contracts.profile import Profile
from sluice.contracts.profiling.columns import ColumnProfile
from sluice.contracts.profiling.nearly_all import are_nearly_all, rows_that
from sluice.contracts.sql.text import quoted

# Which types reports count by name; theirs is the last word.
COUNTED_TYPES = ("search", "product_view", "add_to_cart", "purchase", "cancellation")
_SUMMED = ("quantity", "price", "total_amount")
_ZONE_AT_END = re.compile(r"([Zz]|UTC|GMT|[+-]\d\d(:?\d\d)?)\s*$")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d([.]\d{1,6})?)?")
_NAMED_MOST = 6


def ask_about_meaning(sample: Profile, targets: dict[str, str], drafted: Draft) -> None:
    """Tell what may be meant otherwise than the draft says; ``targets`` are columns of events by column's name."""
    for column in sample.columns:
        if targets.get(column.name) == "event_time":
            _ask_about_zone(column, drafted)
            _ask_about_clock(column, sample, drafted)
        elif targets.get(column.name) == "event_type":
            _ask_about_types(column, drafted)
    _say_what_does_not_fit(sample, targets, drafted)
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


def _ask_about_clock(column: ColumnProfile, sample: Profile, drafted: Draft) -> None:
    """A file may say the day in one column and the time of day in another."""
    clocks = (c for c in sample.columns if describable(c) and are_nearly_all(rows_that(_is_clock, c.counts), c.rows))
    clock = next(clocks, None)
    if clock is None or column.moments is None or not column.moments.is_date_only:
        return
    text = (
        f"says the day only, so every event is at midnight; {shown(clock.name)} ({shown(clock.examples[0])}) seems to "
        "be the time of day, and stays in extra"
    )
    moment = f"{quoted(column.name)} + TRY_CAST({quoted(clock.name)} AS INTERVAL)"
    otherwise = (
        f"no physicalName here, and a property {{name: moment, physicalName: event_time, logicalType: timestamp, "
        f"transformLogic: {shown(moment)}}}"
    )
    drafted.asked(text, (column.name, "physicalName"), otherwise, where=column.name)


def _is_clock(value: str) -> bool:
    return _CLOCK.fullmatch(value.strip()) is not None


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


def _say_what_does_not_fit(sample: Profile, targets: dict[str, str], drafted: Draft) -> None:
    """Columns that are named like one that reports add up, and that nobody can add up as they are written."""
    for target in _SUMMED:
        for column in named_like(sample, target) if target not in targets.values() else []:
            if column.kind in ("string", "float") and column.rows and column.accounting is None:
                kinds = {re.sub(r"\d+", "9", value): value for value in reversed(column.values)}
                seen = ", ".join(map(shown, list(kinds.values())[::-1][:3]))
                text = (
                    f"is named like {target}, but is not in one format of numbers ({seen}): it stays in extra as it is"
                )
                drafted.found(text, Harm.WRONG_VALUES, where=column.name)


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
