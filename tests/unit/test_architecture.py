"""The house stays as docs/architecture.md draws it: floors, small modules, packages without code of their own."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.architecture import PAGE, arrows, imported, modules, picture, picture_of

LONGEST_MODULE = 400
LONGEST_CLASS = 250


def _too_large(name: str, text: str) -> Iterator[str]:
    if text.count("\n") >= LONGEST_MODULE:
        yield name
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and (node.end_lineno or 0) - node.lineno + 1 >= LONGEST_CLASS:
            yield f"{name}: {node.name}"


def _tops(text: str) -> set[str]:
    """The first part of each name that a module's text imports."""
    return {name.split(".")[0] for name in imported(text)}


def test_modules_and_classes_stay_short() -> None:
    assert [large for name, path in modules() for large in _too_large(name, path.read_text())] == []


@pytest.mark.parametrize(("lines", "large"), [(399, []), (400, ["a.py"])])
def test_a_module_of_400_lines_is_too_large(lines: int, large: list[str]) -> None:
    assert list(_too_large("a.py", "x = 1\n" * lines)) == large


def test_a_class_of_250_lines_is_too_large() -> None:
    assert list(_too_large("a.py", "class A:\n" + "    x = 1\n" * 249)) == ["a.py: A"]


def test_no_package_has_code_in_its_init() -> None:
    with_code = {
        name
        for name, path in modules()
        if path.name == "__init__.py"
        and any(not isinstance(node, ast.Expr) for node in ast.parse(path.read_text()).body)
    }
    assert with_code == set()


def test_nothing_imports_what_airflow_loads() -> None:
    airflows = {path.stem for name, path in modules() if name.startswith(("dags/", "plugins/"))}
    for name, path in modules():
        if name.startswith(("sluice/", "spark_jobs/")):
            assert not _tops(path.read_text()) & airflows, name


def test_dags_and_plugins_do_not_import_what_spark_runs() -> None:
    for name, path in modules():
        if name.startswith(("dags/", "plugins/")):
            assert "spark_jobs" not in _tops(path.read_text()), name


def test_the_page_draws_the_imports() -> None:
    drawn = picture_of(PAGE.read_text(encoding="utf-8"))
    assert drawn == picture(), "renew it: python -m tests.architecture"


def test_the_page_names_every_room() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rooms = {room for pair in arrows() for room in pair}
    assert [room for room in sorted(rooms) if f"`sluice/{room}" not in page and f"`{room}/" not in page] == []
