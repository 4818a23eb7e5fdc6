"""Drafts a contract from a file: a start that loads the file as it is, and says what a person must look at."""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from sluice.contracts.event_columns import EVENT_COLUMNS
from sluice.contracts.folder import read_contracts
from sluice.contracts.judge import Judge
from sluice.contracts.matching import Match, match
from sluice.contracts.model import HeaderError, can_be_described, normal
from sluice.contracts.parse import parse_contract
from sluice.contracts.profile import ColumnProfile, Profile, profile, read_header
from sluice.contracts.rules.contract_rules import SIGN
from sluice.reading.landed_bytes import LandedBytes

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
    """``text`` is the contract as YAML. ``missing`` says what a person must fill in before it can be used."""

    name: str
    text: str
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def draft(path: Path, name: str | None = None) -> Draft:
    """Draft a contract for files like the one at ``path``. Raises ProfileError, OSError, UnreadableFileError."""
    found = profile(path)
    made = Draft(name or feed_name(path), "")
    targets = _targets(found)
    made.notes += _reading_notes(found)
    described = [column for column in found.columns if can_be_described(column.name)]
    properties = [_property(column, targets.get(column.name), made) for column in described]
    properties = [*_derived(found, targets, made), *properties]
    document = _document(made.name, path, found, properties)
    made.text = _as_text(document, made)
    if not made.missing:
        document, broken = _signed(found, document, made)
        made.notes += [f"{rows:,} rows of the sample break {rule}" for rule, rows in broken.most_common()]
        made.text = _as_text(document, made)
    return made


def _signed(found: Profile, document: dict[str, Any], made: Draft) -> tuple[dict[str, Any], Counter[str]]:
    """The document with the sign that cancellations have in the sample, and what it would set aside, by rule."""
    broken = _trial(found, document)
    if broken[SIGN]:
        custom = [*document.get("customProperties", []), {"property": "cancellations", "value": "positive"}]
        positive = {**document, "customProperties": custom, "schema": document["schema"]}
        if (again := _trial(found, positive))[SIGN] < broken[SIGN]:
            made.notes.append("cancellations have a positive quantity or total in the sample: both are negated")
            return positive, again
    return document, broken


def feed_name(path: Path) -> str:
    """A name for the feed: the file's without its suffixes and the date in it."""
    stem = re.sub(r"\.(csv|tsv|psv|ssv|txt|gz|zst)\b", "", path.name.lower())
    words = re.sub(r"[^a-z0-9]+", "_", re.sub(r"\d{4}[-_]?\d{2}([-_]?\d{2})?", "", stem)).strip("_")
    return words or "feed"


def _targets(found: Profile) -> dict[str, str]:
    """By column name: the column of events that it most likely is."""
    chosen: dict[str, str] = {}
    for target, synonyms in _SYNONYMS.items():
        ranked = [target.replace("_", ""), *synonyms.split()]
        fitting = [c for c in found.columns if _plain(c.name) in ranked and c.name not in chosen and _fits(c, target)]
        if fitting:
            chosen[min(fitting, key=lambda column: ranked.index(_plain(column.name))).name] = target
    moments = [c.name for c in found.columns if c.kind == "timestamp" and c.name and c.name not in chosen]
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


def _reading_notes(found: Profile) -> list[str]:
    notes = []
    if found.broken:
        share = f"{found.broken:,} of {found.records:,} records"
        notes.append(f"{share} cannot be read as the header says (fields missing or too many, broken or stray quotes)")
    if found.stray_quotes:
        notes.append(
            f"{found.stray_quotes:,} records have a quote inside an unquoted field: each load counts a warning"
        )
    if found.marked_encoding is None and found.dialect.encoding != "utf-8":
        notes.append(f"the bytes are not UTF-8; {found.dialect.encoding} is a guess: look at letters with accents")
    if not found.is_whole:
        notes.append(f"only the first {found.records:,} records were looked at")
    if found.marked_encoding and found.dialect.is_transcoded:
        notes.append("files of this feed need their byte order mark, or csv.encoding below must say utf-16")
    if unnamed := [str(i) for i, column in enumerate(found.columns, start=1) if not column.name]:
        notes.append(f"columns {', '.join(unnamed)} have no name: their values go to extra as column_{unnamed[0]} …")
    return notes


