"""What the pictures of the page are made of. include/pages/charts.html draws them as SVG, which escapes all texts.

Widths and places from left to right are in per cent of whatever width the picture gets, so that its letters keep their
size on a phone and on paper; from top to bottom they are in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from sluice.reports.html.figures import Number, is_finite, short
from sluice.reports.html.scales import Scale, scale

HEIGHT = 168
# A letter of a tick in a wide font, and the room beside it.
_LETTER, _MARGIN = 7.7, 9
# The share of a column's place that is the column.
_FILLED = 0.78
# Heat has so many steps above nothing.
STEPS = 6


@dataclass(frozen=True)
class Tick:
    """A word at an axis; ``at`` is in per cent or pixels, ``anchor`` as SVG has it."""

    at: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True)
class Column:
    """One piece of a stack; ``css`` names its colour."""

    x: float
    width: float
    y: float
    height: float
    css: str


@dataclass(frozen=True)
class Place:
    """What stands at one value of the horizontal axis; ``title`` is told where the pointer rests.

    ``is_open``: it is not over yet, and is drawn paler.
    """

    x: float
    width: float
    title: str
    columns: tuple[Column, ...]
    is_open: bool = False


@dataclass(frozen=True)
class Line:
    """Stretches of points, in a square of 100 by 100, and the points themselves in per cent and pixels."""

    css: str
    stretches: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Series:
    """Numbers along the horizontal axis, None where there is none; ``name`` is for the legend."""

    name: str
    css: str
    numbers: Sequence[Number | None]


@dataclass(frozen=True)
class Plot:
    """Stacked columns, lines, or both, over one axis; ``gutter`` is the width of the ticks on the left, in pixels."""

    kind: ClassVar[str] = "plot"
    label: str
    height: int
    zero: float
    gutter: int
    upright: tuple[Tick, ...]
    along: tuple[Tick, ...]
    places: tuple[Place, ...]
    lines: tuple[Line, ...]
    legend: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Cell:
    """A place of a heat map or of a grid: its step of heat, 0 to ``STEPS``."""

    step: int
    title: str
    text: str = ""


@dataclass(frozen=True)
class Heat:
    """Rows of cells of one width, each row with a name; ``along`` are the ticks below."""

    kind: ClassVar[str] = "heat"
    label: str
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    along: tuple[Tick, ...]
    least: str
    most: str


@dataclass(frozen=True)
class Grid:
    """A table whose cells have heat; None where there is no cell."""

    kind: ClassVar[str] = "grid"
    heads: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Cell | None, ...]], ...]


@dataclass(frozen=True)
class Step:
    """One step of a funnel ``y`` from the top, its bar in per cent of the widest, and what is said below it."""

    name: str
    count: str
    share: str
    width: float
    then: str
    y: int


@dataclass(frozen=True)
class Funnel:
    """Bars from top to bottom."""

    kind: ClassVar[str] = "funnel"
    label: str
    height: int
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Bar:
    """From where to where, in per cent."""

    x: float
    width: float
    is_negative: bool = False


@dataclass(frozen=True)
class Item:
    """What heads a row of a table: a text of a feed, one beside it, a bar below."""

    text: str
    beside: str = ""
    bar: Bar | None = None
    is_ours: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of one item, or of a pair of them, and then numbers as text."""

    kind: ClassVar[str] = "table"
    heads: tuple[str, ...]
    rows: tuple[tuple[tuple[Item, ...], tuple[str, ...]], ...]


Chart = Plot | Heat | Grid | Funnel | Table


def plot(
    label: str,
    titles: Sequence[str],
    along: Sequence[tuple[int, str]],
    *,
    stack: Sequence[Series] = (),
    lines: Sequence[Series] = (),
    whole: bool = False,
    is_open: bool = False,
) -> Plot:
    """A plot of as many places as there are ``titles``; ``along`` are the places that have a word below them.

    ``whole``: its numbers are counts, and no tick stands between two of them. ``is_open``: its last place is not over.
    """
    sums = [sum((_drawn(series.numbers[place]) for series in stack), Decimal(0)) for place in range(len(titles))]
    axis = scale([*sums, *(number for line in lines for number in line.numbers)], whole=whole)
    width = 100 / len(titles)
    ticks = tuple(Tick(_y(axis, tick), short(tick), "end") for tick in axis.ticks)
    every = [*stack, *lines]
    return Plot(
        label=label,
        height=HEIGHT,
        zero=_y(axis, 0),
        gutter=round(max(len(tick.text) for tick in ticks) * _LETTER + _MARGIN),
        upright=ticks,
        along=tuple(tick_along((place + 0.5) * width, text) for place, text in along),
        places=tuple(
            Place(
                x=round(place * width, 3),
                width=round(width, 3),
                title=title,
                columns=_columns(axis, stack, place, width),
                is_open=is_open and place == len(titles) - 1,
            )
            for place, title in enumerate(titles)
        ),
        lines=tuple(_line(axis, series, width) for series in lines),
        legend=tuple((series.css, series.name) for series in every) if len(every) > 1 else (),
    )


def tick_along(at: float, text: str) -> Tick:
    """A word below the axis that does not leave the picture on either side."""
    return Tick(round(at, 3), text, "start" if at < 7 else "end" if at > 93 else "middle")


def heat_step(number: Number | None, most: Number) -> int:
    """The step of heat of a number: 0 is nothing, ``STEPS`` the most."""
    if number is None or not is_finite(number) or not is_finite(most) or number <= 0 or most <= 0:
        return 0
    return max(1, min(STEPS, round(Decimal(number) / Decimal(most) * STEPS)))


def bars(numbers: Sequence[Number | None]) -> list[Bar | None]:
    """A bar for each number, from where 0 is; None for what has no place on a scale."""
    finite = [Decimal(number) for number in numbers if number is not None and is_finite(number)]
    least, most = min([*finite, Decimal(0)]), max([*finite, Decimal(0)])
    axis = Scale(least, most if most > least else least + 1, ())
    zero = axis.at(0) * 100
    made: list[Bar | None] = []
    for number in numbers:
        if number is None or not is_finite(number):
            made.append(None)
            continue
        end = axis.at(number) * 100
        made.append(Bar(round(min(zero, end), 2), round(abs(end - zero), 2), end < zero))
    return made


def _columns(axis: Scale, stack: Sequence[Series], place: int, width: float) -> tuple[Column, ...]:
    made = []
    below = Decimal(0)
    x, filled = round((place + (1 - _FILLED) / 2) * width, 3), round(width * _FILLED, 3)
    for series in stack:
        above = below + _drawn(series.numbers[place])
        top, bottom = sorted((_y(axis, above), _y(axis, below)))
        if above != below:
            made.append(Column(x, filled, top, round(max(bottom - top, 1), 2), series.css))
        below = above
    return tuple(made)


def _line(axis: Scale, series: Series, width: float) -> Line:
    stretches: list[list[str]] = [[]]
    dots = []
    for place, number in enumerate(series.numbers):
        if number is None or not is_finite(number):
            stretches.append([])
            continue
        x = round((place + 0.5) * width, 3)
        stretches[-1].append(f"{x:g},{round(100 - 100 * axis.at(number), 3):g}")
        dots.append((x, _y(axis, number)))
    return Line(series.css, tuple(" ".join(points) for points in stretches if len(points) > 1), tuple(dots))


def _drawn(number: Number | None) -> Decimal:
    return Decimal(number) if number is not None and is_finite(number) else Decimal(0)


def _y(axis: Scale, number: Number) -> float:
    return round((1 - axis.at(number)) * HEIGHT, 2)
