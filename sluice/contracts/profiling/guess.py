"""What the look at a file decided without knowing it: a question for a person."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Guess:
    """``text`` says what was seen, on ``line`` of the file, and what it is taken for: ``key`` of the contract's csv.

    ``otherwise`` is what a person writes there when it is not so.
    """

    text: str
    key: str
    otherwise: str
    line: int | None = None
