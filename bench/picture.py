"""The league as a picture (SVG): rows per second, and the CPU time that a row costs."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

WIDTH, LEFT, RIGHT, LINE = 900, 290, 70, 34
BAR = WIDTH - LEFT - RIGHT
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
