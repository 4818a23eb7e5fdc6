"""Pictures (SVG): of the league rows per second and CPU time a row; of the scale rows per second against events."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

WIDTH, LEFT, RIGHT, LINE = 900, 290, 70, 34
BAR = WIDTH - LEFT - RIGHT
LEFT_OF_SCALE, TOP, HEIGHT = 90, 50, 280
OURS, THEIRS, CLIENT, SERVER = "#1b7f5c", "#9db4c6", "#d98841", "#6d8fb3"
STYLE = "text{font:14px system-ui,sans-serif;fill:#222}.h{font-weight:600}.s{font-size:12px;fill:#666}"


def league(measured: dict[str, Any]) -> str:
    """Two groups of bars, a bar a member; those without figures are left out."""
    members = [one for one in measured["members"] if not (one["missing"] or one["error"])]
    height = 2 * LINE * len(members) + 130
    body = "\n".join([*_speeds(members, 20), *_costs(members, LINE * len(members) + 75)])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="Rows per second and CPU time per row of each program">\n<style>{STYLE}</style>\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n{body}\n</svg>\n'
    )


def scale(measured: dict[str, Any], before: dict[str, Any] | None = None) -> str:
    """Rows per second of files of 100,000 rows against the events there; ``before`` is another such result."""
    curves = [("events by month", OURS, measured["sizes"])]
    curves += [("one table, before", CLIENT, before["sizes"])] if before else []
    highest = max(speed for *_, sizes in curves for one in sizes for speed in one["rows_per_second"])
    largest = max(one["rows"] for *_, sizes in curves for one in sizes)
    body = "\n".join(
        [
            _text(
                LEFT_OF_SCALE, 28, "rows per second of files of 100,000 rows, against the events that were there", "h"
            ),
            *_axes(highest, largest),
            *(mark for number, curve in enumerate(curves) for mark in _curve(number, *curve, highest, largest)),
        ]
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + 90}" role="img" '
        f'aria-label="Rows per second against the number of events">\n<style>{STYLE}</style>\n'
        f'<rect width="{WIDTH}" height="{HEIGHT + 90}" fill="#fff"/>\n{body}\n</svg>\n'
    )


def _axes(highest: float, largest: int) -> Iterator[str]:
    for part in range(5):
        speed = highest * part / 4
        y = _down(speed, highest)
        yield f'<line x1="{LEFT_OF_SCALE}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#ddd"/>'
        yield _text(LEFT_OF_SCALE - 8, y + 4, f"{speed:,.0f}", "s", anchor="end")
    for events in (0, *(10**power for power in range(6, 10) if 10**power <= largest)):
        yield _text(_along(events, largest), TOP + HEIGHT + 20, f"{events:,}", "s", anchor="middle")


def _curve(
    number: int, name: str, colour: str, sizes: Sequence[dict[str, Any]], highest: float, largest: int
) -> Iterator[str]:
    """The medians, joined; a dot a file."""
    places = [(_along(one["rows"], largest), sorted(one["rows_per_second"])) for one in sizes]
    line = " ".join(f"{x:.1f},{_down(speeds[len(speeds) // 2], highest):.1f}" for x, speeds in places)
    yield f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for x, speeds in places:
        for speed in speeds:
            yield f'<circle cx="{x:.1f}" cy="{_down(speed, highest):.1f}" r="3" fill="{colour}"/>'
    yield _bar(LEFT_OF_SCALE + 10, TOP + HEIGHT - 50 + 20 * number, 14, colour, 14)
    yield _text(LEFT_OF_SCALE + 30, TOP + HEIGHT - 38 + 20 * number, name, "s")


def _along(events: int, largest: int) -> float:
    """Where so many events are from left to right: their logarithm, none at the left end."""
    return (
        LEFT_OF_SCALE
        + 20
        + (WIDTH - RIGHT - LEFT_OF_SCALE - 40) * math.log1p(events / 1e5) / math.log1p(max(largest, 1) / 1e5)
    )


def _down(speed: float, highest: float) -> float:
    return TOP + HEIGHT * (1 - speed / highest)


def _speeds(members: list[dict[str, Any]], top: int) -> Iterator[str]:
    yield _text(LEFT, top + 8, "rows per second (longer is better)", "h")
    scale = BAR / max(one["rows_per_second"] for one in members)
    for number, one in enumerate(members):
        y = top + 20 + number * LINE
        width = one["rows_per_second"] * scale
        yield _name(one, y)
        yield _bar(LEFT, y, width, OURS if one["key"] == "sluice" else THEIRS)
        yield _text(LEFT + width + 8, y + 17, f"{one['rows_per_second']:,.0f}")


def _costs(members: list[dict[str, Any]], top: int) -> Iterator[str]:
    yield _text(LEFT, top + 8, "CPU time per row, µs (shorter is better)", "h")
    yield _bar(LEFT + 350, top - 4, 14, CLIENT, 14) + _text(LEFT + 370, top + 8, "client", "s")
    yield _bar(LEFT + 430, top - 4, 14, SERVER, 14) + _text(LEFT + 450, top + 8, "PostgreSQL", "s")
    scale = BAR / max(one["client_us"] + one["server_us"] for one in members)
    for number, one in enumerate(members):
        y = top + 20 + number * LINE
        client, server = one["client_us"] * scale, one["server_us"] * scale
        yield _name(one, y)
        yield _bar(LEFT, y, client, CLIENT) + _bar(LEFT + client, y, server, SERVER)
        yield _text(LEFT + client + server + 8, y + 17, f"{one['client_us'] + one['server_us']:.1f}")


def _name(one: dict[str, Any], y: float) -> str:
    return _text(LEFT - 10, y + 17, one["name"], "h" if one["key"] == "sluice" else "", anchor="end")


def _bar(x: float, y: float, width: float, colour: str, height: int = 24) -> str:
    return f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" rx="2" fill="{colour}"/>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
