"""Commands about one file, or about rejected records of files: load, unload, rejudge, insist, rejects, replay."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from sluice.base import database
from sluice.cli.command import argument, command
from sluice.cli.shared import by_whom, reached, say
from sluice.ledger import insist, quarantine
from sluice.loading import unload
from sluice.running import load_watch
from sluice.running.pipeline import Pipeline

_CHOOSING = (
    argument("--contract", help="only rejects of this contract"),
    argument("--rule", help="only rejects that break this rule"),
    argument("--file-id", type=int, help="only rejects of this file"),
)


@command(
    "load",
    "land a copy of a CSV, wait for its ledger state, print its tally",
    argument("file", type=Path),
    argument("--stdin", action="store_true", help="its bytes come from standard input, FILE is its name"),
    argument(
        "--insist", metavar="REASON", help="load it although it undoes a newer revision; the audit keeps the reason"
    ),
    argument("--timeout", type=float, default=900.0, help="seconds to wait (default %(default)g)"),
)
def load(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Exit code 0: loaded or a duplicate, 1: rejected, or it waits for a contract."""
    if not parsed.stdin:
        return _land_and_watch(pipeline, parsed.file, parsed)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / parsed.file.name
        with copy.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        return _land_and_watch(pipeline, copy, parsed)


def _land_and_watch(pipeline: Pipeline, source: Path, parsed: argparse.Namespace) -> int:
    return load_watch.load(pipeline, source, say, parsed.timeout, insist_because=parsed.insist, by_whom=by_whom())


@command(
    "unload",
    "take one loaded file's rows out of events and the reports",
    argument("file_id", type=int),
    argument("reason", nargs="?", default="", help="why, for the audit"),
    argument("--dry-run", action="store_true", help="only tell what would leave, and what would stay"),
    argument(
        "--with-duplicates",
        action="store_true",
        help="take back the files with the same bytes too (default: one loads)",
    ),
)
def unload_file(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Print what left, as JSON."""
    left = unload.unload_file(
        reached(pipeline),
        parsed.file_id,
        parsed.reason,
        by_whom=by_whom(),
        with_duplicates=parsed.with_duplicates,
        dry_run=parsed.dry_run,
    )
    print(json.dumps(left.as_dict(), indent=2, ensure_ascii=False))
    return 0


@command(
    "rejudge",
    "land files again that an older version of a contract has judged",
    argument("contract", help="its name; its version must be another one by now"),
    argument(
        "reason", nargs="?", default="", help="why, for the audit; without one it is only told what would be done"
    ),
    argument("--version", help="only files that this version has judged (default: any but today's)"),
)
def rejudge_files(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Take them all back, then land them."""
    from sluice.loading import rejudge  # its imports are heavy, and only needed here

    is_done = bool(parsed.reason)
    rejudged = rejudge.rejudge(
        reached(pipeline),
        parsed.contract,
        version=parsed.version,
        reason=parsed.reason,
        by_whom=by_whom(),
        dry_run=not is_done,
    )
    for line in rejudged.lines(is_done=is_done):
        say(line)
    return 0


@command(
    "insist",
    "load a file that was set aside because it would undo a newer revision",
    argument("file_id", type=int),
    argument("reason", help="why, for the audit"),
)
def insist_on_file(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Land it again; the stream loads it."""
    settings = reached(pipeline)
    with database.connect(settings.writer_dsn, application_name="sluice-insist") as connection:
        name = insist.land_again(connection, settings.home_dir, parsed.file_id, parsed.reason, by_whom())
    print(f"file {parsed.file_id} ({name}) waits to be loaded again; `make status` tells when the stream is at it")
    return 0


@command("merge", "compare the ids of new events with those of all months")
def merge_months(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Print what was found as JSON; exit code 1 when files are left for the next merge, or wait for somebody."""
    from sluice.loading import merge  # its imports are heavy, and only needed here

    merged = merge.merge(reached(pipeline))
    if merged is None:
        print("another merge is at it")
        return 1
    print(json.dumps(merged.as_dict(), indent=2))
    return 0 if merged.is_whole else 1


@command("rejects", "show the quarantine by rule, with examples", *_CHOOSING)
def rejects(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """What was rejected and why."""
    with database.connect(reached(pipeline).reader_dsn) as connection:
        lines = quarantine.lines(connection, contract=parsed.contract, rule=parsed.rule, file_id=parsed.file_id)
    print("\n".join(lines))
    return 0


@command("replay", "judge the quarantine again, load what passes now", *_CHOOSING)
def replay_rejects(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Print the tally as JSON; exit code 1 when some could not be judged."""
    from sluice.loading import replay  # its imports are heavy, and only needed here

    tally = replay.replay(reached(pipeline), contract=parsed.contract, rule=parsed.rule, file_id=parsed.file_id)
    print(json.dumps(tally.as_dict(), indent=2, ensure_ascii=False))
    return 1 if tally.not_judged else 0
