"""A contract as one DuckDB query, which cleans, casts and checks every record of a block.

A format check precedes each cast: a cast alone turns '1.239' into 1.24 and 'T10:00' into today. What a contract's own
expressions raise (an overflow, a bad cast) costs the row that raised it, never the block.

Stages: `texts` (each column as it stands in the file), `typed` (cast, null when the format is wrong), `derived` (what
transformLogic says, stage by stage), and the judgement itself.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sluice.contracts.model import EVENT_COLUMNS, SIGNED, Column, Contract, Match, normal

_YEAR = r"(\d{3}[1-9]|\d{2}[1-9]\d|\d[1-9]\d{2}|[1-9]\d{3})"
_OFFSET = r"[+-](0\d|1[0-5])(:?[0-5]\d)?"
_ISO_DATE = rf"{_YEAR}-\d{{2}}-\d{{2}}"
_ISO_TIME = rf"[T ]\d{{2}}:\d{{2}}(:\d{{2}}(\.\d{{1,6}}0*)?)?( ?(Z|z|UTC|GMT|{_OFFSET}))?"
_HAS_ZONE = rf"(Z|z|UTC|GMT|:.*{_OFFSET})$"
_FLOAT = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?"
# Pieces of a Java date pattern (what the standard's `format` is): how each looks, and its strptime directive.
_PATTERN_PIECES = {
    "yyyy": (_YEAR, "%Y"),
    "uuuu": (_YEAR, "%Y"),
    "yy": (r"\d{2}", "%y"),
    "MMMM": (r"[A-Za-z]{3,9}", "%B"),
    "MMM": (r"[A-Za-z]{3}", "%b"),
    "MM": (r"\d{2}", "%m"),
    "M": (r"\d{1,2}", "%m"),
    "dd": (r"\d{2}", "%d"),
    "d": (r"\d{1,2}", "%d"),
    "EEEE": (r"[A-Za-z]{6,9}", "%A"),
    "EEE": (r"[A-Za-z]{3}", "%a"),
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
    "XXX": (r"(Z|[+-](0\d|1[0-5]):[0-5]\d)", "%z"),
    "XX": (r"(Z|[+-](0\d|1[0-5])[0-5]\d)", "%z"),
    "X": (rf"(Z|{_OFFSET})", "%z"),
    "Z": (r"[+-](0\d|1[0-5])[0-5]\d", "%z"),
}
_PIECE = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|.", re.DOTALL)
_NULL_OF = {
    "uuid": "NULL::BLOB",
    "text": "NULL::VARCHAR",
    "timestamptz": "NULL::TIMESTAMPTZ",
    "numeric": "NULL::DECIMAL(20, 4)",
    "bigint": "NULL::BIGINT",
}
# So many columns that the contract does not know are put together at once: time and memory of a query grow faster.
_TOGETHER = 256
# Each bound, and the comparison that breaks it.
BOUNDS = {"minimum": "<", "maximum": ">", "exclusiveMinimum": "<=", "exclusiveMaximum": ">="}
# 32 hex digits, with all of a uuid's hyphens or none of them.
_UUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32}"
# Within the years 1 to 9999 in every time zone: Python and others know no moments beyond.
_MOMENTS = "TIMESTAMPTZ '0001-01-02 00:00:00Z' AND TIMESTAMPTZ '9999-12-30 00:00:00Z'"


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
    return _json_pairs([(f"${n}", _as_json(f"c{i}")) for n, i in enumerate(fields, start=first)])


def _keys(match: Match, fields: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"{_json(match.field_names[i])}:" for i in fields)


@functools.lru_cache(maxsize=64)
def compile_query(match: Match) -> tuple[str, tuple[str, ...]]:
    """The query that judges files with this header, and its parameters after the file's id and hash.

    Header names are only ever parameters: nothing from a landed file becomes SQL.
    """
    contract = match.contract
    places = {normal(name): i for i, name in enumerate(match.header) if name.strip()}
    together = [f'"__extra_{n}"' for n in range(len(compile_extra(match)))]
    unknown = [] if together else _unknown(match)
    extra = _json_pairs([], *together) if together else _extra(unknown, first=3)
    type_rules = list(_type_rules(contract))
    broken = [*type_rules, *_content_rules(contract)]
    fails = [_is_broken(rule.predicate) for rule in contract.rules if rule.severity == "fail"]
    warns = [_is_broken(rule.predicate) for rule in contract.rules if rule.severity == "warn"]
    rules = ", ".join(f"CASE WHEN {sql} THEN {literal(name)} END" for name, sql in broken)
    query = f"""
