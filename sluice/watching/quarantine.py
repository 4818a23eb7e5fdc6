"""What is set aside, by rule, over time and by file; single rejects with what is wrong in them marked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from sluice.base import queries
from sluice.base.settings import Settings
from sluice.contracts.folder import read_contracts
from sluice.contracts.model import Contract, normal
from sluice.contracts.rules_in_words import Explained, explain
from sluice.reports.html.spreadsheets import Value
from sluice.watching import marking
from sluice.watching.reader import Connection

# So many of the newest rejects are counted at most; the answer says when there are more.
COUNTED = 40_000
# Of raw bytes so many are read for a row; a form gets fields of so many bytes together, which a replay takes.
RAW_READ = 16_384
FORM_BYTES = 65_536
BEFORE_ALL = (2**63 - 1, 2**63 - 1)
CSV_COLUMNS = (
    *("file_id", "file", "record", "line", "rejected_at", "contract", "contract_version", "rules", "reasons"),
    *("fields", "values", "edited_at", "raw", "raw_bytes", "raw_is_whole"),
)

Key = tuple[int, int]


class UnknownZoneError(ValueError):
    """PostgreSQL knows no time zone of this name."""


@dataclass(frozen=True)
class Chosen:
    """Which rejects: None is any. ``days`` counts back from now."""

    contract: str | None = None
    rule: str | None = None
    file_id: int | None = None
    days: int | None = None

    @property
    def since(self) -> datetime | None:
        """When the oldest was set aside."""
        return datetime.now(UTC) - timedelta(days=self.days) if self.days else None

    def named(self) -> dict[str, Any]:
        """As the queries take it."""
        return {"contract": self.contract, "rule": self.rule, "file_id": self.file_id, "since": self.since}


class Words:
    """What rules mean, by the contracts of today. A contract that cannot be read explains nothing."""

    def __init__(self, settings: Settings) -> None:
        self._contracts = {each.name: each for each in read_contracts(settings.contracts_dir).usable}

    def contract(self, name: str) -> Contract | None:
        """The contract of this name."""
        return self._contracts.get(name)

    def of(self, contract: str, rule: str) -> Explained:
        """The rule's meaning."""
        return explain(rule, self.contract(contract))


def counts(connection: Connection, settings: Settings, chosen: Chosen, zone: str) -> dict[str, Any]:
    """How many rejects there are by rule, over time in days of ``zone``, and by file. Raises UnknownZoneError."""
    bounds = {"most": COUNTED, **chosen.named()}
    queries.run(connection, "watching/quarantine.have_memory")
    try:
        by_time = queries.all(connection, "watching/quarantine.by_time", zone=zone, **bounds)
    except psycopg.errors.InvalidParameterValue as error:
        raise UnknownZoneError(f"the database knows no time zone {zone!r}") from error
    by_rule = queries.all(connection, "watching/quarantine.by_rule", **bounds)
    by_file = queries.all(connection, "watching/quarantine.by_file", **bounds)
    words = Words(settings)
    return {
        "rows": sum(each["rows"] for each in by_time),
        "files": by_file[0]["of_files"] if by_file else 0,
        "is_capped": sum(each["seen"] for each in by_time) > COUNTED,
        "most": COUNTED,
        "since": bounds["since"],
        "zone": zone,
        "unit": by_time[0]["unit"] if by_time else None,
        "by_time": [{"begins": each["begins"], "rows": each["rows"]} for each in by_time if each["rows"]],
        "by_rule": [{**each, "words": words.of(each["contract"], each["rule"]).words} for each in by_rule],
        "by_file": by_file,
    }


def page(connection: Connection, settings: Settings, chosen: Chosen, before: Key, most: int) -> dict[str, Any]:
    """The next ``most`` rejects that fit after key ``before``, and the key that goes on (None: these were the last)."""
    rows = _rows(connection, chosen, before, most)
    words = Words(settings)
    return {"rows": [_shown(row, words) for row in rows], "next": _key_after(rows, most)}


def one(connection: Connection, settings: Settings, file_id: int, record_number: int) -> dict[str, Any] | None:
    """One reject, with its fields for a form, those first that a broken rule looks at; None: there is none."""
    row = queries.one(
        connection, "watching/quarantine.one", file_id=file_id, record_number=record_number, bytes=FORM_BYTES
    )
    if row is None:
        return None
    words = Words(settings)
    about, _ = _about(row, words)
    return {**_shown(row, words), "state": row["state"], **_form(row, about)}


