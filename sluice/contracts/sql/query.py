"""A contract as one DuckDB query, which cleans, casts and checks every record of a block.

A format check precedes each cast: a cast alone turns '1.239' into 1.24 and 'T10:00' into today. What a contract's own
expressions raise (an overflow, a bad cast) costs the row that raised it, never the block.

Stages: `texts` (each column as it stands in the file), `typed` (cast, null when the format is wrong), `derived` (what
transformLogic says, stage by stage), and the judgement itself.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sluice.contracts.matching import Match
from sluice.contracts.model import normal
from sluice.contracts.rules import registry
from sluice.contracts.rules.rule_types import Check
from sluice.contracts.shapes import Known
from sluice.contracts.sql.derived import derived_stages, last_stage
from sluice.contracts.sql.json_text import as_json, json_pairs, json_text
from sluice.contracts.sql.output import output
from sluice.contracts.sql.text import listed, literal
from sluice.contracts.sql.values import is_as_it_stands, places_of, texts, typed_columns

# So many columns that the contract does not know are put together at once: time and memory of a query grow faster.
_TOGETHER = 256


@dataclass(frozen=True)
class ExtraQuery:
    """``query`` makes of ``fields`` of the table records the inside of a JSON object, ``extra``; null when empty."""

    query: str
    fields: tuple[int, ...]
    parameters: tuple[str, ...]


@functools.lru_cache(maxsize=64)
def compile_extra(match: Match) -> tuple[ExtraQuery, ...]:
    """The queries that put the columns together that the contract does not know; none when they are few.

    What the n-th of them makes is the column ``__extra_n`` of the table that ``compile_query`` reads.
    """
    unknown = _unknown(match)
    if len(unknown) <= _TOGETHER:
        return ()
    groups = [unknown[i : i + _TOGETHER] for i in range(0, len(unknown), _TOGETHER)]
    return tuple(
        ExtraQuery(
            f"SELECT {_extra(group, first=1)} AS extra FROM records",  # noqa: S608
            tuple(group),
            _keys(match, group),
        )
        for group in groups
    )


def _unknown(match: Match) -> list[int]:
    known = {name for column in match.contract.read_columns for name in column.names}
    return [i for i, name in enumerate(match.header) if normal(name) not in known]


def _extra(fields: Sequence[int], *, first: int) -> str:
    return json_pairs([(f"${n}", as_json(f"c{i}")) for n, i in enumerate(fields, start=first)])


def _keys(match: Match, fields: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"{json_text(match.field_names[i])}:" for i in fields)


def taken_over(match: Match, known: Known) -> dict[str, int]:
    """By column of events: the field whose texts are its values, or are ids that were made of them already."""
    return {
        column.target: at
        for column, at in places_of(match.contract, match.header)
        if column.target and (at in known.uuids or is_as_it_stands(column, is_bare=at in known.bare))
    }


@functools.lru_cache(maxsize=256)
def compile_query(match: Match, known: Known) -> tuple[str, tuple[str, ...]]:
    """The query that judges files with this header, and its parameters after the file's id and hash.

    Of the columns of events it makes those that are not ``taken_over``; its rows are in the order of ``records``.
    Header names are only ever parameters: nothing from a landed file becomes SQL.
    """
    contract = match.contract
    places = places_of(contract, match.header)
    well_typed = {column.name for column, at in places if at in known.uuids | known.numbers}
    shaped = well_typed | {column.name for column, at in places if at in known.moments}
    plain = {column.name for column, at in places if at in known.filled and column.name in shaped}
    together = [f'"__extra_{n}"' for n in range(len(compile_extra(match)))]
    unknown = [] if together else _unknown(match)
    extra = json_pairs([], *together) if together else _extra(unknown, first=3)
    without_sign = {column.name for column, at in places if at in known.numbers}
    checks = registry.checks(contract, well_typed=well_typed, without_sign=without_sign)
    sets_aside = [check for check in checks if check.severity != "warn"]
    rules = ", ".join(f"CASE WHEN {check.is_broken} THEN {literal(check.rule)} END" for check in sets_aside)
    query = f"""
WITH texts AS (
    SELECT
        {listed(texts(contract, {column.name: at for column, at in places}, known.bare))},
        {extra} AS "__file_extra",
        "row" AS "__row", record_number, $1::BIGINT AS "__file_id", $2::VARCHAR AS file_sha256
    FROM records
), typed AS (
    SELECT {listed(["*", *typed_columns(contract, shaped)])}
    FROM texts
){"".join(derived_stages(contract))}
SELECT
    {listed(output(contract, taken_over(match, known), plain))},
    CASE WHEN {_any(sets_aside)} THEN list_filter([{rules}], lambda rule: rule IS NOT NULL) END AS broken_rules,
    ({_any(check for check in checks if check.is_type)}) AS is_type,
    ({_any(check for check in checks if check.severity == "fail")}) AS fails_file,
    ({_any(check for check in checks if check.severity == "warn")})::INTEGER AS warned,
    "__row"
FROM {last_stage(contract)}
"""  # noqa: S608
    return query, _keys(match, unknown)


def _any(checks: Iterable[Check]) -> str:
    return " OR ".join(f"coalesce({check.is_broken}, false)" for check in checks) or "false"
