"""What is done to the pipeline, one fault a round. Each returns when the fault is over and the recovery begins."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from sluice.base.settings import PROJECT
from sluice.generator.files import write_file
from sluice.generator.records import Shares
from sluice.running import processes
from tests.chaos.arena import Arena

OUTAGE_SECONDS = 60.0
DISK_FULL_SECONDS = 90.0
FROZEN_SECONDS = 150.0
START_SECONDS = 240.0
# The server ends a frozen client after a minute; a load waits for a second and a moment for nobody.
UNLOAD_SECONDS = 150.0
LOAD_WAITS_SECONDS = 1.5
# What the stream says, or its keeper when no file was being loaded.
AWAY = "PostgreSQL is away|the ledger does not answer"
NOT_THERE = "a folder of the pipeline is not there"


class MissedError(RuntimeError):
    """The process that was to be hit did not show up in time."""


@dataclass
class Hit:
    """A fault that is over. ``since`` (monotonic) is when the recovery begins: the kill, or the end of an outage.

    ``says`` is what the stream must have said of it, as a regular expression for the ledger and the task's log.
    """

    since: float = field(default_factory=time.monotonic)
    says: str = ""
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what was measured


@dataclass
class Round:
    """What a fault may use: the pipeline, this round's random numbers, and files to land."""

    arena: Arena
    rng: random.Random
    number: int
    landed: int = 0

    def make(self, rows: int) -> Path:
        """A file of new events: some damaged, late or repeated, some ids of it or the one before in other years."""
        self.landed += 1
        path = self.arena.folder / f"stock-{self.number:03d}-{self.landed}.csv"
        seed = f"{self.number}-{self.landed}-{self.rng.random()}"
        write_file(path, rows=rows, shares=Shares(0.01, 0.02, 0.01), seed=seed)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(_a_year_earlier(path))
            file.writelines(self.arena.twins)
        self.arena.twins = _earlier(_lines(path)[1:9], 4)
        return path

    def land(self, rows: int, *, copies: int = 1) -> list[str]:
        """Land such a file, under as many names at the same moment; the names."""
        made = self.make(rows)
        names = [f"chaos-{self.number:03d}-{self.landed}-{copy}.csv" for copy in range(copies)]
        for name in names:
            self.arena.landings.land(made, name)
        made.unlink()
        return names

    def land_in_years(self, rows: int, years: int) -> list[str]:
        """Land such a file, and after it as many files as make ``years``, with its ids in other years; the names."""
        made = self.make(rows)
        header, *lines = _lines(made)
        names = [f"chaos-{self.number:03d}-{self.landed}-year-{year}.csv" for year in range(years)]
        self.arena.landings.land(made, names[0])
        for year, name in enumerate(names[1:], start=2):
            made.write_text("".join([header, *_earlier(lines, year)]), encoding="utf-8")
            self.arena.landings.land(made, name)
        made.unlink()
        return names

    def while_loading(self, rows: int = 30_000) -> None:
        """Return in the middle of a load: a file is landed, and a task's transaction is under way."""
        self.land(rows)
        deadline = time.monotonic() + 30
        loading = _BETWEEN if self.arena.is_control else _LOADING
        while time.monotonic() < deadline and not self.arena.rows(loading, role="postgres"):
            time.sleep(0.01)
        time.sleep(self.rng.uniform(0, 0.2))


def _a_year_earlier(path: Path) -> list[str]:
    """A few of its lines with another year: an id in two months, which a load lets in and a merge finds."""
    return _earlier(_lines(path)[1:50], 1)[:3]


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)


def _earlier(lines: list[str], years: int) -> list[str]:
    """The same events so many years before, but of lines that may be damaged, or that another year may damage."""
    moment = re.compile(r",(\d{4})(-\d\d-(?:[01]\d|2[0-8])T)")
    good = [line for line in lines if line.isascii() and '"' not in line and len(moment.findall(line)) == 1]
    return [moment.sub(lambda found: f",{int(found[1]) - years}{found[2]}", line) for line in good]