def spreadsheet(
    connection: Connection, settings: Settings, chosen: Chosen, before: Key, most: int
) -> tuple[list[list[Value]], Key | None]:
    """The next ``most`` rejects as rows of CSV_COLUMNS, and the key that goes on."""
    rows = _rows(connection, chosen, before, most)
    words = Words(settings)
    return [list(_line(row, words)) for row in rows], _key_after(rows, most)


def how_many(connection: Connection, chosen: Chosen, most: int) -> int:
    """How many rejects fit; ``most`` + 1 when there are more than ``most``."""
    return int(queries.row(connection, "watching/quarantine.how_many", most=most, **chosen.named())["rows"])


def _rows(connection: Connection, chosen: Chosen, before: Key, most: int) -> list[dict[str, Any]]:
    place = {"before_file": before[0], "before_record": before[1]}
    return queries.all(connection, "watching/quarantine.page", most=most, bytes=RAW_READ, **place, **chosen.named())


def _key_after(rows: list[dict[str, Any]], most: int) -> Key | None:
    return (rows[-1]["file_id"], rows[-1]["record_number"]) if len(rows) == most else None


def _about(row: dict[str, Any], words: Words) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The rules by the field that they look at, and each rule in words."""
    about: dict[str, list[str]] = {}
    said: dict[str, str] = {}
    for rule in row["rules"]:
        explained = words.of(row["contract"], rule)
        said[rule] = explained.words
        for name in _names(row):
            if normal(name) in explained.columns:
                about.setdefault(name, []).append(rule)
    return about, said


def _names(row: dict[str, Any]) -> list[str]:
    return list(row["header"] or row["fields"] or ())


def _shown(row: dict[str, Any], words: Words) -> dict[str, Any]:
    about, said = _about(row, words)
    dialect = marking.dialect_of(words.contract(row["contract"]), row["read_as"], row["marked_encoding"])
    values = {} if row["edited_at"] else row["fields"] or {}
    found = marking.pieces(bytes(row["raw"]), dialect, row["header"] or (), about, values)
    kept = ("file_id", "record_number", "line_number", "name", "bytes", "contract", "contract_version")
    moments = {name: row[name] for name in ("rejected_at", "edited_at", "error_class")}
    return {
        **{name: row[name] for name in kept},
        **moments,
        "rules": [{"rule": rule, "words": said[rule]} for rule in row["rules"]],
        "pieces": [piece.as_dict() for piece in found],
        "is_trimmed": row["bytes"] > len(row["raw"]) or any(piece.is_trimmed for piece in found),
        "fields_at_fault": list(about),
    }


def _form(row: dict[str, Any], about: dict[str, list[str]]) -> dict[str, Any]:
    """The fields as a form shows them. A record that has not the header's fields must be given all of them."""
    there: dict[str, str | None] | None = row["fields"]
    names = _names(row)
    in_order = sorted(names, key=lambda name: name not in about)
    return {
        "fields": [
            {
                "name": name,
                "value": _text((there or {}).get(name)),
                "is_missing": name not in (there or {}),
                "rules": about.get(name, []),
            }
            for name in in_order
        ],
        "needs_all": bool(row["header"]) and set(names) != set(there or {}),
        "is_editable": row["state"] == "quarantined" and bool(names) and there is not None,
    }


def _text(value: Any) -> str | None:
    """A field as a replay reads it: what somebody wrote without quotes is text."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _line(row: dict[str, Any], words: Words) -> Iterator[Value]:
    about, said = _about(row, words)
    dialect = marking.dialect_of(words.contract(row["contract"]), row["read_as"], row["marked_encoding"])
    raw = marking.shown(marking.text_bytes(bytes(row["raw"]), dialect), dialect)
    values = row["fields"] or {}
    yield from (row["file_id"], row["name"], row["record_number"], row["line_number"], _moment(row["rejected_at"]))
    yield from (row["contract"], row["contract_version"], "; ".join(row["rules"]), "; ".join(said.values()))
    yield from ("; ".join(about), "; ".join(str(values.get(name) or "") for name in about), _moment(row["edited_at"]))
    yield from (raw, row["bytes"], row["bytes"] <= len(row["raw"]))


def _moment(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat(timespec="milliseconds") if at else None
