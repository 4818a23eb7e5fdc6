"""What people are told, made from a kind and a state: a sentence, how bad it is, the remedy. They decide nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sluice.duty.changes import GONE, UNKNOWN
from sluice.duty.conditions import FINE
from sluice.ledger import quarantine
from sluice.watching.health import Level

DOCS = "docs/on-duty.md"
# Of what files say no more is handed on.
_NAME, _TEXT, _LISTED = 80, 300, 5
# What a receiver may take for a mention of somebody, a link or a mark.
_HARMLESS = str.maketrans({"@": "＠", "<": "‹", ">": "›", "`": "'"})


@dataclass(frozen=True)
class Words:
    """A sentence of which ``{name}`` is the subject, how bad it is, what to do, and the section of docs/on-duty.md."""

    level: Level
    sentence: str
    remedy: str = ""
    section: str = ""


_BAD, _WARNING, _GOOD = Level.BAD, Level.WARNING, Level.GOOD
_WORDS: dict[tuple[str, str], Words] = {
    ("stream", "down"): Words(
        _BAD,
        "No stream lives, and none was submitted in its place.",
        "make status tells why the last one ended. Is the DAG ingest_events unpaused? Does Airflow's scheduler run?",
        "the-stream-is-down",
    ),
    ("stream", FINE): Words(_GOOD, "The stream is alive again, or nothing waits for it."),
    ("backlog", "behind"): Words(
        _WARNING,
        "Loading falls behind: files arrive faster than they are loaded.",
        "Wait when it is a peak; otherwise raise SLUICE_STREAM_TASKS, or land fewer and larger files.",
        "loading-falls-behind",
    ),
    ("backlog", "stuck"): Words(
        _BAD,
        "Files wait, and none is loaded.",
        "make status tells what the stream waits for.",
        "nothing-is-loaded",
    ),
    ("backlog", FINE): Words(_GOOD, "Loading keeps up again."),
    ("proof", "broken"): Words(
        _BAD,
        "Conservation is broken: the last recount found rows that are not accounted for.",
        "make reconcile names each place; change nothing before you have its output.",
        "conservation-is-broken",
    ),
    ("proof", FINE): Words(_GOOD, "Conservation holds again: the last recount found every row."),
    ("disk", "low"): Words(
        _WARNING, "The disk of {name} is nearly full.", "Free space, before loading stops.", "a-disk-is-nearly-full"
    ),
    ("disk", "full"): Words(
        _BAD, "The disk of {name} is full.", "Free space: the stream tries again by itself.", "a-disk-is-nearly-full"
    ),
    ("disk", FINE): Words(_GOOD, "The disk of {name} has space again."),
    ("contract", "broken"): Words(
        _BAD,
        "The contract {name} cannot be used; the files that it may be for wait.",
        "make contracts tells what is wrong. Correct the file: its files are dealt out again by themselves.",
        "a-contract-cannot-be-used",
    ),
    ("contract", FINE): Words(_GOOD, "The contract {name} can be used again."),
    ("reports", "unreadable"): Words(
        _WARNING,
        "No report is refreshed: the SQL of one cannot be read.",
        "Correct the file under include/sql/reports.",
        "the-reports-are-not-refreshed",
    ),
    ("reports", "failed"): Words(
        _WARNING,
        "The last refresh of the reports failed; it is tried again.",
        "The log of the task in DAG report_sales tells more.",
        "the-reports-are-not-refreshed",
    ),
    ("reports", "stale"): Words(
        _WARNING,
        "The reports have not been refreshed for long.",
        "Is the DAG report_sales unpaused, and does it run?",
        "the-reports-are-not-refreshed",
    ),
    ("reports", "differ"): Words(
        _BAD,
        "The reports are not what the events give.",
        "make rebuild-reports counts them from nothing.",
        "the-reports-are-wrong",
    ),
    ("reports", FINE): Words(_GOOD, "The reports are refreshed again."),
    ("refused", "refused"): Words(
        _WARNING,
        "Files lie in incoming that are never taken.",
        "make status names each and why; what can be taken is taken by itself.",
        "files-are-refused",
    ),
    ("refused", FINE): Words(_GOOD, "No refused file lies in incoming any more."),
    ("archive", "unsealed"): Words(
        _WARNING,
        "Archived files are old enough to be sealed, and are not.",
        "The log of the task seal_archive in DAG keep_house names each and why.",
        "archived-files-are-not-sealed",
    ),
    ("archive", FINE): Words(_GOOD, "All archived files that are old enough are sealed."),
    ("feed", "late"): Words(
        _WARNING, "The feed {name} is late.", "Ask its sender; nothing is lost here.", "a-feed-is-late-or-missing"
    ),
    ("feed", "missing"): Words(
        _BAD, "No file of the feed {name} came.", "Ask its sender.", "a-feed-is-late-or-missing"
    ),
    ("feed", "too_small"): Words(
        _WARNING,
        "The feed {name} brought fewer rows than it should.",
        "Ask its sender whether the file was whole; make unload takes a wrong one back.",
        "a-feed-is-too-small",
    ),
    ("feed", "too_dirty"): Words(
        _BAD,
        "Too many rows of the feed {name} were set aside.",
        "make rejects shows them by rule; correct the contract or ask the sender, then make replay.",
        "a-feed-is-too-dirty",
    ),
    ("feed", FINE): Words(_GOOD, "The feed {name} is as it should be again."),
}


def words(kind: str, state: str) -> Words:
    """What is said of a subject of this kind in this state; of one that is not known here, its own words."""
    if state == GONE:
        return Words(Level.QUIET, f"{_kind(kind)} {{name}} is not there any more, and is not looked at.")
    if state == UNKNOWN:
        return Words(Level.QUIET, f"{_kind(kind)} {{name}} is not judged any more: not enough was seen.")
    said = clean(state.replace("_", " "))
    return _WORDS.get((kind, state)) or Words(_WARNING, f"{_kind(kind)} {{name}} is {said}.", "", "")


def known() -> dict[tuple[str, str], Words]:
    """All of them, by kind and state."""
    return dict(_WORDS)


def sentence(kind: str, name: str, state: str) -> str:
    """The sentence alone, with the name cleaned."""
    return words(kind, state).sentence.replace("{name}", clean(name, _NAME))


def remedy(kind: str, state: str) -> str:
    """What to do, and where that is explained; empty when there is nothing to do."""
    said = words(kind, state)
    return f"{said.remedy} ({DOCS}#{said.section})" if said.section else said.remedy


def figures(numbers: Mapping[str, Any]) -> str:
    """What it was judged by, in one line."""
    return ", ".join(f"{clean(name.replace('_', ' '))} {_figure(value)}" for name, value in numbers.items())


def when(moment: datetime, zone: str) -> str:
    """A moment in the shop's time zone, to the minute."""
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} ({zone})"


def clean(text: str, most: int = _TEXT) -> str:
    """Text that may come from a file: in one line, of ``most`` characters, and nothing in it calls or links anybody."""
    return quarantine.shown(text, most).replace("://", ": //").translate(_HARMLESS)


def _kind(kind: str) -> str:
    return f"The {clean(kind)}"


def _figure(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "unknown"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, list | tuple):
        more = "" if len(value) <= _LISTED else f" and {len(value) - _LISTED:,} more"
        return " ".join(_figure(one) for one in value[:_LISTED]) + more
    return clean(str(value))
