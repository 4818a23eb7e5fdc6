"""What the pages name is there: files, modules, targets of make, the places that links lead to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.base.settings import PROJECT

PAGES = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])
# What the pages of docs/how-to tell to write.
WRITTEN = {
    "dags/fetch_prices.py",
    "dags/on_arrival.py",
    "include/contracts/parcels.odcs.yaml",
    "include/sql/reports/categories_by_day.sql",
}
_FOLDERS = "sluice|spark_jobs|dags|plugins|tests|include|docs|docker|bench"
_PATH = re.compile(rf"(?<![\w./:-])(?:{_FOLDERS})/[\w./-]*\w")
_FILE = re.compile(r"(?<![\w./<>*…-])\w+\.(?:py|sql)\b")
_MODULE = re.compile(r"-m ((?:sluice|tests|bench)(?:\.\w+)*)")
_TARGET = re.compile(r"(?<![\w-])make ([a-z][a-z0-9-]*)")
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def missing(page: Path, text: str) -> Iterator[str]:
    """Whatever the ``text`` of ``page`` names and that is not there."""
    yield from (name for name in _PATH.findall(text) if not (PROJECT / name).exists() and name not in WRITTEN)
    known = {Path(name).name for name in WRITTEN}
    yield from (name for name in _FILE.findall(text) if name not in known and not any(_files(name)))
    for name in _MODULE.findall(text):
        path = PROJECT.joinpath(*name.split("."))
        if not (path.with_suffix(".py").exists() or (path / "__main__.py").exists()):
            yield f"-m {name}"
    code = " ".join(re.findall(r"`[^`\n]+`|^    .*$|^make .*$|^\$ .*$", text, re.MULTILINE))
    yield from (f"make {name}" for name in _TARGET.findall(code) if f"\n{name}:" not in _makefile())
    yield from (f"{path}#{place}" for path, place in _LINK.findall(text) if not _leads_somewhere(page, path, place))


def _files(name: str) -> Iterator[Path]:
    for folder in _FOLDERS.split("|"):
        yield from (PROJECT / folder).rglob(name)


def _makefile() -> str:
    return (PROJECT / "Makefile").read_text(encoding="utf-8")


def _leads_somewhere(page: Path, path: str, place: str) -> bool:
    there = page.parent / path if path else page
    return there.exists() and (not place or place in map(_anchor, _HEADING.findall(there.read_text(encoding="utf-8"))))


def _anchor(heading: str) -> str:
    """What a forge calls the place of a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    assert sorted(set(missing(page, page.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "planted",
    [
        "see `sluice/base/gone.py`",
        "see `gone.py`",
        "[plan](gone.md)",
        "[plan](docs/architecture.md#no-such-place)",
        "    python -m sluice.gone",
        "run `make gone FILE=x`",
    ],
)
def test_what_is_not_there_is_found(planted: str) -> None:
    assert list(missing(PROJECT / "README.md", planted))
