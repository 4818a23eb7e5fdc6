"""Judges a block of records: a contract, compiled to one DuckDB query that cleans, casts and checks every row.

A format check precedes each cast: a cast alone turns '1.239' into 1.24 and 'T10:00' into today.
"""

from __future__ import annotations

import functools
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice import database
from sluice.settings import SQL
from spark_jobs.contracts import EVENT_COLUMNS, Column, ContractError, Match, normal
from spark_jobs.csv_records import Block

# numeric(20,4): more digits than these would be rounded away, so they are a reject.
_WHOLE_DIGITS, _DECIMALS = 16, 4
_ISO = (
    r"\d{4}-\d{2}-\d{2}"
    r"([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6}0*)?)?( ?(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?))?)?"
)
# Pieces of a Java date pattern (what the standard's `format` is): how each looks, and its strptime directive.
_PATTERN_PIECES = {
    "yyyy": (r"\d{4}", "%Y"),
    "yy": (r"\d{2}", "%y"),
    "MMM": (r"[A-Za-z]{3}", "%b"),
    "MM": (r"\d{2}", "%m"),
    "M": (r"\d{1,2}", "%m"),
    "dd": (r"\d{2}", "%d"),
    "d": (r"\d{1,2}", "%d"),
    "HH": (r"\d{2}", "%H"),
    "H": (r"\d{1,2}", "%H"),
    "hh": (r"\d{2}", "%I"),
    "h": (r"\d{1,2}", "%I"),
    "mm": (r"\d{2}", "%M"),
    "m": (r"\d{1,2}", "%M"),
    "ss": (r"\d{2}", "%S"),
    "s": (r"\d{1,2}", "%S"),
    "SSSSSS": (r"\d{6}", "%f"),
    "SSS": (r"\d{3}", "%g"),
    "a": (r"[AaPp][Mm]", "%p"),
    "XXX": (r"(Z|[+-]\d{2}:\d{2})", "%z"),
    "Z": (r"[+-]\d{4}", "%z"),
}
_PIECE = re.compile(r"'((?:[^']|'')*)'|yyyy|yy|MMM|MM|M|dd|d|HH|H|hh|h|mm|m|ss|s|SSSSSS|SSS|a|XXX|Z|.", re.DOTALL)


@dataclass(frozen=True)
class Judgement:
    """A judged block: ``good`` has the columns of events in COPY's types; ``bad`` are rows of the block and why."""

    good: pa.Table
    bad: list[tuple[int, list[str], str]]
    failed: list[tuple[int, list[str]]]
    warned: int


class Judge:
    """Judges blocks of one file. Not thread-safe; one a process is enough.

    One DuckDB thread and ``memory_limit`` (DuckDB's own notation) of memory; what needs more spills to a temporary
    folder.
    """

    def __init__(self, memory_limit: str = "256MB") -> None:
        # DuckDB makes this folder only when it must spill, and removes it when it closes.
        spill = Path(tempfile.gettempdir()) / f"sluice-judge-{os.getpid()}"
        self._duckdb = duckdb.connect(
            config={
                "threads": 1,
                "memory_limit": memory_limit,
                "temp_directory": str(spill),
                "autoload_known_extensions": False,
                "autoinstall_known_extensions": False,
            }
        )
        self._duckdb.execute("SET enable_external_access = false")
        self._duckdb.execute(database.statement(SQL / "load" / "judge_macros.sql"))

    def close(self) -> None:
        """Free DuckDB's memory and files."""
        self._duckdb.close()

    def judge(self, block: Block, match: Match, *, file_id: int, sha256: str) -> Judgement:
        """Judge every readable row of ``block``. Raises ContractError when the contract's own SQL does not run."""
        query, names = compile_query(match)
        rows = len(block.record_numbers)
        records = block.columns.append_column("record_number", pa.array(block.record_numbers, pa.int64()))
        records = records.append_column("row", pa.array(np.arange(rows), pa.int64()))
        self._duckdb.register("records", records)
        try:
            self._duckdb.execute(f"SET TimeZone = '{_sql_text(match.contract.timezone)}'")
            judged = self._duckdb.sql(query, params=[file_id, sha256, *names]).to_arrow_table()
        except duckdb.Error as error:
            raise ContractError(f"{match.contract.path.name}: its SQL does not run: {error}") from error
        finally:
            self._duckdb.unregister("records")
        return _divide(judged)


def _divide(judged: pa.Table) -> Judgement:
    is_good = pc.is_null(judged["broken_rules"])
    warned = pc.sum(judged["warned"]).as_py() or 0
    plain = judged.drop_columns(["broken_rules", "is_type", "fails_file", "row", "warned"])
    if judged["broken_rules"].null_count == judged.num_rows:
        return Judgement(plain, [], [], warned)
    bad = judged.select(["row", "broken_rules", "is_type", "fails_file"]).filter(pc.invert(is_good)).to_pylist()
    bad.sort(key=lambda row: row["row"])
    return Judgement(
        plain.filter(is_good),
        [(row["row"], row["broken_rules"], "type" if row["is_type"] else "rule") for row in bad],
        [(row["row"], row["broken_rules"]) for row in bad if row["fails_file"]],
        warned,
    )


