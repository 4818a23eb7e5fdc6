"""What the pipeline is doing: the report of ``make status``, and the launcher's live line."""

from __future__ import annotations

import contextlib
import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import psycopg

from sluice.base import database, disks, queries
from sluice.base.plain_text import escaped, shown
from sluice.base.settings import Settings
from sluice.contracts.drift import says
from sluice.landing import folders, incoming
from sluice.ledger import contract_waits
from sluice.reports import definitions, refresh
from sluice.running import disk_use
from sluice.running.credentials import write_private
from sluice.running.pipeline import Pipeline

Connection = psycopg.Connection[dict[str, Any]]
HEALTHY, UNHEALTHY, NOT_RUNNING = 0, 1, 3
SHOWN = 5
NEWEST = 100_000
# Housekeeping has so long to seal what is old enough.
UNSEALED_DAYS = 1
# Reports that are older than so many of their refreshes are stale, and none is that is younger than an hour.
_REFRESHES, _STALE_SECONDS = 3, 3600


def ledger_report(connection: Connection, *, everything: bool = True) -> dict[str, Any]:
    """What the ledger says: stream, files by state, rows, rows a second, seconds from landed to queryable.

    ``everything=False`` leaves out the percentiles over the newest files, and the reports' state.
    """
    states = queries.all(connection, "ledger/status.files_by_state")
    rows = {
        part: sum(state[f"rows_{part}"] for state in states) for part in ("read", "loaded", "rejected", "duplicate")
    }
    latency = {"last_10_minutes": queries.row(connection, "ledger/status.latency", minutes=10)}
    if everything:
        latency["newest"] = queries.row(connection, "ledger/status.latency_of_newest", most=NEWEST)
    drift = queries.all(connection, "ledger/status.drift")
    return {
        "stream": queries.one(connection, "ledger/status.stream"),
        "files": {state["state"]: state["files"] for state in states},
        "files_waiting_for_contract": sum(state["waiting"] for state in states),
        "rows": rows,
        "rows_per_second": queries.row(connection, "ledger/status.rate")["rows_per_second"],
        "landed_to_queryable_seconds": latency,
        "drift": drift,
        "proof": queries.one(connection, "ledger/status.proof"),
        **(reports(connection) if everything else {"reports": None, "failed_refresh": None}),
    }


def reports(connection: Connection) -> dict[str, Any]:
    """The state of what is published, and why the last refresh failed.

    Others may write there: what they do to it hides nothing else of the report.
    """
    try:
        with connection.transaction():
            connection.execute("SELECT set_config('lock_timeout', '1s', true)")
            return {
                "reports": queries.one(connection, "ledger/status.reports"),
                "failed_refresh": queries.one(connection, "ledger/status.failed_refresh"),
            }
    except psycopg.Error as error:
        if connection.broken:
            raise
        nothing = dict.fromkeys(("as_of", "seconds", "changes_waiting", "differences"))
        return {"reports": nothing | {"error": refresh.first_line(error)}, "failed_refresh": None}


def report(pipeline: Pipeline) -> dict[str, Any]:
    """The whole state, ready for JSON. ``problems`` says in sentences what is not as it should be."""
    running = pipeline.running()
    if running is None:
        return {"running": False, "problems": [_why_not_running(pipeline)]}
    processes = pipeline.processes(running)
    state: dict[str, Any] = {
        "running": True,
        "ready": running.ready,
        "url": running.url,
        "pid": running.pid,
        "since": datetime.datetime.fromtimestamp(running.started_at, datetime.UTC),
        "processes": processes,
        "problems": [f"{name} is not running: see {pipeline.log_dir}" for name, up in processes.items() if not up],
    }
    landed = incoming.survey(pipeline.settings)
    state["refused"] = landed.refused
    state["problems"] += _machine_problems(pipeline) + _refused_problems(pipeline, landed.refused)
    try:
        with database.connect(pipeline.with_urls(running.postgres_port).owner_dsn) as connection:
            state |= ledger_report(connection)
            state["disk"] = disk_use.parts(pipeline.settings, connection)
            state["problems"] += [why for why in [folders.problem(pipeline.settings, connection)] if why]
            state["problems"] += contract_waits.problems(pipeline.settings, connection)
            state["problems"] += merge_problems(connection)
            state["problems"] += expiry_problems(connection)
            state["problems"] += sealing_problems(pipeline.settings, connection)
            state["problems"] += reports_problems(state["failed_refresh"], state["reports"])
            state["problems"] += stale_problems(pipeline.settings, state["reports"])
    except psycopg.Error as error:
        state["problems"].append(f"the ledger does not answer: {str(error).strip()}")
        return state
    held = state["files_waiting_for_contract"]
    state["backlog"] = {
        "incoming": landed.waiting,
        "landed": state["files"].get("landed", 0) - held,
        "waiting_for_contract": held,
    }
    state["problems"] += _stream_problems(state["stream"])
    return state


