"""How a column of a contract says that its numbers are written: separators, and signs of a currency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluice.contracts.model import ContractError

_NUMBERS = ("integer", "number")


def number_format(name: str, logical_type: str, custom: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a Column that say how numbers are written. Raises ContractError, which names the column."""
    for part in ("thousandsSeparator", "currency"):
        if part in custom and logical_type not in _NUMBERS:
            raise ContractError(f"{name}: {part} means nothing for a {logical_type}: it is for {', '.join(_NUMBERS)}")
    decimal = _decimal_separator(name, custom.get("decimalSeparator", "."))
    thousands = _thousands_separator(name, custom.get("thousandsSeparator", ""))
    if thousands == decimal and logical_type == "number":
        raise ContractError(
            f"{name}: thousandsSeparator and decimalSeparator are both {decimal!r}: make them differ "
            "(decimalSeparator is '.' unless the contract says otherwise)"
        )
    return {
        "decimal_separator": decimal,
        "thousands_separator": thousands,
        "currency": _currency(name, custom.get("currency", [])),
    }


def _decimal_separator(name: str, separator: Any) -> str:
    if separator not in (".", ","):
        raise ContractError(f"{name}: decimalSeparator is {separator!r}: it must be '.' or ','")
    return str(separator)


def _thousands_separator(name: str, separator: Any) -> str:
    is_mark = isinstance(separator, str) and len(separator) <= 1 and not separator.isalnum()
    if not is_mark or separator in tuple("+-\0\r\n\t"):
        raise ContractError(
            f"{name}: thousandsSeparator is {separator!r}: it must be one character in quotes, such as '.' or ' ', and "
            "no letter, digit or sign"
        )
    return str(separator)


def _currency(name: str, signs: Any) -> tuple[str, ...]:
    if not isinstance(signs, list) or not all(isinstance(sign, str) and _is_sign(sign) for sign in signs):
        raise ContractError(
            f"{name}: currency is {signs!r}: write a list of what may stand beside the number, such as [€, EUR], "
            "without digits, plus, minus or blanks around it"
        )
    return tuple(signs)


def _is_sign(sign: str) -> bool:
    has_own = any(character not in ".,'" for character in sign)
    return has_own and sign == sign.strip() and not any(c.isdigit() or c in "+-\0\r\n" for c in sign)
