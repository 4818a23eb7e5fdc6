"""Reads the custom property ``expect`` of a contract: when files come, and how much is in them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from datetime import time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sluice.contracts.expectation import EVERY_DAY, WEEKDAYS, WORKING_DAYS, Expectation
from sluice.contracts.model import ContractError

NOTHING = "nothing"
# What looks at the feeds looks once a minute.
_SHORTEST, _LONGEST = timedelta(minutes=1), timedelta(days=366)
_SPAN = re.compile(r"(?:(\d{1,6}(?:\.\d{1,3})?) )?(second|minute|hour|day|week)s?")
_BY = re.compile(r"by ([01]?\d|2[0-3]):([0-5]\d)(?: (\S+))?")
_ROWS = re.compile(r"at least (\d{1,15})(?: rows?)?")
_SHARE = r"(\d{1,3}(?:\.\d{1,6})?) ?%"
_REJECTED = re.compile(f"at most {_SHARE}")
_VOLUME = re.compile(f"at least {_SHARE}(?: of the usual)?")


def parse_expect(value: Any, zone: str) -> Expectation:
    """What ``value`` expects; days and times are of ``zone`` unless it names another one. Raises ContractError."""
    if value == NOTHING:
        return Expectation(is_nothing=True, zone=zone)
    if not isinstance(value, Mapping) or not value:
        raise ContractError(
            f"expect is {value!r}: write {{every: 15 minutes}}, {{daily: by 06:00 Europe/Berlin}} or another of "
            f"{', '.join(_PARTS)}, or nothing when no file is expected any more"
        )
    for name in value:
        if name not in _PARTS:
            raise ContractError(f"expect.{name} is unknown: {_remedy(name, value[name])}")
    said = {"zone": zone}
    for name, part in value.items():
        said |= _PARTS[name](f"expect.{name}", part)
    _check(value, said["zone"])
    return Expectation(**said)  # type: ignore[arg-type]


def _remedy(name: Any, value: Any) -> str:
    if value is None:
        return "within braces a comma begins another part: put the value in quotes, or write a list"
    near = difflib.get_close_matches(str(name).casefold(), {part.casefold(): part for part in _PARTS}, n=1)
    known = [part for part in _PARTS if part.casefold() in near] or _PARTS
    return f"write {' or '.join(known)}, or take it out"


def _check(value: Mapping[str, Any], zone: str) -> None:
    if "every" in value and "daily" in value:
        raise ContractError("expect says both every and daily: keep one")
    for name in ("on", "missingAfter"):
        if name in value and not {"every", "daily"} & set(value):
            raise ContractError(f"expect.{name} says nothing without how often: add every or daily, or take it out")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ContractError(
            f"expect is of time zone {zone!r}, which is none: write the IANA's name of a place, such as Europe/Berlin, "
            "in expect.daily or in timezone"
        ) from None


def _matched(pattern: re.Pattern[str], where: str, value: Any, example: str) -> re.Match[str]:
    found = pattern.fullmatch(" ".join(value.split())) if isinstance(value, str) else None
    if found is None:
        raise ContractError(f"{where} is {value!r}: write it as {example}")
    return found


def _span(where: str, value: Any) -> timedelta:
    number, unit = _matched(
        _SPAN, where, value, "a number of minutes, hours, days or weeks, such as 15 minutes"
    ).groups()
    span = timedelta(**{f"{unit}s": float(number or 1)})
    if not _SHORTEST <= span <= _LONGEST:
        raise ContractError(f"{where} is {value!r}: it must be 1 minute to 366 days")
    return span


def _every(where: str, value: Any) -> dict[str, Any]:
    return {"every": _span(where, value)}


def _daily(where: str, value: Any) -> dict[str, Any]:
    hour, minute, zone = _matched(
        _BY, where, value, "by a time, and its zone if it is another, such as by 06:00 Europe/Berlin"
    ).groups()
    return {"by": time(int(hour), int(minute))} | ({"zone": zone} if zone else {})


def _on(where: str, value: Any) -> dict[str, Any]:
    if value == "working days":
        return {"days": WORKING_DAYS, "but_holidays": True}
    if value == "every day":
        return {"days": EVERY_DAY}
    named = value.split(",") if isinstance(value, str) else value
    names = [str(name).strip().casefold() for name in named] if isinstance(named, list) else []
    if not names or not {*names} <= {*WEEKDAYS}:
        raise ContractError(
            f"{where} is {value!r}: write working days (Monday to Friday without holidays), every day, or weekdays "
            "such as [monday, thursday]"
        )
    return {"days": frozenset(map(WEEKDAYS.index, names))}


def _missing_after(where: str, value: Any) -> dict[str, Any]:
    return {"missing_after": _span(where, value)}


def _rows(where: str, value: Any) -> dict[str, Any]:
    (number,) = _matched(_ROWS, where, value, "at least a whole number, such as at least 1000").groups()
    return {"rows": int(number)}


def _rejected(where: str, value: Any) -> dict[str, Any]:
    return {"rejected": _share(where, value, _REJECTED, "at most a share in percent, such as at most 2 %")}


def _volume(where: str, value: Any) -> dict[str, Any]:
    example = "at least a share in percent, such as at least 50 % of the usual"
    return {"volume": _share(where, value, _VOLUME, example)}


def _share(where: str, value: Any, pattern: re.Pattern[str], example: str) -> float:
    percent = float(_matched(pattern, where, value, example).group(1))
    if percent > 100:
        raise ContractError(f"{where} is {value!r}: a share is 0 % to 100 %")
    return percent / 100


_PARTS: dict[str, Callable[[str, Any], dict[str, Any]]] = {
    "every": _every,
    "daily": _daily,
    "on": _on,
    "missingAfter": _missing_after,
    "rows": _rows,
    "rejected": _rejected,
    "volume": _volume,
}
