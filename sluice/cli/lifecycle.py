"""Commands that start and stop the pipeline, and tell what it does."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from sluice.base import database, machine
from sluice.base.settings import PROJECT
from sluice.cli.command import argument, command
from sluice.cli.shared import here, reached
from sluice.ledger import server_settings
from sluice.reports import feeds
from sluice.running import shutdown, status
from sluice.running.launcher import Launcher
from sluice.running.logs import KEPT, MOST_BYTES, rotate, tail
from sluice.running.pipeline import WEB_USER, InstanceError, Pipeline

_UP_SECONDS = 420.0
_DOWN_SECONDS = 90.0
_PRESCRIPTION = (
    "set them as superuser: ALTER SYSTEM SET name = 'value'; then SELECT pg_reload_conf(); shared_buffers and "
    "max_connections need a restart of the server"
)


@command(
    "run",
    "run the pipeline in the foreground until Ctrl-C",
    argument("--live-every", type=float, default=5.0, help="seconds between lines when not on a terminal"),
)
def run(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Supervise the pipeline from here."""
    return Launcher(here(pipeline), live_every=parsed.live_every).run()


@command(
    "up",
    "run it in the background; return when the first file is loaded",
    argument("--timeout", type=float, default=_UP_SECONDS, help="seconds to wait (default %(default)g)"),
)
def up(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Start the launcher detached, pass on what it says, return when it is ready."""
    if (said := pipeline.running()) is not None:
        print(f"the pipeline already runs (pid {said.pid}, {said.url}): `make down` ends it")
        return 0
    instance = here(pipeline)
    instance.make_folders()
    log = pipeline.launcher_log
    with contextlib.suppress(OSError):  # a full disk is said by the launcher
        rotate(log, MOST_BYTES, KEPT)
    with log.open("ab") as output:
        start = output.tell()
        launcher = subprocess.Popen(
            [sys.executable, "-u", "-m", "sluice", "run", "--live-every=10"],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        return _wait_until_ready(pipeline, launcher, log, start, parsed.timeout)
    except KeyboardInterrupt:
        launcher.send_signal(signal.SIGTERM)
        launcher.wait()
        raise


def _wait_until_ready(
    pipeline: Pipeline, launcher: subprocess.Popen[bytes], log: Path, start: int, timeout: float
) -> int:
    deadline = time.monotonic() + timeout
    with log.open(errors="replace") as words:
        words.seek(start)
        while True:
            ended = launcher.poll()
            said = pipeline.running()
            print(words.read(), end="", flush=True)
            if ended is not None:
                raise InstanceError(f"the launcher ended (exit code {ended}); its log is {log}")
            if said is not None and said.pid == launcher.pid and said.ready:
                print(f"up: `make status` tells what it does, `make down` ends it; the log is {log}")
                return 0
            if time.monotonic() > deadline:
                raise InstanceError(
                    f"no result within {timeout:g} s; it still runs (`make status`, `make down`). The end of {log}:\n"
                    f"{tail(log)}"
                )
            time.sleep(0.2)


@command("down", "stop it, and whatever a killed launcher left behind")
def down(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Ask the launcher to stop, wait until it has, end what is left."""
    instance = here(pipeline)
    said = instance.running()
    if said is not None:
        print(f"stopping the pipeline in {pipeline.home} …", flush=True)
        try:
            os.kill(said.pid, signal.SIGTERM)
        except ProcessLookupError:
            print("the launcher is dead: its guard ends the rest", flush=True)
    deadline = time.monotonic() + _DOWN_SECONDS
    while instance.lives() and time.monotonic() < deadline:
        time.sleep(0.1)
    left = shutdown.end_everything(instance, print)
    instance.forget()
    print("stopped: no process is left" if left or said else "nothing was running")
    return 0


@command("login", "tell the user and password of the web UI")
def login(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """The only command that prints a secret."""
    print(f"user {WEB_USER}   password {pipeline.secrets()['web_password']}")
    return 0


@command("status", "tell what it does", argument("--json", action="store_true", help="as JSON"))
def tell_status(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Exit code 0: all is well, 1: there are problems, 3: it does not run."""
    report = status.report(pipeline)
    print(json.dumps(report, indent=2, default=str) if parsed.json else status.text(report))
    return status.exit_code(report)


@command("doctor", "tell which settings of the PostgreSQL server should be others, and why")
def doctor(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Exit code 1 when a setting should be another; nothing is changed."""
    settings = reached(pipeline)
    with database.connect(settings.reader_dsn) as connection:
        feeds.refuse_unknown_zone(settings, connection)
        findings = server_settings.compare(connection, machine.memory(), shutil.disk_usage(settings.home_dir).free)
    for one in findings:
        print(f"{one.advice.name} = {one.now}: better {one.advice.value}")
        print(f"  why: {one.advice.why}")
        print(f"  for the promise that no row is lost: {one.advice.promise}")
    print(_PRESCRIPTION if findings else "the settings of PostgreSQL fit this load")
    return 1 if findings else 0
