"""Values as they stand in a contract file: custom properties by name, texts, booleans."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from sluice.contracts.model import ContractError


def custom_properties(properties: Sequence[Any] | None, known: Sequence[str], where: str) -> dict[str, Any]:
    """The custom properties by name; those of other tools are left alone, a misspelt one of ours is an error."""
    values = {item.property: item.value for item in properties or []}
    folded = {name.casefold(): name for name in known}
    for name in values:
        near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.85)
        if name not in known and near:
            raise ContractError(f"{where}: custom property {name!r} is unknown: did you mean {folded[near[0]]}?")
    return values


def file_text(value: object, where: str) -> str:
    """A value that stands for text of the file; a whole number may stand without quotes."""
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise ContractError(f"{where}: {value!r} must be the text that stands in the file: put it in quotes")


def true_or_false(value: Any, where: str) -> bool:
    """A value that is one of the two. Raises ContractError, which begins with ``where``."""
    if not isinstance(value, bool):
        raise ContractError(f"{where} is {value!r}: it must be true or false")
    return value