@functools.lru_cache(maxsize=256)
def compile_query(match: Match) -> tuple[str, tuple[str, ...]]:
    """The query that judges files with this header, and its parameters after file id and hash.

    Header names are only ever parameters: nothing from a landed file becomes SQL.
    """
    contract = match.contract
    places = {normal(name): i for i, name in enumerate(match.header)}
    read, extra_names, extra_pairs = [], [], []
    known = {name for column in contract.read_columns for name in column.names}
    for column in contract.read_columns:
        at = next((places[name] for name in column.names if name in places), None)
        read.append(f"{_text_of(column, at)} AS {_quoted(column.name + '__text')}")
    for name, i in places.items():
        if name not in known:
            extra_names.append(match.header[i].strip() or f"column_{i + 1}")
            extra_pairs.append(f"${len(extra_names) + 2}, c{i}")
    typed = [f"{_typed(column)} AS {_quoted(column.name)}" for column in contract.read_columns]
    derived = [f"({column.transform}) AS {_quoted(column.name)}" for column in contract.columns if column.transform]
    type_rules = [
        (f"{c.name}.type", _type_is_broken(c))
        for c in contract.read_columns
        if c.logical_type != "string" or _is_uuid(c)
    ]
    other_rules = [rule for column in contract.columns for rule in _column_rules(column)]
    other_rules += [(rule.name, f"NOT ({rule.predicate})") for rule in contract.rules if rule.severity != "warn"]
    fails = [f"NOT ({rule.predicate})" for rule in contract.rules if rule.severity == "fail"]
    warns = [f"coalesce(NOT ({rule.predicate}), false)" for rule in contract.rules if rule.severity == "warn"]
    broken = type_rules + other_rules
    any_broken = " OR ".join(f"coalesce({sql}, false)" for _, sql in broken) or "false"
    rule_list = ", ".join(f"CASE WHEN {sql} THEN '{_sql_text(name)}' END" for name, sql in broken)
    is_type = " OR ".join(f"coalesce({sql}, false)" for _, sql in type_rules) or "false"
    newline = ",\n    "
    query = f"""
WITH texts AS (
    SELECT "row", record_number, $1::BIGINT AS file_id, $2::VARCHAR AS file_sha256,
    {newline.join([*read, f"{_extra(contract.read_columns, extra_pairs, files=True)} AS file_extra"])}
    FROM records
), typed AS (
    SELECT *,
    {newline.join(typed)}
    FROM texts
), derived AS (
    SELECT *{"".join(f",{chr(10)}    {sql}" for sql in derived)}
    FROM typed
)
SELECT
    {newline.join(_output(match))},
    CASE WHEN {any_broken} THEN list_filter([{rule_list}], lambda rule: rule IS NOT NULL) END AS broken_rules,
    ({is_type}) AS is_type,
    ({" OR ".join(f"coalesce({sql}, false)" for sql in fails) or "false"}) AS fails_file,
    ({" OR ".join(warns) or "false"})::INTEGER AS warned,
    "row"
FROM derived
ORDER BY event_id
"""
    return query, tuple(extra_names)


def _text_of(column: Column, at: int | None) -> str:
    if at is None:
        return "NULL::VARCHAR"
    if column.logical_type == "string" and not column.trim:
        return f"c{at}"
    return f"nullif(trim(c{at}), '')" if column.logical_type != "string" else f"trim(c{at})"


def _typed(column: Column) -> str:
    text = _quoted(column.name + "__text")
    kind = column.logical_type
    if _is_uuid(column):
        return f"CASE WHEN length({text}) = 36 AND try_cast({text} AS UUID) IS NOT NULL THEN replace(lower({text}), '-', '') END"
    if kind == "integer":
        return f"CASE WHEN regexp_full_match({text}, '[+-]?[0-9]{{1,19}}') THEN try_cast({text} AS BIGINT) END"
    if kind == "number":
        plain = (
            text
            if column.decimal_separator == "."
            else f"replace({text}, '{_sql_text(column.decimal_separator)}', '.')"
        )
        point = "\\" + column.decimal_separator
        shape = (
            rf"[+-]?0*([0-9]{{1,{_WHOLE_DIGITS}}}({point}[0-9]{{0,{_DECIMALS}}}0*)?|{point}[0-9]{{1,{_DECIMALS}}}0*)"
        )
        return f"CASE WHEN regexp_full_match({text}, '{_sql_text(shape)}') THEN try_cast({plain} AS DECIMAL(20, 4)) END"
    if kind in ("timestamp", "date"):
        return _time(column, text)
    if kind == "boolean":
        return f"CASE lower({text}) WHEN 'true' THEN true WHEN 'false' THEN false END"
    if column.value_map:
        whens = " ".join(f"WHEN '{_sql_text(a)}' THEN '{_sql_text(b)}'" for a, b in column.value_map.items())
        return f"CASE {text} {whens} ELSE {text} END"
    return text


