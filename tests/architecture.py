"""Who imports whom, room by room. ``python -m tests.architecture`` draws it anew in docs/architecture.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from sluice.base.settings import PROJECT

HOUSE = ("sluice", "spark_jobs", "dags", "plugins")
PAGE = PROJECT / "docs" / "architecture.md"
_PICTURE = re.compile(r"(?<=```mermaid\n).*?(?=```)", re.DOTALL)


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the house: its path from the project's folder, and where it lies."""
    for folder in HOUSE:
        for path in sorted((PROJECT / folder).rglob("*.py")):
            yield path.relative_to(PROJECT).as_posix(), path


def imported(text: str) -> set[str]:
    """The full name of whatever a module's text imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(module: str) -> str:
    """The room of a module of the house, given by dotted name: a package of sluice, or what stands beside sluice."""
    parts = module.split(".")
    return parts[1] if parts[0] == "sluice" and len(parts) > 1 else parts[0]


def arrows() -> set[tuple[str, str]]:
    """(importing room, imported room), each pair once."""
    plugins = {path.stem: f"plugins.{path.stem}" for name, path in modules() if name.startswith("plugins/")}
    found = set()
    for name, path in modules():
        upper = room(name.removesuffix(".py").replace("/", "."))
        for module in imported(path.read_text(encoding="utf-8")):
            lower = room(plugins.get(module.split(".")[0], module))
            if module.split(".")[0] in (*HOUSE, *plugins) and "__" not in upper and upper != lower:
                found.add((upper, lower))
    return found


def _reaches(pairs: set[tuple[str, str]], upper: str, lower: str) -> bool:
    """Whether ``lower`` can be reached from ``upper``."""
    return any(one == upper and (other == lower or _reaches(pairs, other, lower)) for one, other in pairs)


def picture() -> str:
    """The arrows as a Mermaid graph; an arrow is left out where a way through other rooms says the same."""
    pairs = arrows()
    drawn = {pair for pair in pairs if not _reaches(pairs - {pair}, *pair)}
    return "\n".join(["graph TD", *(f"    {upper} --> {lower}" for upper, lower in sorted(drawn)), ""])


def picture_of(page: str) -> str:
    """The picture that a page's text holds."""
    found = _PICTURE.search(page)
    return found.group() if found else ""


if __name__ == "__main__":
    PAGE.write_text(_PICTURE.sub(picture(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