_LOADING = """
    SELECT pid FROM pg_stat_activity
    WHERE application_name ~ '^sluice-stream-' AND state = 'active' AND query ~* '^copy'
"""
# Of the control arm's loader, the moment that the real one does not have.
_BETWEEN = """
    SELECT pid FROM pg_stat_activity
    WHERE application_name ~ '^sluice-stream-' AND state = 'active' AND query ~ 'between_two_transactions'
"""
_RUNNING_TASKS = "SELECT id::text AS id FROM task_instance WHERE dag_id = %s AND task_id = %s AND state = 'running'"


# --- processes


def kill_driver(now: Round) -> Hit:
    """SIGKILL of the JVM that spark-submit runs."""
    now.while_loading()
    kill([driver(now.arena)])
    return Hit()


def kill_python_worker(now: Round) -> Hit:
    """SIGKILL of a Python worker of a task, in the middle of a load."""
    now.while_loading()
    workers = [each for each in now.arena.members("pyspark", "daemon") if not each.children()]
    if not workers:
        raise MissedError("no Python worker lives")
    kill([now.rng.choice(workers)])
    return Hit()


def kill_scheduler(now: Round) -> Hit:
    """SIGKILL of Airflow's scheduler: its tasks, and with them the stream, go too."""
    kill([now.arena.component("scheduler")])
    return Hit()


def kill_triggerer(now: Round) -> Hit:
    """SIGKILL of Airflow's triggerer."""
    kill([now.arena.component("triggerer")])
    return Hit()


def kill_api_server(now: Round) -> Hit:
    """SIGKILL of Airflow's api-server, which every task reports to."""
    kill([now.arena.component("api-server")])
    return Hit()


def kill_mover(now: Round) -> Hit:
    """SIGKILL of the task process that moves files, while twenty wait for it."""
    for _ in range(20):
        now.land(50)
    kill([task(now.arena, "ingest_events", "move_files")])
    return Hit()


def kill_submitter(now: Round) -> Hit:
    """SIGKILL of the task process that submitted the stream: the driver must end itself."""
    orphan = driver(now.arena)
    submitter = orphan.parent()
    if submitter is None or not submitter.cmdline()[0].startswith("airflow worker"):
        raise MissedError("the driver is not a child of a task's process")
    kill([submitter])
    hit = Hit()
    if psutil.wait_procs([orphan], timeout=60)[1]:
        hit.problems.append("the driver lived on for 60 s after its submitter was killed")
    return hit


def kill_generator(now: Round) -> Hit:
    """SIGKILL of the task process that writes a batch of events."""
    kill([task(now.arena, "generate_events", "write_batch")])
    return Hit()


def freeze_driver(now: Round) -> Hit:
    """SIGSTOP of the driver until another stream has taken over, then SIGCONT: it must not write any more."""
    arena = now.arena
    old = _epoch(arena)
    jvm = driver(arena)
    now.while_loading(60_000)
    hit = Hit()
    frozen = [jvm, *jvm.children(recursive=True)]
    _signal(frozen, signal.SIGSTOP)
    try:
        new = "SELECT epoch FROM ledger.streams WHERE epoch > %s AND started_at IS NOT NULL"
        arena.wait_for(lambda: arena.rows(new, [old]), FROZEN_SECONDS, "a stream that takes over from a frozen one")
    finally:
        _signal(frozen, signal.SIGCONT)
    if psutil.wait_procs(frozen, timeout=60)[1]:
        hit.problems.append("the driver that was frozen did not end after another had taken over")
    state = arena.rows("SELECT state FROM ledger.streams WHERE epoch = %s", [old])
    if state and state[0]["state"] != "fenced":
        hit.problems.append(f"stream {old} was frozen past its lease and is {state[0]['state']}, not fenced")
    return hit


