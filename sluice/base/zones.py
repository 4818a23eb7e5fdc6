"""Names of time zones that mean the same to Python and to PostgreSQL."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_PLACE = re.compile(r"[A-Z][\w+-]*(/[\w+-]+)+", re.ASCII)


def is_zone(name: str) -> bool:
    """Whether it is the name of a zone by its place, or UTC.

    One without a place would mean one thing here and another there: PostgreSQL takes CET for the abbreviation.
    """
    if name == "UTC":
        return True
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: of a folder of zones, such as America/Argentina
        return False
    return _PLACE.fullmatch(name) is not None
