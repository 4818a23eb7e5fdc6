"""Data contracts: what a feed's rows must be, read from ``include/contracts/*.odcs.yaml``.

The files follow the Open Data Contract Standard v3 (https://bitol-io.github.io/open-data-contract-standard/).
docs/contracts.md shows how each part of the standard is used here.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft201909Validator
from open_data_contract_standard.model import OpenDataContractStandard, SchemaProperty

from spark_jobs.csv_records import Dialect

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


class ContractError(ValueError):
    """A contract file cannot be used; the message names the file, the place and the remedy."""


class HeaderError(ValueError):
    """A header fits no contract; the message names the header and the contracts it was held against."""


@dataclass(frozen=True)
class Column:
    """One column of a feed. ``target`` is a column of events, or None: then the value goes to ``extra``."""

    name: str
    target: str | None
    logical_type: str
    required: bool = False
    unique: bool = False
    aliases: tuple[str, ...] = ()
    enum: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    formats: tuple[str, ...] = ()
    value_map: Mapping[str, str] = field(default_factory=dict)
    decimal_separator: str = "."
    trim: bool = False
    transform: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every header name that means this column, normalised."""
        return tuple(normal(name) for name in (self.name, *self.aliases))


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
    path: Path

    @property
    def read_columns(self) -> tuple[Column, ...]:
        """The columns that come from the file; the others are derived from them."""
        return tuple(column for column in self.columns if column.transform is None)

    def missing(self, header: Iterable[str]) -> list[str]:
        """Names of the required columns that ``header`` lacks."""
        names = {normal(name) for name in header}
        return [c.name for c in self.read_columns if c.required and not names.intersection(c.names)]

    def matched(self, header: Iterable[str]) -> int:
        """How many columns of the contract ``header`` has."""
        names = {normal(name) for name in header}
        return sum(1 for column in self.read_columns if names.intersection(column.names))


def normal(name: str) -> str:
    """A header name as it is compared: without surrounding blanks, letters folded."""
    return name.strip().casefold()


def load_contracts(folder: Path) -> tuple[Contract, ...]:
    """Every contract in ``folder``, by name; a changed file is read again, without a restart.

    Raises ContractError for the first file that is not a usable contract, and when two have one name.
    """
    paths = sorted(folder.glob("*.odcs.yaml"))
    contracts = tuple(_load(path, path.stat().st_mtime_ns) for path in paths)
    if not contracts:
        raise ContractError(f"no contract in {folder}: it must hold at least one file named *.odcs.yaml")
    names = [contract.name for contract in contracts]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ContractError(f"{folder}: more than one contract is named {sorted(twice)}: rename one")
    return contracts


@functools.lru_cache(maxsize=256)
def _load(path: Path, _changed: int) -> Contract:
    return parse_contract(path.read_text(encoding="utf-8"), path)


def parse_contract(text: str, path: Path) -> Contract:
    """The contract in ``text``; ``path`` is for messages. Raises ContractError."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ContractError(f"{path.name}: not YAML: {error}") from error
    if problems := standard_problems(document):
        raise ContractError(f"{path.name}: not an Open Data Contract Standard v3 contract: {'; '.join(problems)}")
    model = OpenDataContractStandard(**document)
    if not model.schema_ or len(model.schema_) != 1:
        raise ContractError(f"{path.name}: schema must hold exactly one object (one contract is one feed)")
    table = model.schema_[0]
    custom = _custom(model.customProperties) | _custom(table.customProperties)
    budget = custom.get("errorBudget", {})
    columns = tuple(_column(path, item) for item in table.properties or [])
    contract = Contract(
        name=model.name or model.id or path.name.removesuffix(".odcs.yaml"),
        version=str(model.version),
        columns=columns,
        rules=_rules(path, table.quality, None)
        + tuple(rule for item in table.properties or [] for rule in _rules(path, item.quality, item.name)),
        dialect=_dialect(path, custom.get("csv", {})),
        timezone=str(custom.get("timezone", "UTC")),
        budget_rows=budget.get("rows"),
        budget_percent=budget.get("percent"),
        revision=str(custom.get("revision", "append")),
        path=path,
    )
    _check(contract)
    return contract


@functools.cache
def _validator() -> Draft201909Validator:
    schema = files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8")
    return Draft201909Validator(json.loads(schema))


def standard_problems(document: Any) -> list[str]:
    """What of ``document`` the standard's own JSON schema does not allow: place and reason, at most five."""
    errors = sorted(_validator().iter_errors(document), key=lambda error: list(map(str, error.absolute_path)))
    return [f"{'.'.join(map(str, e.absolute_path)) or 'document'}: {e.message[:200]}" for e in errors[:5]]


def _custom(properties: Sequence[Any] | None) -> dict[str, Any]:
    return {item.property: item.value for item in properties or []}


def _column(path: Path, item: SchemaProperty) -> Column:
    custom = _custom(item.customProperties)
    physical = item.physicalName or (item.name if item.name in EVENT_COLUMNS else None)
    if physical is not None and physical not in EVENT_COLUMNS:
        raise ContractError(
            f"{path.name}: {item.name}: physicalName {physical!r} is no column of events: "
            f"leave it out to keep the value in extra, or name one of {', '.join(EVENT_COLUMNS)}"
        )
    options = dict(item.logicalTypeOptions or {})
    formats = custom.get("formats") or ([options["format"]] if "format" in options else [])
    return Column(
        name=str(item.name),
        target=physical,
        logical_type=item.logicalType or "string",
        required=bool(item.required),
        unique=bool(item.unique or item.primaryKey),
        aliases=tuple(str(synonym.synonym) for synonym in item.synonyms or []),
        enum=tuple(str(entry.value) for entry in item.enum or []),
        options=options,
        formats=tuple(map(str, formats)),
        value_map={str(key): str(value) for key, value in custom.get("valueMap", {}).items()},
        decimal_separator=str(custom.get("decimalSeparator", ".")),
        trim=bool(custom.get("trim", False)),
        transform=item.transformLogic,
    )