WITH texts AS (
    SELECT
        {_list(_texts(contract, places))},
        {extra} AS "__file_extra",
        "row" AS "__row", record_number, $1::BIGINT AS "__file_id", $2::VARCHAR AS file_sha256
    FROM records
), typed AS (
    SELECT {_list(["*", *_typed_columns(contract)])}
    FROM texts
){"".join(_derived_stages(contract))}
SELECT
    {_list(_output(contract))},
    CASE WHEN {_any(broken)} THEN list_filter([{rules}], lambda rule: rule IS NOT NULL) END AS broken_rules,
    ({_any(type_rules)}) AS is_type,
    ({" OR ".join(fails) or "false"}) AS fails_file,
    ({" OR ".join(warns) or "false"})::INTEGER AS warned,
    "__row"
FROM {_last_stage(contract)}
ORDER BY event_id
"""  # noqa: S608
    return query, _keys(match, unknown)


def typed_as(column: Column) -> str:
    """The DuckDB type that the column's values have in expressions."""
    whole, decimals = column.digits
    decimal = f"DECIMAL({whole + decimals}, {decimals})"
    if column.transform is not None and column.target is not None:
        events = {"uuid": "BLOB", "text": "VARCHAR", "timestamptz": "TIMESTAMPTZ", "bigint": column.integer}
        return events.get(column.kind, decimal)
    if column.logical_type == "integer":
        return f"DECIMAL({whole}, 0)" if column.kind == "numeric" else column.integer
    if column.logical_type == "number":
        return "DOUBLE" if column.is_float else decimal
    return {"timestamp": "TIMESTAMPTZ", "date": "TIMESTAMPTZ", "boolean": "BOOLEAN"}.get(column.logical_type, "VARCHAR")


def _texts(contract: Contract, places: dict[str, int]) -> Iterator[str]:
    for column in contract.read_columns:
        at = next((places[name] for name in column.names if name in places), None)
        text = "NULL::VARCHAR" if at is None else f"c{at}"
        if at is not None and (column.trim or _has_format(column)):
            text = _trimmed(text)
        yield f"{text} AS {_text(column)}"
        if column.value_map:
            yield f"{_mapped(column, text)} AS {_source(column)}"


def _trimmed(text: str) -> str:
    """``text`` without blanks around it, null when nothing is left; trim() itself is dear, and rarely needed."""
    padded = f"starts_with({text}, ' ') OR ends_with({text}, ' ')"
    return f"CASE WHEN {padded} THEN nullif(trim({text}), '') WHEN {text} <> '' THEN {text} END"


def _has_format(column: Column) -> bool:
    return column.logical_type != "string" or column.kind == "uuid"


def _mapped(column: Column, text: str) -> str:
    whens = " ".join(
        f"WHEN {literal(theirs)} THEN {'NULL' if ours is None else literal(ours)}"
        for theirs, ours in column.value_map.items()
    )
    return f"CASE {text} {whens} ELSE {text} END"


def _text(column: Column) -> str:
    """The column as it stands in the file; its value itself when nothing is made of it."""
    return quoted(f"__text:{column.name}" if column.value_map or _has_format(column) else column.name)


def _source(column: Column) -> str:
    """What the column's value is made of: its text, mapped by its value map."""
    return quoted(f"__mapped:{column.name}") if column.value_map else _text(column)


def _typed_columns(contract: Contract) -> Iterator[str]:
    for column in contract.read_columns:
        if _text(column) != quoted(column.name):
            yield f"{_typed(column)} AS {quoted(column.name)}"


def _typed(column: Column) -> str:
    source = _source(column)
    if column.kind == "uuid":
        return f"CASE WHEN {_matches(source, _UUID)} THEN replace(lower({source}), '-', '') END"
    if column.logical_type == "integer":
        shape = rf"[+-]?0*[0-9]{{1,{_whole_digits(column)}}}"
        return f"CASE WHEN {_matches(source, shape)} THEN try_cast({source} AS {typed_as(column)}) END"
    if column.logical_type == "number":
        return _number(column, source)
    if column.logical_type in ("timestamp", "date"):
        return _time(column, source)
    if column.logical_type == "boolean":
        return f"CASE lower({source}) WHEN 'true' THEN true WHEN 'false' THEN false END"
    return source


def _whole_digits(column: Column) -> int:
    return (
        column.digits[0]
        if column.kind == "numeric"
        else {"BIGINT": 19, "INTEGER": 10, "SMALLINT": 5}.get(column.integer, 38)
    )