def _property(column: ColumnProfile, target: str | None, made: Draft) -> dict[str, Any]:
    kind = _logical_type(column, target)
    made_of: dict[str, Any] = {"name": column.name}
    if target is None and column.name in EVENT_COLUMNS:
        made_of["physicalName"] = "extra"
    elif target and target != column.name:
        made_of["physicalName"] = target
    nulls = f"{100 * column.null_share:.3g} % null" if column.null_share else "never null"
    made_of |= {"logicalType": kind, "description": f"{nulls}, {column.distinct:,} different values in the sample."}
    if target == "event_id":
        made_of |= {"primaryKey": True}
    if column.kind == "float":
        made_of["physicalType"] = "double precision"
    elif kind == "number" and target is None and column.decimals > 10:
        made_of["physicalType"] = f"numeric(38,{column.decimals})"
    if column.null_share == 0 and column.rows and target is not None:
        made_of["required"] = True
    if column.examples:
        made_of["examples"] = [example[:80] for example in column.examples]
    if kind == "string" and _is_enum(column):
        made_of["enum"] = [{"value": value} for value in sorted(column.values)]
        made.notes.append(f"{column.name}: only the {column.distinct} values of the sample are allowed (enum)")
    if custom := _custom(column, kind):
        made_of["customProperties"] = custom
    if column.is_ambiguous:
        made.notes.append(f"{column.name}: day and month may be the other way round than {column.formats[0]!r} says")
    return made_of


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


def _derived(found: Profile, targets: dict[str, str], made: Draft) -> list[dict[str, Any]]:
    derived: list[dict[str, Any]] = []
    filled = set(targets.values())
    if "event_id" not in filled:
        derived.append({"name": _free("event_id", found), "physicalName": "event_id", "logicalType": "string"})
        derived[-1] |= {"primaryKey": True, "transformLogic": _event_id(found, targets, made)}
    if "event_type" not in filled:
        derived.append({"name": _free("event_type", found), "physicalName": "event_type", "logicalType": "string"})
        derived[-1]["transformLogic"] = _sql_text(made.name)
        made.notes.append(f"no column says what a row is: every row becomes an event of type {made.name!r}")
    if "event_time" not in filled:
        derived += _event_time(found, made)
    return derived


def _event_id(found: Profile, targets: dict[str, str], made: Draft) -> str:
    own = [
        c
        for c in found.columns
        if can_be_described(c.name) and c.is_unique and _OWN_ID.search(_plain(c.name)) and c.name not in targets
    ]
    if not own:
        made.notes.append("no column is an id of the row: the id is made of the file's content and the row's number")
        return "record_id(file_sha256, record_number)"
    made.notes.append(f"{own[0].name} is unique in the sample, so the id is made of it; if it is no id, use record_id")
    return f"feed_id({_sql_text(made.name)}, {_sql_name(own[0].name)})"


def _event_time(found: Profile, made: Draft) -> list[dict[str, Any]]:
    """Seconds or milliseconds since 1970 become a moment; otherwise a person must say where the time is."""
    ranked = _SYNONYMS["event_time"].split()
    for column in found.columns:
        if _plain(column.name) in ranked and column.kind == "integer" and column.values:
            numbers = [int(value) for value in column.values]
            for factor, unit in ((1_000_000, "seconds"), (1_000, "milliseconds")):
                if all(10**15 <= number * factor < 10**16 for number in numbers):
                    made.notes.append(f"{column.name} is taken for {unit} since 1970")
                    moment = f"make_timestamptz(CAST({_sql_name(column.name)} * {factor} AS BIGINT))"
                    return [
                        {
                            "name": _free("event_time", found),
                            "physicalName": "event_time",
                            "logicalType": "timestamp",
                            "transformLogic": moment,
                        }
                    ]
    made.missing.append(
        "event_time: no column of the file is a moment in a known format. Say which column it is "
        "(physicalName: event_time, with its formats), or add a column with a transformLogic, such as "
        "make_timestamptz(…) of a number or a constant TIMESTAMPTZ '2026-01-31 12:00:00Z'"
    )
    return []


