"""A draft as the text of its file: YAML, what was found above it, and each guess beside the line that it is about."""

from __future__ import annotations

from typing import Any

import yaml

from sluice.base.plain_text import escaped
from sluice.contracts.draft_columns import Draft
from sluice.contracts.findings import Finding

_WIDTH = 110


def as_text(document: dict[str, Any], drafted: Draft) -> str:
    """``document`` as YAML, with the findings of ``drafted`` as comments."""
    checks = [f"MISSING {text}" for text in drafted.missing] + drafted.notes
    comments = ["# A draft. docs/contracts.md says what each part means; `make contracts` checks it."]
    comments += [f"#   - {_in_a_line(text)}" for text in checks]
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return "\n".join(comments) + "\n" + _with_questions(text, drafted.findings)


def _with_questions(text: str, findings: list[Finding]) -> str:
    """``text`` with a comment above each line that a guess is about; what is about no line stands at the top only."""
    questions = [finding for finding in findings if finding.question]
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    found = [(place, finding) for finding in questions if (place := _place(root, finding)) is not None]
    for place, finding in sorted(found, key=lambda one: -one[0]):
        start = text.rfind("\n", 0, place) + 1
        indent = " " * (len(text) - start - len(text[start:].lstrip(" ")))
        text = f"{text[:start]}{indent}# ? {_in_a_line(finding.sentence)}\n{text[start:]}"
    return text


def _place(root: Any, finding: Finding) -> int | None:
    """Where the line begins that the finding is about; that of its column when there is no such line."""
    name, key = finding.at or (finding.where, "")
    about = _column(root, name) if name else root
    if about is None:
        about, key = _column(root, finding.where), ""
    if about is None:
        return None
    line = _line(about, key)
    return int(line.start_mark.index) if line is not None else int(about.start_mark.index) if name else None


def _column(root: Any, name: str) -> yaml.Node | None:
    [table] = _get(root, "schema").value
    return next((column for column in _get(table, "properties").value if _get(column, "name").value == name), None)


def _line(about: yaml.Node, key: str) -> yaml.Node | None:
    """The node with which the line of ``key`` begins: a key of ``about``, a custom property, or a part of csv."""
    custom = _get(about, "customProperties")
    properties = {_get(one, "property").value: one for one in custom.value} if custom is not None else {}
    if key in properties:
        return properties[key]
    of_csv = _get(properties["csv"], "value").value if "csv" in properties else []
    return next((node for node, _ in (*about.value, *of_csv) if node.value == key), None)


def _get(mapping: yaml.Node, key: str) -> Any:
    return next((value for node, value in mapping.value if node.value == key), None)


def _in_a_line(text: str) -> str:
    return escaped(" ".join(text.split()))
