"""Which files of a folder are one feed: their headers are alike, and one dialect reads them."""

from __future__ import annotations

import io
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sluice.contracts.draft import feed_name
from sluice.contracts.drift import likely_renames
from sluice.contracts.folder_looks import FileLook
from sluice.contracts.model import normal
from sluice.contracts.profile import Profile
from sluice.contracts.profiling.sniffing import whole_lines
from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect
from sluice.reading.landed_bytes import LandedBytes

_ALIKE, _NEARLY_ALIKE, _MEANS_SOMETHING = 0.5, 0.25, 3
_COMPARED_BYTES = 4 << 20


@dataclass
class Feed:
    """Files that one contract can take, in the order of their names; ``how`` is a profile in their dialect.

    ``others`` have the same header and are written otherwise, so that neither this contract nor one beside it can take
    them. ``headers_beside`` are those of other feeds.
    """

    name: str
    looks: list[FileLook]
    how: Profile
    others: list[FileLook] = field(default_factory=list)
    headers_beside: set[frozenset[str]] = field(default_factory=set)


def feeds_of(looks: Sequence[FileLook], name: str | None) -> list[Feed]:
    """The feeds that ``looks`` are of, the one of most files first. ``name`` is that of a single one."""
    feeds = [feed for alike in _of_alike_headers(looks) for feed in _of_one_dialect(alike)]
    feeds.sort(key=lambda feed: -len(feed.looks))
    _name(feeds, name)
    for feed in feeds:
        feed.headers_beside = {look.names for other in feeds if other is not feed for look in other.looks}
    return feeds


def _name(feeds: Sequence[Feed], name: str | None) -> None:
    taken: Counter[str] = Counter()
    for feed in feeds:
        feed.name = Counter(_unnumbered(feed_name(look.path)) for look in feed.looks).most_common(1)[0][0]
        taken[feed.name] += 1
        feed.name += f"_{taken[feed.name]}" if taken[feed.name] > 1 else ""
    if name and len(feeds) == 1:
        feeds[0].name = name


def _unnumbered(name: str) -> str:
    """Of sales_17 the feed is sales."""
    return re.sub(r"(_?[0-9]+)+$", "", name) or name


def _of_alike_headers(looks: Sequence[FileLook]) -> list[list[FileLook]]:
    """Groups of files; each header is like some other of its group."""
    by_header: dict[frozenset[str], list[FileLook]] = defaultdict(list)
    for look in looks:
        by_header[look.names].append(look)
    groups: list[list[frozenset[str]]] = []
    for header in sorted(by_header, key=lambda header: -len(by_header[header])):
        alike = [g for g in groups if any(_are_alike(header, one, by_header) for one in g)]
        groups = [g for g in groups if g not in alike] + [[header, *(one for g in alike for one in g)]]
    place = {id(look): i for i, look in enumerate(looks)}
    return [sorted((k for h in g for k in by_header[h]), key=lambda look: place[id(look)]) for g in groups]


def _are_alike(one: frozenset[str], other: frozenset[str], by_header: dict[frozenset[str], list[FileLook]]) -> bool:
    shared, most, least = len(one & other), max(len(one), len(other)), min(len(one), len(other))
    if shared >= _ALIKE * most:
        return True
    if shared < _NEARLY_ALIKE * most:
        return False
    names = [{_unnumbered(feed_name(look.path)) for look in by_header[header]} for header in (one, other)]
    if names[0] & names[1] and shared == least >= _MEANS_SOMETHING:
        return True
    renamed = likely_renames({name: [name] for name in sorted(one - other)}, sorted(other - one))
    return shared + len(renamed) >= _ALIKE * most


def _of_one_dialect(looks: list[FileLook]) -> list[Feed]:
    """The feeds that files of one header are: the dialect that reads most of them makes the first."""
    ways: dict[str, list[FileLook]] = defaultdict(list)
    for look in looks:
        ways[_way(look.profile)].append(look)
    if len(ways) == 1:
        return [Feed("", looks, _together(looks[0].profile, looks))]
    tried = [(same[0].profile, _read_alike(looks, same[0].profile)) for same in ways.values()]
    best, most = max(tried, key=lambda one: len(one[1]))
    feed = Feed("", most, _together(best, most))
    taken = {look.path for look in most}
    rest = [look for look in looks if look.path not in taken]
    feeds = [feed]
    for other in _of_one_dialect(rest) if rest else []:
        if _cannot_be_told_apart(feed, other):
            feed.others += other.looks + other.others
        else:
            feeds.append(other)
    return feeds


def _read_alike(looks: Sequence[FileLook], how: Profile) -> list[FileLook]:
    return [look for look in looks if _way(look.profile) == _way(how) or _reads_the_same(look, how)]


def _way(how: Profile) -> str:
    """How a file is written, but for its byte order mark, which wins over what a contract says."""
    marks: dict[str, Any] = how.dialect.marks | how.layout.marks
    del marks["footer"]  # one for all days is made of those of each
    if how.marked_encoding:
        del marks["encoding"]
    return repr(marks)


def _together(how: Profile, looks: Sequence[FileLook]) -> Profile:
    """``how``, unmarked where some file is, and with the words for null and the footers of all files."""
    unmarked = next((look.profile for look in looks if not look.profile.marked_encoding), None)
    encoding = how.dialect.encoding
    if unmarked and how.marked_encoding:
        encoding = unmarked.dialect.encoding
    nulls = tuple(dict.fromkeys(null for look in looks for null in look.profile.dialect.nulls))
    dialect = replace(how.dialect, encoding=encoding, nulls=nulls)
    footers = dict.fromkeys(look.profile.layout.footer for look in looks if look.profile.layout.footer)
    how = replace(how, layout=replace(how.layout, footer="|".join(footers) or None))
    return replace(how, dialect=dialect, marked_encoding=None if unmarked else how.marked_encoding)


def _reads_the_same(look: FileLook, how: Profile) -> bool:
    """Whether the beginning of the file is the same table, read in the dialect of ``how``."""
    own = look.profile
    encoding = own.marked_encoding or how.dialect.encoding
    return _table(look, own) == _table(look, replace(how, dialect=replace(how.dialect, encoding=encoding)))


def _table(look: FileLook, how: Profile) -> Any:
    """The names and the values of the beginning of the file, and how many records cannot be read; None for none."""
    dialect = replace(how.dialect, nulls=Dialect.nulls)
    with LandedBytes(look.path, look.name) as landed:
        data = landed.head(_COMPARED_BYTES)
    data = data if len(data) < _COMPARED_BYTES else whole_lines(data, dialect.encoding)
    reader = RecordReader(io.BytesIO(data), dialect, how.layout)
    header = reader.header()
    if header is None:
        return None
    header = header if how.layout.names_columns else list(how.header)
    blocks = list(reader.blocks(len(header)))
    columns = [[text for block in blocks for text in block.columns[f"c{i}"].to_pylist()] for i in range(len(header))]
    return header, columns, sum(len(block.broken) for block in blocks)


def _cannot_be_told_apart(feed: Feed, other: Feed) -> bool:
    """Whether the header of one is read in the dialect of the other, too: then two contracts would dispute a file."""
    look = other.looks[0]
    table = _table(look, replace(feed.how, dialect=replace(feed.how.dialect, encoding=_encoding(look, feed))))
    return table is not None and {normal(name) for name in table[0] if name.strip()} == look.names


def _encoding(look: FileLook, feed: Feed) -> str:
    return look.profile.marked_encoding or feed.how.dialect.encoding
