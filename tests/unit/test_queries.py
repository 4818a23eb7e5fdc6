"""The named queries of include/sql: one style of header, none without a use, no use of one that is not there."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sluice.base import queries
from sluice.base.settings import PROJECT, SQL

PROGRAMS = ("sluice", "spark_jobs", "dags", "plugins")
NAME = re.compile(r"([a-z_]+/)?[a-z_]+\.[a-z_]+")
# Values by name, and values in order, are for cursors that differ in how they read a percent sign.
BY_NAME, IN_ORDER = re.compile(r"%\(\w+\)s"), re.compile(r"\$\d")


@functools.cache
def files() -> dict[str, str]:
    """The .sql files that hold named queries, without .sql, with their text; the reports are used by their place."""
    texts = {str(path.relative_to(SQL).with_suffix("")): path.read_text() for path in sorted(SQL.rglob("*.sql"))}
    return {file: text for file, text in texts.items() if "-- name:" in text and not file.startswith("reports/")}


@functools.cache
def names() -> set[str]:
    """Every named query as a program writes it."""
    return {f"{file}.{name}" for file, text in files().items() for name, _ in headers(text)}


def headers(text: str) -> list[tuple[str, str]]:
    """The name and the description above each query of a file."""
    return [(match[1], match[2]) for match in queries.HEADER.finditer(text)]


def written(folder: str) -> Iterator[tuple[Path, str]]:
    """Each text in the programs of ``folder`` that could be the name of a query, with its file."""
    for path in sorted((PROJECT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
                yield path, node.value


@pytest.mark.parametrize("file", files())
def test_each_query_has_a_header_that_says_what_it_returns(file: str) -> None:
    text = files()[file]
    lines = [line for line in text.splitlines() if "name:" in line and line.startswith("--")]
    assert [f"-- name: {name} :: {returns}" for name, returns in headers(text)] == lines


@pytest.mark.parametrize("file", files())
def test_no_two_queries_of_a_file_have_one_name(file: str) -> None:
    found = [name for name, _ in headers(files()[file])]
    assert len(found) == len(set(found))


def test_each_query_is_used() -> None:
    used = {name for folder in PROGRAMS for _, name in written(folder)}
    assert names() - used == set()


def test_no_query_is_used_that_does_not_exist() -> None:
    known, groups = names(), {name.partition(".")[0] for name in names() if "/" in name}
    unknown = [
        f"{path.relative_to(PROJECT)}: {name}"
        for folder in PROGRAMS
        for path, name in written(folder)
        if "/" in name and name.partition(".")[0] in groups and name not in known
    ]
    assert unknown == []


def test_each_call_of_the_accessor_names_a_query_that_exists() -> None:
    unknown = []
    for folder in PROGRAMS:
        for path in sorted((PROJECT / folder).rglob("*.py")):
            for name in _called(ast.parse(path.read_text())):
                if name not in names():
                    unknown.append(f"{path.relative_to(PROJECT)}: {name}")
    assert unknown == []


def _called(tree: ast.AST) -> Iterator[str]:
    """The names that ``queries.one(connection, "name")`` and the like say themselves."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id == "queries":
                texts = [each for each in node.args if isinstance(each, ast.Constant)]
                yield from (text.value for text in texts[:1] if isinstance(text.value, str))


@pytest.mark.parametrize("name", sorted(names()))
def test_a_query_takes_its_values_in_one_way_only(name: str) -> None:
    text = queries.text(name)
    by_name, in_order = BY_NAME.search(text), IN_ORDER.search(re.sub(r"%%\d\$", "", text))
    assert not (by_name and in_order)


@pytest.mark.parametrize("name", sorted(name for name in names() if not name.startswith("load/")))
def test_a_percent_sign_stands_twice_where_values_come_by_name(name: str) -> None:
    """Such a query is always given values, if only none: then psycopg reads %% as %."""
    assert "%" not in BY_NAME.sub("", queries.text(name)).replace("%%", "")


def test_a_query_that_must_have_a_row_and_has_none_is_an_error() -> None:
    class Nothing:
        def execute(self, query: str, values: object) -> Nothing:
            return self

        def fetchone(self) -> None:
            return None

    nothing: psycopg.Connection[object] = Nothing()  # type: ignore[assignment]
    with pytest.raises(LookupError, match=r"ledger/status\.clock"):
        queries.row(nothing, "ledger/status.clock")
