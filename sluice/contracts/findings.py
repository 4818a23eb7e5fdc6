"""What the look at a file found that a person should know, before the drafted contract is used."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Harm(IntEnum):
    """What it costs when nobody looks at a finding, the worst first."""

    UNUSABLE = 0
    """The draft cannot be used before a person has filled something in."""
    LOST_ROWS = 1
    """Rows are set aside."""
    WRONG_VALUES = 2
    """Rows load, and may mean something else than the feed meant: the draft guesses."""
    LATER_FILES = 3
    """This file loads; a later one may not."""
    NOTE = 4
    """Nothing: it says what was decided, and why."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    ``where`` is a column's name, or empty: then it is about the file. ``line`` is the line of the file (from 1) that
    shows it, where one does. A ``question`` is a guess that only a person who knows the feed can confirm.

    ``at`` is the line of the draft that it is about: a column's name (empty: the contract itself) and a key of it.
    ``otherwise`` is the other choice, as it would stand in the draft.
    """

    text: str
    harm: Harm
    question: bool = False
    where: str = ""
    line: int | None = None
    at: tuple[str, str] | None = None
    otherwise: str = ""

    @property
    def sentence(self) -> str:
        """What was found and the other choice, for where it is plain what it is about."""
        return f"{self.text}; otherwise: {self.otherwise}" if self.otherwise else self.text

    def __str__(self) -> str:
        return f"{self.where}: {self.sentence}" if self.where else self.sentence