def _number(column: Column, source: str) -> str:
    whole, decimals = column.digits
    point = "\\" + column.decimal_separator
    fraction = rf"{point}[0-9]{{1,{decimals}}}0*" if decimals else rf"{point}0+"
    shape = rf"[+-]?0*([0-9]{{1,{whole or 1}}}({point}|{fraction})?|{fraction})"
    if column.is_float:
        shape = _FLOAT.replace(r"\.", point)
    plain = source if column.decimal_separator == "." else f"replace({source}, ',', '.')"
    return f"CASE WHEN {_matches(source, shape)} THEN try_cast({plain} AS {typed_as(column)}) END"


def _time(column: Column, source: str) -> str:
    zone = column.options.get("defaultTimezone")
    whens = []
    for pattern in column.formats:
        shape, directive = date_pattern(pattern)
        text = f"regexp_replace({source}, 'Z$', '+00')" if "Z|" in shape else source
        parsed = f"try_strptime({text}, {literal(directive)})"
        is_local = zone is not None and "%z" not in directive
        at = f"timezone({literal(zone)}, {parsed})" if is_local else f"{parsed}::TIMESTAMPTZ"
        whens.append(f"WHEN {_matches(source, shape)} THEN {at}")
    if whens:
        return f"CASE {' '.join(whens)} END"
    shape = _ISO_DATE if column.logical_type == "date" else f"{_ISO_DATE}({_ISO_TIME})?"
    in_utc = f"regexp_replace({source}, ' ?(z|Z|UTC|GMT)$', '+00')"
    with_offset = f"replace(replace({source}, ' +', '+'), ' -', '-')"
    parsed = f"try_cast(CASE WHEN right({source}, 1) >= 'A' THEN {in_utc} ELSE {with_offset} END AS TIMESTAMPTZ)"
    if zone is not None:
        local = f"timezone({literal(zone)}, try_cast({source} AS TIMESTAMP))"
        parsed = f"CASE WHEN regexp_matches({source}, {literal(_HAS_ZONE)}) THEN {parsed} ELSE {local} END"
    return f"CASE WHEN {_matches(source, shape)} THEN {parsed} END"


def date_pattern(pattern: str) -> tuple[str, str]:
    """A Java date pattern (the standard's ``format``) as a regular expression and a strptime format.

    Raises ValueError for letters that are not known: they would otherwise be taken for text.
    """
    shape, directive = "", ""
    for piece in _PIECE.finditer(pattern):
        part = piece.group()
        if part in _PATTERN_PIECES:
            looks, means = _PATTERN_PIECES[part]
        elif piece.group(2) or part in tuple("[]{}#'"):
            raise ValueError(
                f"{part!r} in date format {pattern!r} is not known: known are {', '.join(_PATTERN_PIECES)}"
            )
        else:
            text = "'" if part == "''" else (piece.group(1) or part).replace("''", "'")
            looks, means = re.escape(text), text.replace("%", "%%")
        shape, directive = shape + looks, directive + means
    return shape, directive


def derived_levels(contract: Contract) -> list[list[Column]]:
    """The derived columns in order, in as few stages as lets each name those before it."""
    levels: list[list[Column]] = []
    for column in contract.derived_columns:
        expression = (column.transform or "").casefold()
        if not levels or any(before.name.casefold() in expression for before in levels[-1]):
            levels.append([])
        levels[-1].append(column)
    return levels


def _derived_stages(contract: Contract) -> Iterator[str]:
    before = "typed"
    for number, level in enumerate(derived_levels(contract), start=1):
        # The line break ends a comment that the expression may end in.
        made = [f"TRY({{'v': ({column.transform}\n)}}) AS {_made(column)}" for column in level]
        yield f""", made_{number} AS (
    SELECT *, {_list(made)}
    FROM {before}
), tried_{number} AS (
    SELECT *, {_list([f"{_tried(column)} AS {_attempt(column)}" for column in level])}
    FROM made_{number}
), derived_{number} AS (
    SELECT *, {_list([f"{_attempt(column)}.v AS {quoted(column.name)}" for column in level])}
    FROM tried_{number}
)"""  # noqa: S608
        before = f"derived_{number}"


def _last_stage(contract: Contract) -> str:
    levels = derived_levels(contract)
    return f"derived_{len(levels)}" if levels else "typed"


def _made(column: Column) -> str:
    return quoted(f"__made:{column.name}")


def _attempt(column: Column) -> str:
    return quoted(f"__tried:{column.name}")


def _tried(column: Column) -> str:
    """The derived value in a struct; null instead of the struct when making it raised, or its type would change it."""
    made = f"{_made(column)}.v"
    value, is_same = _as_typed(column, made)
    return f"TRY(CASE WHEN {_made(column)} IS NOT NULL AND coalesce({is_same}, true) THEN {{'v': {value}}} END)"


