"""What is wrong with a contract's SQL, zones and formats, before any record meets them."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from sluice.contracts import expressions
from sluice.contracts.expressions import parsed, parts_of, query_of, type_of, why_not
from sluice.contracts.model import Column, Contract
from sluice.contracts.rules import registry
from sluice.contracts.sql.derived import null_row
from sluice.contracts.sql.text import literal
from sluice.contracts.sql.times import date_pattern
from sluice.contracts.sql.values import typed_as

_ROUNDING = ("round", "trunc", "floor", "ceil", "ceiling")


def problems(connection: duckdb.DuckDBPyConnection, contract: Contract) -> list[str]:
    """What is wrong with the contract's expressions: place, reason and remedy, one a line; empty when all are fine.

    ``connection`` must know Sluice's macros.
    """
    reasons = [*_timezone_problems(connection, contract), *_format_problems(contract)]
    if reasons:
        return reasons
    for column in contract.columns:
        reasons += _column_problems(connection, column)
    known = list(contract.read_columns)
    for column in contract.derived_columns:
        wanted = typed_as(column)
        for problem in expressions.problems(connection, column.transform or "", known, wanted, is_derived=True):
            reasons.append(f"{column.name}: transformLogic: {problem}")
        known.append(column)
    reasons += _arrival_problems(connection, contract) if not reasons else []
    reasons += registry.problems(connection, contract)
    return reasons


def warnings(connection: duckdb.DuckDBPyConnection, contract: Contract) -> list[str]:
    """What of a sound contract's expressions is likely a mistake: place, reason and remedy, one a line."""
    return [warning for column in contract.derived_columns for warning in _warnings(connection, contract, column)]


def _warnings(connection: duckdb.DuckDBPyConnection, contract: Contract, column: Column) -> Iterator[str]:
    before = contract.derived_columns[: contract.derived_columns.index(column)]
    kind = type_of(connection, query_of(column.transform or "", [*contract.read_columns, *before]))
    is_rounded = any(part.get("function_name") in _ROUNDING for part in parts_of(parsed(connection, column)))
    if typed_as(column).startswith("DECIMAL") and kind in ("DOUBLE", "FLOAT") and not is_rounded:
        yield (
            f"{column.name}: transformLogic gives a {kind} (a division does): rows whose value has more decimals than "
            f"{typed_as(column)} break {column.name}.type and are set aside: write round(…, {column.digits[1]})"
        )


def _timezone_problems(connection: duckdb.DuckDBPyConnection, contract: Contract) -> Iterator[str]:
    zones = {"timezone": contract.timezone}
    zones |= {
        f"{c.name}: defaultTimezone": c.options["defaultTimezone"]
        for c in contract.columns
        if "defaultTimezone" in c.options
    }
    for place, zone in zones.items():
        if why_not(connection, f"SELECT timezone({literal(zone)}, TIMESTAMP '2026-01-01')"):
            yield f"{place} {zone!r} is no known time zone: write one such as Europe/Berlin or UTC"


def _format_problems(contract: Contract) -> Iterator[str]:
    for column in contract.columns:
        for pattern in column.formats:
            try:
                date_pattern(pattern)
            except ValueError as error:
                yield f"{column.name}: {error}"


def _arrival_problems(connection: duckdb.DuckDBPyConnection, contract: Contract) -> Iterator[str]:
    """The moment of arrival makes event_time and nothing else, of rows whose ids are made of the file's content.

    With ids of the feed's own, the same row in two files would have the moment of whichever is loaded first.
    """
    for column in contract.derived_columns:
        if column.target != "event_time" and "landed_at" in _calls(connection, column):
            yield f"{column.name}: landed_at() can only make event_time: take it out of this transformLogic"
    ids = next((c for c in contract.columns if c.target == "event_id"), None)
    if contract.is_timed_by_arrival and ids and (not ids.transform or "record_id" not in _calls(connection, ids)):
        yield (
            f"{ids.name}: event_time is the moment of arrival, so the same row in two files would be two events: "
            "derive event_id by record_id(file_sha256, record_number), and let the feed's own id go to extra"
        )


def _calls(connection: duckdb.DuckDBPyConnection, column: Column) -> set[str]:
    """The functions that a derived column calls."""
    return {str(part.get("function_name", "")).lower() for part in parts_of(parsed(connection, column))}


def _column_problems(connection: duckdb.DuckDBPyConnection, column: Column) -> Iterator[str]:
    for rule, sql in registry.must_run(column):
        if problem := why_not(connection, f"SELECT {sql} FROM (SELECT {', '.join(null_row(column))})"):  # noqa: S608
            yield f"{rule.replace('.', ': ')}: {problem}"
