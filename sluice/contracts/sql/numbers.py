"""SQL that makes numbers of texts: as a contract says that they are written, or null.

A format check precedes each cast, and nothing is taken off a text that the contract does not declare: neither signs of
a currency, nor separators between thousands.
"""

from __future__ import annotations

import re

from sluice.contracts.model import Column
from sluice.contracts.sql.text import literal, matches

# What stands for a blank in numbers: also those at which no line is broken, the usual one and the narrow one.
BLANKS = " \u00a0\u202f"
_EXPONENT = "([eE][+-]?[0-9]{1,3})?"


def number(column: Column, source: str, kind: str) -> str:
    """SQL of the number of DuckDB type ``kind`` that the text ``source`` says; null where it says none."""
    text = _without_currency(column, source)
    point = re.escape(column.decimal_separator)
    if column.logical_type == "integer":
        shape = rf"[+-]?{_whole(column, _integer_digits(column))}"
    elif column.is_float:
        shape = rf"[+-]?({_whole(column, None)}({point}[0-9]*)?|{point}[0-9]+){_EXPONENT}"
    else:
        shape = _decimal(column, point)
    plain = text
    if separator := column.thousands_separator:
        plain = f"translate({plain}, {literal(_same_as(separator))}, '')"
    if column.decimal_separator != ".":
        plain = f"replace({plain}, {literal(column.decimal_separator)}, '.')"
    return f"CASE WHEN {matches(text, shape)} THEN try_cast({plain} AS {kind}) END"


def _decimal(column: Column, point: str) -> str:
    whole, decimals = column.digits
    fraction = rf"{point}[0-9]{{1,{decimals}}}0*" if decimals else rf"{point}0+"
    return rf"[+-]?({_whole(column, whole or 1)}({point}|{fraction})?|0*{fraction})"


def _whole(column: Column, digits: int | None) -> str:
    """Pattern of the digits before the point; of grouped ones the cast decides whether they are too many."""
    plain = "[0-9]+" if digits is None else rf"0*[0-9]{{1,{digits}}}"
    if not column.thousands_separator:
        return plain
    between = f"[{re.escape(_same_as(column.thousands_separator))}]"
    return rf"({plain}|[0-9]{{1,3}}({between}[0-9]{{3}})+)"


def _integer_digits(column: Column) -> int:
    if column.kind == "numeric":
        return column.digits[0]
    return {"BIGINT": 19, "INTEGER": 10, "SMALLINT": 5}.get(column.integer, 38)


def _same_as(separator: str) -> str:
    return BLANKS if separator in BLANKS else separator


def _without_currency(column: Column, source: str) -> str:
    """``source`` without one sign of a currency before or after the number, which a minus may stand before."""
    if not column.currency:
        return source
    signs = "|".join(re.escape(sign) for sign in sorted(column.currency, key=len, reverse=True))
    before, after = f"^([+-]?)({signs})[{BLANKS}]?(.*)$", f"^(.*[0-9.,])[{BLANKS}]?({signs})$"
    has_before = f"regexp_matches({source}, {literal(before)})"
    return (
        f"CASE WHEN {has_before} THEN regexp_replace({source}, {literal(before)}, '\\1\\3') "
        f"ELSE regexp_replace({source}, {literal(after)}, '\\1') END"
    )
