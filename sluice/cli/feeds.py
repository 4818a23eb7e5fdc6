"""Commands about feeds: whether their files come."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import psycopg

from sluice.base import database
from sluice.base.settings import SettingError
from sluice.cli.command import argument, command
from sluice.cli.shared import reached, say
from sluice.duty import feeds, words
from sluice.duty.conditions import FINE, Condition
from sluice.running.pipeline import Pipeline

_QUIET = (FINE, feeds.UNKNOWN)
_HEAD = ("feed", "state", "last file", "next expected", "why, and what says so")


@command("feeds", "tell of each feed whether its files come as expected", argument("--json", action="store_true"))
def tell_feeds(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Exit code 0: none is late, missing, too small or too dirty; 1: one is."""
    settings = reached(pipeline)
    with database.connect(settings.reader_dsn, application_name="sluice-feeds") as connection:
        found = feeds.conditions(connection, settings, datetime.now(UTC))
    if parsed.json:
        print(json.dumps([_as_json(one) for one in found], indent=2, default=str))
    else:
        for line in table(found):
            say(line)
    return 0 if all(one.state in _QUIET for one in found) else 1


def add_to_status(pipeline: Pipeline, report: dict[str, Any]) -> dict[str, Any]:
    """``report`` of the pipeline with its ``feeds``; one that is not as it should be is one of its ``problems``."""
    if "files" not in report:  # it does not run, or the ledger does not answer
        return report
    try:
        settings = reached(pipeline)
        with database.connect(settings.owner_dsn, application_name="sluice-feeds") as connection:
            found = feeds.conditions(connection, settings, datetime.now(UTC))
    except (psycopg.Error, SettingError) as error:
        return report | {"problems": [*report["problems"], f"the calendar of feeds: {str(error).strip()}"]}
    problems = [
        f"feed {one.name} is {words.state(one)}: {words.says(one)}; {words.remedy(one)}"
        for one in found
        if one.state not in _QUIET
    ]
    return report | {"feeds": [_as_json(one) for one in found], "problems": [*report["problems"], *problems]}


def table(found: Sequence[Condition]) -> list[str]:
    """Lines for people: a feed each, what is wrong first, and below it what says so."""
    if not found:
        return ["there is no contract, so there is no feed"]
    order = sorted(found, key=lambda one: one.state in _QUIET)
    rows = [_HEAD, *map(_row, order)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEAD) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    ]


def _row(one: Condition) -> tuple[str, str, str, str, str]:
    numbers = one.numbers
    last = f"{numbers['file_id']} at {_when(numbers['file_at'])}" if "file_id" in numbers else "none"
    expected = _when(numbers["expected_at"]) if "expected_at" in numbers else "-"
    said = [words.says(one), words.basis(one), words.remedy(one)]
    return one.name, words.state(one), last, expected, "; ".join(filter(None, said))


def _as_json(one: Condition) -> dict[str, Any]:
    return asdict(one) | {"says": words.says(one), "basis": words.basis(one), "remedy": words.remedy(one)}


def _when(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M")