def _as_typed(column: Column, made: str) -> tuple[str, str]:
    """SQL of what an expression made as the column's own type, and of whether nothing is lost by that."""
    kind = typed_as(column)
    value = f"CAST({made} AS {kind})"
    if kind == "BLOB":
        text = f"CAST({made} AS VARCHAR)"
        return f"unhex(replace({text}, '-', ''))", _matches(text, _UUID)
    if kind == "TIMESTAMPTZ":
        return value, f"nanosecond({made}) % 1000 = 0 AND {value} BETWEEN {_MOMENTS}"
    if kind == "DOUBLE":
        is_exact = f"typeof({made}) IN ('DOUBLE', 'FLOAT') OR CAST({value} AS DECIMAL(38, 10)) = {made}"
        return value, f"isfinite({value}) AND ({is_exact})"
    if kind == "VARCHAR":
        return value, f"NOT contains({value}, chr(0))"  # PostgreSQL holds no NUL
    return value, f"{value} = {made}" if kind.startswith("DECIMAL") else "true"


def _type_rules(contract: Contract) -> Iterator[tuple[str, str]]:
    """(rule, predicate that is true when it is broken) for every column whose values have a format."""
    for column in contract.columns:
        value = quoted(column.name)
        if column.transform is not None:
            yield f"{column.name}.type", f"({_attempt(column)} IS NULL)"
        elif column.kind == "timestamptz":
            yield f"{column.name}.type", f"({_source(column)} IS NOT NULL AND ({value} BETWEEN {_MOMENTS}) IS NOT TRUE)"
        elif _has_format(column):
            yield f"{column.name}.type", f"({_source(column)} IS NOT NULL AND {value} IS NULL)"


def _content_rules(contract: Contract) -> Iterator[tuple[str, str]]:
    for column in contract.columns:
        yield from column_rules(column)
    yield from _sign_rule(contract)
    for rule in contract.rules:
        if rule.severity != "warn":
            yield rule.name, _is_broken(rule.predicate)


def _sign_rule(contract: Contract) -> Iterator[tuple[str, str]]:
    """A cancellation has the sign that the contract says: its quantity, its total, or its price in place of a total."""
    fills = _fills(contract)
    wrong = ">" if contract.cancellations == "negative" else "<"
    signs = [f"coalesce({quoted(fills[name].name)} {wrong} 0, false)" for name in SIGNED if name in fills]
    if "price" in fills:
        no_total = f"{quoted(fills['total_amount'].name)} IS NULL" if "total_amount" in fills else "true"
        signs.append(f"coalesce({quoted(fills['price'].name)} < 0 AND {no_total}, false)")
    if signs:
        yield "cancellation.sign", f"({_is_cancellation(fills)} AND ({' OR '.join(signs)}))"


def _is_cancellation(fills: Mapping[str, Column]) -> str:
    return f"{_as_copied(fills['event_type'])} = 'cancellation'"


def _fills(contract: Contract) -> dict[str, Column]:
    """By column of events: the contract's column that fills it."""
    return {column.target: column for column in contract.columns if column.target}


def column_rules(column: Column) -> Iterator[tuple[str, str]]:
    """(rule, predicate that is true when it is broken) for what the contract says of the column's content."""
    name, value = column.name, quoted(column.name)
    text = f"{value}::VARCHAR" if column.transform is not None else _text(column)
    if column.required or column.target in ("event_type", "event_time", "event_id"):
        filled = value if column.transform is not None else _source(column)
        blank = f"coalesce({filled}, '') = ''" if _is_text(column) else f"{filled} IS NULL"
        yield (
            f"{name}.required",
            f"({blank})"
            if column.transform is None
            else f"({_attempt(column)}.v IS NULL AND {_attempt(column)} IS NOT NULL)",
        )
    if column.enum:
        yield f"{name}.enum", f"({text} NOT IN ({', '.join(map(literal, column.enum))}))"
    options = column.options
    for option, comparison in BOUNDS.items():
        if option in options:
            yield f"{name}.{option}", _compared(column, f"{value} {comparison} {_bound(options[option])}")
    if "multipleOf" in options:
        yield f"{name}.multipleOf", _compared(column, f"{value} % {_bound(options['multipleOf'])} <> 0")
    for option, comparison in (("minLength", "<"), ("maxLength", ">")):
        if option in options:
            yield f"{name}.{option}", f"(length({text}) {comparison} {int(options[option])})"
    if "pattern" in options:
        yield f"{name}.pattern", f"(NOT {_matches(text, options['pattern'])})"
    if options.get("format") == "uuid" and column.logical_type == "string":
        yield f"{name}.format", f"(NOT {_matches(text, _UUID)})"


