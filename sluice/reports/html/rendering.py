"""A page as HTML: the templates of include/pages, which escape every value that they are given."""

from __future__ import annotations

import base64
import hashlib

import jinja2

from sluice.base.settings import PROJECT
from sluice.reports.html.keeping import folder_name, mark
from sluice.reports.html.model import Page
from sluice.reports.html.reading import CSV_ROWS

TEMPLATES = PROJECT / "include" / "pages"


def html(page: Page) -> bytes:
    """The page, in UTF-8. Nothing in it is fetched from anywhere, and nothing in it runs."""
    style = (TEMPLATES / "reports.css").read_text(encoding="utf-8")
    rendered = (
        _environment()
        .get_template("reports.html")
        .render(
            page=page, style=style, policy=_policy(style), csv_folder=folder_name(page.day), csv_rows=f"{CSV_ROWS:,}"
        )
    )
    return mark(page.day) + rendered.encode()


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _policy(style: str) -> str:
    """The browser's own order to fetch nothing and run nothing: the one style sheet is known by its hash."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
