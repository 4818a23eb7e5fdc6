"""Of which feeds files are expected: the contracts as they stand, and what they expect in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from sluice.base.settings import Settings
from sluice.contracts.expectation import EVERY_DAY, WEEKDAYS, Expectation
from sluice.contracts.model import Contract
from sluice.ledger import contract_waits

Connection = psycopg.Connection[dict[str, Any]]
_UNITS = (("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60))


def contracts(connection: Connection, settings: Settings) -> list[tuple[Contract, datetime]]:
    """Every contract by name, and when its file was written last; one that is broken as it was when it last was not.

    Raises psycopg.Error.
    """
    # What reading contracts needs takes long to import, and DAG files import this module.
    from sluice.contracts.folder import read_contracts

    folder = read_contracts(settings.contracts_dir, last_usable=lambda: contract_waits.last_usable(connection))
    named = {contract.name: contract for contract in folder.candidates}
    return [(named[name], _written(named[name])) for name in sorted(named)]


def _written(contract: Contract) -> datetime:
    try:
        return datetime.fromtimestamp(contract.path.stat().st_mtime, UTC)
    except OSError:  # it went just now
        return datetime.now(UTC)


def in_words(expect: Expectation) -> str:
    """What a contract expects, as it may be written there."""
    if expect.is_nothing:
        return "nothing"
    said = []
    if expect.every is not None:
        said.append(f"every {span(expect.every)}")
    if expect.by is not None:
        said.append(f"daily by {expect.by:%H:%M} {expect.zone}")
    if expect.but_holidays:
        said.append("on working days")
    elif expect.days != EVERY_DAY:
        said.append(f"on {', '.join(WEEKDAYS[day] for day in sorted(expect.days))}")
    if expect.missing_after is not None:
        said.append(f"missing after {span(expect.missing_after)}")
    if expect.rows is not None:
        said.append(f"at least {expect.rows:,} rows")
    if expect.rejected is not None:
        said.append(f"at most {percent(expect.rejected)} rejected")
    if expect.volume is not None:
        said.append(f"at least {percent(expect.volume)} of the usual rows")
    return ", ".join(said)


def percent(share: float) -> str:
    """A share, 0 to 1, in percent."""
    return f"{100 * share:.3g} %"


def span(time: timedelta) -> str:
    """A span of time in the largest unit that is whole, or in seconds."""
    seconds = time.total_seconds()
    for unit, length in _UNITS:
        if seconds >= length and seconds % length == 0:
            number = int(seconds // length)
            return f"{number:,} {unit}{'' if number == 1 else 's'}"
    return f"{seconds:.3g} seconds"
