"""Data contracts: what a feed's rows must be, read from ``include/contracts/*.odcs.yaml``.

The files follow the Open Data Contract Standard v3 (https://bitol-io.github.io/open-data-contract-standard/).
docs/contracts.md shows how each part of the standard is used here.
"""

from __future__ import annotations

import codecs
import difflib
import functools
import itertools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft201909Validator, ValidationError
from open_data_contract_standard.model import OpenDataContractStandard, SchemaProperty

from sluice.contracts.drift import Drift, of_header
from sluice.reading.dialect import Dialect

# The columns of table events that a feed may fill, and how the judge must hand each to PostgreSQL.
EVENT_COLUMNS = {
    "event_id": "uuid",
    "event_type": "text",
    "event_time": "timestamptz",
    "user_id": "text",
    "product_id": "text",
    "category": "text",
    "price": "numeric",
    "session_id": "text",
    "ip_address": "text",
    "user_agent": "text",
    "search_query": "text",
    "search_results_count": "bigint",
    "quantity": "bigint",
    "total_amount": "numeric",
    "payment_method": "text",
}
_MUST_BE_FILLED = ("event_id", "event_type", "event_time")
_LOGICAL_TYPE_OF = {
    "uuid": ("string",),
    "timestamptz": ("timestamp", "date"),
    "numeric": ("number", "integer"),
    "bigint": ("integer",),
    "text": ("string", "integer", "number", "boolean", "timestamp", "date"),
}
SEVERITIES = ("warn", "reject", "fail")
REVISIONS = ("append", "replace", "reject")
CANCELLATIONS = ("negative", "positive")
# What a cancellation carries with a sign; reports count it as it stands.
SIGNED = ("quantity", "total_amount")
DRIFTS = ("warn", "reject")
# What an expression may name besides the contract's own columns.
RECORD_NAMES = ("record_number", "file_sha256")
_OPTIONS_OF = {
    "string": {"minLength", "maxLength", "pattern", "format"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"},
    "timestamp": {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "format",
        "timezone",
        "defaultTimezone",
    },
    "boolean": set[str](),
}
_OPTIONS_OF |= {"integer": _OPTIONS_OF["number"], "date": _OPTIONS_OF["timestamp"]}
_CONTRACT_PROPERTIES = ("csv", "timezone", "errorBudget", "revision", "cancellations", "drift")
_COLUMN_PROPERTIES = ("formats", "valueMap", "decimalSeparator", "trim")
_TIMESTAMP, _INTEGER = "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int"
_NUMERIC = re.compile(r"(?:numeric|decimal|number)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", re.IGNORECASE)
# Encodings in which a byte that looks like a separator may be part of another letter.
_SHIFTING = (
    "iso2022",
    "hz",
    "utf-7",
    "idna",
    "punycode",
    "unicode_escape",
    "raw_unicode_escape",
    "unicode-escape",
    "raw-unicode",
)
_FLOATS = {"real", "float", "float4", "float8", "double", "double precision"}
_INTEGERS = {
    **dict.fromkeys(("smallint", "int2"), "SMALLINT"),
    **dict.fromkeys(("integer", "int", "int4"), "INTEGER"),
    **dict.fromkeys(("bigint", "int8"), "BIGINT"),
}


class ContractError(ValueError):
    """A contract file cannot be used; the message names the file, the place and the remedy."""


class HeaderError(ValueError):
    """A header fits no contract; the message names the header and the contracts it was held against."""


@dataclass(frozen=True)
class Column:
    """One column of a feed. ``target`` is a column of events, or None: then the value goes to ``extra``.

    ``digits`` bounds a number's digits before and after the point; ``integer`` is the DuckDB type of an integer;
    ``is_float`` allows exponents. ``value_map`` maps the file's texts to others, None to null.
    """

    name: str
    target: str | None
    logical_type: str
    digits: tuple[int, int] = (16, 4)
    integer: str = "BIGINT"
    is_float: bool = False
    required: bool = False
    unique: bool = False
    aliases: tuple[str, ...] = ()
    enum: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    formats: tuple[str, ...] = ()
    value_map: Mapping[str, str | None] = field(default_factory=dict)
    decimal_separator: str = "."
    trim: bool = False
    transform: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every header name that means this column, normalised."""
        return tuple(normal(name) for name in (self.name, *self.aliases))

    @property
    def kind(self) -> str:
        """What the value is for PostgreSQL: the type of the column of events, or text."""
        return EVENT_COLUMNS[self.target] if self.target else "text"


@dataclass(frozen=True)
class Rule:
    """A predicate that every good row fulfils (SQL; unknown counts as fulfilled, as in a CHECK constraint)."""

    name: str
    predicate: str
    severity: str
    description: str = ""


@dataclass(frozen=True, eq=False)
class Contract:
    """What a feed's rows must be, and how they become rows of ``events``. Equal only to itself."""

    name: str
    version: str
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    dialect: Dialect
    timezone: str
    budget_rows: int | None
    budget_percent: float | None
    revision: str
    cancellations: str
    drift: str
    path: Path

    @functools.cached_property
    def read_columns(self) -> tuple[Column, ...]:
        """The columns that come from the file."""
        return tuple(column for column in self.columns if column.transform is None)

    @functools.cached_property
    def derived_columns(self) -> tuple[Column, ...]:
        """The columns that are derived from those of the file, and from derived ones before them."""
        return tuple(column for column in self.columns if column.transform is not None)

    def missing(self, header: Iterable[str]) -> list[str]:
        """Names of the required columns that ``header`` lacks; of all columns when none is required."""
        names = {normal(name) for name in header}
        required = [column for column in self.read_columns if column.required] or self.read_columns
        return [column.name for column in required if not names.intersection(column.names)]

    def matched(self, header: Iterable[str]) -> int:
        """How many columns of the contract ``header`` has."""
        names = {normal(name) for name in header}
        return sum(1 for column in self.read_columns if names.intersection(column.names))


def normal(name: str) -> str:
    """A header name as it is compared: without surrounding blanks, letters folded."""
    return name.strip().casefold()


def can_be_described(name: str) -> bool:
    """Whether a contract can describe a column of this name; the others go to extra by themselves."""
    return bool(normal(name)) and not normal(name).startswith("__") and normal(name) not in RECORD_NAMES


def more_than_once(names: Iterable[Any]) -> list[Any]:
    """Those of ``names`` that stand there again, sorted."""
    return sorted(name for name, times in Counter(names).items() if times > 1)


class _Yaml(yaml.SafeLoader):
    """YAML as 1.2 means it: `no` and `2020-01-01` are text, only `true` and `false` are booleans; a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := more_than_once(keys):
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: {twice} stands more than once: keep one")
        return super().construct_mapping(node, deep)


_Yaml.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in ("tag:yaml.org,2002:bool", _TIMESTAMP, _INTEGER)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Yaml.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(true|false)$"), list("tf"))
_Yaml.add_implicit_resolver(_INTEGER, re.compile(r"[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789"))


def parse_contract(text: str, path: Path) -> Contract:
    """The contract in ``text``; ``path`` is for messages. Raises ContractError."""
    try:
        document = yaml.load(text, Loader=_Yaml)  # noqa: S506
    except (yaml.YAMLError, ValueError) as error:
        raise ContractError(f"{path.name}: not YAML: {error}") from error
    if problems := standard_problems(document):
        raise ContractError(f"{path.name}: not an Open Data Contract Standard v3 contract: {'; '.join(problems)}")
    model = OpenDataContractStandard(**document)
    if not model.schema_ or len(model.schema_) != 1:
        raise ContractError(f"{path.name}: schema must hold exactly one object (one contract is one feed)")
    try:
        contract = _contract(model, path)
        _check(contract)
    except ContractError as error:
        raise ContractError(f"{path.name}: {error}") from None
    return contract


def _contract(model: OpenDataContractStandard, path: Path) -> Contract:
    assert model.schema_
    table = model.schema_[0]
    custom = _custom(
        [*(model.customProperties or []), *(table.customProperties or [])], _CONTRACT_PROPERTIES, "contract"
    )
    budget = _budget(custom.get("errorBudget", {}))
    properties = table.properties or []
    return Contract(
        name=model.name or model.id or path.name.removesuffix(".odcs.yaml"),
        version=str(model.version),
        columns=tuple(_column(item) for item in properties),
        rules=_rules(table.quality, None) + tuple(rule for p in properties for rule in _rules(p.quality, p.name)),
        dialect=_dialect(custom.get("csv", {})),
        timezone=str(custom.get("timezone", "UTC")),
        budget_rows=budget.get("rows"),
        budget_percent=budget.get("percent"),
        revision=str(custom.get("revision", "append")),
        cancellations=str(custom.get("cancellations", "negative")),
        drift=str(custom.get("drift", "warn")),
        path=path,
    )


@functools.cache
def _validator() -> Draft201909Validator:
    schema = files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8")
    return Draft201909Validator(json.loads(schema))


def standard_problems(document: Any) -> list[str]:
    """What of ``document`` the standard's own JSON schema does not allow: place and reason, at most five."""
    errors = sorted(_validator().iter_errors(document), key=lambda error: list(map(str, error.absolute_path)))
    return [f"{'.'.join(map(str, e.absolute_path)) or 'document'}: {_standard_problem(e)}" for e in errors[:5]]


def _standard_problem(error: ValidationError) -> str:
    # The schema's words for a column without a type are that it lacks what each of the types needs.
    column = error.instance
    is_column = list(error.absolute_path)[-2:-1] == ["properties"]
    if is_column and isinstance(column, dict) and "logicalType" not in column:
        return f"column {column.get('name')!r} needs a logicalType (string, integer, number, timestamp, …)"
    return error.message[:200]


def _custom(properties: Sequence[Any] | None, known: Sequence[str], where: str) -> dict[str, Any]:
    """The custom properties by name; those of other tools are left alone, a misspelt one of ours is an error."""
    found = {item.property: item.value for item in properties or []}
    folded = {name.casefold(): name for name in known}
    for name in found:
        near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.85)
        if name not in known and near:
            raise ContractError(f"{where}: custom property {name!r} is unknown: did you mean {folded[near[0]]}?")
    return found