def two_streams(now: Round) -> Hit:
    """The driver dies; Airflow and two others submit the next at once; the winner's token is used a second time."""
    arena = now.arena
    now.while_loading()
    kill([driver(arena)])
    hit = Hit()
    environment = arena.environment | processes.mark(arena.home)
    submitters = [_python(environment, "-m", "tests.chaos.submitter") for _ in range(2)]
    arena.wait_for(lambda: arena.rows(_LIVING), 180, "a stream after the driver died")
    token = arena.rows(_LIVING)
    if token:
        environment |= {"SLUICE_STREAM_TOKEN": token[0]["token"]}
        second = _python(environment, str(PROJECT / "spark_jobs" / "stream_events.py"))
        if (code := second.wait(120)) != 3:
            hit.problems.append(f"a second driver with the token of a living stream ended with {code}, not 3")
    for submitter in submitters:
        if (code := submitter.wait(240)) != 0:
            hit.problems.append(f"a submitter that raced with Airflow ended with {code}")
    hit.since = time.monotonic()  # the stream that drained is over; Airflow's own begins now
    return hit


# --- the database


def terminate_backend(now: Round) -> Hit:
    """pg_terminate_backend of the session that is copying a file."""
    now.while_loading()
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ~ '^sluice-stream-'"
    now.arena.rows(query, role="postgres")
    return Hit()


def kill_postmaster(now: Round) -> Hit:
    """SIGKILL of PostgreSQL itself: it recovers from its log, and Airflow's own database was away as well."""
    now.while_loading()
    kill([now.arena.postmaster()])
    return Hit(says=AWAY)


def cut_network(now: Round) -> Hit:
    """The database cannot be reached for a minute."""
    now.while_loading()
    now.arena.proxy.cut()
    time.sleep(OUTAGE_SECONDS / 3)
    now.land(500)
    time.sleep(OUTAGE_SECONDS * 2 / 3)
    now.arena.proxy.mend()
    return Hit(says=AWAY)


# --- disks and checkpoints


def fill_state_disk(now: Round) -> Hit:
    """Not a byte is left where files land and where the checkpoint is, until the stream has said so."""
    with now.arena.state_disk.full(lambda: now.land(30_000)):
        _until_said(now, "disk .*is full")
    return Hit(says="disk .*is full")


def fill_database_disk(now: Round) -> Hit:
    """In the middle of a load, not a byte is left for PostgreSQL: for tables, its log, and Airflow's own database."""
    with now.arena.database_disk.full(lambda: now.while_loading(60_000)):
        _until_said(now, f"disk .*is full|{AWAY}")
    return Hit(says=f"disk .*is full|{AWAY}")


def delete_checkpoint(now: Round) -> Hit:
    """The driver dies, and the next one finds no checkpoint."""
    checkpoint = _die(now)
    hit = Hit()
    shutil.rmtree(checkpoint, ignore_errors=True)
    return hit


def restore_old_checkpoint(now: Round) -> Hit:
    """The driver dies, and the next one finds the checkpoint of some micro-batches ago."""
    arena = now.arena
    old = arena.folder / "checkpoint-old"
    shutil.rmtree(old, ignore_errors=True)
    with contextlib.suppress(shutil.Error):  # Spark may rename a file meanwhile
        shutil.copytree(arena.settings.checkpoint_dir, old)
    for _ in range(3):
        seen = set(now.land(2_000))
        arena.wait_for(lambda: finished(arena, seen), 120, "a file to be loaded")  # noqa: B023
    checkpoint = _die(now)
    hit = Hit()
    shutil.rmtree(checkpoint, ignore_errors=True)
    shutil.copytree(old, checkpoint, dirs_exist_ok=True)
    return hit


# --- who waits for whom