def tell_trouble(pipeline: Pipeline, trouble: str) -> None:
    """Leave word of what keeps the embedded server from answering, for whoever asks for the report; "": it answers."""
    if trouble:
        write_private(_trouble_file(pipeline), trouble)
    else:
        _trouble_file(pipeline).unlink(missing_ok=True)


def exit_code(state: dict[str, Any]) -> int:
    """0 when all is well, 3 when nothing runs, 1 when something that should run does not."""
    if not state["running"]:
        return NOT_RUNNING
    return UNHEALTHY if state["problems"] else HEALTHY


def text(state: dict[str, Any]) -> str:
    """The report for people."""
    lines = []
    if state["running"]:
        ups = ", ".join(f"{name} {'up' if up else 'DOWN'}" for name, up in state["processes"].items())
        lines += [f"running      since {_when(state['since'])}, pid {state['pid']}", f"web          {state['url']}"]
        lines += [f"processes    {ups}"]
    if "files" in state:
        lines += _ledger_lines(state)
    if "disk" in state:
        lines.append(f"disk         {disk_use.words(state['disk'])}")
    lines += [f"problem      {problem}" for problem in state["problems"]]
    # Names of files and of their columns are in some of them.
    return "\n".join(map(escaped, lines))


def live_line(state: dict[str, Any], incoming: int) -> str:
    """One line of what the ledger says (of ``ledger_report``), with ``incoming`` files not registered yet."""
    files, rows, stream = state["files"], state["rows"], state["stream"]
    latency = state["landed_to_queryable_seconds"]["last_10_minutes"]
    waiting = incoming + files.get("landed", 0)
    lag = "-" if latency["p50"] is None else f"p50 {latency['p50']:.1f} s p95 {latency['p95']:.1f} s"
    return (
        f"files {files.get('loaded', 0):,} loaded, {files.get('rejected', 0):,} rejected, {waiting:,} waiting | "
        f"rows {rows['loaded']:,} loaded, {rows['rejected']:,} rejected, {state['rows_per_second']:,.0f}/s | "
        f"lag {lag} | stream {_stream_word(stream)}"
    )


def _ledger_lines(state: dict[str, Any]) -> list[str]:
    rows, stream, latency = state["rows"], state["stream"], state["landed_to_queryable_seconds"]
    files = ", ".join(f"{count:,} {name}" for name, count in state["files"].items()) or "none yet"
    lines = [f"stream       {_stream_word(stream)}"]
    if stream and stream["living"]:
        lines[0] += f" since {_when(stream['state_since'])}, lease for another {stream['lease_seconds_left']:.0f} s"
    if stream and stream["last_error"]:
        lines.append(f"last error   {_when(stream['last_error_at'])}: {stream['last_error'].strip()}")
    return [
        *lines,
        f"files        {files}",
        f"rows         {_tally(rows)}",
        f"backlog      {_backlog(state['backlog'])}",
        f"speed        {state['rows_per_second']:,.0f} rows/s in the last minute",
        f"lag          landed to queryable: {_percentiles(latency['last_10_minutes'])} (last 10 minutes)",
        f"             {_percentiles(latency['newest'])} (newest {NEWEST:,} files)",
        *map(_drift_line, state["drift"]),
        f"proof        {_proof(state['proof'])}",
        f"reports      {reports_word(state['reports'])}",
    ]