def _text(value: object, where: str) -> str:
    """A value that stands for text of the file; a whole number may stand without quotes."""
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise ContractError(f"{where}: {value!r} must be the text that stands in the file: put it in quotes")


def _budget(budget: Any) -> dict[str, Any]:
    if not isinstance(budget, dict) or set(budget) - {"rows", "percent"}:
        raise ContractError(f"errorBudget is {budget!r}: write {{rows: n}}, {{percent: n}} or both")
    for name, value in budget.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ContractError(f"errorBudget.{name} is {value!r}: it must be a number, 0 or more")
    return budget


def _column(item: SchemaProperty) -> Column:
    name = str(item.name)
    custom = _custom(item.customProperties, _COLUMN_PROPERTIES, name)
    target = _target(name, item.physicalName)
    logical_type = item.logicalType or "string"
    options = dict(item.logicalTypeOptions or {})
    if logical_type in _OPTIONS_OF and (unknown := set(options) - _OPTIONS_OF[logical_type]):
        raise ContractError(
            f"{name}: logicalTypeOptions {sorted(unknown)} mean nothing for a {logical_type}: "
            f"known are {sorted(_OPTIONS_OF[logical_type])}"
        )
    formats = custom.get("formats") or ([options["format"]] if "format" in options else [])
    return Column(
        name=name,
        target=target,
        logical_type=logical_type,
        **_physical(name, item.physicalType or "", target),
        required=bool(item.required),
        unique=bool(item.unique or item.primaryKey),
        aliases=tuple(str(synonym.synonym) for synonym in item.synonyms or []),
        enum=tuple(_text(entry.value, f"{name}: enum") for entry in item.enum or []),
        options=options,
        formats=tuple(map(str, formats)) if logical_type in ("timestamp", "date") else (),
        value_map=_value_map(name, custom.get("valueMap", {})),
        decimal_separator=_decimal_separator(name, custom.get("decimalSeparator", ".")),
        trim=_boolean(name, "trim", custom.get("trim", False)),
        transform=item.transformLogic,
    )