def unload_while_held(now: Round) -> Hit:
    """An unload is asked for while a long load is under way, and a client that holds the file is frozen.

    The other loads must not wait, the server must end the client by itself, and then the unload must come through.
    """
    arena = now.arena
    [name] = now.land(2_000)
    arena.wait_for(lambda: finished(arena, {name}), 120, "a file to unload")
    file_id = arena.rows("SELECT file_id FROM ledger.files WHERE name = %s AND state = 'loaded'", [name])[0]["file_id"]
    frozen = _python(arena.environment, "-c", _HOLD, str(file_id))
    holding = "SELECT FROM pg_stat_activity WHERE application_name = 'chaos-frozen' AND state = 'idle in transaction'"
    arena.wait_for(lambda: arena.rows(holding, role="postgres"), 60, "a client that holds a file")
    frozen.send_signal(signal.SIGSTOP)
    now.while_loading(200_000)
    begun = time.monotonic()
    unload = _python(arena.environment, "-m", "sluice", "unload", "--", str(file_id), "chaos")
    waited, landed = 0.0, begun
    while unload.poll() is None and time.monotonic() - begun < UNLOAD_SECONDS:
        waited = max([waited, *(row["seconds"] for row in arena.rows(_WAITS, role="postgres"))])
        if time.monotonic() - landed > 2:
            landed = time.monotonic()
            now.land(500)
        time.sleep(0.02)
    frozen.kill()
    frozen.wait()
    arena.unloaded.add(name)
    hit = Hit(
        notes=[f"the unload took {time.monotonic() - begun:.0f} s, a load waited {waited:.2f} s for a lock at most"]
    )
    if unload.poll() is None:
        unload.kill()
    if (code := unload.wait()) != 0:
        hit.problems.append(f"the unload ended with {code}")
    if waited > LOAD_WAITS_SECONDS:
        hit.problems.append(f"a load waited {waited:.1f} s for a lock")
    return hit


def kill_merge(now: Round) -> Hit:
    """The merge of files with the same ids in three years is killed, while the first of them is unloaded; then what is
    in quarantine is judged again."""
    arena = now.arena
    names = now.land_in_years(2_000, 3)
    arena.wait_for(lambda: finished(arena, set(names)), 120, "files with the same ids")
    [first] = arena.rows(_ORIGINAL, [names[:1]])
    arena.unloaded.add(first["name"])
    merge = _python(arena.environment, "-m", "sluice", "merge")
    unload = _python(arena.environment, "-m", "sluice", "unload", "--", str(first["file_id"]), "chaos")
    merging = "SELECT FROM pg_stat_activity WHERE application_name = 'sluice-merge'"
    while merge.poll() is None and not arena.rows(merging, role="postgres"):
        time.sleep(0.01)
    time.sleep(now.rng.uniform(0, 0.4))
    hit = Hit(notes=["the merge had ended" if merge.poll() is not None else "the merge was killed"])
    merge.kill()
    merge.wait()
    if (code := unload.wait(UNLOAD_SECONDS)) != 0:
        hit.problems.append(f"the unload ended with {code}")
    told = arena.command("replay")
    if told.returncode != 0:
        hit.problems.append(f"the replay failed: {told.stderr.strip()[-500:]}")
    return hit


_HOLD = """
import sys, time
from sluice.base.settings import load
from sluice.loading.writer_session import WriterSession
session = WriterSession(load().writer_dsn, "chaos-frozen")
session.run("load/withdraw.hold_file", int(sys.argv[1]))
time.sleep(600)
"""
_WAITS = """
    SELECT extract(epoch FROM clock_timestamp() - waitstart)::float8 AS seconds
    FROM pg_locks
    JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND waitstart IS NOT NULL AND application_name ~ '^sluice-stream-'
"""


# --- folders


