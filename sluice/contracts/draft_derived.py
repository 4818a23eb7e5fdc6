"""Drafts the columns that an event must have and that no column of the file fills."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from sluice.contracts.draft_columns import Draft
from sluice.contracts.draft_targets import TimeSource, describable, plain_name
from sluice.contracts.findings import Harm
from sluice.contracts.model import normal
from sluice.contracts.profile import Profile
from sluice.contracts.sql.text import literal, quoted

_OWN_ID = re.compile(r"(id|no|nr|number|key)$")


def derived_parts(
    sample: Profile, targets: dict[str, str], times: list[TimeSource], drafted: Draft
) -> list[dict[str, Any]]:
    """The derived columns, of those that no column in ``targets`` fills; how they are made goes to the findings."""
    derived: list[dict[str, Any]] = []
    filled = set(targets.values())
    if "event_id" not in filled:
        derived.append({"name": _free("event_id", sample), "physicalName": "event_id", "logicalType": "string"})
        derived[-1] |= {"primaryKey": True, "transformLogic": _event_id(sample, targets, times, drafted)}
    if "event_type" not in filled:
        derived.append({"name": _free("event_type", sample), "physicalName": "event_type", "logicalType": "string"})
        derived[-1]["transformLogic"] = literal(drafted.name)
        text = f"no column says what a row is: every row becomes an event of type {drafted.name!r}"
        drafted.found(text, Harm.WRONG_VALUES)
    if times:
        _say_which_time(times, drafted)
    if "event_time" not in filled:
        derived += _event_time(sample, times, drafted)
    return derived


def _event_id(sample: Profile, targets: dict[str, str], times: list[TimeSource], drafted: Draft) -> str:
    own = [
        c
        for c in sample.columns
        if describable(c) and c.is_unique and _OWN_ID.search(plain_name(c.name)) and c.name not in targets
    ]
    if not times:
        drafted.found("without a moment in the file, the id is made of its content and the row's number", Harm.NOTE)
        return "record_id(file_sha256, record_number)"
    if not own:
        text = "no column is an id of the row: the id is made of the file's content and the row's number"
        drafted.found(text, Harm.NOTE)
        return "record_id(file_sha256, record_number)"
    text = "is unique in the sample, so the id is made of it; if it is no id, use record_id"
    drafted.found(text, Harm.WRONG_VALUES, where=own[0].name, question=True)
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
        drafted.found(text, Harm.WRONG_VALUES, where=chosen.column.name, question=True)


def _event_time(sample: Profile, times: list[TimeSource], drafted: Draft) -> list[dict[str, Any]]:
    """Numbers since 1970 become a moment; otherwise a person must say where the time is."""
    if not times:
        drafted.found(
            "no column of the file is a moment in a known format. Say which column it is "
            "(physicalName: event_time, with its formats), or add one of these lines to properties: "
            "`- {name: event_time, logicalType: timestamp, transformLogic: landed_at()}` (the moment at which the file "
            "lands; event_id is then record_id(file_sha256, record_number)), or `- {name: event_time, logicalType: "
            f"timestamp, transformLogic: \"TIMESTAMPTZ '{datetime.now(UTC):%Y-%m-%d} 12:00:00Z'\"}}`",
            Harm.UNUSABLE,
            where="event_time",
        )
        return []
    source = times[0]
    drafted.found(f"is taken for {source.unit} since 1970", Harm.WRONG_VALUES, where=source.column.name)
    factor = f" * {source.factor}" if source.factor != 1 else ""
    moment = f"make_timestamptz(CAST({_sql_name(source.column.name)}{factor} AS BIGINT))"
    name = _free("event_time", sample)
    return [{"name": name, "physicalName": "event_time", "logicalType": "timestamp", "transformLogic": moment}]


def _free(name: str, sample: Profile) -> str:
    taken = {normal(column.name) for column in sample.columns}
    return name if name not in taken else next(f for i in range(2, 99) if (f := f"{name}_{i}") not in taken)


def _sql_name(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else quoted(name)