def _target(name: str, physical_name: str | None) -> str | None:
    if physical_name is None or physical_name == "extra":
        return name if physical_name is None and name in EVENT_COLUMNS else None
    if physical_name not in EVENT_COLUMNS:
        raise ContractError(
            f"{name}: physicalName {physical_name!r} is no column of events: "
            f"leave it out to keep the value in extra, or name one of {', '.join(EVENT_COLUMNS)}"
        )
    return physical_name


def _physical(name: str, physical_type: str, target: str | None) -> dict[str, Any]:
    """What the physical type says about numbers, as far as the column of events can hold it."""
    in_events = target is not None and EVENT_COLUMNS[target] in ("numeric", "bigint")
    whole, decimals = (16, 4) if in_events else (28, 10)
    plain = physical_type.strip().lower()
    if found := _NUMERIC.fullmatch(plain):
        precision, scale = int(found[1]), int(found[2] or 0)
        if not 0 < precision <= 38 or scale > precision:
            raise ContractError(f"{name}: physicalType {physical_type!r}: at most 38 digits, no more of them decimals")
        whole, decimals = (min(precision - scale, 16), min(scale, 4)) if in_events else (precision - scale, scale)
    return {
        "digits": (whole, decimals),
        "integer": _INTEGERS.get(plain, "BIGINT" if in_events else "HUGEINT"),
        "is_float": plain in _FLOATS and not in_events,
    }


