"""Commands that run another program beside the pipeline: psql, and Airflow's own."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg

from sluice.base.settings import PROJECT
from sluice.cli.command import argument, command
from sluice.cli.shared import here, reached, running
from sluice.running import dag_params, embedded
from sluice.running.launcher import Launcher
from sluice.running.pipeline import InstanceError, Pipeline


@command("psql", "open SQL as the owner; arguments are psql's", hands_on=True)
def psql(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """Become psql."""
    url = reached(pipeline).owner_dsn
    bundled = embedded.binaries(pipeline.settings.postgres_bin) / "psql"
    program = str(bundled) if bundled.exists() else shutil.which("psql")
    if program is None:
        raise InstanceError("there is no psql in SLUICE_POSTGRES_BIN or PATH: install it, or unset SLUICE_POSTGRES_BIN")
    # The URL holds a password: it travels in the environment, where other users cannot read it.
    parts = psycopg.conninfo.conninfo_to_dict(url)
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    os.environ.update({names[key]: str(value) for key, value in parts.items() if key in names})
    os.execv(program, [program, *parsed.arguments])


@command(
    "dags-test",
    "run one DAG from start to end with `airflow dags test`",
    argument("dag_id"),
    argument("--conf", default="", help="its parameters, a JSON object"),
)
def dags_test(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """What is wrong with the parameters is said before Airflow starts."""
    dag_params.check(parsed.dag_id, parsed.conf)
    conf = ["--conf", parsed.conf] if parsed.conf.strip() else []
    return _run_airflow(pipeline, ["dags", "test", parsed.dag_id, *conf])


@command("airflow", "run an airflow command; arguments are airflow's", hands_on=True)
def airflow(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """With the pipeline's environment."""
    return _run_airflow(pipeline, parsed.arguments)


@command("airflow-line", "run an airflow command that is one text, quoted as in a shell", argument("line"))
def airflow_line(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """What `make airflow ARGS=…` hands on."""
    try:
        arguments = shlex.split(parsed.line)
    except ValueError as error:
        raise InstanceError(f"ARGS={parsed.line!r} cannot be split into words: {error}") from error
    return _run_airflow(pipeline, arguments)


def _run_airflow(pipeline: Pipeline, arguments: Sequence[str]) -> int:
    """Run the command beside a running pipeline; otherwise with a database server for as long as it takes."""
    program = str(Path(sys.executable).parent / "airflow")
    if (said := pipeline.running()) is not None:
        return subprocess.call([program, *arguments], env=pipeline.environment(said), cwd=PROJECT)
    with Launcher(here(pipeline)).only_database() as environment:
        return subprocess.call([program, *arguments], env=environment, cwd=PROJECT)


@command("env", "print the environment of Airflow's processes as export lines")
def env(pipeline: Pipeline, parsed: argparse.Namespace) -> int:
    """For a shell: eval "$(python -m sluice env)"."""
    for key, value in sorted(pipeline.environment(running(pipeline), environ={}).items()):
        print(f"export {key}={shlex.quote(value)}" if key != "PATH" else f'export PATH={shlex.quote(value)}:"$PATH"')
    return 0
