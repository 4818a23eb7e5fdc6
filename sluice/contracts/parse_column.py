"""Reads one column of a contract file."""

from __future__ import annotations

import re
from typing import Any

from open_data_contract_standard.model import SchemaProperty

from sluice.contracts.event_columns import EVENT_COLUMNS
from sluice.contracts.model import Column, ContractError
from sluice.contracts.number_format import number_format
from sluice.contracts.properties import custom_properties, file_text, true_or_false
from sluice.contracts.rules import registry
from sluice.contracts.rules.rule_types import LOGICAL_TYPES

_COLUMN_PROPERTIES = ("formats", "valueMap", "decimalSeparator", "thousandsSeparator", "currency", "trim")
_NUMERIC = re.compile(r"(?:numeric|decimal|number)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", re.IGNORECASE)
_FLOATS = {"real", "float", "float4", "float8", "double", "double precision"}
_INTEGERS = {
    **dict.fromkeys(("smallint", "int2"), "SMALLINT"),
    **dict.fromkeys(("integer", "int", "int4"), "INTEGER"),
    **dict.fromkeys(("bigint", "int8"), "BIGINT"),
}


def parse_column(item: SchemaProperty) -> Column:
    """The column that ``item`` of the contract file describes. Raises ContractError, which names it."""
    name = str(item.name)
    custom = custom_properties(item.customProperties, (*_COLUMN_PROPERTIES, *registry.custom_names()), name)
    target = _target(name, item.physicalName)
    logical_type = item.logicalType or "string"
    options = dict(item.logicalTypeOptions or {})
    known = registry.options_of(logical_type)
    if logical_type in LOGICAL_TYPES and (unknown := set(options) - known):
        raise ContractError(
            f"{name}: logicalTypeOptions {sorted(unknown)} mean nothing for a {logical_type}: known are {sorted(known)}"
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
        declared=registry.declared(item, logical_type, custom),
        options=options,
        formats=tuple(map(str, formats)) if logical_type in ("timestamp", "date") else (),
        value_map=_value_map(name, custom.get("valueMap", {})),
        **number_format(name, logical_type, custom),
        trim=true_or_false(custom.get("trim", False), f"{name}: trim"),
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
    if digits := _NUMERIC.fullmatch(plain):
        precision, scale = int(digits[1]), int(digits[2] or 0)
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
    return {
        file_text(key, where): None if value is None else file_text(value, where) for key, value in value_map.items()
    }
