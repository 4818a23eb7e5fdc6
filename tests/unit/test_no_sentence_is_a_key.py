"""What is written for people decides nothing: no message is compared, matched or searched, in Python or in SQL.

Errors are told apart by class, SQLSTATE and errno, rows by columns made for it. Otherwise whoever improves a message
changes what the program does.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.base.settings import PROJECT, SQL

# The one module that reads what libpq and the JVM hand over as text.
READS_TEXTS = "sluice/loading/retry_rules.py"
SENTENCES = {
    *("says", "message", "because", "line_of", "ended_because", "last_error"),
    *("reason", "remedy", "detail", "why", "message_primary", "first_line"),
}
COLUMNS = "ended_because|last_error|error|reason|problem|message"
_SEARCHES = {"startswith", "endswith", "find", "index", "count", "removeprefix", "removesuffix"}
_PATTERNS = {"search", "match", "fullmatch", "findall", "finditer"}
_COMPARISONS = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)
_AS_KEY = re.compile(
    rf"\b(?:{COLUMNS})\b(?:\s*,\s*'[^']*'\s*\))?\s*(?:=|<>|!=|~|(?:NOT\s+)?(?:I?LIKE|IN|SIMILAR)\b|IS\s+(?:NOT\s+)?DISTINCT)"
    rf"|\b(?:substring|position|strpos|regexp_\w+|starts_with)\s*\([^)]*\b(?:{COLUMNS})\b",
    re.IGNORECASE,
)
_SET = re.compile(r"\bSET\b.*?(?=\bFROM\b|\bWHERE\b|\bRETURNING\b|;|\Z)", re.DOTALL)


def python_files() -> list[Path]:
    """The program, without its tests."""
    folders = ("sluice", "spark_jobs", "dags", "plugins")
    return [path for folder in folders for path in sorted((PROJECT / folder).rglob("*.py"))]


class _Sentences(ast.NodeVisitor):
    """Finds the lines where a sentence is used as a key, in one function or module at a time."""

    def __init__(self) -> None:
        self.found: list[int] = []
        self._caught: set[str] = set()
        self._named: set[str] = set()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        caught, named = self._caught, self._named
        errors = {each.arg for each in node.args.args if "Error" in ast.dump(each.annotation or node.args)}
        self._caught, self._named = caught | errors, set(named)
        self.generic_visit(node)
        self._caught, self._named = caught, named

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self._caught = self._caught | {node.name or ""}
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if self._is_sentence(node.value):
            self._named |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        if self._is_sentence(node.value):
            self._named.add(node.target.id)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        is_key = any(isinstance(operator, _COMPARISONS) for operator in node.ops)
        self._note(node, is_key and any(self._is_sentence(each) for each in operands))

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        of_sentence = isinstance(node.func, ast.Attribute) and self._is_sentence(node.func.value)
        searched = name in _PATTERNS and any(self._is_sentence(each) for each in node.args)
        self._note(node, (of_sentence and name in _SEARCHES) or searched)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self._note(node, self._is_sentence(node.slice))

    def visit_Match(self, node: ast.Match) -> None:
        self._note(node, self._is_sentence(node.subject))

    def _note(self, node: ast.expr | ast.stmt, is_key: bool) -> None:
        if is_key:
            self.found.append(node.lineno)
        self.generic_visit(node)

    def _is_sentence(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Name):
            return node.id in self._named | SENTENCES
        if isinstance(node, ast.Attribute):
            return node.attr in SENTENCES or (node.attr == "args" and self._is_caught(node.value))
        if isinstance(node, ast.Subscript):
            key = node.slice.value if isinstance(node.slice, ast.Constant) else ""
            return key in SENTENCES or self._is_sentence(node.value)
        if isinstance(node, ast.Call):
            return self._makes_a_sentence(node)
        if isinstance(node, ast.JoinedStr):
            return any(isinstance(each, ast.FormattedValue) and self._is_caught(each.value) for each in node.values)
        return isinstance(node, ast.NamedExpr) and self._is_sentence(node.value)

    def _makes_a_sentence(self, call: ast.Call) -> bool:
        """str(error), line_of(…), or what is made of a sentence: its lower case, say."""
        if isinstance(call.func, ast.Name):
            return call.func.id in SENTENCES or (
                call.func.id in ("str", "repr", "cut")
                and any(self._is_caught(each) or self._is_sentence(each) for each in call.args)
            )
        return isinstance(call.func, ast.Attribute) and self._is_sentence(call.func.value)

    def _is_caught(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id in self._caught


def keys_in_python(text: str) -> Iterator[int]:
    """The lines that decide by a sentence."""
    sentences = _Sentences()
    sentences.visit(ast.parse(text))
    yield from sorted(set(sentences.found))


def keys_in_sql(text: str) -> list[str]:
    """What decides by a sentence; writing one is none of it."""
    without_comments = re.sub(r"--[^\n]*", "", text)
    return [match[0] for match in _AS_KEY.finditer(_SET.sub("", without_comments))]


def test_the_program_decides_by_no_message() -> None:
    found = {
        f"{path.relative_to(PROJECT)}:{line}"
        for path in python_files()
        if path != PROJECT / READS_TEXTS
        for line in keys_in_python(path.read_text())
    }
    assert found == set()


def test_no_query_decides_by_a_sentence() -> None:
    # What migrations read once is what earlier releases wrote.
    paths = [path for path in SQL.rglob("*.sql") if path.parent.name != "migrations"]
    assert len(paths) > 20
    assert {str(path.relative_to(SQL)): found for path in paths if (found := keys_in_sql(path.read_text()))} == {}


@pytest.mark.parametrize(
    "planted",
    [
        'if re.search("disk|away|failed", rule.says):\n    pass',
        'if rule.says.startswith("PostgreSQL"):\n    pass',
        'if keeper.because == "a stop was requested":\n    pass',
        'try:\n    f()\nexcept OSError as error:\n    if "No space" in str(error):\n        raise',
        'try:\n    f()\nexcept OSError as error:\n    if str(error).lower().startswith("no space"):\n        raise',
        "try:\n    f()\nexcept OSError as error:\n    what = str(error)\n    if what != before:\n        raise",
        'if (line := line_of(x)).startswith("sluice."):\n    pass',
        'if row["ended_because"] in ASKED:\n    pass',
        "action = ACTIONS[message]",
        'if error.diag.message_primary.startswith("no relation"):\n    pass',
        'match rule.says:\n    case "x":\n        pass',
    ],
)
def test_a_message_that_decides_is_found(planted: str) -> None:
    assert list(keys_in_python(planted))


@pytest.mark.parametrize(
    "planted",
    [
        "SELECT ended_because LIKE 'the environment is wrong: %' FROM ledger.streams;",
        "SELECT 1 FROM ledger.streams WHERE coalesce(ended_because, '') <> ALL(%(by_itself)s);",
        "SELECT 1 FROM ledger.files WHERE state = 'rejected' AND error ~ 'gone';",
        "SELECT substring(last_error FROM '^[a-z]+') FROM ledger.streams;",
        "UPDATE ledger.files SET state = 'landed' WHERE error = 'gone';",
    ],
)
def test_a_query_that_decides_by_a_sentence_is_found(planted: str) -> None:
    assert keys_in_sql(planted)


def test_what_is_only_said_is_left_alone() -> None:
    assert not keys_in_sql("UPDATE ledger.streams SET ended_because = %(because)s WHERE epoch = %(epoch)s;")
    assert not list(keys_in_python('try:\n    f()\nexcept OSError as error:\n    log(f"{error}")\n    say(str(error))'))
