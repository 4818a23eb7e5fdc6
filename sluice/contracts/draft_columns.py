"""Drafts what a contract says of a column of the file, and says what of it is doubtful."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from sluice.contracts.draft_targets import EVENT_TYPES_MOST, plain_name
from sluice.contracts.event_columns import EVENT_COLUMNS
from sluice.contracts.findings import Finding, Harm
from sluice.contracts.profiling.columns import ColumnProfile
from sluice.contracts.profiling.nulls import WORDS
from sluice.contracts.profiling.numbers import NumberFormat

_ROWS_A_VALUE, _ROWS_OF_EACH, _LONGEST_WORD = 20, 3, 40
_ID_LIKE = re.compile(r"(id|no|nr|code|number|key|zip|postcode|phone|sku|ean|upc|isbn)$")
_WORD = re.compile(r"[^\W\d_][\w .&/+'-]*")
_SHOWN = 60


@dataclass
class Draft:
    """``text`` is the contract as YAML; ``findings`` are what a person should know of it.

    ``set_aside`` is how many rows of the sample it would set aside, ``first_rows`` are some as they would stand in
    events.
    """

    name: str
    text: str
    set_aside: int = 0
    findings: list[Finding] = field(default_factory=list)
    first_rows: list[dict[str, Any]] = field(default_factory=list)

    def found(
        self,
        text: str,
        harm: Harm,
        *,
        where: str = "",
        question: bool = False,
        line: int | None = None,
        at: tuple[str, str] | None = None,
        otherwise: str = "",
    ) -> None:
        """One more finding."""
        self.findings.append(Finding(text, harm, question, where, line, at, otherwise))

    def asked(
        self, text: str, at: tuple[str, str], otherwise: str, *, where: str = "", line: int | None = None
    ) -> None:
        """One more finding that is a guess: about which line of the draft, and what else could stand there."""
        self.found(text, Harm.WRONG_VALUES, where=where, question=True, line=line, at=at, otherwise=otherwise)

    @property
    def missing(self) -> list[str]:
        """What a person must fill in before the draft can be used."""
        return [str(finding) for finding in self.findings if finding.harm is Harm.UNUSABLE]

    @property
    def notes(self) -> list[str]:
        """Everything else that was found."""
        return [str(finding) for finding in self.findings if finding.harm is not Harm.UNUSABLE]


def column_part(column: ColumnProfile, target: str | None, drafted: Draft) -> dict[str, Any]:
    """What the contract says of a column of the file that fills ``target``; what is doubtful goes to the findings."""
    kind = _logical_type(column, target)
    part: dict[str, Any] = {"name": column.name}
    if target is None and column.name in EVENT_COLUMNS:
        part["physicalName"] = "extra"
    elif target and target != column.name:
        part["physicalName"] = target
    nulls = f"{100 * column.null_share:.3g} % null" if column.null_share else "never null"
    part |= {"logicalType": kind, "description": f"{nulls}, {column.distinct:,} different values in the sample."}
    if target == "event_id":
        part |= {"primaryKey": True}
    if physical := _physical_type(column, kind, target):
        part["physicalType"] = physical
    if column.null_share == 0 and column.rows and target is not None:
        part["required"] = True
    if column.examples:
        part["examples"] = [example[:80] for example in column.examples]
    if kind == "string" and _is_enum(column):
        words = sorted(word for word in column.null_words)
        part["enum"] = [{"value": value} for value in [*words, *sorted(column.values)]]
        text = f"only the {column.distinct} values of the sample are allowed (enum)"
        drafted.found(text, Harm.LATER_FILES, where=column.name)
    if custom := _custom(column, kind):
        part["customProperties"] = custom
    _say_what_is_doubtful(column, kind, target, drafted)
    return part


def _logical_type(column: ColumnProfile, target: str | None) -> str:
    is_number = column.kind in ("integer", "number", "float")
    is_id = is_number and _ID_LIKE.search(plain_name(column.name)) is not None
    has_zeros = column.number is not None and column.number.has_leading_zeros
    if (target is not None and EVENT_COLUMNS[target] == "text") or (target is None and (is_id or has_zeros)):
        return "string"
    if target is None and column.misfits is not None:
        return "string"  # extra keeps the text anyway, so a type would cost rows and give nothing
    return "number" if column.kind == "float" else column.kind


def _physical_type(column: ColumnProfile, kind: str, target: str | None) -> str | None:
    if column.kind == "float" and kind == "number":
        return "double precision"
    if kind == "number" and target is None and column.number is not None and column.number.decimals > 10:
        return f"numeric(38,{column.number.decimals})"
    return None


def _is_enum(column: ColumnProfile) -> bool:
    """Whether the values are a list of words: few, each of them often, and no codes or numbers."""
    is_few = 2 <= column.distinct <= EVENT_TYPES_MOST and column.rows >= _ROWS_A_VALUE * column.distinct
    if not is_few or min(column.counts.values()) < _ROWS_OF_EACH or _ID_LIKE.search(plain_name(column.name)):
        return False
    return all(len(value) <= _LONGEST_WORD and _WORD.fullmatch(value) for value in column.counts)


def _custom(column: ColumnProfile, kind: str) -> list[dict[str, Any]]:
    custom: dict[str, Any] = {}
    if kind == "timestamp" and column.moments is not None and column.moments.formats:
        custom["formats"] = list(column.moments.formats)
    if kind in ("integer", "number") and (number := column.number) is not None:
        if number.decimal_separator != ".":
            custom["decimalSeparator"] = number.decimal_separator
        if number.thousands_separator:
            custom["thousandsSeparator"] = number.thousands_separator
        if number.currency:
            custom["currency"] = list(number.currency)
    # A text is held against the map as it stands in the file, everything else without the blanks around it.
    words = {word if kind == "string" and not column.is_uuid else word.strip(" ") for word in column.null_words}
    words -= {""} if kind != "string" else set()
    if words:
        custom["valueMap"] = dict.fromkeys(sorted(words))
    return [{"property": key, "value": value} for key, value in custom.items()]


def _say_what_is_doubtful(column: ColumnProfile, kind: str, target: str | None, drafted: Draft) -> None:
    _say_misfits(column, kind, target, drafted)
    if kind == "string" and (words := sorted(word for word in column.null_words if word.strip() in WORDS)):
        text = f"{', '.join(map(repr, words))} {'is' if len(words) == 1 else 'are'} taken for no value (valueMap)"
        otherwise = "take out of this valueMap what is a value"
        drafted.asked(text, (column.name, "valueMap"), otherwise, where=column.name)
    if column.moments is not None and (other := column.moments.other_order) and kind == "timestamp":
        _ask_about_day_and_month(column, column.moments.formats[0], other, drafted)
    if column.number is not None and column.number.is_ambiguous and kind in ("integer", "number"):
        _ask_about_thousands(column, column.number, drafted)
    if column.accounting is not None:
        text = f"{shown(column.accounting)} looks like a negative number of accountants, which is read as text only"
        drafted.found(text, Harm.WRONG_VALUES, where=column.name)


def _ask_about_day_and_month(column: ColumnProfile, form: str, other: str, drafted: Draft) -> None:
    is_year = form.startswith("yy") or other.startswith("yy")
    swapped = "the year may stand elsewhere" if is_year else "day and month may be the other way round"
    text = (
        f"{form} is a guess: {column.rows:,} of {column.rows:,} values fit {other} too, {swapped}: look at "
        f"{shown(column.examples[0])}"
    )
    otherwise = f'{{property: formats, value: ["{other}"]}}'
    drafted.asked(text, (column.name, "formats"), otherwise, where=column.name)


def _ask_about_thousands(column: ColumnProfile, number: NumberFormat, drafted: Draft) -> None:
    value = next((value for value in column.counts if set(value) & set(".,")), column.examples[0])
    mark = number.thousands_separator or number.decimal_separator
    other = "," if mark == "." else "."
    said = "with separators between thousands" if number.thousands_separator else "with decimals"
    text = f"{shown(value)} is read as a number {said}, and could be the other"
    as_decimals = f'{{property: decimalSeparator, value: "{mark}"}}'
    as_thousands = (
        f'{{property: thousandsSeparator, value: "{mark}"}}, {{property: decimalSeparator, value: "{other}"}}'
    )
    otherwise = f"logicalType: number, with {as_decimals if number.thousands_separator else as_thousands}"
    key = "thousandsSeparator" if number.thousands_separator else "decimalSeparator"
    drafted.asked(text, (column.name, key), otherwise, where=column.name)


def _say_misfits(column: ColumnProfile, kind: str, target: str | None, drafted: Draft) -> None:
    bad = column.misfits
    is_text_anyway = kind == "string" and (target is not None or _ID_LIKE.search(plain_name(column.name)) is not None)
    if bad is None or is_text_anyway:
        return
    share = f"{column.rows - bad.rows:,} of {column.rows:,} fit {_fitted(column)}"
    fit = f"{share}; line {bad.line:,}{f' of {bad.file}' if bad.file else ''} does not: {shown(bad.value)}"
    if kind == "string":
        drafted.found(f"{fit}. It stays text, so that no row is lost", Harm.NOTE, where=column.name, line=bad.line)
    else:
        drafted.found(f"{fit}. What does not fit is set aside", Harm.LOST_ROWS, where=column.name, line=bad.line)


def _fitted(column: ColumnProfile) -> str:
    if column.moments is not None:
        return " or ".join(column.moments.formats) or "ISO 8601"
    return {"integer": "whole numbers", "number": "numbers", "float": "numbers", "boolean": "true and false"}[
        column.kind
    ]


def shown(value: str) -> str:
    """A value of the file for people: in quotes, in one line, of bounded length."""
    return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…")
