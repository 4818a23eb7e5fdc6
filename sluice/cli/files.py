"""Commands about one file, or about rejected records: load, check-file, unload, rejudge, insist, rejects, replay."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import psycopg

from sluice.base import database
from sluice.base.gentle import be_gentle
from sluice.cli.command import argument, command
from sluice.cli.shared import by_whom, reached, say
from sluice.ledger import insist, quarantine
from sluice.loading import dry_run_text, unload
from sluice.running import load_watch
from sluice.running.pipeline import InstanceError, Pipeline

Connection = psycopg.Connection[dict[str, Any]]
SOME_SET_ASIDE = 3

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
    "check-file",
    "tell what would become of a CSV if it landed; exit code 0: all rows load, 3: some are set aside, 1: none loads",
    argument("file", type=Path),
    argument("--as", dest="name", help="the name that it would land under (default: its own)"),
    argument("--json", action="store_true"),
    argument("--seconds", type=float, help="stop reading after so long, and say so"),
    argument("--gently", action="store_true", help="niced, and within little memory, beside other work"),
    argument("--without-ledger", action="store_true", help="do not ask for duplicates and earlier revisions"),
)
def check_file(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Judge it as a load does; nothing is written, and the pipeline need not run."""
    from sluice.loading import dry_run  # its imports are heavy, and only needed here

    if parsed.gently:
        be_gentle(dry_run.DATA_BYTES_MAX)
    name = parsed.name or parsed.file.name
    with contextlib.ExitStack() as stack:
        connection = None if parsed.without_ledger else _ledger_if_it_runs(pipeline, stack)
        try:
            found = dry_run.dry_run(pipeline.settings, parsed.file, name, seconds=parsed.seconds, connection=connection)
        except OSError as error:
            raise InstanceError(f"{parsed.file} cannot be read: {error.strerror or error}") from error
    if parsed.json:
        print(json.dumps(found.as_dict(), indent=2, default=str))
    else:
        for line in dry_run_text.lines(found):
            say(line)
    if not found.would_load:
        return 1
    return SOME_SET_ASIDE if found.rows_set_aside else 0


def _ledger_if_it_runs(pipeline: Pipeline, stack: contextlib.ExitStack) -> Connection | None:
    try:
        settings = pipeline.settings if pipeline.settings.reader_url else reached(pipeline)
        return stack.enter_context(database.connect(settings.reader_dsn, application_name="sluice-check-file"))
    except (InstanceError, psycopg.OperationalError):
        return None


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
    print(json.dumps(left.as_dict(), indent=2))
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
    say(f"file {parsed.file_id} ({name}) waits to be loaded again; `make status` tells when the stream is at it")
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
    print(json.dumps(tally.as_dict(), indent=2))
    return 1 if tally.not_judged else 0
