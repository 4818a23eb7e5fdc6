"""Drafts contracts from a folder of files: one of each feed in it, and tells how its files differ from day to day."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from sluice.contracts.draft import Source, draft_of, save, target_of, tell
from sluice.contracts.draft_columns import Draft
from sluice.contracts.draft_neighbours import take_a_free_name
from sluice.contracts.draft_telling import told
from sluice.contracts.folder import Contracts, read_contracts
from sluice.contracts.folder_days import named, say_differences, say_what_became_of_files, ways_apart
from sluice.contracts.folder_feeds import Feed, feeds_of
from sluice.contracts.folder_looks import looks_at
from sluice.contracts.folder_profile import together
from sluice.contracts.folder_trial import FeedTrials
from sluice.contracts.profile import ProfileError

_TOLD_MOST = 10


def draft_feed(
    feed: Feed, *, others: Contracts | None = None, is_named: bool = False, by_arrival: bool = False
) -> Draft:
    """One draft from all files of ``feed``, beside ``others``; ``is_named`` when a person chose its name.

    Raises what ``profile`` does, when a file changed meanwhile."""
    all_of_it = together(feed)
    drafted = Draft(feed.name, "")
    if others:
        take_a_free_name(drafted, others, is_asked_for=is_named)
    say_differences(feed, all_of_it, drafted)
    first, last = feed.looks[0], feed.looks[-1]
    words = f"{len(feed.looks)} files, {first.name} to {last.name}" if first is not last else first.name
    trials = FeedTrials(feed)
    source = Source(
        all_of_it.sample,
        first.path,
        words,
        trials,
        functools.partial(all_of_it.amend, others=feed.headers_beside),
        [look.name for look in feed.looks],
    )
    draft_of(
        source,
        drafted,
        by_arrival=by_arrival,
        others=others,
        then=lambda: say_what_became_of_files(trials.files, drafted),
    )
    return drafted


def write_folder(
    folder: Path,
    paths: Sequence[Path],
    passed_over: Sequence[str],
    *,
    name: str | None,
    output: Path | None,
    contracts: Path,
    by_arrival: bool = False,
) -> int:
    """Draft a contract for each feed among ``paths``, the files of ``folder`` that would be taken.

    ``passed_over`` are the others, and why. The drafts are written to the folder ``output``; without it the one of most
    files is printed. ``name`` chooses one of several feeds, or names the only one. Returns 0, or 3 when a person must
    fill something in first.
    Raises ProfileError when there is nothing to draft from.
    """
    tell([f"looking at {len(paths):,} files of {folder}"])
    looks, left_out = looks_at(paths)
    tell(_left_out([*passed_over, *left_out], folder))
    if not looks:
        raise ProfileError(f"{folder} has no file that a contract could be drafted from")
    feeds = feeds_of(looks, name)
    tell(_which_feeds(feeds, folder))
    chosen = _chosen(feeds, name, output)
    others, is_named = read_contracts(contracts), name is not None
    drafts = [(feed, draft_feed(feed, others=others, is_named=is_named, by_arrival=by_arrival)) for feed in chosen]
    targets = [target_of(drafted, output) for _, drafted in drafts]
    if there := next((t for i, t in enumerate(targets) if t and (t.exists() or t in targets[:i])), None):
        raise FileExistsError(f"{there} is there already: nothing was written; move it away, or choose another OUT")
    for (feed, drafted), target in zip(drafts, targets, strict=True):
        if target is None:
            print(drafted.text, end="")
        else:
            save(drafted, target)
        again = folder if len(feeds) == 1 else f"{folder} NAME={feed.name}"
        lines = told(drafted, feed.looks[0].path, target, again=str(again))
        tell([*(f"{drafted.name}:" for _ in chosen[1:2]), *lines])
    return 3 if any(drafted.missing for _, drafted in drafts) else 0


def _chosen(feeds: Sequence[Feed], name: str | None, output: Path | None) -> list[Feed]:
    if name and len(feeds) > 1:
        one = [feed for feed in feeds if feed.name == name]
        if not one:
            raise ProfileError(
                f"there are {len(feeds)} feeds, and none is named {name}: "
                f"choose one of {', '.join(feed.name for feed in feeds)}, or leave NAME out"
            )
        return one
    if output is not None and len(feeds) > 1 and not output.is_dir():
        raise ProfileError(
            f"{output} is no folder, and there are {len(feeds)} feeds: name a folder for their contracts"
        )
    return list(feeds) if output is not None else [feeds[0]]


def _left_out(files: Sequence[str], folder: Path) -> Iterator[str]:
    if files:
        yield f"not looked at, of {folder}:"
        yield from (f"  - {file}" for file in files[:_TOLD_MOST])
    if len(files) > _TOLD_MOST:
        yield f"  and {len(files) - _TOLD_MOST} more"


def _which_feeds(feeds: Sequence[Feed], folder: Path) -> Iterator[str]:
    files = sum(len(feed.looks) + len(feed.others) for feed in feeds)
    first, *others = feeds
    are = "file is" if files == 1 else "files are"
    yield f"{len(first.looks)} of {files} {are} one feed, {first.name}: {_range(first)}"
    for feed in others:
        few = "this file looks" if len(feed.looks) == 1 else f"these {len(feed.looks)} of {files} files look"
        yield f"{few} like another feed, {feed.name}: {named([look.name for look in feed.looks])}; {_why(feed, first)}"
        there = shlex.quote(str(folder))
        yield f"  draft it alone: make contract FILE={there} NAME={feed.name}; OUT=include/contracts writes all"


def _range(feed: Feed) -> str:
    first, last = feed.looks[0].name, feed.looks[-1].name
    return first if first == last else f"{first} to {last}"


def _why(feed: Feed, first: Feed) -> str:
    written = ways_apart(feed.how, first.how)
    if any(feed.looks[-1].names == look.names for look in first.looks):
        return f"the header is the same, but they are written with {written}"
    columns = [look.profile.name for look in feed.looks[-1].columns.values()]
    return f"their columns are {named(columns)}{f', written with {written}' if written else ''}"
