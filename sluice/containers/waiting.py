"""Waiting for the database: it is said what is waited for, and a refusal names the remedy."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg

from sluice.base import database
from sluice.containers.instance import SUPERUSER
from sluice.containers.log import say
from sluice.loading.retry_rules import is_wrong_password
from sluice.running.pipeline import InstanceError

PATIENCE_SECONDS = 600.0
_SAY_EVERY_SECONDS = 10.0


def wait_for_database(url: str, patience: float = PATIENCE_SECONDS, tell: Callable[[str], None] = say) -> None:
    """Return when the database of ``url`` answers; say every 10 s what it is waiting for.

    Raises InstanceError at once when the password is refused, and after ``patience`` seconds.
    """
    parts = psycopg.conninfo.conninfo_to_dict(url)
    where = f"PostgreSQL at {parts['host']}:{parts['port']} (database {parts['dbname']}, role {parts['user']})"
    begun, said = time.monotonic(), 0.0
    while True:
        try:
            database.connect(url, application_name="sluice-wait").close()
            if said:
                tell(f"{where} answers after {time.monotonic() - begun:.0f} s")
            return
        except psycopg.OperationalError as error:
            if is_wrong_password(error):
                raise InstanceError(_refused(where, str(parts["user"]))) from error
            reason = str(error).strip().splitlines()[0]
        waited = time.monotonic() - begun
        if waited > patience:
            raise InstanceError(
                f"{where} did not answer within {patience:g} s ({reason}): `docker compose logs postgres`"
            )
        if waited >= said:
            tell(f"waiting for {where}, {waited:.0f} s so far: {reason}")
            said = waited + _SAY_EVERY_SECONDS
        time.sleep(0.5)


def _refused(where: str, role: str) -> str:
    remedy = (
        "the database was made with another password than the one in volume secrets; "
        "`docker compose exec postgres /set-password` sets it to this one, then `docker compose up` again"
        if role == SUPERUSER
        else "run `docker compose up` once more: its service `init` sets the passwords of the roles"
    )
    return f"{where} refuses the password: {remedy}"