def _drift_line(feed: dict[str, Any]) -> str:
    newest = f"newest file {feed['file_id']}, {feed['name']}"
    return f"drift        {feed['contract']} since {_when(feed['since'])}: {says(feed['drift'])} ({newest})"


def _backlog(backlog: dict[str, int]) -> str:
    held = backlog["waiting_for_contract"]
    said = f"{backlog['incoming']:,} in incoming, {backlog['landed']:,} landed"
    return f"{said}, {held:,} waiting for a contract" if held else said


def _proof(recount: dict[str, Any] | None) -> str:
    if recount is None:
        return "never recounted: `make reconcile` does it"
    of = "" if recount["days"] is None else f", the files of the last {recount['days']:g} days"
    if recount["holds"]:
        return f"recounted {_when(recount['ended_at'])}{of}, all {recount['rows']:,} rows accounted for"
    return f"recounted {_when(recount['ended_at'])}{of}: BROKEN in {recount['problems']:,} places, see `make reconcile`"


def _tally(rows: dict[str, int]) -> str:
    return ", ".join(f"{rows[part]:,} {part}" for part in ("read", "loaded", "rejected", "duplicate"))


def _percentiles(latency: dict[str, Any]) -> str:
    if latency["p50"] is None:
        return "no file yet"
    return f"p50 {latency['p50']:.2f} s, p95 {latency['p95']:.2f} s of {latency['files']:,} files"


def reports_word(reports: dict[str, Any] | None) -> str:
    """How old the published reports are, and how much has changed since."""
    if reports is None:
        return "none yet"
    if "error" in reports:
        return f"cannot be read: {reports['error']}"
    said = f"as of {_when(reports['as_of'])}"
    if reports["changes_waiting"]:
        said += f", {reports['changes_waiting']:,} changes since are counted by the next run of report_sales"
    return said


def _stream_word(stream: dict[str, Any] | None) -> str:
    if stream is None:
        return "none yet"
    if stream["living"]:
        return f"{stream['state']} (epoch {stream['epoch']})"
    if stream["ended_at"] is None:
        return f"lost (epoch {stream['epoch']}): its lease lapsed"
    return f"{stream['state']} (epoch {stream['epoch']}): {stream['ended_because'] or 'no reason given'}"


def _stream_problems(stream: dict[str, Any] | None) -> list[str]:
    if stream is None or not stream["living"]:
        return [f"no stream is alive ({_stream_word(stream)}): ingest_events submits one"]
    if stream["state"] == "waiting":
        return [f"the stream waits: {(stream['last_error'] or 'no reason given').strip()}"]
    return []


class ReportsTrouble(StrEnum):
    """What is wrong with the reports; the worst stands first."""

    UNREADABLE = "unreadable"  # their SQL
    DIFFER = "differ"  # from what events give
    FAILED = "failed"  # the last refresh; it is tried again


def reports_trouble(failed: dict[str, Any] | None, reports: dict[str, Any] | None) -> tuple[ReportsTrouble, str] | None:
    """What is wrong with the reports, and that in a sentence; None when nothing is."""
    try:
        definitions.read()
    except definitions.ReportError as error:
        return ReportsTrouble.UNREADABLE, f"no report is refreshed: include/sql/reports/{error}"
    if reports and reports["differences"]:
        rows = ", ".join(f"{rows} rows of {name}" for name, rows in sorted(reports["differences"].items()))
        said = f"the reports are not what events give ({rows} differ): run `make rebuild-reports`"
        return ReportsTrouble.DIFFER, said
    if failed is None:
        return None
    of = f"report {failed['report']}: " if failed["report"] else ""
    said = f"the refresh of the reports failed at {_when(failed['failed_at'])}: {of}{failed['error']}"
    return ReportsTrouble.FAILED, said


def reports_problems(failed: dict[str, Any] | None, reports: dict[str, Any] | None) -> list[str]:
    """Why the reports are not refreshed, and whether they were found to differ from events."""
    trouble = reports_trouble(failed, reports)
    return [trouble[1]] if trouble else []


