"""The tables of docs/performance.md, each made of its result alone: a test compares the page with the kept results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Result = dict[str, Any]


def of(measured: Result) -> str:
    """Its table in Markdown, with a line above it that says what was run, on what and when."""
    return TABLES[measured["name"]](measured)


def league(measured: Result) -> str:
    """Rows/s, how much faster Sluice is, CPU of client and server, and whether the rows are all there and the same."""
    rows = [[_member(one), *_figures(one)] for one in measured["members"]]
    head = ["", "rows/s", "Sluice against it", "CPU, client", "CPU, PostgreSQL", "rows"]
    what = (
        f"`make bench`: {measured['rows']:,} rows in {measured['files']} files ({measured['bytes'] / 1e6:,.0f} MB), "
        f"medians of {measured['rounds']} rounds. CPU is in µs a row."
    )
    settings = [f"- **{one['name']}** {one['version']}: {one['settings']}" for one in measured["members"]]
    return "\n\n".join([f"{what} {_where(measured)}", table(head, rows), "\n".join(settings)])


def _member(one: Result) -> str:
    return f"**{one['name']}**" if one["key"] == "sluice" else one["name"]


def _figures(one: Result) -> list[str]:
    if why := one["missing"] or one["error"]:
        return ["–", "–", "–", "–", _cell(why)]
    ratio = "" if one["key"] == "sluice" else f"{one['sluice_against_it']:.2f}"
    cpu = [f"{one[name]:.1f}" for name in ("client_us", "server_us")]
    return [f"{one['rows_per_second']:,.0f}", ratio, *cpu, _content(one)]


def _content(one: Result) -> str:
    if one["rows_off"]:
        return f"{abs(one['rows_off']):,} {'lost' if one['rows_off'] < 0 else 'too many'}"
    return "all, unchanged" if one["same"] else "all, but changed"


def kinds(measured: Result) -> str:
    """Clean rows per second of each kind, against ``\\copy``."""
    head = ["file", "Sluice, rows/s", "\\copy, rows/s", "Sluice / \\copy", "CPU, client", "PostgreSQL", "\\copy, both"]
    rows = [
        [
            one["what"],
            *(f"{one[name]:,.0f}" for name in ("sluice", "copy")),
            f"{one['ratio']:.2f}",
            *(f"{one[name]:.1f}" for name in ("client_us", "server_us", "copy_us")),
        ]
        for one in measured["kinds"]
    ]
    what = (
        f"`make bench-kinds`: {measured['rows']:,} rows in {measured['files']} files, medians of {measured['rounds']} "
        "pairs. CPU is in µs a row."
    )
    return "\n\n".join([f"{what} {_where(measured)}", table(head, rows)])


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A table in Markdown; every column but the first and last is of numbers."""
    rule = ["---", *["---:"] * (len(head) - 2), "---"]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _where(measured: Result) -> str:
    here = measured["machine"]
    said = f"{here['cores']} cores of {here['processor']}, {here['memory_gb']} GB, {here['system']}, {measured['when']}"
    server = dict(measured.get("server", {}))
    if not server:
        return f"{said}."
    version = server.pop("server_version")
    return f"{said}; PostgreSQL {version} ({', '.join(f'{name} {value}' for name, value in server.items())})."


def _cell(text: str) -> str:
    return text.splitlines()[0][:120].replace("|", "\\|")


TABLES = {"league": league, "kinds": kinds}