def _free(name: str, found: Profile) -> str:
    taken = {normal(column.name) for column in found.columns}
    return name if name not in taken else next(f for i in range(2, 99) if (f := f"{name}_{i}") not in taken)


def _sql_name(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def _sql_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _document(name: str, path: Path, found: Profile, properties: list[dict[str, Any]]) -> dict[str, Any]:
    today = datetime.now(UTC)
    document: dict[str, Any] = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": f"sluice.{name}",
        "name": name,
        "version": "0.1.0",
        "status": "draft",
        "description": {"purpose": f"Drafted from {path.name} ({found.records:,} records) on {today:%Y-%m-%d}."},
    }
    if csv := _csv(found):
        document["customProperties"] = [{"property": "csv", "value": csv}]
    document["schema"] = [{"name": name, "logicalType": "object", "physicalName": "events", "properties": properties}]
    return document


def _csv(found: Profile) -> dict[str, Any]:
    dialect = found.dialect
    csv: dict[str, Any] = {}
    if dialect.separator != ",":
        csv["separator"] = dialect.separator
    if dialect.quote != '"':
        csv["quote"] = dialect.quote
    if dialect.escape:
        csv["escape"] = dialect.escape
    if dialect.encoding != "utf-8" and found.marked_encoding is None:
        csv["encoding"] = dialect.encoding
    return csv


def _as_text(document: dict[str, Any], made: Draft) -> str:
    checks = [f"MISSING {text}" for text in made.missing] + made.notes
    comments = ["# A draft. docs/contracts.md says what each part means; `make contracts` checks it."]
    comments += [f"#   - {' '.join(text.split())}" for text in checks]
    return "\n".join(comments) + "\n" + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)


def _trial(found: Profile, document: dict[str, Any]) -> Counter[str]:
    """How many rows of the sample the drafted contract would set aside, by rule."""
    name = f"{document['name']}.odcs.yaml"
    contract = parse_contract(yaml.safe_dump(document, allow_unicode=True), Path(name))
    judge = Judge()
    try:
        match = Match(contract, found.header)
        broken: Counter[str] = Counter()
        for block in found.blocks:
            judged = judge.judge(block, match, file_id=0, sha256="0" * 64)
            broken.update(rule for _, rules, _ in judged.bad for rule in rules)
    finally:
        judge.close()
    return broken


def write(path: Path, *, name: str | None, output: Path | None, contracts: Path) -> int:
    """Draft a contract for ``path`` and print it, or write it to ``output`` (a folder: under the feed's name).

    Returns 0, or 3 when a person must fill something in first: such a draft is written as ``….draft``, which nothing
    reads. Raises ProfileError, OSError, UnreadableFileError.
    """
    made = draft(path, name)
    known = _already_known(path, contracts)
    for line in (*(f"missing: {text}" for text in made.missing), *made.notes, *known):
        print(f"sluice: {line}", file=sys.stderr)
    if output is None:
        print(made.text, end="")
    else:
        target = output / f"{made.name}.odcs.yaml" if output.is_dir() else output
        target = target.with_name(f"{target.name}.draft") if made.missing else target
        with target.open("x", encoding="utf-8") as file:
            file.write(made.text)
        target.chmod(0o644)  # it belongs to the project, which other users may read
        print(f"sluice: wrote {target}", file=sys.stderr)
    return 3 if made.missing else 0


def _already_known(path: Path, contracts: Path) -> list[str]:
    with LandedBytes(path, path.name) as landed:
        head, marked = landed.head(), landed.marked_encoding
    headers = []
    for contract in read_contracts(contracts).candidates:
        dialect = replace(contract.dialect, encoding=marked) if marked else contract.dialect
        headers.append((contract, read_header(head, dialect)))
    try:
        there = match(headers).contract.name
    except HeaderError:
        return []
    return [f"files with this header go to contract {there} already: change that one, a second would dispute them"]
