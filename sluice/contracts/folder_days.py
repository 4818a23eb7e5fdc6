"""How the files of a feed differ from day to day: columns, rows, missing values, and how values are written."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sluice.contracts.draft_columns import Draft, shown
from sluice.contracts.draft_layout import said
from sluice.contracts.findings import Harm
from sluice.contracts.folder_feeds import Feed
from sluice.contracts.folder_looks import ColumnLook, FileLook, first_of
from sluice.contracts.folder_profile import Together
from sluice.contracts.folder_trial import FileTrial
from sluice.contracts.profile import Profile
from sluice.contracts.profiling.columns import ColumnProfile, misfits_of

_NAMED_MOST = 5
# A share of nulls jumps when it is so far from the usual one, and so many times as far as in most files; in a file
# of so many rows.
_JUMP, _SPREADS, _ROWS_ENOUGH = 0.25, 4, 20
_FAR = 5
_NUMBERS = ("integer", "number", "float")


def say_differences(feed: Feed, all_of_it: Together, drafted: Draft) -> None:
    """What differs between the files goes to the findings."""
    _say_rows(feed.looks, drafted)
    _say_encodings(feed.looks, drafted)
    _say_renamed(feed, all_of_it, drafted)
    for key, looks in all_of_it.columns.items():
        name = all_of_it.names[key]
        if not all(looks):
            drafted.found(_presence(feed.looks, looks), Harm.LATER_FILES, where=name)
        for text in _jumps(feed.looks, looks):
            drafted.found(text, Harm.WRONG_VALUES, where=name)
    for column, looks in zip(all_of_it.sample.columns, all_of_it.columns.values(), strict=True):
        if (other := _written_otherwise(column, feed.looks, looks)) is not None:
            drafted.found(other, Harm.LATER_FILES, where=column.name)
    _say_other_ways(feed, drafted)


def say_what_became_of_files(files: Sequence[FileTrial], drafted: Draft) -> None:
    """The files of which the draft sets rows aside, those that lose most first."""
    worst = sorted((file for file in files if file.trial.set_aside or file.refused), key=lambda f: -f.trial.set_aside)
    for file in worst[:_NAMED_MOST]:
        if file.refused:
            text = f"would be rejected as a whole: {file.refused}"
        else:
            line, rule = file.trial.first_bad or (0, "")
            text = f"{file.trial.set_aside:,} of {file.rows:,} rows are set aside, first line {line:,} ({rule})"
        drafted.found(text, Harm.LOST_ROWS, where=file.name)
    if len(worst) > _NAMED_MOST:
        drafted.found(f"so are rows of {len(worst) - _NAMED_MOST} more files", Harm.LOST_ROWS)


def _say_rows(looks: Sequence[FileLook], drafted: Draft) -> None:
    rows = sorted(looks, key=lambda look: look.profile.records)
    middle = statistics.median_low(look.profile.records for look in looks)
    least, most = rows[0], rows[-1]
    text = (
        f"rows of a file: least {least.profile.records:,} ({least.name}), median {middle:,}, "
        f"most {most.profile.records:,} ({most.name})"
    )
    drafted.found(text, Harm.NOTE)
    far = [look.name for look in looks if not middle <= _FAR * look.profile.records <= middle * _FAR * _FAR]
    if far:
        drafted.found(f"far from the median of rows: {named(far)}", Harm.LATER_FILES)


def _say_renamed(feed: Feed, all_of_it: Together, drafted: Draft) -> None:
    for old, new in all_of_it.renamed.items():
        first = next(look.name for look in feed.looks if new in look.names)
        there, name = all_of_it.names[old], all_of_it.names[new]
        text = f"{there} looks like it and is there no more from {first} on: both are taken for one column (synonyms)"
        otherwise = f"take {there} out of synonyms; its values then go to extra"
        drafted.asked(text, (name, "synonyms"), otherwise, where=name)


def _presence(files: Sequence[FileLook], looks: Sequence[ColumnLook | None]) -> str:
    there = [look is not None for look in looks]
    share = f"{sum(there)} of {len(there)} files have it, so it is optional"
    first, last = there.index(True), len(there) - 1 - there[::-1].index(True)
    if all(there[first:]):
        return f"is new from {files[first].name} on: {share}"
    if all(there[: last + 1]):
        return f"is gone from {files[last + 1].name} on: {share}"
    lacking = [file.name for file, is_there in zip(files, there, strict=True) if not is_there]
    having = [file.name for file, is_there in zip(files, there, strict=True) if is_there]
    return f"{share}; {f'only {named(having)}' if len(having) < len(lacking) else f'not {named(lacking)}'}"


def _jumps(files: Sequence[FileLook], looks: Sequence[ColumnLook | None]) -> Iterator[str]:
    """Since which file the share of nulls is another, or else the few files in which it is."""
    pairs = [(file, look) for file, look in zip(files, looks, strict=True) if look and file.readable >= _ROWS_ENOUGH]
    names = [file.name for file, _ in pairs]
    shares = [1 - look.rows / file.readable for file, look in pairs]
    if len(shares) < 2:
        return
    since = [i for i in range(2, len(shares) - 1) if _are_apart(shares[:i], shares[i:])]
    usual = statistics.median(shares)
    spread = statistics.median(abs(share - usual) for share in shares)
    far = [i for i, share in enumerate(shares) if abs(share - usual) >= max(_JUMP, _SPREADS * spread)]
    if since:
        before, after = shares[: since[0]], shares[since[0] :]
        yield f"{_percent(after)} null from {names[since[0]]} on, {_percent(before)} before"
    elif far:
        more = f", and so in {named([names[i] for i in far[1:]])}" if far[1:] else ""
        yield f"{_percent([shares[far[0]]])} null in {names[far[0]]}{more}; usual are {_percent([usual])}"


def _are_apart(before: Sequence[float], after: Sequence[float]) -> bool:
    return max(min(after) - max(before), min(before) - max(after)) >= _JUMP


def _percent(shares: Sequence[float]) -> str:
    least, most = (f"{100 * share:.3g}" for share in (min(shares), max(shares)))
    return f"{least} %" if least == most else f"{least} to {most} %"


def _written_otherwise(
    column: ColumnProfile, files: Sequence[FileLook], looks: Sequence[ColumnLook | None]
) -> str | None:
    """Which files have values of other types, or write them otherwise; None when all are alike."""
    ways: dict[str, list[tuple[FileLook, ColumnLook]]] = defaultdict(list)
    for file, look in zip(files, looks, strict=True):
        if look and look.rows:
            ways[_way(look.profile)].append((file, look))
    if len(ways) < 2:
        return None
    usual, *others = sorted(ways, key=lambda way: -len(ways[way]))
    parts = []
    for way in others[:_NAMED_MOST]:
        file, look = ways[way][0]
        others_too = f" and {len(ways[way]) - 1} more" if len(ways[way]) > 1 else ""
        line, value = _first_other(file, look, ways[usual][0][1])
        parts.append(f"{way} in {file.name}{others_too} (line {line:,}: {shown(value)})")
    taken = f"; together they are taken for {_way(column)}"
    return f"{usual} in {len(ways[usual])} of {len(files)} files, but {', '.join(parts)}{taken}"


def _first_other(file: FileLook, look: ColumnLook, usual: ColumnLook) -> tuple[int, str]:
    """The line and the value that shows best that the file is not as usual: the first that does not fit."""
    if usual.profile.number is None:
        return look.line, look.first or ""
    other = misfits_of(replace(usual.profile, counts=look.profile.counts)) or {look.first or ""}
    return (look.line, look.first or "") if look.first in other else first_of(file.path, look.profile.name, other)


def _way(column: ColumnProfile) -> str:
    """What the values are and how they are written, for people."""
    if column.moments is not None:
        return " or ".join(column.moments.formats) or "ISO 8601"
    if column.kind not in _NUMBERS or column.number is None:
        return {"string": "text"}.get(column.kind, column.kind)
    number = column.number
    marks = [f"decimal {number.decimal_separator!r}"] if number.decimal_separator != "." else []
    marks += [f"thousands {number.thousands_separator!r}"] if number.thousands_separator else []
    marks += [", ".join(number.currency)] if number.currency else []
    return f"numbers ({', '.join(marks)})" if marks else "numbers"


def _say_other_ways(feed: Feed, drafted: Draft) -> None:
    """Files of the same header that no second contract could be told apart for."""
    for look in feed.others:
        text = (
            f"is written with {ways_apart(look.profile, feed.how)}, and its header is the same, so no second contract "
            "could take it: write it as the others, or give such files another name, and a contract that says files"
        )
        drafted.found(text, Harm.LOST_ROWS, where=look.name)


def ways_apart(how: Profile, other: Profile) -> str:
    """How files are written, as far as other files are not."""
    theirs, ours = said(how.dialect, how.layout), said(other.dialect, other.layout)
    return ", ".join(f"{mark} {theirs[mark]!r}, not {ours[mark]!r}" for mark in ours if ours[mark] != theirs[mark])


def _say_encodings(looks: Sequence[FileLook], drafted: Draft) -> None:
    """Which files are written in another encoding than most, or have a byte order mark and the others not."""
    ways: dict[str, list[str]] = defaultdict(list)
    for look in looks:
        marked = look.profile.marked_encoding
        ways[f"{marked} with a byte order mark" if marked else look.profile.dialect.encoding].append(look.name)
    _, *others = sorted(ways, key=lambda way: -len(ways[way]))
    for way in others:
        drafted.found(f"written in {way}: {named(ways[way])}; the draft takes them too", Harm.NOTE)


def named(names: Sequence[str]) -> str:
    """The first of the names, and how many more there are."""
    more = f" and {len(names) - _NAMED_MOST} more" if len(names) > _NAMED_MOST else ""
    return f"{', '.join(names[:_NAMED_MOST])}{more}"
