"""Airflow's own metadata: records of old runs are deleted, nothing of a run that is active."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from sluice.base import database, queries
from sluice.base.settings import SettingError, Settings
from sluice.ledger import ages

_log = logging.getLogger(__name__)

Connection = psycopg.Connection[dict[str, Any]]

# What a run leaves behind. Not `dag`: after a long stop it would delete DAGs that are not parsed again yet, with all
# they know, and not `trigger`: the triggerer clears its own.
METADATA_TABLES = (
    "asset_event",
    "callback",
    "dag_run",
    "dag_version",
    "deadline",
    "import_error",
    "job",
    "log",
    "revoked_token",
    "task_instance",
    "task_instance_history",
    "task_reschedule",
    "task_state_store",
    "xcom",
)


class CleaningError(RuntimeError):
    """`airflow db clean` failed; the message has the end of what it said."""


@dataclass(frozen=True)
class Cleaning:
    """One `airflow db clean`: rows from before ``before``, of all dags but these."""

    before: datetime
    all_but: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """The command line after `airflow`.

        Airflow 3.3 asks some tables for a dag_id that they have not, when it is to leave dags out (its issue 69030),
        among them `deadline`, which goes with `dag_run`; so a table that fails then is passed over. Their rows go with
        the run or task that they are of, or by a cleaning that leaves none out.
        """
        return [
            *("db", "clean", "--yes", "--skip-archive", "--batch-size", "10000"),
            *("--tables", ",".join(METADATA_TABLES)),
            *("--clean-before-timestamp", self.before.isoformat()),
            *(("--exclude-dag-ids", ",".join(self.all_but)) if self.all_but else ("--error-on-cleanup-failure",)),
        ]


def clean_metadata(
    settings: Settings, *, now: datetime | None = None, environ: Mapping[str, str] | None = None
) -> list[Cleaning]:
    """Delete Airflow's records of what began more than ``keep_runs_hours`` ago, but nothing of a run that is active.

    Runs `airflow db clean` as a process of its own: a task may not touch the metadata itself. Raises CleaningError
    when it fails, SettingError when the metadata database is not known.
    """
    environ = os.environ if environ is None else environ
    url = metadata_url(settings, environ)
    plain = re.sub(r"^\w+(\+\w+)?://", "postgresql://", url)
    with database.connect(plain, search_path=database.AIRFLOWS_PATH) as connection:
        plan = plan_cleaning(settings, connection, now=now)
        for cleaning in plan:
            _airflow(cleaning.arguments, _with_metadata(environ, url))
        left = [row["tablename"] for row in queries.all(connection, "ledger/housekeeping.archive_tables")]
    if left:
        _log.warning("archive tables are left in the metadata: %s; `airflow db drop-archived` drops them", left)
    return plan


def plan_cleaning(settings: Settings, connection: Connection, *, now: datetime | None = None) -> list[Cleaning]:
    """What to clean on ``connection`` (Airflow's metadata).

    `airflow db clean` looks at ages, not states. While runs are active that are older than the age, all is cleaned up
    to the start of the oldest of them, and the dags that have no such run up to the age: so one stuck run neither loses
    its records nor keeps those of all other dags.
    """
    cutoff = ages.cutoff(connection, settings.keep_runs_hours * ages.HOUR, now)
    active = queries.all(connection, "ledger/housekeeping.oldest_active_runs", cutoff=cutoff)
    if not active:
        return [Cleaning(cutoff)]
    oldest = min(row["started_at"] for row in active)
    return [Cleaning(oldest), Cleaning(cutoff, all_but=tuple(row["dag_id"] for row in active))]


def metadata_url(settings: Settings, environ: Mapping[str, str]) -> str:
    """The SQLAlchemy URL of Airflow's metadata database; raises SettingError when it is not known or not PostgreSQL.

    Airflow hides its own setting from tasks, so the pipeline's is asked first.
    """
    url = settings.airflow_database_url or environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "")
    if not re.match(r"postgres(ql)?(\+\w+)?://", url):
        scheme = url.partition(":")[0] or "nothing"
        raise SettingError(
            f"Airflow's metadata cannot be cleaned: its database is given as {scheme}; "
            "set SLUICE_AIRFLOW_DATABASE_URL=postgresql://… in the environment of Airflow's processes"
        )
    return url


def _with_metadata(environ: Mapping[str, str], url: str) -> dict[str, str]:
    """The environment of a process of Airflow that is no task."""
    hidden = ("_AIRFLOW", "AIRFLOW__CORE__SQL_ALCHEMY_CONN", "__AIRFLOW")
    kept = {key: value for key, value in environ.items() if not key.startswith(hidden)}
    return kept | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url.replace("postgres://", "postgresql://", 1)}


def _airflow(arguments: list[str], environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "airflow", *arguments]
    last: list[str] = []
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        for line in filter(None, map(str.strip, process.stdout)):
            _log.info("%s", line)
            last = [*last[-9:], line]
    if process.returncode != 0:
        raise CleaningError(f"airflow {' '.join(arguments[:2])} ended with {process.returncode}: " + " | ".join(last))
