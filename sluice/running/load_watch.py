"""``make load``: land a copy of one file, wait for its state in the ledger, tell its tally."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from sluice.base import database, queries
from sluice.base.plain_text import shown
from sluice.landing import folders, land
from sluice.ledger import contract_waits, file_names, insist
from sluice.running.pipeline import InstanceError, Pipeline

Connection = psycopg.Connection[dict[str, Any]]
Say = Callable[[str], None]
Wish = Callable[[str, str], None]
MOST_REJECTS = 5
_RAW_CHARACTERS = 120
_BLOCK = 1 << 20


def load(
    pipeline: Pipeline, source: Path, say: Say, timeout: float, *, insist_because: str | None = None, by_whom: str = ""
) -> int:
    """Land a copy of ``source`` and say what became of it: 0 for loaded and duplicate, 1 for rejected and for one that
    waits for a contract.

    ``insist_because`` is the reason to load it although it undoes a newer revision, ``by_whom`` who says so. Raises
    InstanceError when the pipeline is not running, the file cannot be landed, or no state is reached within
    ``timeout`` seconds, InsistError when the reason says nothing.
    """
    running = pipeline.running()
    if running is None:
        raise InstanceError(f"the pipeline in {pipeline.home} is not running: start it with `make up` or `make run`")
    _check(source)
    if insist_because is not None:
        insist.checked(insist_because)
    with database.connect(
        pipeline.with_urls(running.postgres_port).owner_dsn, application_name="sluice-load"
    ) as opened:
        if why := folders.problem(pipeline.settings, opened):
            raise InstanceError(f"{shown(str(source))} is not landed: {why}")
        after = queries.row(opened, "ledger/landing_watch.newest_file")["file_id"]

        def wish(name: str, sha256: str) -> None:
            if insist_because is not None:
                insist.note_wish(opened, file_names.readable(name), sha256, insist_because, by_whom)

        landed = _land_copy(pipeline, source, wish)
        name = file_names.readable(landed.path.name)
        say(f"{file_names.readable(str(source))} landed as {name}; waiting for the ledger …")
        file = _wait(pipeline, opened, {"after": after, "sha256": landed.sha256, "name": name}, say, timeout)
        return _tell(opened, file, say)


def _check(source: Path) -> None:
    if not source.is_file():
        raise InstanceError(
            f"{shown(str(source))} is not a file: give the path of a CSV, make load FILE=path/to/file.csv"
        )
    if not os.access(source, os.R_OK):
        raise InstanceError(f"{shown(str(source))} cannot be read by this user: change its permissions")


def _land_copy(pipeline: Pipeline, source: Path, before: Wish) -> land.Landed:
    try:
        land.check_name(source.name)
        with source.open("rb") as file:
            return land.land(pipeline.settings, source.name, iter(partial(file.read, _BLOCK), b""), before=before)
    except land.NotLandedError as error:
        raise InstanceError(str(error)) from error


def _wait(pipeline: Pipeline, opened: Connection, which: dict[str, Any], say: Say, timeout: float) -> dict[str, Any]:
    begun = time.monotonic()
    told = begun
    while True:
        file = queries.one(opened, "ledger/landing_watch.landed_file", **which)
        if file is not None and (file["state"] != "landed" or _is_held(pipeline, file)):
            return file
        state = "registered, not loaded yet" if file else "not registered yet"
        waited = time.monotonic() - begun
        if not pipeline.lives():
            raise InstanceError(
                f"{shown(which['name'])}: {state}, and the pipeline was stopped: it goes on at `make up`"
            )
        if waited > timeout:
            raise InstanceError(
                f"{shown(which['name'])}: {state} after {waited:.0f} s: `make status` tells what is wrong"
            )
        if time.monotonic() - told >= 10:
            told = time.monotonic()
            say(f"{which['name']}: {state} ({waited:.0f} s)")
        time.sleep(0.1)


def _is_held(pipeline: Pipeline, file: dict[str, Any]) -> bool:
    """Whether the file waits for a contract, and the contracts are still those that it was judged under."""
    folder = pipeline.settings.contracts_dir
    return file["waits_under"] is not None and file["waits_under"] == contract_waits.digest(
        contract_waits.texts(folder)
    )


def _tell(opened: Connection, file: dict[str, Any], say: Say) -> int:
    if file["state"] == "duplicate":
        say(
            f"{file['name']}: duplicate, entered as file {file['file_id']}: the same bytes are file "
            f"{file['duplicate_of']} ({file['original_name']}, {file['original_state']}); nothing was loaded"
        )
        return 0
    if file["state"] == "landed":
        say(
            f"{file['name']}: waits as file {file['file_id']} for a contract: {file['error']}; it is loaded by "
            "itself as soon as the contracts are corrected, nothing needs to be landed again"
        )
        return 1
    if file["state"] != "loaded":
        say(f"{file['name']}: {file['state']} as file {file['file_id']}: {file['error'] or 'no reason given'}")
        return 1
    say(
        f"{file['name']}: loaded as file {file['file_id']} under contract {file['contract']}: "
        f"{file['rows_read']:,} read, {file['rows_loaded']:,} loaded, {file['rows_rejected']:,} rejected, "
        f"{file['rows_duplicate']:,} duplicate"
    )
    for old in queries.all(opened, "ledger/landing_watch.replaced_by", file_id=file["file_id"]):
        say(f"{file['name']}: replaces file {old['file_id']}, {old['rows_out']:,} rows out")
    _tell_rejects(opened, file, say)
    return 0


def _tell_rejects(opened: Connection, file: dict[str, Any], say: Say) -> None:
    rejects = queries.all(opened, "ledger/landing_watch.first_rejects", file_id=file["file_id"], most=MOST_REJECTS)
    for reject in rejects:
        say(
            f"  record {reject['record_number']:,}, line {reject['line_number']:,}: {', '.join(reject['rules'])} "
            f"({reject['error_class']}): {shown(bytes(reject['raw']), _RAW_CHARACTERS)}"
        )
    if file["rows_rejected"] > MOST_REJECTS:
        more = file["rows_rejected"] - MOST_REJECTS
        say(f"  … and {more:,} more: table ledger.rejects, file_id {file['file_id']}")