def unmount_folders(now: Round) -> Hit:
    """The driver dies; while files wait, empty folders stand where they lie and where the archive is. Then those are
    back: nothing may have been rejected as gone, nor put into the empty folders."""
    arena = now.arena
    _die(now)
    places = (arena.settings.processing_dir, arena.settings.archive_dir)
    began = arena.rows("SELECT clock_timestamp() AS at, count(*) AS files FROM ledger.files WHERE state = 'landed'")
    since = time.time()
    with contextlib.ExitStack() as unmounted:
        found = [unmounted.enter_context(_empty_in_its_place(folder)) for folder in places]
        now.land(500)
        # The next driver has to start first.
        arena.wait_for(lambda: said_in_log(arena, NOT_THERE, since), START_SECONDS, f"a stream that says {NOT_THERE!r}")
        time.sleep(now.rng.uniform(5, 15))
        gone = arena.rows("SELECT name FROM ledger.files WHERE state = 'rejected' AND error LIKE '% is gone%'")
    hit = Hit(says=NOT_THERE, problems=[problem for problems in found for problem in problems])
    hit.problems += [f"{row['name']} was called gone while its folder was not there" for row in gone]
    if not began or not began[0]["files"]:
        raise MissedError("no file waited when its folder went away")
    return hit


@contextlib.contextmanager
def _empty_in_its_place(folder: Path) -> Iterator[list[str]]:
    """As when a volume is not mounted; gives a list that says afterwards what was put there."""
    aside, problems = folder.with_name(f"{folder.name}.volume"), list[str]()
    folder.rename(aside)
    folder.mkdir()
    try:
        yield problems
    finally:
        problems += [f"{path.name} was put into {folder}, which was not there" for path in folder.iterdir()]
        folder.rename(folder.with_name(f"{folder.name}.mount-point-{time.time_ns()}"))
        aside.rename(folder)


# --- what lands


def land_twice(now: Round) -> Hit:
    """The same file lands under two names at the same moment."""
    now.land(20_000, copies=2)
    return Hit()


def unload_original(now: Round) -> Hit:
    """Of one file that landed under two names, the loaded one is unloaded under load; then the driver dies, with the
    other one still to be loaded."""
    arena = now.arena
    names = now.land(20_000, copies=2)
    arena.wait_for(lambda: finished(arena, set(names)), 120, "a file and its duplicate")
    [original] = arena.rows(_ORIGINAL, [names])
    now.while_loading()
    arena.unloaded.add(original["name"])
    told = arena.command("unload", str(original["file_id"]), "chaos takes the original of a duplicate back")
    hit = Hit()
    if told.returncode != 0:
        hit.problems.append(f"the unload failed: {told.stderr.strip()[-500:]}")
    kill([driver(arena)])
    return hit


_ORIGINAL = "SELECT file_id, name FROM ledger.files WHERE name = ANY(%s) AND state = 'loaded'"


