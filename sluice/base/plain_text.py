"""Text that came from outside, as a line that a person reads: of a terminal, of a log.

A name of a file may hold a line break, or what a terminal takes for a command: printed as it is, it would forge lines.
"""

from __future__ import annotations

SHOWN = 140


def shown(text: str | bytes, limit: int = SHOWN) -> str:
    """``text`` as a terminal may get it: control characters and bytes that are no UTF-8 escaped, at most ``limit``."""
    text = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
    safe = escaped(text[: limit + 1])
    return safe if len(safe) <= limit else f"{safe[:limit]}…"


def escaped(text: str) -> str:
    """``text`` in one line, whole: what a terminal takes for a command or a line break is escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def indented(text: str) -> str:
    """``text`` of several lines, an error's for example: none but the first begins where a line of ours would."""
    return "\n    ".join(map(escaped, text.split("\n")))