def _time(column: Column, text: str) -> str:
    if not column.formats:
        plain = f"regexp_replace({text}, ' ?(z|Z|UTC|GMT)$', '+00')"
        return f"CASE WHEN regexp_full_match({text}, '{_sql_text(_ISO)}') THEN try_cast({plain} AS TIMESTAMPTZ) END"
    whens = []
    for pattern in column.formats:
        shape, directive = date_pattern(pattern)
        parsed = f"try_strptime({text}, '{_sql_text(directive)}')::TIMESTAMPTZ"
        whens.append(f"WHEN regexp_full_match({text}, '{_sql_text(shape)}') THEN {parsed}")
    return f"CASE {' '.join(whens)} END"


def date_pattern(pattern: str) -> tuple[str, str]:
    """A Java date pattern (the standard's ``format``) as a regular expression and a strptime format."""
    shape, directive = "", ""
    for piece in _PIECE.finditer(pattern):
        text = piece.group(1).replace("''", "'") if piece.group(1) is not None else piece.group()
        looks, means = _PATTERN_PIECES.get(piece.group(), (re.escape(text), text.replace("%", "%%")))
        shape, directive = shape + looks, directive + means
    return shape, directive


def _is_uuid(column: Column) -> bool:
    return column.target == "event_id"


def _type_is_broken(column: Column) -> str:
    return f"{_quoted(column.name + '__text')} IS NOT NULL AND {_quoted(column.name)} IS NULL"


def _column_rules(column: Column) -> list[tuple[str, str]]:
    name, value = column.name, _quoted(column.name)
    text = value if column.transform else _quoted(column.name + "__text")
    rules = []
    if column.required or column.target in ("event_type", "event_time", "event_id"):
        blank = f"{text} IS NULL" if column.transform else f"coalesce({text}, '') = ''"
        rules.append((f"{name}.required", blank))
    if column.enum:
        rules.append((f"{name}.enum", f"{text} NOT IN ({', '.join(_literal(v) for v in column.enum)})"))
    options = column.options
    for option, sql in (
        ("minimum", f"{value} < "),
        ("maximum", f"{value} > "),
        ("exclusiveMinimum", f"{value} <= "),
        ("exclusiveMaximum", f"{value} >= "),
        ("minLength", f"length({text}) < "),
        ("maxLength", f"length({text}) > "),
    ):
        if option in options:
            bound = options[option]
            number = isinstance(bound, int | float) and not isinstance(bound, bool)
            rules.append((f"{name}.{option}", sql + (str(bound) if number else _literal(bound))))
    if "pattern" in options:
        rules.append((f"{name}.pattern", f"NOT regexp_full_match({text}, {_literal(options['pattern'])})"))
    return rules


def _output(match: Match) -> list[str]:
    fills = {column.target: column for column in match.contract.columns if column.target}
    columns = []
    for target, kind in EVENT_COLUMNS.items():
        column = fills.get(target)
        columns.append(f"{_as_copied(column, kind)} AS {target}" if column else f"{_NULL_OF[kind]} AS {target}")
    own = _extra(match.contract.read_columns, [], files=False)
    if own != "NULL":
        extra = f"json_merge_patch(coalesce(file_extra, '{{}}'), {own})"
    else:
        extra = "file_extra"
    columns.append(f"CASE WHEN {extra} <> '{{}}' THEN '\\x01'::BLOB || encode({extra}::VARCHAR) END AS extra")
    return [*columns, "file_id", "record_number"]


_NULL_OF = {
    "uuid": "NULL::BLOB",
    "text": "NULL::VARCHAR",
    "timestamptz": "NULL::TIMESTAMPTZ",
    "numeric": "NULL::DECIMAL(20, 4)",
    "bigint": "NULL::BIGINT",
}


def _as_copied(column: Column, kind: str) -> str:
    """The column as the driver must get it for binary COPY: uuid as 16 bytes, text as it stood in the file."""
    value = _quoted(column.name)
    if kind == "uuid":
        return f"unhex({value})"
    if kind == "numeric":
        return f"{value}::DECIMAL(20, 4)"
    if kind == "text" and column.transform is None and column.logical_type != "string":
        return _quoted(column.name + "__text")
    return value


def _extra(columns: Sequence[Column], pairs: list[str], *, files: bool) -> str:
    """A JSON object of what ``events`` has no column for: names from the file are parameters, the contract's are text."""
    if files:
        return f"json_merge_patch('{{}}', json_object({', '.join(pairs)}))" if pairs else "NULL::VARCHAR"
    own = [f"{_literal(c.name)}, {_quoted(c.name)}" for c in columns if c.target is None]
    return f"json_object({', '.join(own)})" if own else "NULL"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _sql_text(text: str) -> str:
    return str(text).replace("'", "''")


def _literal(value: object) -> str:
    return f"'{_sql_text(str(value))}'"