def turn_clock_back(now: Round) -> Hit:
    """The generator's clock jumps back two hours, and it lives the same instant twice."""
    for _ in range(2):
        generator = _python(now.arena.environment, "-c", _GENERATE_BACK_THEN, str(time.time() // 60 * 60 - 7200))
        if generator.wait(120) != 0:
            return Hit(problems=["the generator failed when its clock went backwards"])
    return Hit()


_GENERATE_BACK_THEN = """
import sys, time_machine
from sluice.generator import files
from sluice.base import settings
with time_machine.travel(float(sys.argv[1]), tick=False):
    files.land_batch(settings.load(), rows=2000)
"""

FAULTS: dict[str, Callable[[Round], Hit]] = {
    "driver killed": kill_driver,
    "python worker killed": kill_python_worker,
    "scheduler killed": kill_scheduler,
    "triggerer killed": kill_triggerer,
    "api-server killed": kill_api_server,
    "mover task killed": kill_mover,
    "submitting task killed": kill_submitter,
    "generator task killed": kill_generator,
    "driver frozen past its lease": freeze_driver,
    "two streams at once": two_streams,
    "database session ended": terminate_backend,
    "database server killed": kill_postmaster,
    "database unreachable for 60 s": cut_network,
    "disk full: landing, checkpoint": fill_state_disk,
    "disk full: database": fill_database_disk,
    "unload, frozen client": unload_while_held,
    "checkpoint deleted": delete_checkpoint,
    "older checkpoint restored": restore_old_checkpoint,
    "folders not mounted": unmount_folders,
    "same file landed twice": land_twice,
    "original of a duplicate unloaded": unload_original,
    "merge killed": kill_merge,
    "generator's clock set back": turn_clock_back,
}
NEED_SMALL_DISK = {"disk full: landing, checkpoint", "disk full: database"}


def finished(arena: Arena, names: set[str]) -> bool:
    """Whether the ledger knows all files of these names, and none of them waits to be loaded."""
    query = "SELECT name FROM ledger.files WHERE name = ANY(%s) GROUP BY name HAVING bool_and(state <> 'landed')"
    return {row["name"] for row in arena.rows(query, [list(names)])} >= names


def kill(found: Iterable[psutil.Process]) -> None:
    """SIGKILL."""
    _signal(found, signal.SIGKILL)


def driver(arena: Arena) -> psutil.Process:
    """The JVM of the living stream; it may still be on its way."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for process in arena.members("org.apache.spark.deploy.SparkSubmit"):
            with contextlib.suppress(psutil.Error):
                if process.name() == "java":
                    return process
        time.sleep(0.1)
    raise MissedError("no driver lives")


def task(arena: Arena, dag: str, name: str) -> psutil.Process:
    """The process that runs this task now, or next."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        running = {row["id"] for row in arena.rows(_RUNNING_TASKS, [dag, name], role="airflow")}
        for process in arena.members("airflow worker -- ") if running else []:
            with contextlib.suppress(psutil.Error):
                if process.cmdline()[0].removeprefix("airflow worker -- ") in running:
                    return process
        time.sleep(0.005)
    raise MissedError(f"no task {dag}.{name} runs")


_LIVING = """
    SELECT epoch, token::text AS token FROM ledger.streams
    WHERE ended_at IS NULL AND started_at IS NOT NULL AND lease_until > clock_timestamp()
"""


def _epoch(arena: Arena) -> int:
    arena.wait_for(lambda: arena.rows(_LIVING), 60, "a living stream")
    return int(arena.rows(_LIVING)[0]["epoch"])


def _die(now: Round) -> Path:
    """Kill the driver in the middle of a load; return its checkpoint once its processes are gone."""
    now.while_loading()
    jvm = driver(now.arena)
    family = [jvm, *jvm.children(recursive=True)]
    kill([jvm])
    psutil.wait_procs(family, timeout=20)
    return now.arena.settings.checkpoint_dir


def _until_said(now: Round, what: str) -> None:
    """Until a task's log says ``what``; a disk that stays full for long without a word is a finding of its own."""
    begun = time.time()
    deadline = time.monotonic() + DISK_FULL_SECONDS
    while time.monotonic() < deadline and not said_in_log(now.arena, what, begun):
        time.sleep(0.5)
    time.sleep(now.rng.uniform(5, 15))


def said_in_log(arena: Arena, what: str, since: float) -> bool:
    """Whether a log of task submit_stream that was written to after ``since`` (seconds since 1970) holds ``what``."""
    command = ["grep", "-rlEi", "--include=*.log", what]
    logs = [
        str(path)
        for path in (arena.folder / "airflow" / "logs").glob("dag_id=ingest_events/*/task_id=submit_stream/*.log")
        if path.stat().st_mtime >= since
    ]
    return bool(logs) and subprocess.run([*command, *logs], capture_output=True).returncode == 0


def _signal(found: Iterable[psutil.Process], how: signal.Signals) -> None:
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.send_signal(how)


def _python(environment: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    log = Path(environment["SLUICE_HOME"]).parent.parent / "beside.log"
    with log.open("ab") as file:
        given: dict[str, Any] = {"cwd": PROJECT, "env": os.environ | environment, "stdout": file, "stderr": file}
        return subprocess.Popen([sys.executable, *arguments], **given)
