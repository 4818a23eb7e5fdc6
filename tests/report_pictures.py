"""Draws docs/reports/<report>.png, a picture of each report: ``python -m tests.report_pictures``.

Events of the generator, the same ones each time, are loaded and counted. A report is shown by its section of the page
that people get; one that has none there, by some of its rows, in the page's style. Needs Chromium. Names of reports
on the command line draw only these.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from bench.peers.sluice_tasks import begin, register
from bench.server import bench
from sluice.base import database, queries
from sluice.base.settings import Settings
from sluice.generator.files import write_file
from sluice.loading.load_file import FileLoader
from sluice.reports import definitions, refresh, tables
from sluice.reports.definitions import Kind
from sluice.reports.html import writing
from sluice.reports.html.rendering import TEMPLATES
from sluice.reports.html.sections import SALES, SHOP, VISITS
from sluice.reports.page import PICTURES
from tests import chromium
from tests.small_png import smaller

Connection = psycopg.Connection[dict[str, Any]]
WIDTH = 640
NOW = datetime.fromisoformat("2026-11-26T15:30:00Z")
# So many weeks that there are cohorts of several months, and a week of each weekday's hours.
SPAN, ROWS = timedelta(days=140), 150_000
# A picture is no page: of a long list it shows the head.
MOST_ROWS, MOST_COLUMNS, RECORDS = 8, 6, 3
_LONGEST = 20
# A window is so much higher, for its last part is not drawn.
_FRAME = 200
_NO_ROW = "The generator's events give it no row."
_ROWS = sql.SQL("SELECT * FROM report.{} AS one ORDER BY {} DESC NULLS LAST, one::text LIMIT {}")
_STYLE = f"""
body {{ display: block; width: {WIDTH}px; max-width: none; margin: 0; padding: 0; background: var(--card); }}
.card {{ display: block; border-radius: 0; }}
.foot, .card:not(.turned) tbody tr:nth-child(n+{MOST_ROWS + 1}) {{ display: none; }}
.card:not(.turned) tbody:has(tr:nth-child({MOST_ROWS + 1}))::after {{ content: "…"; color: var(--weak); }}
td {{ white-space: nowrap; }}
"""
# Letters without coloured edges need fewer colours.
_PLAIN = ("--hide-scrollbars", "--disable-lcd-text")
_MEASURE = "<script>document.title = [...document.querySelectorAll('.card')].map(one => one.offsetHeight)</script>"


def sections() -> dict[str, str]:
    """The name of the section of the page that shows a report, by the report's name: of several the first one."""
    found: dict[str, str] = {}
    for part in (SHOP, *SALES, *VISITS):
        read = re.search(r"FROM report\.(\w+)", queries.text(part.query))
        if read:
            found.setdefault(read.group(1), part.name)
    return found


@contextmanager
def shop() -> Iterator[tuple[Settings, Connection]]:
    """A pipeline's database with generated events, of which the reports are counted; and a connection to it."""
    with bench() as there:
        settings = there.settings
        tables.make(there.url)
        file = there.folder / "events.csv"
        write_file(file, rows=ROWS, seed="pictures", now=NOW, span=SPAN)
        loader = FileLoader(settings, begin(settings))
        loaded = loader.load(register(settings, file))
        loader.close()
        assert loaded.state == "loaded", loaded
        with database.connect(there.url) as connection:
            refresh.refresh(connection, settings, "pictures")
            connection.execute("UPDATE report.last_refresh SET as_of = %s", [NOW])
            yield settings, connection


def cards(settings: Settings, connection: Connection) -> dict[str, str]:
    """The picture of each report as a piece of HTML, by the report's name."""
    written = writing.write(settings, connection)
    written.check()
    page = written.page.read_text(encoding="utf-8")
    shown = sections()
    return {
        report.name: _section(page, shown[report.name]) if report.name in shown else top_rows(connection, report.name)
        for report in definitions.read()
        if report.kind is not Kind.CELLS
    }


def _section(page: str, name: str) -> str:
    found = re.search(rf'<section class="card[^>]* id="[a-z-]+-{name}">.*?</section>', page, re.DOTALL)
    assert found, f"the page has no section {name}"
    assert 'class="empty"' not in found.group(), f"section {name} is empty"
    return found.group()


def top_rows(connection: Connection, name: str) -> str:
    """A table of the rows of a report whose last column is greatest.

    One of many columns, or of a single row, is turned: it has a row for each column.
    """
    heads = [column.name for column in connection.execute(_ROWS.format(sql.Identifier(name), 1, 0)).description or ()]
    rows = connection.execute(_ROWS.format(sql.Identifier(name), len(heads), MOST_ROWS)).fetchall()
    if not rows:
        return f'<section class="card"><h3>report.{name}</h3><p class="empty">{_NO_ROW}</p></section>'
    lines = [list(row.values()) for row in rows]
    order = f"rows by {heads[-1]}, the greatest first" if len(rows) > 1 else "its one row"
    title = f"<h3>report.{name} <small>{order}</small></h3>"
    if len(heads) <= MOST_COLUMNS and len(rows) > 1:
        return f'<section class="card">{title}{_table(heads, lines)}</section>'
    lines = lines[:RECORDS]
    turned = [list(line) for line in zip(heads, *lines, strict=True)]
    return f'<section class="card turned">{title}{_table(["column", *("a row" for _ in lines)], turned)}</section>'


def _table(heads: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "".join(f"<tr>{''.join(f'<td>{_said(one)}</td>' for one in line)}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _said(value: object) -> str:
    """A value in the room that a cell has, as HTML."""
    if value is None or value == "":
        return f'<span class="ours">{"none" if value is None else "empty"}</span>'
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    said = f"{value:.2f}" if isinstance(value, Decimal) and "." in str(value) else str(value)
    return escape(said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…")


def draw(pieces: dict[str, str], folder: Path) -> None:
    """``folder``/<name>.png of each piece, as high as the browser makes it."""
    with tempfile.TemporaryDirectory(prefix="sluice-pictures-") as scratch:
        page = Path(scratch) / "page.html"
        for (name, piece), height in zip(pieces.items(), _heights(page, pieces.values()), strict=True):
            page.write_text(_page(piece), encoding="utf-8")
            shot = Path(scratch) / f"{name}.png"
            chromium.run(page, f"--screenshot={shot}", f"--window-size={WIDTH},{height + _FRAME}", *_PLAIN)
            (folder / shot.name).write_bytes(smaller(shot.read_bytes(), height))


def _heights(page: Path, pieces: Collection[str]) -> list[int]:
    page.write_text(_page("".join(pieces)) + _MEASURE, encoding="utf-8")
    title = re.search(r"<title>([\d,]+)</title>", chromium.run(page, "--dump-dom"))
    assert title
    return list(map(int, title.group(1).split(",")))


def _page(body: str) -> str:
    style = (TEMPLATES / "reports.css").read_text(encoding="utf-8") + _STYLE
    return f"<!doctype html><html lang=en><meta charset=utf-8><title></title><style>{style}</style><body>{body}"


def main(names: Sequence[str]) -> None:
    """Draw those that are named, or all, in the place of what is there."""
    if unknown := set(names) - {report.name for report in definitions.read() if report.kind is not Kind.CELLS}:
        raise SystemExit(f"no such report: {', '.join(sorted(unknown))}")
    PICTURES.mkdir(exist_ok=True)
    with shop() as (settings, connection):
        made = cards(settings, connection)
    draw({name: made[name] for name in names or made}, PICTURES)
    for gone in {path.stem for path in PICTURES.glob("*.png")} - set(made):
        (PICTURES / f"{gone}.png").unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
