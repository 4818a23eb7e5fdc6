"""Names for columns that a file does not name, or not well enough, and for the files that have such columns."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from sluice.contracts.model import can_be_described, more_than_once, normal


def names_by_position(usable: Sequence[str], width: int) -> list[str]:
    """``width`` names, no two alike: those of ``usable`` that a contract can describe, else column_3 for a third."""
    taken = {normal(name) for name in usable}
    names: list[str] = []
    for number, name in enumerate([*usable[:width], *[""] * (width - len(usable))], start=1):
        is_usable = can_be_described(name) and "\0" not in name and "\ufffd" not in name
        wanted = name.strip() if is_usable else f"column_{number}"
        if normal(wanted) in map(normal, names) or (not is_usable and normal(wanted) in taken):
            wanted = next(free for n in itertools.count(2) if normal(free := f"{wanted}_{n}") not in taken)
        taken.add(normal(wanted))
        names.append(wanted)
    return names


def repeated(names: Sequence[str]) -> list[str]:
    """Names that stand there more than once, as they are compared."""
    return more_than_once(normal(name) for name in names if normal(name))


def file_pattern(file_name: str) -> str:
    """A pattern of names of the feed's files, from that of one: what has digits in it may be another in the next."""
    name = re.sub(r"\.(gz|zst)$", "", file_name, flags=re.IGNORECASE)
    stem, dot, suffix = name.rpartition(".")
    escaped = re.sub(r"([*?\[])", r"[\1]", stem)
    if not any(letter.isalpha() for letter in stem):
        return re.sub(r"\d", "[0-9]", escaped) + dot + suffix  # a * alone would take every file
    return re.sub(r"\d(?:[\d_.T-]*\d)?", "*", escaped) + dot + suffix
