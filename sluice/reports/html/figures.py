"""Numbers as people read them: grouped by thousands, with a true minus; of any size."""

from __future__ import annotations

from decimal import Decimal
from typing import TypeAlias

Number: TypeAlias = int | Decimal

NONE = "–"
# Longer numbers do not fit a column and are written with an exponent; the CSV files have all of their digits.
_LONGEST = Decimal(10) ** 15
_UNITS = ((Decimal(10) ** 12, "T"), (Decimal(10) ** 9, "B"), (Decimal(10) ** 6, "M"), (Decimal(10) ** 3, "k"))


def is_finite(number: Number | None) -> bool:
    """Whether it is a number that has a place on a scale: no NULL, no NaN, no infinity."""
    return number is not None and Decimal(number).is_finite()


def whole(number: Number | None) -> str:
    """A count: ``12,345``."""
    return _written(number, 0)


def counted(number: Number | None, one: str) -> str:
    """A count with its word, which has an s for all but one: ``1 order``, ``12 orders``."""
    return f"{whole(number)} {one}{'' if number == 1 else 's'}"


def money(number: Number | None) -> str:
    """An amount: ``12,345.60``."""
    return _written(number, 2)


def short(number: Number) -> str:
    """A tick of an axis: ``12.5k``; at most 7 characters beside the sign."""
    value = Decimal(number)
    if not value.is_finite() or abs(value) >= _LONGEST:
        return _written(value, 0)
    for size, unit in _UNITS:
        if abs(value) >= size:
            return _signed(f"{_trimmed(value / size)}{unit}")
    return _signed(_trimmed(value))


def share(part: Number | None, places: int = 1) -> str:
    """A share of 1 in per cent: ``12.5 %``."""
    if part is None or not is_finite(part):
        return NONE
    return f"{_written(Decimal(part) * 100, places)}\u00a0%"


def ratio(part: Number | None, all_of_it: Number | None) -> Decimal | None:
    """``part`` of ``all_of_it``, None where that says nothing."""
    if part is None or all_of_it is None or not is_finite(part) or not is_finite(all_of_it) or all_of_it <= 0:
        return None
    return Decimal(part) / Decimal(all_of_it)


def change(now: Number, before: Number) -> Decimal | None:
    """By which share ``now`` is more than ``before``, less when negative; None where nothing can be said."""
    quotient = ratio(now, before)
    return None if quotient is None else quotient - 1


def _written(number: Number | None, places: int) -> str:
    if number is None:
        return NONE
    value = Decimal(number)
    if value.is_nan():
        return "NaN"
    if value.is_infinite():
        return "∞" if value > 0 else "\u2212∞"
    if abs(value) >= _LONGEST:
        digits, _, exponent = f"{value:.2e}".partition("e+")
        return _signed(f"{digits.rstrip('0').rstrip('.')}e{exponent}")
    written = f"{value:,.{places}f}"
    return _signed(written.removeprefix("-") if not written.strip("-0.,") else written)


def _trimmed(value: Decimal) -> str:
    written = f"{value:,.6f}".rstrip("0").rstrip(".")
    return "0" if written == "-0" else written


def _signed(written: str) -> str:
    return written.replace("-", "\u2212", 1) if written.startswith("-") else written
