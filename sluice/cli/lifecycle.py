"""Commands that start and stop the pipeline, and tell what it does."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from sluice.base.settings import PROJECT
from sluice.cli.command import argument, command
from sluice.cli.feeds import add_to_status
from sluice.cli.shared import here, reached
from sluice.running import shutdown, status
from sluice.running.launcher import Launcher
from sluice.running.logs import KEPT, MOST_BYTES, rotate, tail
from sluice.running.pipeline import WEB_USER, InstanceError, Pipeline

_UP_SECONDS = 420.0
_DOWN_SECONDS = 90.0
_READ_ONLY = "-c default_transaction_read_only=on"


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
    """This and ``connection`` are the only commands that print a secret."""
    print(f"user {WEB_USER}   password {pipeline.secrets()['web_password']}")
    return 0


@command(
    "connection",
    "tell how a BI tool connects to read: host, port, database, user, password",
    argument("--json", action="store_true", help="as JSON"),
)
def connection(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """The reader's login, asked to read only: it may publish reports, and nobody who only looks should."""
    parts = {name: str(value) for name, value in conninfo_to_dict(reached(pipeline).reader_dsn).items()}
    keys = {"host": "host", "port": "port", "database": "dbname", "user": "user", "password": "password"}
    told = {name: parts.get(key, "") for name, key in keys.items()}
    login = f"{quote(told['user'], '')}:{quote(told['password'], '')}@{told['host']}:{told['port']}"
    told["url"] = f"postgresql://{login}/{quote(told['database'], '')}?options={quote(_READ_ONLY, '')}"
    print(json.dumps(told, indent=2) if parsed.json else "\n".join(f"{name:<10} {is_}" for name, is_ in told.items()))
    return 0


@command("status", "tell what it does", argument("--json", action="store_true", help="as JSON"))
def tell_status(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Exit code 0: all is well, 1: there are problems, 3: it does not run."""
    report = add_to_status(pipeline, status.report(pipeline))
    print(json.dumps(report, indent=2, default=str) if parsed.json else status.text(report))
    return status.exit_code(report)


@command(
    "doctor",
    "look at the machine and the pipeline, running or not; say what is wrong and what to do",
    argument("--json", action="store_true", help="as JSON"),
)
def tell_doctor(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Exit code 1 when something is wrong; nothing is changed, and nothing is recounted."""
    from sluice.duty import doctor  # its imports are heavy, and only needed here

    findings = doctor.examine(pipeline)
    print(doctor.as_json(findings) if parsed.json else doctor.text(findings))
    return doctor.exit_code(findings)
