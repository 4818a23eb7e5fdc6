"""Drafts the columns that an event must have and that no column of the file fills."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sluice.contracts.draft_columns import Draft, shown
from sluice.contracts.draft_meaning import COUNTED_TYPES, ask_about_meaning
from sluice.contracts.draft_targets import TimeSource, describable, plain_name, time_sources
from sluice.contracts.findings import Harm
from sluice.contracts.model import normal
from sluice.contracts.profile import Profile
from sluice.contracts.sql.text import literal, quoted

_RECORD_ID = "record_id(file_sha256, record_number)"
_OWN_ID = re.compile(r"(id|no|nr|number|key)$")


def derived_parts(
    sample: Profile, targets: dict[str, str], times: list[TimeSource], drafted: Draft, *, by_arrival: bool
) -> list[dict[str, Any]]:
    """The derived columns, of those that no column in ``targets`` fills; how they are made goes to the findings.

    ``by_arrival``: an event's time is when its file landed; then there are no ``times``.
    """
    derived: list[dict[str, Any]] = []
    filled = set(targets.values())
    if "event_id" not in filled:
        name = _free("event_id", sample)
        derived.append({"name": name, "physicalName": "event_id", "logicalType": "string", "primaryKey": True})
        derived[-1]["transformLogic"] = _event_id(name, sample, targets, times, drafted)
    if "event_type" not in filled:
        derived.append({"name": _free("event_type", sample), "physicalName": "event_type", "logicalType": "string"})
        derived[-1]["transformLogic"] = literal(drafted.name)
        text = (
            f"no column says what a row is: every row becomes an event of type {drafted.name!r}; reports count "
            f"{', '.join(COUNTED_TYPES)} by name"
        )
        drafted.found(text, Harm.WRONG_VALUES)
    if times:
        _say_which_time(times, drafted)
    ask_about_meaning(sample, targets, drafted)
    if by_arrival:
        _say_arrival(sample, drafted)
        derived.append(arrival(_free("event_time", sample)))
    elif "event_time" not in filled:
        derived += _event_time(sample, times, drafted)
    return derived


def _say_arrival(sample: Profile, drafted: Draft) -> None:
    own = ", ".join(source.column.name for source in time_sources(sample)[:5])
    text = f"is when the file landed, as was asked for{f'; {own} stays in extra' if own else ''}"
    drafted.found(text, Harm.NOTE, where="event_time")


def arrival(name: str) -> dict[str, Any]:
    """The column ``name``, which makes the moment at which its file landed each event's time."""
    return {"name": name, "physicalName": "event_time", "logicalType": "timestamp", "transformLogic": "landed_at()"}


def _event_id(name: str, sample: Profile, targets: dict[str, str], times: list[TimeSource], drafted: Draft) -> str:
    own = [
        c
        for c in sample.columns
        if describable(c) and c.is_unique and _OWN_ID.search(plain_name(c.name)) and c.name not in targets
    ]
    if not times or not own:
        why = "no column is an id of the row" if times else "the file has no moment"
        text = (
            f"{why}, so it is made of the file's bytes (their sha256) and the row's number. The same bytes again load "
            "nothing; the same rows in other bytes, such as a gzip copy, load a second time"
        )
        drafted.found(text, Harm.NOTE, where=name)
        return _RECORD_ID
    text = "is unique in the sample, so the id is made of it"
    otherwise = f"transformLogic: {_RECORD_ID}"
    drafted.asked(text, (name, "transformLogic"), otherwise, where=own[0].name)
    return f"feed_id({literal(drafted.name)}, {_sql_name(own[0].name)})"


def _say_which_time(times: list[TimeSource], drafted: Draft) -> None:
    chosen, others = times[0], times[1:]
    if chosen.column.null_share > 0:
        share = f"{100 * chosen.column.null_share:.3g} %"
        text = f"{share} of the rows have none, and an event needs its time: they are set aside"
        drafted.found(text, Harm.LOST_ROWS, where=chosen.column.name)
    if others:
        names = ", ".join(source.column.name for source in others[:5])
        text = f"is taken for the time of the event; {names} could be it too"
        otherwise = f"physicalName: event_time at {others[0].column.name}, and none here"
        drafted.asked(text, (chosen.column.name, "physicalName"), otherwise, where=chosen.column.name)


def _event_time(sample: Profile, times: list[TimeSource], drafted: Draft) -> list[dict[str, Any]]:
    """Numbers since 1970 become a moment; otherwise a person must say where the time is."""
    if not times:
        drafted.found(_how_to_say_a_time(sample), Harm.UNUSABLE, where="event_time")
        return []
    source = times[0]
    drafted.found(f"is taken for {source.unit} since 1970", Harm.WRONG_VALUES, where=source.column.name)
    factor = f" * {source.factor}" if source.factor != 1 else ""
    moment = f"make_timestamptz(CAST({_sql_name(source.column.name)}{factor} AS BIGINT))"
    name = _free("event_time", sample)
    return [{"name": name, "physicalName": "event_time", "logicalType": "timestamp", "transformLogic": moment}]


def _how_to_say_a_time(sample: Profile) -> str:
    like = next(_hints(sample), "")
    made = {**arrival(_free("event_time", sample)), "transformLogic": ""}
    line = ", ".join(f"{key}: {value}" for key, value in made.items() if value != made["name"] or key == "name")
    return (
        "no column of the file is a moment in a known format, in nearly every row. Say which column it is"
        f"{like} by physicalName: event_time and its formats, or add one of these lines to properties: "
        f"`- {{{line}landed_at()}}` "
        f"(the moment at which the file lands; event_id is then {_RECORD_ID}, as below; ARRIVAL=yes drafts it so), or "
        f"`- {{{line}\"TIMESTAMPTZ '{datetime.now(UTC):%Y-%m-%d} 12:00:00Z'\"}}`"
    )


def _hints(sample: Profile) -> Iterator[str]:
    """What may be the time after all, and why it is not taken, the likeliest first."""
    named = [column for column in sample.columns if column.is_named_like_a_time and column.examples]
    for column in [*named, *sample.columns]:
        if (almost := column.almost) and describable(column):
            bad = [value for value in column.values if value.strip(" ") not in almost.fitting]
            rows = column.rows - sum(column.counts[value] for value in bad)
            form = " or ".join(almost.formats) or "ISO 8601"
            yield f" ({shown(column.name)}: {rows:,} of {column.rows:,} fit {form}, but {shown(bad[0])} does not)"
    for place, column in enumerate(sample.columns, start=1):
        if column.kind == "timestamp" and not describable(column):
            yield (
                f" (column {place} holds {shown(column.examples[0])}, but a contract can describe it only by a name: "
                "csv's header: ignore gives the columns names by position)"
            )
    for column in filter(describable, named):
        yield f" ({shown(column.name)} is named like one, and holds {shown(column.examples[0])})"


def _free(name: str, sample: Profile) -> str:
    taken = {normal(column.name) for column in sample.columns}
    return name if name not in taken else next(f for i in range(2, 99) if (f := f"{name}_{i}") not in taken)


def _sql_name(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else quoted(name)
