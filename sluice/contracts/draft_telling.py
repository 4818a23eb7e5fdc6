"""What `make contract` tells about a draft: what to look at, rows as they would stand, and what comes next."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa

from sluice.contracts.draft_columns import Draft
from sluice.contracts.event_columns import PLACE
from sluice.contracts.findings import Harm

_HEADINGS = {
    Harm.UNUSABLE: "missing, the draft cannot be used without it",
    Harm.LOST_ROWS: "rows are set aside",
    Harm.WRONG_VALUES: "rows load, and may mean something else",
    Harm.LATER_FILES: "later files may not load",
    Harm.NOTE: "decided, and why",
}
_LONGEST = 100


def told(drafted: Draft, path: Path, target: Path | None, *, again: str = "") -> Iterator[str]:
    """Lines for people. ``target`` is where the draft was written; None when it was only printed.

    ``again`` is what to draft from once more, when it is not ``path``.
    """
    for harm, heading in _HEADINGS.items():
        found = [finding for finding in drafted.findings if finding.harm is harm]
        if found:
            yield f"{heading}:"
            yield from (f"  {'? ' if finding.question else '- '}{finding}" for finding in found)
    if any(finding.question for finding in drafted.findings):
        yield "what begins with ? is a guess: only who knows the feed can say"
    if drafted.first_rows:
        by_arrival = ", had the file landed now and its event_time by landed_at()" if drafted.missing else ""
        yield f"the first {len(drafted.first_rows)} rows as they would stand in events{by_arrival}:"
        yield from (f"  {_row(row)}" for row in drafted.first_rows)
        if any("extra" in row for row in drafted.first_rows):
            yield "extra keeps a value as the file's own text, numbers too: a type there only checks it"
    yield f"next: {_next(drafted, path, target, again or str(path))}"


def as_they_would_stand(good: pa.Table, most: int = 3) -> list[dict[str, Any]]:
    """The first rows of what the judge has made, by column of events; only what has a value, for people to read."""
    columns = [name for name in good.column_names if name not in PLACE]
    rows = good.sort_by("record_number").slice(0, most).select(columns)
    texts = {
        name: rows[name].cast(pa.string()).to_pylist()
        if pa.types.is_timestamp(rows[name].type)
        else rows[name].to_pylist()
        for name in columns
    }
    return [
        {name: _readable(name, texts[name][i]) for name in columns if texts[name][i] is not None}
        for i in range(rows.num_rows)
    ]


def _readable(name: str, value: Any) -> Any:
    """The judge hands out what binary COPY takes: 16 bytes of a uuid, jsonb behind its version."""
    if isinstance(value, bytes):
        return str(UUID(bytes=value)) if name == "event_id" else json.loads(value[1:])
    return value


def _row(row: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in row.items())


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str | dict) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _next(drafted: Draft, path: Path, target: Path | None, again: str) -> str:
    file, again = shlex.quote(str(path)), shlex.quote(again)
    if drafted.missing and target is not None:
        there, done = shlex.quote(str(target)), shlex.quote(str(target).removesuffix(".draft"))
        fill_in = f"fill in what is missing, mv {there} {done}, then make load FILE={file}"
        return f"{fill_in}; or rm {there}, then make contract FILE={again} OUT={target.parent} ARRIVAL=yes"
    if target is None and drafted.missing:
        return (
            f"make contract FILE={again} OUT=include/contracts (ARRIVAL=yes: an event's time is when its file landed)"
        )
    if target is None:
        return f"make contract FILE={again} OUT=include/contracts"
    return f"make load FILE={file}"