def merge_problems(connection: Connection) -> list[str]:
    """Files of which rows count beside earlier ones of their ids until somebody does what the sentence says."""
    waits = queries.all(connection, "ledger/status.merge_waits")
    said = [
        f"later rows of file {row['file_id']} ({row['name']}) stay in events until a merge can set them aside: "
        f"{row['why']}, then `make merge`"
        for row in waits[:SHOWN]
    ]
    more = len(waits) - SHOWN
    return said + ([f"and so do rows of {more:,} files more"] if more > 0 else [])


def expiry_problems(connection: Connection) -> list[str]:
    """Months that have expired, and stay until a refresh of the reports has counted what changed in them."""
    waits = queries.all(connection, "ledger/status.expiry_waits")
    return [
        f"month {row['month']} has expired and is not dropped before a refresh of the reports has counted "
        f"{row['waiting']:,} changes of its rows"
        for row in waits
    ]


def unsealed(settings: Settings, connection: Connection, now: datetime.datetime) -> dict[str, Any] | None:
    """How many ``files`` should have been sealed by now and are not, and the ``oldest``: keep_house does not run, or
    cannot verify them. What no merge has seen waits for that."""
    cutoff = now - datetime.timedelta(days=settings.keep_archive_days + UNSEALED_DAYS)
    row = queries.row(connection, "ledger/status.unsealed", cutoff=cutoff, most=NEWEST)
    return row if row["files"] else None


def sealing_problems(settings: Settings, connection: Connection) -> list[str]:
    """What ``unsealed`` finds, in words."""
    row = unsealed(settings, connection, datetime.datetime.now(datetime.UTC))
    if row is None:
        return []
    return [
        f"{row['files']:,} archived files are older than {settings.keep_archive_days + UNSEALED_DAYS:g} days and not "
        f"sealed, the oldest of {_when(row['oldest'])}: look at the last runs of DAG keep_house, whose task "
        "seal_archive says why"
    ]


def stale_seconds(settings: Settings, reports: dict[str, Any] | None, now: datetime.datetime) -> float | None:
    """How old reports are that no longer follow: changes wait, and nobody has counted them for long. None: they do.

    A refresh of the schedule waits until its share of the time is over, so one that took long is followed later.
    """
    if not reports or reports["as_of"] is None or not reports["changes_waiting"]:
        return None
    age: float = (now - reports["as_of"]).total_seconds()
    every = max(settings.report_every_seconds, reports["seconds"] / settings.report_share)
    return age if age > max(_REFRESHES * every, _STALE_SECONDS) else None


def stale_problems(settings: Settings, reports: dict[str, Any] | None) -> list[str]:
    """What ``stale_seconds`` finds, in words."""
    if reports is None or stale_seconds(settings, reports, datetime.datetime.now(datetime.UTC)) is None:
        return []
    return [
        f"the reports are stale: as of {_when(reports['as_of'])}, and {reports['changes_waiting']:,} changes wait: "
        "look at DAG report_sales, is it paused, and why do its runs not end?"
    ]


def _refused_problems(pipeline: Pipeline, refused: dict[str, str]) -> list[str]:
    folder, names = pipeline.settings.incoming_dir, list(refused)
    said = [f"{shown(name)} in {folder} is not taken: {refused[name]}" for name in names[:SHOWN]]
    more = len(names) - SHOWN
    return said + ([f"and {more:,} more in {folder} are not taken; JSON=1 names all"] if more > 0 else [])


def _trouble_file(pipeline: Pipeline) -> Path:
    return pipeline.run_dir / "postgres.trouble"


def _machine_problems(pipeline: Pipeline) -> list[str]:
    """What the launcher said of the embedded server while it is away, and the disks that are full."""
    problems = []
    with contextlib.suppress(OSError):
        problems.append(_trouble_file(pipeline).read_text())
    return [problem for problem in problems if problem] + disks.full(disks.folders(pipeline.settings))


def _why_not_running(pipeline: Pipeline) -> str:
    if pipeline.lives():
        return "the pipeline is starting or stopping: ask again in a moment"
    return f"the pipeline in {pipeline.home} is not running: start it with `make up` or `make run`"


def _when(moment: datetime.datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