def _rules(path: Path, quality: Sequence[Any] | None, column: str | None) -> tuple[Rule, ...]:
    rules = []
    for number, entry in enumerate(quality or [], start=1):
        name = entry.name or f"{column or 'row'}.rule_{number}"
        severity = entry.severity or "reject"
        if entry.type == "text":
            continue
        if entry.type != "custom" or entry.engine != "sluice" or not isinstance(entry.implementation, str):
            raise ContractError(
                f"{path.name}: rule {name!r}: write it as type: custom, engine: sluice, and an implementation that is "
                "an SQL predicate over the contract's columns"
            )
        if severity not in SEVERITIES:
            raise ContractError(f"{path.name}: rule {name!r}: severity {severity!r} is none of {', '.join(SEVERITIES)}")
        rules.append(Rule(name, entry.implementation, severity, entry.description or ""))
    return tuple(rules)


def _dialect(path: Path, csv: Mapping[str, Any]) -> Dialect:
    known = {"separator", "quote", "escape", "encoding", "nulls"}
    if unknown := set(csv) - known:
        raise ContractError(f"{path.name}: csv has {sorted(unknown)}: known are {sorted(known)}")
    for name in ("separator", "quote", "escape"):
        value = csv.get(name)
        if value is not None and (len(value) != 1 or not value.isascii() or value in "\r\n\0"):
            raise ContractError(f"{path.name}: csv.{name} is {value!r}: it must be one ASCII character")
    try:
        "".encode(csv.get("encoding", "utf-8"))
    except LookupError:
        raise ContractError(f"{path.name}: csv.encoding {csv['encoding']!r} is no encoding that Python knows") from None
    values = {key: tuple(map(str, value)) if key == "nulls" else value for key, value in csv.items()}
    return Dialect(**values)


def _check(contract: Contract) -> None:
    where = contract.path.name
    names = [normal(name) for column in contract.columns for name in (column.name, *column.aliases)]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ContractError(f"{where}: more than one column answers to {sorted(twice)}: keep one")
    targets = [column.target for column in contract.columns if column.target]
    if twice := {name for name in targets if targets.count(name) > 1}:
        raise ContractError(f"{where}: more than one column fills {sorted(twice)} of events: keep one")
    for target in _MUST_BE_FILLED:
        if target not in targets:
            raise ContractError(
                f"{where}: nothing fills {target} of events: give a column physicalName: {target}, or a transformLogic "
                "(record_id(file_sha256, record_number) derives an event_id)"
            )
    for column in contract.columns:
        if (
            column.transform is None
            and column.logical_type not in _LOGICAL_TYPE_OF[EVENT_COLUMNS[column.target or "category"]]
        ):
            raise ContractError(
                f"{where}: {column.name}: logicalType {column.logical_type!r} cannot fill {column.target or 'extra'}: "
                f"use one of {', '.join(_LOGICAL_TYPE_OF[EVENT_COLUMNS[column.target or 'category']])}"
            )
    if contract.revision not in REVISIONS:
        raise ContractError(f"{where}: revision {contract.revision!r} is none of {', '.join(REVISIONS)}")


@dataclass(frozen=True)
class Match:
    """A header and the contract that it fits."""

    contract: Contract
    header: tuple[str, ...]


def match(headers: Sequence[tuple[Contract, list[str] | None]]) -> Match:
    """The contract that fits best among ``headers``: each contract with the header as its own dialect reads it.

    Fits: no required column is missing. Best: the most columns matched. Raises HeaderError when none or several fit.
    """
    readable = [(contract, header) for contract, header in headers if header]
    if not readable:
        raise HeaderError("the file has no header: its first line must name the columns")
    fitting = [(c.matched(h), c, h) for c, h in readable if not c.missing(h) and c.matched(h)]
    if not fitting:
        raise HeaderError(_why_none(readable))
    most = max(matched for matched, _, _ in fitting)
    best = [(c, h) for matched, c, h in fitting if matched == most]
    if len(best) > 1:
        names = ", ".join(contract.name for contract, _ in best)
        raise HeaderError(
            f"header {best[0][1]} fits contracts {names} equally well: make their required columns differ"
        )
    contract, header = best[0]
    if twice := sorted({name for name in header if name and [normal(n) for n in header].count(normal(name)) > 1}):
        raise HeaderError(f"header {header} names {twice} more than once: rename or drop the repeated columns")
    _one_column_each(contract, header)
    return Match(contract, tuple(header))


def _one_column_each(contract: Contract, header: list[str]) -> None:
    for column in contract.read_columns:
        if len(both := [name for name in header if normal(name) in column.names]) > 1:
            raise HeaderError(f"header columns {both} all mean {column.name} of contract {contract.name}: keep one")


def _why_none(readable: list[tuple[Contract, list[str]]]) -> str:
    nearest, header = max(readable, key=lambda pair: pair[0].matched(pair[1]) - len(pair[0].missing(pair[1])) / 100)
    held = ", ".join(sorted(contract.name for contract, _ in readable))
    shown = [name[:80] for name in header[:40]]
    if nearest.matched(header):
        why = f"nearest is {nearest.name}, which also needs {', '.join(nearest.missing(header))}"
    else:
        why = "it has no column of any of them"
    return (
        f"header {shown} fits no contract (held against {held}): {why}; "
        "correct the header, or add a contract for this feed under include/contracts"
    )
