"""Commands of whoever is on duty: what is wrong now, who was not told yet, and whether alerts arrive."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sluice.base import database
from sluice.base.settings import SettingError, Settings
from sluice.cli.command import argument, command
from sluice.cli.shared import reached, say
from sluice.duty import changes, looking, receivers, sentences, shown, telling
from sluice.duty.changes import Connection
from sluice.duty.due import due
from sluice.running.pipeline import Pipeline

# After so many looks that were due and were not made, nobody looks.
_LOOKS = 10


@command(
    "duty",
    "tell what is wrong now, and what nobody was told yet",
    argument("--json", action="store_true", help="as JSON"),
)
def duty(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Exit code 0: all is fine, 1: something is wrong, or nobody looks. It looks itself, and notes nothing."""
    settings, now = reached(pipeline), datetime.now(UTC)
    with database.connect(settings.reader_dsn) as connection:
        report = _report(connection, settings, now)
    if parsed.json:
        print(json.dumps(report, indent=2, default=str, ensure_ascii=False))
    else:
        for line in _lines(report, settings):
            say(line)
    return 0 if report["fine"] else 1


@command("alert-test", "send a test message to each receiver of SLUICE_ALERT_URL")
def alert_test(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Exit code 1 when one has not confirmed it."""
    settings = pipeline.settings
    everybody = receivers.of(settings)
    if not everybody:
        raise SettingError(
            "SLUICE_ALERT_URL is empty: set it in .env to the URL of a receiver, as docs/on-duty.md says"
        )
    running = pipeline.running()
    message = telling.trial(settings, running.url if running else "")
    confirmed = {one: one.send(message) for one in everybody}
    for one, arrived in confirmed.items():
        say(f"{one}: {'confirmed' if arrived else 'NOT confirmed: is it up, and is the URL right? docs/on-duty.md'}")
    return 0 if all(confirmed.values()) else 1


def _report(connection: Connection, settings: Settings, now: datetime) -> dict[str, Any]:
    since = {(row["kind"], row["name"], row["state"]): row["since"] for row in changes.wrong(connection)}
    wrong = [one for one in looking.look(connection, settings, now) if one.state not in changes.QUIET]
    last = changes.last_look(connection)
    asleep = last is None or now - last > timedelta(seconds=_LOOKS * settings.duty_every_seconds)
    hold = timedelta(seconds=settings.alert_hold_seconds)
    untold = due(telling.untold(connection), now, hold)
    return {
        "fine": not wrong and not asleep,
        "conditions": [shown.condition(one, since.get((one.kind, one.name, one.state)) or one.since) for one in wrong],
        "untold": [
            {"change_id": one.change_id, "at": one.at, "kind": one.kind, "name": one.name, "state": one.state}
            for one in untold
        ],
        "receivers": len(receivers.of(settings)),
        "looked_at": last,
        "watched": not asleep,
    }


def _lines(report: dict[str, Any], settings: Settings) -> list[str]:
    lines = []
    for one in report["conditions"]:
        since = f" Since {sentences.when(one['since'], settings.shop_zone)}." if one["since"] else ""
        lines += [f"{one['level']:<8} {one['sentence']}{since}"]
        lines += [f"         {said}" for said in (one["figures"], one["remedy"]) if said]
    if not report["watched"]:
        last = report["looked_at"]
        when = f"looked last at {sentences.when(last, settings.shop_zone)}" if last else "has never looked"
        lines.append(f"bad      The DAG watch_feeds {when}: is it unpaused, and does Airflow's scheduler run?")
    if untold := len(report["untold"]):
        whom = (
            "the next run of watch_feeds tells"
            if report["receivers"]
            else "SLUICE_ALERT_URL is empty, so nobody is told"
        )
        lines.append(f"untold   {untold:,} changes: {whom}")
    return lines or ["all is fine"]