def _compared(column: Column, comparison: str) -> str:
    """A comparison that counts as broken when numbers of that size cannot be compared."""
    if column.kind == "text" and column.logical_type in ("integer", "number"):
        return f"coalesce(TRY({comparison}), {quoted(column.name)} IS NOT NULL)"
    return f"({comparison})"


def null_row(column: Column) -> list[str]:
    """Select items that stand for ``column`` of a row that has nothing, under every name that rules use."""
    value = f"NULL::{typed_as(column)} AS {quoted(column.name)}"
    if column.transform is not None:
        return [value, f"NULL::STRUCT(v {typed_as(column)}) AS {_attempt(column)}"]
    texts = {_text(column), _source(column)} - {quoted(column.name)}
    return [value, *(f"NULL::VARCHAR AS {text}" for text in texts)]


def _is_text(column: Column) -> bool:
    return column.transform is None or typed_as(column) == "VARCHAR"


def _is_broken(predicate: str) -> str:
    """Whether a predicate is false for a row, or raises; unknown is not broken, as in a CHECK constraint."""
    return f"coalesce(TRY(coalesce(NOT ({predicate}\n), false)), true)"


def _bound(value: object) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"({value})" if is_number else literal(value)


def _any(rules: Sequence[tuple[str, str]]) -> str:
    return " OR ".join(f"coalesce({sql}, false)" for _, sql in rules) or "false"


def _output(contract: Contract) -> Iterator[str]:
    fills = _fills(contract)
    for target, kind in EVENT_COLUMNS.items():
        value = _as_copied(fills[target]) if target in fills else _NULL_OF[kind]
        if contract.cancellations == "positive" and target in SIGNED and target in fills:
            # Only what the rule lets pass: a negative one, in a row that is set aside, may have no positive.
            value = f"CASE WHEN {_is_cancellation(fills)} AND {value} > 0 THEN -{value} ELSE {value} END"
        yield f"{value} AS {target}"
    own = [(literal(_json(c.name) + ":"), _as_json(_as_kept(c), c)) for c in contract.columns if c.target is None]
    pairs = _json_pairs(own, '"__file_extra"')
    # As binary jsonb: a version byte, then the text.
    yield f"encode(chr(1) || '{{' || {pairs} || '}}') AS extra"
    yield '"__file_id" AS file_id'
    yield "record_number"


def _as_copied(column: Column) -> str:
    """The column as the driver must get it for binary COPY: uuid as 16 bytes, text as it stands in the file."""
    value = quoted(column.name)
    if column.kind == "uuid":
        return value if column.transform is not None else f"unhex({value})"
    if column.kind == "numeric":
        return f"{value}::DECIMAL(20, 4)"
    if column.kind == "bigint":
        return f"{value}::BIGINT"
    return value if column.kind != "text" else _as_kept(column)


def _as_kept(column: Column) -> str:
    """The column as events keep it when no type of theirs is asked for: the file's own text."""
    is_other = column.transform is None and column.logical_type != "string"
    return _text(column) if is_other else quoted(column.name)


def _as_json(value: str, column: Column | None = None) -> str:
    """JSON text of a value. Decimals are written digit by digit: to_json takes some of them through a double."""
    kind = typed_as(column) if column is not None and column.transform is not None else ""
    if not kind.startswith("DECIMAL"):
        return f"to_json({value})::VARCHAR"
    whole, decimals = column.digits if column is not None else (0, 0)
    # Where the type has no digit before the point, DuckDB writes 0.5 without its zero.
    text = f"{value}::VARCHAR" if whole else f"replace({value}::VARCHAR, '.', '0.')"
    return f"rtrim(rtrim({text}, '0'), '.')" if decimals else text


def _json_pairs(pairs: Sequence[tuple[str, str]], *more: str) -> str:
    """The inside of a JSON object, of (SQL of the key and its colon, JSON text of the value); nulls are left out.

    Null, not empty, when nothing is left: what is joined to it would keep a comma.
    """
    items = [*(f"{key} || {value}" for key, value in pairs), *more]
    return f"nullif(concat_ws(',', {', '.join(items)}), '')" if items else "NULL::VARCHAR"


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _matches(text: str, shape: object) -> str:
    return f"regexp_full_match({text}, {literal(shape)})"


def _list(items: Sequence[str] | Iterator[str]) -> str:
    return ",\n        ".join(items)


def quoted(name: str) -> str:
    """``name`` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """``value`` as an SQL text literal."""
    return "'" + str(value).replace("'", "''") + "'"
