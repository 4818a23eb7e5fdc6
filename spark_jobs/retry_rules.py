"""What an error of the stream means and what is done about it: data, in one place, each rule with its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class RetryRule:
    """``pattern`` is looked for in the error's text. ``action``: wait (and try again) or end (the stream ends)."""

    pattern: str
    action: str
    says: str
    reason: str


RULES = (
    RetryRule(
        "StreamFenced",
        "end",
        "another stream has taken over",
        "a fenced epoch can never write again; the newer stream loads what this one left",
    ),
    RetryRule(
        "ContractError",
        "wait",
        "a contract cannot be used: correct it under include/contracts; it is read again by itself",
        "contracts are read anew for each file, so the stream goes on as soon as the file is corrected",
    ),
    RetryRule(
        r"No space left on device|SQLSTATE: 53100|DiskFull|could not extend file|disk quota",
        "wait",
        "a disk is full: free space in the database's folder, the state folder or the temporary folder",
        "nothing was written; the same files load as soon as there is space",
    ),
    RetryRule(
        r"password authentication failed|SQLSTATE: 28|no pg_hba.conf entry",
        "wait",
        "PostgreSQL refuses the login: check SLUICE_WRITER_URL",
        "a password may be rotated while the stream runs; a new one needs a restart, the old one may come back",
    ),
    RetryRule(
        r"SQLSTATE: 42|InsufficientPrivilege|UndefinedTable",
        "wait",
        "the schema is not as Sluice left it: `make up` applies the migrations; check the grants of role sluice_writer",
        "a migration may be under way; the files wait in the ledger",
    ),
    RetryRule(
        r"OperationalError|AdminShutdown|CrashShutdown|CannotConnectNow|TooManyConnections"
        r"|SQLSTATE: 08|SQLSTATE: 57P|SQLSTATE: 53|Connection refused|server closed the connection"
        r"|no connection to the server|could not connect",
        "wait",
        "PostgreSQL is away",
        "it comes back without us; until then the files wait in the processing folder",
    ),
)
_UNKNOWN = RetryRule(
    "", "wait", "the micro-batch failed", "most failures of a task pass; the ledger keeps the error for whoever looks"
)


def rule_for(error: str) -> RetryRule:
    """The first rule whose pattern the error's text holds, otherwise: wait and try again."""
    return next((rule for rule in RULES if re.search(rule.pattern, error, re.IGNORECASE)), _UNKNOWN)


def first_line(error: str, limit: int = 400) -> str:
    """The line of a long (Java) error text that says most: the last one that names an error, cut to ``limit``."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(\w+\.)+[A-Z]\w+: |\w+(Error|Exception|Fenced): ", line)]
    return ((telling or lines or [""])[-1])[:limit]
