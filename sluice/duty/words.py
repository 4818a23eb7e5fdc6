"""The calendar of feeds in words: what is so, what says it, and what to do. Nothing decides by them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sluice.duty.conditions import FINE, Condition
from sluice.duty.expected import percent

_UNKNOWN = {
    "no_file": "no file came yet, and the contract does not say when one is expected",
    "few_files": "{files_seen} files came: too few to tell when the next one is due",
    "young": "its files are known for less than a day",
    "irregular": "its files come irregularly",
    "no_day": "nothing tells on which day or at which hour the next file is due",
}
_STOPPED = "when it ended on purpose, say expect: nothing in its contract"
_REMEDIES = {
    "late": "wait, or ask its sender",
    "missing": f"ask its sender for the file; {_STOPPED}",
    "too_small": "look at the file: ask its sender whether it is whole",
    "too_dirty": "look at what was set aside (make rejects CONTRACT={name}), correct the contract or ask its sender",
}


def state(condition: Condition) -> str:
    """Its state in words."""
    return "on time" if condition.state == FINE else condition.state.replace("_", " ")


def remedy(condition: Condition) -> str:
    """What to do; empty when there is nothing."""
    return _REMEDIES.get(condition.state, "").format(name=condition.name)


def says(condition: Condition) -> str:
    """What is so, in one sentence with its numbers."""
    numbers = condition.numbers
    if condition.state in ("late", "missing"):
        return f"expected by {_when(numbers['expected_at'])}, {_last(numbers)}"
    if condition.state == "too_dirty":
        return _dirty(numbers)
    if condition.state == "too_small":
        least = f"at least {numbers['rows_least']:,.0f} are {_usual(numbers['rows_by'])}"
        return f"{numbers['rows']:,} new rows in the newest delivery, {least}"
    if condition.state == FINE:
        return (
            f"next expected by {_when(numbers['expected_at'])}" if "expected_at" in numbers else "no file is expected"
        )
    if "looking_since" in numbers:
        return (
            f"files are looked for again since {_when(numbers['looking_since'])}: what landed meanwhile is loaded first"
        )
    return _UNKNOWN[numbers["cause"]].format(**numbers)


def basis(condition: Condition) -> str:
    """What it was judged by."""
    numbers = condition.numbers
    said = [f"contract: {numbers['expects']}"] if numbers.get("expects") else []
    if numbers.get("by") == "learned":
        usually = f"about {duration(numbers['interval_seconds'])} between {numbers['deliveries_seen']} deliveries"
        if numbers.get("usual_time"):
            usually += f", at {numbers['usual_time']} {numbers['zone']}"
        said.append(f"learned: {usually}, late after {duration(numbers['late_after_seconds'])}")
    if numbers.get("rows_usual") is not None:
        said.append(f"usually {numbers['rows_usual']:,.0f} rows, of {numbers['deliveries_compared']} deliveries")
    if numbers.get("rejected_usual") is not None:
        said.append(f"usually {percent(numbers['rejected_usual'])} rejected")
    return "; ".join(said) or "nothing yet"


def duration(seconds: float) -> str:
    """A span of time, rounded."""
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


def _dirty(numbers: dict[str, Any]) -> str:
    if numbers["is_refused"]:
        return "the newest file was rejected as a whole"
    most = f"at most {percent(numbers['rejected_most'])} is {_usual(numbers['rejected_by'])}"
    return f"{percent(numbers['rejected_share'])} of the newest delivery was set aside, {most}"


def _usual(by: str) -> str:
    return "expected" if by == "contract" else "usual"


def _last(numbers: dict[str, Any]) -> str:
    if "file_id" not in numbers:
        return "and none ever came"
    return f"the last was {numbers['file']} (file {numbers['file_id']}) at {_when(numbers['file_at'])}"


def _when(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")
