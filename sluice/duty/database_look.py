"""What `make doctor` asks the database: its settings, schema and clock, the last recount, what a restore has left."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from sluice.base import machine, queries
from sluice.base.settings import SQL, SettingError, Settings
from sluice.duty import drill
from sluice.duty.finding import Finding, advice, fine, wrong
from sluice.landing import folders
from sluice.ledger import migrate, server_settings
from sluice.loading import backup, replaced
from sluice.reports import feeds

Connection = psycopg.Connection[dict[str, Any]]
PRESCRIPTION = (
    "set it as superuser: ALTER SYSTEM SET name = 'value'; then SELECT pg_reload_conf(); shared_buffers, "
    "max_connections and max_locks_per_transaction need a restart of the server"
)
_CLOCK_SECONDS, _AHEAD_SECONDS = 2.0, 60.0
_OLD = timedelta(days=7)


def look(settings: Settings, connection: Connection) -> Iterator[Finding]:
    """All of it. Raises psycopg.Error when the database goes away meanwhile."""
    yield from _schema(connection)
    yield from _settings(settings, connection)
    yield from _clock(connection)
    if why := folders.problem(settings, connection):
        yield wrong("folders", why, "as it says there")
    yield from _recount(connection)
    yield from _replaced(settings, connection)


def _schema(connection: Connection) -> Iterator[Finding]:
    server = connection.info.server_version
    version = f"PostgreSQL {server // 10_000}.{server % 10_000}"
    if server < migrate.OLDEST_SERVER:
        yield wrong("database", f"{version} is too old", "Sluice needs PostgreSQL 14 or later")
        return
    applied = {row["name"] for row in queries.all(connection, "migrations.applied_names")}
    here = {path.name.removesuffix(".up.sql") for path in (SQL / "migrations").glob("*.up.sql")}
    if newer := sorted(applied - here):
        do = "start that release, or a newer one; `make restore` goes back to a backup from before it"
        yield wrong("database", f"{version}; a newer release has changed its schema ({', '.join(newer)})", do)
    elif lacking := sorted(here - applied):
        yield wrong("database", f"{version}; its schema lacks {', '.join(lacking)}", "`make restart` applies them")
    else:
        yield fine("database", f"{version}, its schema is this release's")


def _settings(settings: Settings, connection: Connection) -> Iterator[Finding]:
    free = shutil.disk_usage(settings.home_dir).free
    found = server_settings.compare(connection, machine.memory(), free)
    for one in found:
        says = f"{one.advice.name} = {one.now}: better {one.advice.value}. Why: {one.advice.why}. "
        says += f"For the promise that no row is lost: {one.advice.promise}"
        yield wrong("settings", says, PRESCRIPTION)
    try:
        feeds.refuse_unknown_zone(settings, connection)
    except SettingError as error:
        yield wrong("settings", str(error), "set SLUICE_SHOP_ZONE, in .env say, then `make restart`")
        return
    if not found:
        yield fine("settings", "the settings of PostgreSQL fit this load")


def _clock(connection: Connection) -> Iterator[Finding]:
    before = datetime.now(UTC)
    row = queries.row(connection, "ledger/doctor.clock")
    after = datetime.now(UTC)
    ntp = "set both clocks by NTP: leases and ages are told by the database's, files by this machine's"
    # What the question itself took is no difference.
    off = max((before - row["now"]).total_seconds(), (row["now"] - after).total_seconds(), 0.0)
    if off > _CLOCK_SECONDS:
        yield wrong("clock", f"this machine's clock and the database's are {off:,.0f} s apart", ntp)
    ahead = (row["newest"] - row["now"]).total_seconds() if row["newest"] else 0.0
    if ahead > _AHEAD_SECONDS:
        yield wrong("clock", f"the ledger has entries of {ahead:,.0f} s from now: a clock was set back", ntp)


def _recount(connection: Connection) -> Iterator[Finding]:
    """The last one that was noted; nothing is counted here."""
    last = queries.one(connection, "ledger/status.proof")
    do = "`make reconcile` recounts all; DAG or cron: with DAYS=1 every day, all of it every week"
    if last is None:
        yield advice("proof", "nobody has recounted yet", do)
        return
    when = f"{last['ended_at'].astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if not last["holds"]:
        do = "`make reconcile` names files and records; nothing is lost before a file is sealed"
        yield wrong("proof", f"the last recount ({when}) found rows unaccounted for in {last['problems']:,} places", do)
    elif datetime.now(UTC) - last["ended_at"] > _OLD:
        yield advice("proof", f"the last recount held, but it is of {when}", do)
    else:
        yield fine("proof", f"the last recount ({when}) held, of {last['rows']:,} rows")


def _replaced(settings: Settings, connection: Connection) -> Iterator[Finding]:
    why = replaced.why_it_stays(settings, connection)
    if why is not None:
        says = f"the database that the last restore replaced is still there: {why or 'keep_house drops it next'}"
        yield advice("restore", says, "nothing, or what it says there")


def backups(settings: Settings) -> Iterator[Finding]:
    """Whether there is a backup, how old it is, and whether a drill has tried one; of the embedded server only."""
    last = backup.newest(settings.backup_dir)
    if last is None:
        do = "`make backup` makes one; SLUICE_BACKUP_EVERY_HOURS=24 makes one every day"
        yield advice("backup", f"there is none in {settings.backup_dir}", do)
        return
    made = datetime.fromtimestamp(last.stat().st_mtime, UTC)
    said = f"the last one is {last.name}, of {made:%Y-%m-%d %H:%M} UTC"
    tried = _last_drill(settings)
    if tried is not None and not tried["holds"]:
        do = "`make restore-drill` tells what; make another backup, try that one, and `make reconcile`"
        yield wrong("backup", f"{said}; the last restore drill ({tried['at']}) found differences", do)
    elif datetime.now(UTC) - made > _OLD:
        yield advice("backup", said, "`make backup`, or SLUICE_BACKUP_EVERY_HOURS=24 for one every day")
    elif tried is None:
        yield advice("backup", f"{said}; none was ever tried", "`make restore-drill` tries the last one")
    else:
        yield fine("backup", f"{said}; the last restore drill ({tried['at']}) held")


def _last_drill(settings: Settings) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(drill.note_of(settings).read_text())
    except (OSError, ValueError):
        return None
    return found if {"holds", "at"} <= found.keys() else None
