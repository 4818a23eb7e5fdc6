"""The files of one feed as one profile: their columns together, each as nearly all values of all files are."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from sluice.contracts.drift import likely_renames
from sluice.contracts.folder_feeds import Feed
from sluice.contracts.folder_looks import ColumnLook, FileLook, first_of
from sluice.contracts.model import normal
from sluice.contracts.profile import Profile
from sluice.contracts.profiling.columns import ColumnProfile, column_of, misfits_of, writes_commas
from sluice.contracts.profiling.moments import connect
from sluice.contracts.profiling.nearly_all import Misfits


@dataclass(frozen=True)
class Together:
    """``columns`` are, by the name as it is compared, what each file says of it; None for one that lacks it.

    ``names`` are how they are written, ``renamed`` by an old name the one that it has become.
    """

    sample: Profile
    columns: dict[str, list[ColumnLook | None]]
    names: dict[str, str]
    renamed: dict[str, str]

    def amend(self, parts: list[dict[str, Any]], others: Collection[frozenset[str]]) -> None:
        """Put into what a contract says of the columns their synonyms, and what tells its files from ``others``.

        Those are the headers of other feeds. A file fits a contract when it has all that is required; where nothing is,
        all columns. So columns that every file and every row has become required, as few as that takes.
        """
        by_name = {part["name"]: part for part in parts}
        for old, new in self.renamed.items():
            by_name[self.names[new]].setdefault("synonyms", []).append({"synonym": self.names[old]})
        required = {normal(part["name"]) for part in parts if part.get("required")}
        profiles = {normal(column.name): column for column in self.sample.columns}
        whole = [key for key, looks in self.columns.items() if all(looks) and profiles[key].null_share == 0]
        if not required and not all(all(looks) for looks in self.columns.values()):
            required.update(whole[:1])
        for other in others:
            if required and required <= other:
                required.update([key for key in whole if key not in other][:1])
        for key in required.intersection(whole):
            if self.names[key] in by_name:
                by_name[self.names[key]]["required"] = True


def together(feed: Feed) -> Together:
    """Put the files of ``feed`` together. Raises what ``profile`` does, when one changed meanwhile."""
    looks = feed.looks
    renamed = _renames(looks)
    keys = list(dict.fromkeys(renamed.get(name, name) for look in looks for name in look.columns))
    old_names: dict[str, list[str]] = {key: [key] for key in keys}
    for old, new in renamed.items():
        old_names[new].append(old)
    columns = {key: [_any(look, old_names[key]) for look in looks] for key in keys}
    names = {name: look.columns[name].profile.name for look in looks for name in look.columns}
    connection = connect()
    try:
        made = [_column(connection, names[key], columns[key], feed) for key in keys]
    finally:
        connection.close()
    sample = replace(
        feed.how,
        header=tuple(names[key] for key in keys),
        columns=tuple(made),
        records=sum(look.profile.records for look in looks),
        broken=sum(look.profile.broken for look in looks),
        stray_quotes=sum(look.profile.stray_quotes for look in looks),
        is_whole=all(look.profile.is_whole for look in looks),
    )
    return Together(sample, columns, names, renamed)


def _any(look: FileLook, names: Sequence[str]) -> ColumnLook | None:
    return next((look.columns[name] for name in names if name in look.columns), None)


def _renames(looks: Sequence[FileLook]) -> dict[str, str]:
    """By a name that some files have, the one that it has become; never two names that stand in one header."""
    renamed: dict[str, str] = {}
    for before, after in itertools.pairwise(looks):
        gone = {name: [name] for name in before.columns if name not in after.names}
        new = [name for name in after.columns if name not in before.names]
        for old, name in likely_renames(gone, new).items():
            if name not in renamed and not any({old, name} <= look.names for look in looks):
                renamed[old] = name
                renamed |= {older: name for older, one in renamed.items() if one == old}
    return renamed


def _column(
    connection: duckdb.DuckDBPyConnection, name: str, looks: Sequence[ColumnLook | None], feed: Feed
) -> ColumnProfile:
    """One column of all files; a file that lacks it has no value in any row."""
    counts: Counter[str] = Counter()
    nulls = 0
    for file, look in zip(feed.looks, looks, strict=True):
        nulls += file.readable - look.rows if look else max(1, file.readable)
        counts.update(look.profile.counts if look else {})
    made = column_of(connection, name, counts, 0, prefers_commas=_prefers_commas(feed))
    words = frozenset[str]().union(*(look.profile.null_words for look in looks if look))
    rows = sum(look.rows for look in looks if look)
    made = replace(made, null_words=words | made.null_words, null_share=nulls / (nulls + rows) if nulls else 0.0)
    if made.is_unique and not all(look and look.is_unique for look in looks):
        made = replace(made, counts={**made.counts, made.examples[0]: 2})
    return _with_misfits(made, looks, feed) if made.rows else made


def _prefers_commas(feed: Feed) -> bool:
    columns = (column.profile for look in feed.looks for column in look.columns.values())
    return feed.how.dialect.separator == ";" or any(map(writes_commas, columns))


def _with_misfits(column: ColumnProfile, looks: Sequence[ColumnLook | None], feed: Feed) -> ColumnProfile:
    bad = misfits_of(column)
    if not bad:
        return column
    rows = sum(column.counts[value] for value in bad)
    for file, look in zip(feed.looks, looks, strict=True):
        if look and not bad.isdisjoint(look.profile.counts):
            line, value = first_of(file.path, look.profile.name, bad)
            return replace(column, misfits=Misfits(rows, value, line, file.name))
    raise AssertionError("a value that does not fit is in none of the files")
