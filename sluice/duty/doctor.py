"""`make doctor`: looks at a running or a stopped pipeline, and says what is wrong and what to do. It changes nothing.

It recounts nothing either: what it says of the proof is what the last recount has noted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import psycopg

from sluice.base import database
from sluice.base.plain_text import escaped
from sluice.duty import database_look, machine_look
from sluice.duty.finding import Finding, State, fine, unknown, wrong
from sluice.running import disk_use, status
from sluice.running.instance import Instance
from sluice.running.pipeline import Pipeline

HEALTHY, UNHEALTHY = 0, 1
_LOOK_SECONDS = 10.0


def examine(pipeline: Pipeline) -> list[Finding]:
    """Everything that was looked at, in the order in which it is mended."""
    return list(_examine(pipeline))


def exit_code(findings: Sequence[Finding]) -> int:
    """0 when nothing is wrong; advice, and what could not be looked at, is none."""
    return UNHEALTHY if any(one.state is State.WRONG for one in findings) else HEALTHY


def text(findings: Sequence[Finding]) -> str:
    """For people: a line each, and below what is not fine, what to do."""
    lines = []
    for one in findings:
        lines.append(f"{one.state:<8} {one.what:<10} {escaped(one.says)}")
        if one.do:
            lines.append(f"{'':<19} do: {escaped(one.do)}")
    count = sum(one.state is State.WRONG for one in findings)
    return "\n".join([*lines, f"{count} things are wrong" if count != 1 else "1 thing is wrong"])


def as_json(findings: Sequence[Finding]) -> str:
    """For programs: ``state`` is fine, advice, wrong or unknown."""
    whole: dict[str, Any] = {"healthy": exit_code(findings) == HEALTHY, "findings": [asdict(one) for one in findings]}
    return json.dumps(whole, indent=2, ensure_ascii=False)


def _examine(pipeline: Pipeline) -> Iterator[Finding]:
    settings, running = pipeline.settings, pipeline.running()
    yield from machine_look.java_and_versions()
    if isinstance(pipeline, Instance):
        yield from machine_look.folders(pipeline)
        yield from machine_look.ports(pipeline, running)
        yield from machine_look.clock(pipeline)
    yield from machine_look.contracts(settings)
    yield from _pipeline(pipeline)
    if isinstance(pipeline, Instance) and not settings.database_url:
        yield from database_look.backups(settings)


def _pipeline(pipeline: Pipeline) -> Iterator[Finding]:
    """What the ledger and its server say, where they can be asked; the disk, of which the databases are a part."""
    settings, running = pipeline.settings, pipeline.running()
    if running is None and not settings.database_url:
        yield from machine_look.disk(settings, disk_use.words(disk_use.parts(settings, None, seconds=_LOOK_SECONDS)))
        yield machine_look.waiting_on_disk(settings)
        says = "it does not run: its database, the ledger and the last recount were not looked at; `make up` starts it"
        yield unknown("pipeline", says)
        return
    reached = pipeline.with_urls(running.postgres_port if running else 0)
    if running is not None:
        yield from _status(pipeline)
    try:
        with database.connect(reached.owner_dsn, application_name="sluice-doctor") as connection:
            used = disk_use.words(disk_use.parts(settings, connection, seconds=_LOOK_SECONDS))
            yield from machine_look.disk(settings, used)
            yield from database_look.look(reached, connection)
            if running is None:
                yield machine_look.waiting_on_disk(settings)
                yield unknown("pipeline", "it does not run: `make up` starts it")
    except psycopg.Error as error:
        do = "the embedded server is started again by itself; see postgres/postgres.log in the state folder"
        yield wrong("database", f"it does not answer: {str(error).strip()}", do)


def _status(pipeline: Pipeline) -> Iterator[Finding]:
    report = status.report(pipeline)
    for problem in report["problems"]:
        yield wrong("pipeline", problem, "as it says there; docs/three-in-the-morning.md has it by symptom")
    if "backlog" in report:
        said = ", ".join(f"{count:,} {where.replace('_', ' ')}" for where, count in report["backlog"].items())
        yield fine("backlog", said)
