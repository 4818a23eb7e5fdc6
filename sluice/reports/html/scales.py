"""The scale of an axis: from where to where it goes, and its few round ticks. Exact for amounts of any size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from sluice.reports.html.figures import Number, is_finite

_STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))


@dataclass(frozen=True)
class Scale:
    """From ``bottom`` to ``top``, which are its first and last tick; 0 is always within."""

    bottom: Decimal
    top: Decimal
    ticks: tuple[Decimal, ...]

    def at(self, number: Number) -> float:
        """Where a number stands: 0 at the bottom, 1 at the top. What is beyond the ends stands at the end."""
        share = (Decimal(number) - self.bottom) / (self.top - self.bottom)
        return float(min(max(share, Decimal(0)), Decimal(1)))


def scale(numbers: Iterable[Number | None], whole: bool = False, steps: int = 4) -> Scale:
    """A scale for the finite ones of ``numbers``, of about ``steps`` steps; ``whole``: ticks are whole numbers."""
    finite = [Decimal(number) for number in numbers if number is not None and is_finite(number)]
    low, high = min([*finite, Decimal(0)]), max([*finite, Decimal(0)])
    if low == high:
        high = Decimal(1)
    step = _round((high - low) / steps)
    if whole:
        step = max(step.to_integral_value(ROUND_CEILING), Decimal(1))
    first = int((low / step).to_integral_value(ROUND_FLOOR))
    last = int((high / step).to_integral_value(ROUND_CEILING))
    ticks = tuple(step * number for number in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], ticks)


def _round(step: Decimal) -> Decimal:
    """The next round number: 1, 2, 2.5 or 5 times a power of ten."""
    power = Decimal(1).scaleb(step.adjusted())
    return next(power * factor for factor in _STEPS if power * factor >= step)
