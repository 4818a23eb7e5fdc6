"""Drafts what a contract says of how a feed's files are written and laid out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sluice.contracts.draft_columns import Draft
from sluice.contracts.findings import Harm
from sluice.contracts.profile import Profile
from sluice.contracts.profiling.names import file_pattern
from sluice.reading.dialect import Dialect
from sluice.reading.layout import Layout


def layout_parts(sample: Profile, file_names: Collection[str]) -> list[dict[str, Any]]:
    """The custom properties ``csv`` and ``files``, as far as a file like the sample needs them."""
    parts: dict[str, Any] = {"csv": _csv(sample)}
    if not sample.layout.names_columns:
        parts["files"] = _patterns(file_names)
    return [{"property": name, "value": value} for name, value in parts.items() if value]


def say_layout(sample: Profile, file_names: Collection[str], drafted: Draft) -> None:
    """Each guess about the layout is a question."""
    for guess in sample.guesses:
        drafted.asked(guess.text, ("", guess.key), guess.otherwise, line=guess.line)
    if not sample.layout.names_columns:
        patterns = _patterns(file_names)
        text = f"files of this feed are those named {', '.join(patterns)}, for nothing in them says whose they are"
        drafted.asked(text, ("", "files"), f'files: ["another-{patterns[0]}"]')
    _say_unnamed(sample, drafted)


def _patterns(file_names: Collection[str]) -> list[str]:
    return list(dict.fromkeys(map(file_pattern, file_names)))


def _say_unnamed(sample: Profile, drafted: Draft) -> None:
    unnamed = [i for i, column in enumerate(sample.columns, start=1) if not column.name]
    empty = [i for i in unnamed if not sample.columns[i - 1].rows]
    filled = [str(i) for i in unnamed if sample.columns[i - 1].rows]
    if empty:
        text = f"columns {', '.join(map(str, empty))} have neither a name nor a value: nothing is kept of them"
        drafted.found(text, Harm.NOTE)
    if filled:
        text = f"columns {', '.join(filled)} have no name: their values go to extra as column_{filled[0]} …"
        drafted.found(text, Harm.NOTE)


def _csv(sample: Profile) -> dict[str, Any]:
    """What differs from a plain CSV."""
    usual = said(Dialect(), Layout())
    written = said(sample.dialect, sample.layout)
    if sample.marked_encoding is not None:
        del written["encoding"]
    return {name: value for name, value in written.items() if value != usual[name]}


def said(dialect: Dialect, layout: Layout) -> dict[str, Any]:
    """How files are written, in the words of a contract's csv."""
    return dialect.marks | {
        "nulls": list(dialect.nulls),
        "skipLines": layout.skip_lines,
        "header": layout.header,
        "headerLines": layout.header_lines,
        "footer": layout.footer,
    }
