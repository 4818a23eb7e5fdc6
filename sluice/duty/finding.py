"""What `make doctor` says of one thing that it has looked at."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class State(enum.StrEnum):
    """How it is: WRONG wants somebody, ADVICE can wait, UNKNOWN could not be looked at."""

    FINE = "fine"
    ADVICE = "advice"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """``what`` was looked at, how it is, and what to do, for people; nothing is done."""

    what: str
    state: State
    says: str
    do: str = ""


def fine(what: str, says: str) -> Finding:
    """It is as it should be."""
    return Finding(what, State.FINE, says)


def advice(what: str, says: str, do: str) -> Finding:
    """It works, and could be better."""
    return Finding(what, State.ADVICE, says, do)


def wrong(what: str, says: str, do: str) -> Finding:
    """It does not work, or rows are at risk."""
    return Finding(what, State.WRONG, says, do)


def unknown(what: str, says: str) -> Finding:
    """It could not be looked at."""
    return Finding(what, State.UNKNOWN, says)
