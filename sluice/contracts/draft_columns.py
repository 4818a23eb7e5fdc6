"""Drafts the columns of a contract: which column of events each fills, and those that are derived."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from sluice.contracts.event_columns import EVENT_COLUMNS
from sluice.contracts.findings import Finding, Harm
from sluice.contracts.model import can_be_described, normal
from sluice.contracts.profile import ColumnProfile, Profile
from sluice.contracts.sql.text import literal, quoted

_ENUM_VALUES, _ROWS_A_VALUE = 20, 20
# Names that columns of events go by in other shops, letters and digits only.
_SYNONYMS = {
    "event_id": "eventid eventuuid uuid guid messageid",
    "event_time": "eventtime timestamp time datetime date occurredat createdat eventdate eventtimestamp ts invoicedate "
    "orderdate purchasedate servertime at",
    "event_type": "eventtype event eventname type action activity",
    "user_id": "userid user customerid customer clientid visitorid memberid accountid shopperid",
    "product_id": "productid product sku itemid item stockcode articleid asin upc ean",
    "category": "category categorycode categoryname productcategory department",
    "price": "price unitprice itemprice productprice",
    "session_id": "sessionid session usersession visitid sessionuuid",
    "ip_address": "ipaddress ip clientip remoteaddr remoteip",
    "user_agent": "useragent browser agent",
    "search_query": "searchquery query searchterm searchphrase keyword keywords",
    "search_results_count": "searchresultscount resultscount results hits",
    "quantity": "quantity qty units",
    "total_amount": "totalamount total amount ordertotal linetotal revenue totalprice",
    "payment_method": "paymentmethod payment paymenttype paymethod",
}
_ID_LIKE = re.compile(r"(id|no|nr|code|number|key|zip|postcode|phone|sku|ean|upc|isbn)$")
_OWN_ID = re.compile(r"(id|no|nr|number|key)$")


@dataclass
class Draft:
    """``text`` is the contract as YAML; ``findings`` are what a person should know of it."""

    name: str
    text: str
    findings: list[Finding] = field(default_factory=list)

    def found(self, text: str, harm: Harm, *, where: str = "", question: bool = False, line: int | None = None) -> None:
        """One more finding."""
        self.findings.append(Finding(text, harm, question, where, line))

    @property
    def missing(self) -> list[str]:
        """What a person must fill in before the draft can be used."""
        return [str(finding) for finding in self.findings if finding.harm is Harm.UNUSABLE]

    @property
    def notes(self) -> list[str]:
        """Everything else that was found."""
        return [str(finding) for finding in self.findings if finding.harm is not Harm.UNUSABLE]


def targets_of(sample: Profile) -> dict[str, str]:
    """By column name: the column of events that it most likely is."""
    chosen: dict[str, str] = {}
    for target, synonyms in _SYNONYMS.items():
        ranked = [target.replace("_", ""), *synonyms.split()]
        fitting = [c for c in sample.columns if _plain(c.name) in ranked and c.name not in chosen and _fits(c, target)]
        if fitting:
            chosen[min(fitting, key=lambda column: ranked.index(_plain(column.name))).name] = target
    moments = [c.name for c in sample.columns if c.kind == "timestamp" and c.name and c.name not in chosen]
    if "event_time" not in chosen.values() and moments:
        chosen[moments[0]] = "event_time"
    return chosen


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _fits(column: ColumnProfile, target: str) -> bool:
    kind = EVENT_COLUMNS[target]
    if kind == "uuid":
        return column.is_uuid and column.is_unique
    if kind == "timestamptz":
        return column.kind == "timestamp"
    if kind == "numeric":
        is_small = all(len(value.strip().lstrip("+-0").split(".")[0].split(",")[0]) <= 16 for value in column.values)
        return column.kind in ("integer", "number") and column.decimals <= 4 and is_small
    if kind == "bigint":
        return column.kind == "integer" and all(len(value.strip()) <= 18 for value in column.values)
    return target != "event_type" or column.distinct <= _ENUM_VALUES


def column_part(column: ColumnProfile, target: str | None, drafted: Draft) -> dict[str, Any]:
    """What the contract says of a column of the file that fills ``target``; what is doubtful goes to the notes."""
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
    if column.kind == "float":
        part["physicalType"] = "double precision"
    elif kind == "number" and target is None and column.decimals > 10:
        part["physicalType"] = f"numeric(38,{column.decimals})"
    if column.null_share == 0 and column.rows and target is not None:
        part["required"] = True
    if column.examples:
        part["examples"] = [example[:80] for example in column.examples]
    if kind == "string" and _is_enum(column):
        part["enum"] = [{"value": value} for value in sorted(column.values)]
        text = f"only the {column.distinct} values of the sample are allowed (enum)"
        drafted.found(text, Harm.LATER_FILES, where=column.name)
    if custom := _custom(column, kind):
        part["customProperties"] = custom
    if column.is_ambiguous:
        text = f"day and month may be the other way round than {column.formats[0]!r} says"
        drafted.found(text, Harm.WRONG_VALUES, where=column.name, question=True)
    return part


def _logical_type(column: ColumnProfile, target: str | None) -> str:
    is_id = column.kind in ("integer", "number", "float") and _ID_LIKE.search(_plain(column.name)) is not None
    if (target is not None and EVENT_COLUMNS[target] == "text") or (target is None and is_id):
        return "string"
    return "number" if column.kind == "float" else column.kind


def _is_enum(column: ColumnProfile) -> bool:
    few = 0 < column.distinct <= _ENUM_VALUES and column.rows >= _ROWS_A_VALUE * column.distinct
    return few and not _ID_LIKE.search(_plain(column.name))


def _custom(column: ColumnProfile, kind: str) -> list[dict[str, Any]]:
    custom: dict[str, Any] = {}
    if kind == "timestamp" and column.formats:
        custom["formats"] = list(column.formats)
    if kind == "number" and column.decimal_separator != ".":
        custom["decimalSeparator"] = column.decimal_separator
    if kind != "string" and column.null_words:
        custom["valueMap"] = {word.strip(): None for word in sorted(column.null_words)}
    return [{"property": key, "value": value} for key, value in custom.items()]


def derived_parts(sample: Profile, targets: dict[str, str], drafted: Draft) -> list[dict[str, Any]]:
    """The columns that an event must have and that no column of the file fills."""
    derived: list[dict[str, Any]] = []
    filled = set(targets.values())
    if "event_id" not in filled:
        derived.append({"name": _free("event_id", sample), "physicalName": "event_id", "logicalType": "string"})
        derived[-1] |= {"primaryKey": True, "transformLogic": _event_id(sample, targets, drafted)}
    if "event_type" not in filled:
        derived.append({"name": _free("event_type", sample), "physicalName": "event_type", "logicalType": "string"})
        derived[-1]["transformLogic"] = literal(drafted.name)
        text = f"no column says what a row is: every row becomes an event of type {drafted.name!r}"
        drafted.found(text, Harm.WRONG_VALUES)
    if "event_time" not in filled:
        derived += _event_time(sample, drafted)
    return derived


def _event_id(sample: Profile, targets: dict[str, str], drafted: Draft) -> str:
    own = [
        c
        for c in sample.columns
        if can_be_described(c.name) and c.is_unique and _OWN_ID.search(_plain(c.name)) and c.name not in targets
    ]
    if not own:
        text = "no column is an id of the row: the id is made of the file's content and the row's number"
        drafted.found(text, Harm.NOTE)
        return "record_id(file_sha256, record_number)"
    text = "is unique in the sample, so the id is made of it; if it is no id, use record_id"
    drafted.found(text, Harm.WRONG_VALUES, where=own[0].name, question=True)
    return f"feed_id({literal(drafted.name)}, {_sql_name(own[0].name)})"


def _event_time(sample: Profile, drafted: Draft) -> list[dict[str, Any]]:
    """Seconds or milliseconds since 1970 become a moment; otherwise a person must say where the time is."""
    ranked = _SYNONYMS["event_time"].split()
    for column in sample.columns:
        if _plain(column.name) in ranked and column.kind == "integer" and column.values:
            numbers = [int(value) for value in column.values]
            for factor, unit in ((1_000_000, "seconds"), (1_000, "milliseconds")):
                if all(10**15 <= number * factor < 10**16 for number in numbers):
                    drafted.found(f"is taken for {unit} since 1970", Harm.WRONG_VALUES, where=column.name)
                    moment = f"make_timestamptz(CAST({_sql_name(column.name)} * {factor} AS BIGINT))"
                    return [
                        {
                            "name": _free("event_time", sample),
                            "physicalName": "event_time",
                            "logicalType": "timestamp",
                            "transformLogic": moment,
                        }
                    ]
    drafted.found(
        "no column of the file is a moment in a known format. Say which column it is "
        "(physicalName: event_time, with its formats), or add a column with a transformLogic, such as "
        "make_timestamptz(…) of a number or a constant TIMESTAMPTZ '2026-01-31 12:00:00Z'",
        Harm.UNUSABLE,
        where="event_time",
    )
    return []


def _free(name: str, sample: Profile) -> str:
    taken = {normal(column.name) for column in sample.columns}
    return name if name not in taken else next(f for i in range(2, 99) if (f := f"{name}_{i}") not in taken)


def _sql_name(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else quoted(name)
