"""Pieces of SQL: names, literals, lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def matches(text: str, shape: object) -> str:
    """SQL that is true where all of ``text`` has the shape, a regular expression (RE2)."""
    return f"regexp_full_match({text}, {literal(shape)})"


def listed(items: Sequence[str] | Iterator[str]) -> str:
    """Select items, one a line."""
    return ",\n        ".join(items)


def quoted(name: str) -> str:
    """``name`` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """``value`` as an SQL text literal."""
    return "'" + str(value).replace("'", "''") + "'"
