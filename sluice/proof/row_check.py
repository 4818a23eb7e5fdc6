"""Holds sampled records of a loaded file against what the tables hold of them, field by field.

Only what is certain is compared: values whose column of the contract takes the file's own text, and plain numbers, ids
and moments, parsed here. What a contract derives or maps, and what a person edited, is left out.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sluice.contracts.event_columns import SIGNED
from sluice.contracts.model import Column, Contract, normal
from sluice.proof.second_reader.fields import Field
from sluice.proof.second_reader.reader import Record

RANDOM_RECORDS = 8
_CONTENT_CUT = "record.too_long"
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-](0\d|1[0-5]):[0-5]\d)")
_LANDED_AT = re.compile(r"\s*landed_at\s*\(\s*\)\s*", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_UNKNOWN = object()

Row = dict[str, Any]


@dataclass
class Held:
    """What the tables hold of one record: a row of events, the row that it is a duplicate of, or a reject.

    ``expired``: a note that it is a duplicate of a row that has expired.
    """

    event: Row | None = None
    repeated: Row | None = None
    reject: Row | None = None
    expired: Row | None = None


def sample(sha256: str, records: int) -> set[int]:
    """The first, the last and some records more of a file, the same at every recount."""
    numbers = range(1, records + 1)
    return {*numbers[:1], *numbers[-1:], *random.Random(sha256).sample(numbers, min(records, RANDOM_RECORDS))}


class RowCheck:
    """Checks records of one file. ``header`` are the names that the ledger keeps of it, or None.

    ``landed_at``: the moment of arrival that the ledger has for its rows. ``expired_before``: rows of the file that are
    older have left events; None when none have.
    """

    def __init__(
        self,
        contract: Contract,
        version: str,
        header: Sequence[str] | None,
        landed_at: datetime,
        expired_before: datetime | None = None,
    ) -> None:
        self._expired_before = expired_before
        self._contract = contract
        self._version = version
        self._columns = list(_columns(contract, header)) if header is not None and version == contract.version else []
        self._width = len(header) if header is not None else 0
        self._arrival = landed_at if version == contract.version and _is_arrival(contract) else None

    def difference(self, record: Record, held: Held) -> str:
        """What is wrong with a record's place or values in the tables; empty when nothing is."""
        where = f"record {record.number:,} (line {record.line:,})"
        reject = held.reject
        if held == Held(reject=reject) and (reject is None or reject["state"] != "quarantined"):
            return "" if self._may_have_expired(record) else f"{where} is in no table"
        if reject is not None and (wrong := _raw_difference(record, reject)):
            return f"{where}: {wrong}"
        row = held.event or held.repeated
        if row is None or (reject is not None and (reject["edited"] or reject["contract_version"] != self._version)):
            return ""
        if record.is_cut or not self._columns:
            return ""
        if record.fields is None or len(record.fields) != self._width:
            return f"{where} is in events, but it cannot be read as {self._width} fields"
        if held.event is not None and self._arrival not in (None, row["event_time"]):
            return f"{where}: event_time is {row['event_time']}, its bytes landed at {self._arrival}"
        return next((f"{where}: {wrong}" for wrong in self._value_differences(record.fields, row)), "")

    def _may_have_expired(self, record: Record) -> bool:
        """False when it is certain that the row is younger."""
        if self._expired_before is None:
            return False
        found = next(((p, column) for p, _, column in self._columns if column and column.target == "event_time"), None)
        if found is None or record.fields is None or len(record.fields) != self._width:
            return True
        moment = self._value(record.fields[found[0]], found[1])
        return not isinstance(moment, datetime) or moment < self._expired_before

    def _value_differences(self, fields: Sequence[Field], row: Row) -> Iterator[str]:
        for place, name, column in self._columns:
            expected = self._signed(self._value(fields[place], column), column, row)
            there = row[column.target] if column and column.target else (row["extra"] or {}).get(name)
            if expected is not _UNKNOWN and expected != there:
                target = column.target if column and column.target else f"extra.{name}"
                yield (
                    f"{target} is {_shown(there)}, the file says {_shown(fields[place].text)} (contract "
                    f"{self._contract.name} {self._version}; one that changed without a new version shows here too)"
                )

    def _signed(self, value: Any, column: Column | None, row: Row) -> Any:
        """The value with the sign that a cancellation has in events."""
        is_negated = (
            column is not None
            and column.target in SIGNED
            and self._contract.cancellations == "positive"
            and row["event_type"] == "cancellation"
        )
        return -value if is_negated and isinstance(value, Decimal) else value

    def _value(self, field: Field, column: Column | None) -> Any:
        """What events must hold of a field; ``_UNKNOWN`` when that is not certain."""
        text = None if not field.was_quoted and field.written in self._contract.dialect.nulls else field.text
        if column is None or text is None:
            return text
        if column.logical_type == "string" and column.kind != "uuid":
            return (text.strip(" ") or None) if column.trim else text
        text = text.strip(" ")
        if not text or column.kind == "text":
            return text or None
        return _typed(text, column)


def _typed(text: str, column: Column) -> Any:
    if column.kind == "uuid" and _UUID.fullmatch(text):
        return text.replace("-", "").lower()
    if column.kind in ("numeric", "bigint"):
        number = _plain_number(text, column)
        return Decimal(number) if _NUMBER.fullmatch(number) else _UNKNOWN
    if column.kind == "timestamptz" and not column.formats and _MOMENT.fullmatch(text):
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):  # no such moment: whatever events has is wrong
            return text
    return _UNKNOWN


def _plain_number(text: str, column: Column) -> str:
    """The text of a number as Python reads it: without a sign of its currency, and marks between its thousands."""
    for sign in sorted(column.currency, key=len, reverse=True):
        if sign in text:
            text = re.sub(r"^([+-]?)\s", r"\1", text.replace(sign, "", 1)).strip()
            break
    if column.thousands_separator:
        is_blank = column.thousands_separator.isspace()
        text = re.sub(r"\s", "", text) if is_blank else text.replace(column.thousands_separator, "")
    return text.replace(column.decimal_separator, ".")


def _columns(contract: Contract, header: Sequence[str]) -> Iterator[tuple[int, str, Column | None]]:
    """(place in the file, name, column) of what is compared; no column: it is kept in extra under that name."""
    known = {name: column for column in contract.read_columns for name in column.names}
    taken = {column.name for column in contract.columns if column.target is None}
    for place, name in enumerate(header):
        column = known.get(normal(name))
        if column is None and name not in taken:
            yield place, name, None
        elif column is not None and not column.value_map:
            yield place, column.name, column


def _is_arrival(contract: Contract) -> bool:
    """Whether event_time is the moment of arrival as it is."""
    moment = next((c.transform for c in contract.derived_columns if c.target == "event_time"), None)
    return _LANDED_AT.fullmatch(moment or "") is not None


def _raw_difference(record: Record, reject: Row) -> str:
    raw = bytes(reject["raw"])
    cut = record.is_cut or _CONTENT_CUT in reject["rules"]
    same = record.raw.startswith(raw) or raw.startswith(record.raw) if cut else raw == record.raw
    if not same:
        return f"its reject keeps {_shown(raw)}, the file says {_shown(record.raw)}"
    if reject["line_number"] != record.line:
        return f"its reject says line {reject['line_number']:,}"
    return ""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "…"