def _value_map(name: str, value_map: Any) -> dict[str, str | None]:
    if not isinstance(value_map, dict):
        raise ContractError(f"{name}: valueMap is {value_map!r}: write {{text in the file: text in events}}")
    where = f"{name}: valueMap"
    return {_text(key, where): None if value is None else _text(value, where) for key, value in value_map.items()}


def _decimal_separator(name: str, separator: Any) -> str:
    if separator not in (".", ","):
        raise ContractError(f"{name}: decimalSeparator is {separator!r}: it must be '.' or ','")
    return str(separator)


def _boolean(name: str, option: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ContractError(f"{name}: {option} is {value!r}: it must be true or false")
    return value


def _rules(quality: Sequence[Any] | None, column: str | None) -> tuple[Rule, ...]:
    rules = []
    for number, entry in enumerate(quality or [], start=1):
        name = entry.name or f"{column or 'row'}.rule_{number}"
        severity = entry.severity or "reject"
        if entry.type == "text":
            continue
        if entry.type != "custom" or entry.engine != "sluice" or not isinstance(entry.implementation, str):
            raise ContractError(
                f"rule {name!r}: write it as type: custom, engine: sluice, and an implementation that is "
                "an SQL predicate over the contract's columns"
            )
        if severity not in SEVERITIES:
            raise ContractError(f"rule {name!r}: severity {severity!r} is none of {', '.join(SEVERITIES)}")
        rules.append(Rule(name, entry.implementation, severity, entry.description or ""))
    return tuple(rules)


def _dialect(csv: Any) -> Dialect:
    known = {"separator", "quote", "escape", "encoding", "nulls", "strayQuote"}
    if not isinstance(csv, dict) or set(csv) - known:
        raise ContractError(f"csv is {csv!r}: it may hold {', '.join(sorted(known))}")
    marks = {name: csv[name] for name in ("separator", "quote", "escape") if csv.get(name) is not None}
    for name, value in marks.items():
        if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n\0":
            raise ContractError(f"csv.{name} is {value!r}: it must be one ASCII character in quotes")
    if {"separator": ",", "quote": '"', **marks}["separator"] in (marks.get("quote", '"'), marks.get("escape")):
        raise ContractError(f"csv.separator is {marks['separator']!r}, which quote or escape is too: make them differ")
    if marks.get("escape") == marks.get("quote", '"'):
        del marks["escape"]  # other tools say so; a doubled quote is a quote anyway
    stray_quote = csv.get("strayQuote")
    if stray_quote not in (None, "warn", "reject"):
        raise ContractError(
            f"csv.strayQuote is {stray_quote!r}: it must be warn or reject; without it only rows whose fields may be "
            "shifted are rejected"
        )
    nulls = csv.get("nulls", [""])
    if not isinstance(nulls, list):
        raise ContractError(f"csv.nulls is {nulls!r}: write a list of texts")
    if (escape := marks.get("escape")) and (never := [null for null in map(str, nulls) if escape in null]):
        raise ContractError(
            f"csv.nulls has {never[0]!r}, which holds the escape character {escape!r}, but what that stands before is "
            "read without it: leave escape out if only nulls have it, or write the null without it"
        )
    return Dialect(
        **marks,
        encoding=_encoding(csv.get("encoding", "utf-8")),
        nulls=tuple(_text(n, "csv.nulls") for n in nulls),
        stray_quote=stray_quote,
    )


def _encoding(name: Any) -> str:
    """An encoding in which separators and line ends are single bytes that stand for nothing else, or UTF-16, UTF-32."""
    try:
        codec = codecs.lookup(str(name)).name
        fits = '\n,"a'.encode(codec).endswith(b'\n,"a') or codec.startswith(("utf-16", "utf-32"))
    except (LookupError, ValueError):
        fits = False
    if not fits or codec.startswith(_SHIFTING):
        raise ContractError(
            f"csv.encoding is {name!r}: it must be an encoding that Python knows and that keeps ASCII, such as utf-8, "
            "cp1252, latin-1, utf-16"
        )
    return "utf-8" if codec == "utf-8-sig" else str(name)  # marks are taken off anyway


def _check(contract: Contract) -> None:
    _check_names(contract)
    for column in contract.columns:
        _check_column(column)
    if not contract.read_columns:
        raise ContractError("no column comes from the file, so no header could be recognised: describe one at least")
    for name, known in (("revision", REVISIONS), ("cancellations", CANCELLATIONS), ("drift", DRIFTS)):
        if (value := getattr(contract, name)) not in known:
            raise ContractError(f"{name} {value!r} is none of {', '.join(known)}")


def _check_names(contract: Contract) -> None:
    names = [normal(name) for column in contract.columns for name in (column.name, *column.aliases)]
    if twice := more_than_once(names):
        raise ContractError(f"more than one column answers to {twice}: keep one")
    if taken := [name for name in names if name in RECORD_NAMES or name.startswith("__") or not name]:
        raise ContractError(f"column names {taken} are reserved: keep such a column in extra by leaving it out")
    if twice := more_than_once([column.target for column in contract.columns if column.target]):
        raise ContractError(f"more than one column fills {twice} of events: keep one")
    if twice := more_than_once([rule.name for rule in contract.rules]):
        raise ContractError(f"more than one rule is named {twice}: rename one")
    targets = {column.target for column in contract.columns}
    for target in _MUST_BE_FILLED:
        if target not in targets:
            raise ContractError(
                f"nothing fills {target} of events: give a column physicalName: {target}, or a transformLogic "
                "(record_id(file_sha256, record_number) derives an event_id)"
            )


def _check_column(column: Column) -> None:
    if column.unique and column.target != "event_id":
        raise ContractError(
            f"{column.name}: only event_id is kept unique while streaming: take unique and primaryKey off, or derive "
            f"event_id from this column (transformLogic: feed_id('feed', {column.name}))"
        )
    allowed = _LOGICAL_TYPE_OF[column.kind]
    if column.logical_type not in _LOGICAL_TYPE_OF["text"] or (
        column.transform is None and column.logical_type not in allowed
    ):
        raise ContractError(
            f"{column.name}: logicalType {column.logical_type!r} cannot fill {column.target or 'extra'}: "
            f"use one of {', '.join(allowed)}"
        )
    if column.transform is not None and (column.aliases or column.value_map or column.formats or column.trim):
        raise ContractError(
            f"{column.name}: a derived column has no synonyms, valueMap, formats or trim: "
            "give them to the columns of the file, or say it in transformLogic"
        )


@dataclass(frozen=True)
class Match:
    """A header and the contract that it fits."""

    contract: Contract
    header: tuple[str, ...]

    @functools.cached_property
    def field_names(self) -> tuple[str, ...]:
        """A name for each field, no two alike: the header's (without NUL), or column_3 for a third that has none."""
        derived = [column.name for column in self.contract.derived_columns if column.target is None]
        taken, reserved = set(derived), {*derived, *self.header}
        names: list[str] = []
        for number, header in enumerate(self.header, start=1):
            name = header.strip().replace("\0", "\\0") or f"column_{number}"
            name = _next_free(name, reserved) if name in taken else name
            names.append(name)
            taken.add(name)
            reserved.add(name)
        return tuple(names)

    @functools.cached_property
    def drift(self) -> Drift:
        """How the header differs from what the contract describes, as far as a contract can."""
        there = {normal(name) for name in self.header}
        known = {name for column in self.contract.read_columns for name in column.names}
        missing = {c.name: (c.name, *c.aliases) for c in self.contract.read_columns if not there.intersection(c.names)}
        unknown = [name for name in self.header if can_be_described(name) and normal(name) not in known]
        new = [name.strip().replace("\0", "\\0") for name in unknown]
        return of_header(missing, new)

    @functools.cached_property
    def fillable(self) -> tuple[str, ...]:
        """The columns of events that may or may not have values in a file with this header."""
        lost = {*self.drift.get("missing", ()), *self.drift.get("renamed", ())}
        targets = (column.target for column in self.contract.columns if column.name not in lost)
        return tuple(target for target in targets if target and target not in _MUST_BE_FILLED)


def _next_free(name: str, taken: set[str]) -> str:
    return next(free for n in itertools.count(2) if (free := f"{name}_{n}") not in taken)


def match(headers: Sequence[tuple[Contract, list[str] | None]], columns_max: int | None = None) -> Match:
    """The contract that fits best among ``headers``: each contract with the header as its own dialect reads it.

    Fits: no required column is missing. Best: the most columns matched. Raises HeaderError when none or several fit, or
    when the header has more than ``columns_max`` columns.
    """
    readable = [(contract, header) for contract, header in headers if header]
    if not readable:
        raise HeaderError("the file has no header that can be read: its first line must name the columns")
    narrow = [(c, h) for c, h in readable if columns_max is None or len(h) <= columns_max]
    fitting = [(c.matched(h), c, h) for c, h in narrow if not c.missing(h) and c.matched(h)]
    if not fitting:
        raise HeaderError(_why_none(readable) if len(narrow) == len(readable) else _too_wide(readable, columns_max))
    most = max(matched for matched, _, _ in fitting)
    best = [(c, h) for matched, c, h in fitting if matched == most]
    if len(best) > 1:
        names = ", ".join(contract.name for contract, _ in best)
        raise HeaderError(
            f"header {_shown(best[0][1])} fits contracts {names} equally well: make their required columns differ"
        )
    contract, header = best[0]
    repeated = {*more_than_once(map(normal, header))}
    if twice := sorted({name for name in header if name and normal(name) in repeated}):
        raise HeaderError(
            f"header {_shown(header)} names {_shown(twice)} more than once: rename or drop the repeated columns"
        )
    _one_column_each(contract, header)
    return Match(contract, tuple(header))


def _one_column_each(contract: Contract, header: list[str]) -> None:
    column_of = {name: column.name for column in contract.read_columns for name in column.names}
    meaning: dict[str, list[str]] = defaultdict(list)
    for name in header:
        if (column := column_of.get(normal(name))) is not None:
            meaning[column].append(name)
    for column, both in meaning.items():
        if len(both) > 1:
            raise HeaderError(f"header columns {both} all mean {column} of contract {contract.name}: keep one")


def _shown(names: Sequence[str], most: int = 40) -> str:
    """Names as a list for people; of many long ones the beginning."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{[name[:80] for name in names[:most]]}{more}"


def _too_wide(readable: list[tuple[Contract, list[str]]], columns_max: int | None) -> str:
    header = max((header for _, header in readable), key=len)
    return (
        f"header {_shown(header, 5)} has {len(header):,} columns, more than SLUICE_COLUMNS_MAX={columns_max} allows: "
        "land a narrower file, or raise the setting"
    )


def _why_none(readable: list[tuple[Contract, list[str]]]) -> str:
    nearest, header = max(readable, key=lambda pair: pair[0].matched(pair[1]) - len(pair[0].missing(pair[1])) / 100)
    held = ", ".join(sorted(contract.name for contract, _ in readable))
    if nearest.matched(header):
        why = (
            f"nearest is {nearest.name}, which also needs {', '.join(nearest.missing(header))}{_looks(nearest, header)}"
        )
    else:
        why = "it has no column of any of them"
    return (
        f"header {_shown(header)} fits no contract (held against {held}): {why}; "
        "correct the header, or add a contract for this feed under include/contracts"
    )


def _looks(contract: Contract, header: list[str]) -> str:
    """Which names of the header look like columns that the contract needs."""
    missing = Match(contract, tuple(header)).drift.get("renamed", {})
    looks = [f"{theirs[:80]} looks like {ours}: add a synonym" for ours, theirs in missing.items()]
    return f" ({'; '.join(looks)})" if looks else ""
