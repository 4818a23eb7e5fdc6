"""Reads a contract file: YAML, the standard's own schema, and then what Sluice makes of its parts."""

from __future__ import annotations

import functools
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft201909Validator, ValidationError
from open_data_contract_standard.model import OpenDataContractStandard

from sluice.contracts.dialect import parse_dialect, parse_layout
from sluice.contracts.model import Contract, ContractError
from sluice.contracts.parse_column import parse_column
from sluice.contracts.parse_expect import parse_expect
from sluice.contracts.properties import custom_properties, true_or_false
from sluice.contracts.rules.contract_rules import read_predicates
from sluice.contracts.validate import validate
from sluice.contracts.yaml12 import Yaml

_CONTRACT_PROPERTIES = (
    "csv",
    "timezone",
    "errorBudget",
    "revision",
    "cancellations",
    "drift",
    "files",
    "reportCurrency",
    "sales",
    "expect",
)
_CURRENCY = re.compile("[A-Z]{3}")


def parse_contract(text: str, path: Path) -> Contract:
    """The contract in ``text``; ``path`` is for messages. Raises ContractError."""
    try:
        document = yaml.load(text, Loader=Yaml)  # noqa: S506
    except (yaml.YAMLError, ValueError) as error:
        raise ContractError(f"{path.name}: not YAML: {error}") from error
    if problems := standard_problems(document):
        raise ContractError(f"{path.name}: not an Open Data Contract Standard v3 contract: {'; '.join(problems)}")
    model = OpenDataContractStandard(**document)
    if not model.schema_ or len(model.schema_) != 1:
        raise ContractError(f"{path.name}: schema must hold exactly one object (one contract is one feed)")
    try:
        contract = _contract(model, path)
        validate(contract)
    except ContractError as error:
        raise ContractError(f"{path.name}: {error}") from None
    return contract


def _contract(model: OpenDataContractStandard, path: Path) -> Contract:
    assert model.schema_
    table = model.schema_[0]
    custom = custom_properties(
        [*(model.customProperties or []), *(table.customProperties or [])], _CONTRACT_PROPERTIES, "contract"
    )
    budget = _budget(custom.get("errorBudget", {}))
    layout, file_patterns = parse_layout(custom.get("csv", {})), _file_patterns(custom.get("files", []))
    if not layout.names_columns and not file_patterns:
        raise ContractError(
            f"csv.header is {layout.header}, so any file would fit: say which files are this feed's by their names, "
            'such as files: ["berlin-*.csv"]'
        )
    properties = table.properties or []
    zone = str(custom.get("timezone", "UTC"))
    return Contract(
        name=model.name or model.id or path.name.removesuffix(".odcs.yaml"),
        version=str(model.version),
        columns=tuple(parse_column(item) for item in properties),
        predicates=read_predicates(table.quality, None)
        + tuple(each for p in properties for each in read_predicates(p.quality, p.name)),
        dialect=parse_dialect(custom.get("csv", {})),
        timezone=zone,
        budget_rows=budget.get("rows"),
        budget_percent=budget.get("percent"),
        revision=str(custom.get("revision", "append")),
        cancellations=str(custom.get("cancellations", "negative")),
        drift=str(custom.get("drift", "warn")),
        report_currency=_currency(custom.get("reportCurrency", "")),
        sales=true_or_false(custom["sales"], "sales") if "sales" in custom else None,
        path=path,
        layout=layout,
        files=file_patterns,
        expect=parse_expect(custom["expect"], zone) if "expect" in custom else None,
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


def _file_patterns(patterns: Any) -> tuple[str, ...]:
    is_list = isinstance(patterns, list) and all(isinstance(each, str) and each.strip() for each in patterns)
    if not is_list or any("/" in each for each in patterns):
        raise ContractError(f'files is {patterns!r}: write a list of patterns of file names, such as ["berlin-*.csv"]')
    return tuple(patterns)


def _currency(code: Any) -> str:
    if code != "" and not (isinstance(code, str) and _CURRENCY.fullmatch(code)):
        raise ContractError(
            f"reportCurrency is {code!r}: write the code (ISO 4217) of the currency that the feed's amounts are in, "
            "three capital letters such as EUR, or leave it out"
        )
    return str(code)


def _budget(budget: Any) -> dict[str, Any]:
    if not isinstance(budget, dict) or set(budget) - {"rows", "percent"}:
        raise ContractError(f"errorBudget is {budget!r}: write {{rows: n}}, {{percent: n}} or both")
    for name, value in budget.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ContractError(f"errorBudget.{name} is {value!r}: it must be a number, 0 or more")
    return budget
