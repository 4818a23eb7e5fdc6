"""A dry run in lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sluice.base.plain_text import shown

if TYPE_CHECKING:  # its imports are heavy
    from sluice.loading.dry_run import DryRun, Example

_WORDS = {
    "loads": "would load",
    "rejected": "would be rejected",
    "no_contract": "would be rejected",
    "waits": "would wait",
    "duplicate": "would be a duplicate",
    "never_taken": "would never be taken",
    "not_judged": "cannot be judged before it lands",
}
_SHOWN = 5


def lines(found: DryRun) -> Iterator[str]:
    """What would become of the file, and why."""
    yield f"{shown(found.name)} {_WORDS[found.outcome]}" + (f": {found.why}" if found.why else "")
    if found.contract:
        yield f"contract     {found.contract} {found.contract_version}"
    if found.rows_read:
        yield f"rows         {_rows(found)}"
    if found.drift:
        yield f"drift        {found.drift}"
    if found.earlier:
        yield f"revision     {_revision(found)}"
    for rule, rows in found.broken.items():
        yield f"set aside    {shown(rule)}: {rows:,} row{'s' * (rows != 1)}"
    for example in found.examples[:_SHOWN]:
        yield from _example(example)
    if found.would_load:
        yield "whether a row is there already is decided when it loads" + (
            "" if found.ledger_was_asked else "; the ledger was not asked, for the pipeline does not run"
        )


def _rows(found: DryRun) -> str:
    whole = "the whole file" if found.is_whole else f"stopped at row {found.rows_read:,}"
    warned = f", {found.rows_warned:,} of them warned of" if found.rows_warned else ""
    return (
        f"{found.rows_read:,} read ({whole}): {found.rows_good:,} would load{warned}, "
        f"{found.rows_set_aside:,} would be set aside"
    )


def _revision(found: DryRun) -> str:
    files = ", ".join(str(one["file_id"]) for one in found.earlier)
    return f"the rows of file {files} of this name leave when it loads: its contract lets a revision replace it"


def _example(one: Example) -> Iterator[str]:
    yield f"    record {one.record}, line {one.line}, {', '.join(map(shown, one.rules))}:"
    yield f"        {shown(one.raw)}"
