"""Drafts a contract from a file: a start that loads the file as it is, and says what a person must look at."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sluice.base.plain_text import escaped
from sluice.contracts.draft_columns import Draft, column_part, shown
from sluice.contracts.draft_derived import arrival, derived_parts
from sluice.contracts.draft_layout import layout_parts, say_layout
from sluice.contracts.draft_neighbours import say_whether_sales_count, say_who_else_takes_it, take_a_free_name
from sluice.contracts.draft_targets import describable, targets_of, time_sources
from sluice.contracts.draft_telling import told
from sluice.contracts.draft_text import as_text
from sluice.contracts.draft_trial import Trial, try_
from sluice.contracts.findings import Harm
from sluice.contracts.folder import Contracts, read_contracts
from sluice.contracts.profile import Profile, profile
from sluice.contracts.profiling.columns import ColumnProfile
from sluice.contracts.rules.contract_rules import SIGN

# More columns than a query judges in good time; nothing is lost in extra.
_DESCRIBED_MOST = 200


def draft(path: Path, name: str | None = None, *, contracts: Path | None = None, by_arrival: bool = False) -> Draft:
    """Draft a contract for files like the one at ``path``, beside those in the folder ``contracts``.

    ``by_arrival``: an event's time is when its file landed.

    Raises ProfileError, OSError, UnreadableFileError.
    """
    sample = profile(path)
    drafted = Draft(name or feed_name(path), "")
    others = read_contracts(contracts) if contracts else None
    if others:
        take_a_free_name(drafted, others, is_asked_for=name is not None)
    return draft_of(Source(sample, path, path.name), drafted, by_arrival=by_arrival, others=others)


@dataclass(frozen=True)
class Source:
    """What a contract is drafted from: the profile of the file at ``path``, or of several, of which it is the first.

    ``words`` name them, ``file_names`` are all of their names. ``tries`` tries a document on them. ``amends`` changes
    what the contract says of the columns, by what is known of several files together.
    """

    sample: Profile
    path: Path
    words: str
    tries: Callable[[Profile, dict[str, Any]], Trial] = try_
    amends: Callable[[list[dict[str, Any]]], None] = lambda columns: None
    file_names: Collection[str] = ()


def draft_of(
    source: Source,
    drafted: Draft,
    *,
    by_arrival: bool,
    others: Contracts | None = None,
    then: Callable[[], None] = lambda: None,
) -> Draft:
    """Fill ``drafted``, which has a name and may have findings; ``then`` is called when the source was tried.

    ``others`` are the contracts that are there already.
    """
    sample = source.sample
    times = [] if by_arrival else time_sources(sample)
    targets = targets_of(sample, times)
    _reading_findings(sample, drafted)
    say_layout(sample, source.file_names or [source.path.name], drafted)
    columns = [column_part(c, targets.get(c.name), drafted) for c in _described(sample, targets, drafted)]
    source.amends(columns)
    properties = [*derived_parts(sample, targets, times, drafted, by_arrival=by_arrival), *columns]
    document = _document(drafted.name, source, properties)
    tried, trial = _signed(source, _with_a_time(document) if drafted.missing else document, drafted)
    _say_what_is_set_aside(sample, trial, drafted)
    then()
    say_whether_sales_count(sample, targets, others, drafted)
    if others:
        say_who_else_takes_it(source.path, trial.contract, others, drafted)
    drafted.text = as_text({**tried, "schema": document["schema"]}, drafted)
    return drafted


def _described(sample: Profile, targets: dict[str, str], drafted: Draft) -> list[ColumnProfile]:
    """The columns that the contract describes: of very many, those that fill events, and the first others."""
    columns = [column for column in sample.columns if describable(column)]
    if nul := [column.name for column in sample.columns if "\0" in column.name]:
        text = (
            f"{', '.join(map(shown, nul[:5]))} cannot be described, for its NUL: its values go to extra as they stand"
        )
        drafted.found(text, Harm.NOTE)
    if len(columns) <= _DESCRIBED_MOST or not sample.layout.names_columns:
        return columns
    text = f"only {_DESCRIBED_MOST} of {len(columns):,} columns are described: the others go to extra as they stand"
    drafted.found(text, Harm.NOTE)
    first = {column.name for column in columns[:_DESCRIBED_MOST]}
    return [column for column in columns if column.name in first or _is_needed(column, targets)]


def _is_needed(column: ColumnProfile, targets: dict[str, str]) -> bool:
    return column.name in targets or column.is_unique or column.is_named_like_a_time


def _with_a_time(document: dict[str, Any]) -> dict[str, Any]:
    """The document with arrival as each event's time, so that its rows can be tried before a person says which."""
    [table] = document["schema"]
    return {**document, "schema": [{**table, "properties": [*table["properties"], arrival("a time for the trial")]}]}


