"""What a contract must be as a whole, once each of its parts is understood."""

from __future__ import annotations

from sluice.contracts.event_columns import MUST_BE_FILLED
from sluice.contracts.model import (
    DRIFTS,
    RECORD_NAMES,
    REVISIONS,
    Column,
    Contract,
    ContractError,
    more_than_once,
    normal,
)
from sluice.contracts.rules import registry

_LOGICAL_TYPE_OF = {
    "uuid": ("string",),
    "timestamptz": ("timestamp", "date"),
    "numeric": ("number", "integer"),
    "bigint": ("integer",),
    "text": ("string", "integer", "number", "boolean", "timestamp", "date"),
}


def validate(contract: Contract) -> None:
    """Raises ContractError for what is wrong between the parts of ``contract``, or in one of them."""
    _check_names(contract)
    for column in contract.columns:
        _check_column(column)
    if not contract.read_columns:
        raise ContractError("no column comes from the file, so no header could be recognised: describe one at least")
    for name, known in (("revision", REVISIONS), ("drift", DRIFTS)):
        if (value := getattr(contract, name)) not in known:
            raise ContractError(f"{name} {value!r} is none of {', '.join(known)}")
    for problem in registry.wrong(contract):
        raise ContractError(problem)


def _check_names(contract: Contract) -> None:
    names = [normal(name) for column in contract.columns for name in (column.name, *column.aliases)]
    if twice := more_than_once(names):
        raise ContractError(f"more than one column answers to {twice}: keep one")
    if taken := [name for name in names if name in RECORD_NAMES or name.startswith("__") or not name]:
        raise ContractError(f"column names {taken} are reserved: keep such a column in extra by leaving it out")
    if nul := [name for name in names if "\0" in name]:
        raise ContractError(f"column names {nul} hold a NUL: keep such a column in extra by leaving it out")
    if twice := more_than_once([column.target for column in contract.columns if column.target]):
        raise ContractError(f"more than one column fills {twice} of events: keep one")
    targets = {column.target for column in contract.columns}
    for target in MUST_BE_FILLED:
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
