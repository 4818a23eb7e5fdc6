"""The days on which nobody works: a file, SLUICE_HOLIDAYS, with one day a line."""

from __future__ import annotations

from datetime import date

from sluice.base.settings import SettingError, Settings


def read(settings: Settings) -> frozenset[date]:
    """The holidays; none when no file is set. Raises SettingError, with the line, for one that is no day."""
    path = settings.holidays_file
    if path is None:
        return frozenset()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingError(f"SLUICE_HOLIDAYS: {path} cannot be read ({why}): correct it, or unset it") from error
    days = set()
    for number, line in enumerate(text.splitlines(), start=1):
        if day := line.partition("#")[0].strip():
            days.add(_day(day, f"SLUICE_HOLIDAYS: {path}, line {number}"))
    return frozenset(days)


def _day(text: str, where: str) -> date:
    try:
        # fromisoformat alone takes 20261225 and 2026-W52-5 too.
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.isoformat() != text:
        raise SettingError(f"{where}: {text!r} is no day: write it as 2026-12-25, and what it is after a #") from None
    return found