def _say_what_is_set_aside(sample: Profile, trial: Trial, drafted: Draft) -> None:
    drafted.set_aside, drafted.first_rows = trial.set_aside, trial.first_rows
    if drafted.set_aside:
        text = f"{drafted.set_aside:,} of {sample.records:,} rows of the sample are set aside under this draft"
        drafted.found(text, Harm.LOST_ROWS)
    for rule, rows in trial.broken.most_common():
        drafted.found(f"{rows:,} rows of the sample break {rule}", Harm.LOST_ROWS)


def _signed(source: Source, document: dict[str, Any], drafted: Draft) -> tuple[dict[str, Any], Trial]:
    """The document with the sign that cancellations have in the sample, and what it would set aside."""
    trial = source.tries(source.sample, document)
    if trial.broken[SIGN]:
        custom = [*document.get("customProperties", []), {"property": "cancellations", "value": "positive"}]
        positive = {**document, "customProperties": custom, "schema": document["schema"]}
        if (again := source.tries(source.sample, positive)).broken[SIGN] < trial.broken[SIGN]:
            text = "cancellations have a positive quantity or total in the sample: both are negated"
            drafted.found(text, Harm.WRONG_VALUES)
            return positive, again
    return document, trial


def feed_name(path: Path) -> str:
    """A name for the feed: the file's without its suffixes and the date in it."""
    stem = re.sub(r"\.(csv|tsv|psv|ssv|txt|gz|zst)\b", "", path.name.lower())
    words = re.sub(r"[^a-z0-9]+", "_", re.sub(r"\d{4}[-_]?\d{2}([-_]?\d{2})?", "", stem)).strip("_")
    return words or "feed"


def _reading_findings(sample: Profile, drafted: Draft) -> None:
    if sample.broken:
        share = f"{sample.broken:,} of {sample.records:,} records"
        drafted.found(
            f"{share} cannot be read as the header says (fields missing or too many, broken or stray quotes, broken "
            "letters)",
            Harm.LOST_ROWS,
        )
    if sample.stray_quotes:
        text = f"{sample.stray_quotes:,} records have a quote inside an unquoted field: each load counts a warning"
        drafted.found(text, Harm.NOTE)
    if sample.marked_encoding is None and (encoding := sample.dialect.encoding) != "utf-8":
        text = f"the bytes are not UTF-8; {encoding} is a guess: look at letters with accents"
        others = [other for other in ("cp1252", "cp850", "mac-roman") if other != encoding]
        drafted.asked(text, ("", "encoding"), " or ".join(f"encoding: {other}" for other in others))
    if not sample.is_whole:
        drafted.found(f"only the first {sample.records:,} records were looked at", Harm.LATER_FILES)
    if sample.marked_encoding and sample.dialect.is_transcoded:
        text = "files of this feed need their byte order mark, or csv.encoding below must say utf-16"
        drafted.found(text, Harm.LATER_FILES)


def _document(name: str, source: Source, properties: list[dict[str, Any]]) -> dict[str, Any]:
    sample, today = source.sample, datetime.now(UTC)
    document: dict[str, Any] = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": f"sluice.{name}",
        "name": name,
        "version": "0.1.0",
        "status": "draft",
        "description": {"purpose": f"Drafted from {source.words} ({sample.records:,} records) on {today:%Y-%m-%d}."},
    }
    if parts := layout_parts(sample, source.file_names or [source.path.name]):
        document["customProperties"] = parts
    document["schema"] = [{"name": name, "logicalType": "object", "physicalName": "events", "properties": properties}]
    return document


def write(path: Path, *, name: str | None, output: Path | None, contracts: Path, by_arrival: bool = False) -> int:
    """Draft a contract for ``path`` and print it, or write it to ``output`` (a folder: under the feed's name).

    Returns 0, or 3 when a person must fill something in first: such a draft is written as ``….draft``, which nothing
    reads. Raises ProfileError, OSError, UnreadableFileError.
    """
    drafted = draft(path, name, contracts=contracts, by_arrival=by_arrival)
    target = target_of(drafted, output)
    if target is None:
        print(drafted.text, end="")
    else:
        save(drafted, target)
    tell(told(drafted, path, target))
    return 3 if drafted.missing else 0


def target_of(drafted: Draft, output: Path | None) -> Path | None:
    """Where the draft goes when ``output`` is a folder, or a file; None when it is only printed."""
    if output is None:
        return None
    target = output / f"{drafted.name}.odcs.yaml" if output.is_dir() else output
    return target.with_name(f"{target.name}.draft") if drafted.missing else target


def save(drafted: Draft, target: Path) -> None:
    """Write the draft to ``target``. Raises FileExistsError when it is there."""
    with target.open("x", encoding="utf-8") as file:
        file.write(drafted.text)
    target.chmod(0o644)  # it belongs to the project, which other users may read
    tell([f"wrote {target}"])


def tell(lines: Iterable[str]) -> None:
    """Lines for people."""
    for line in lines:
        print(f"sluice: {escaped(line)}", file=sys.stderr)
