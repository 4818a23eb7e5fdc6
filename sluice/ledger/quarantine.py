"""Shows the quarantine to a person: what was set aside, by rule, with examples, and how to bring it back."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any

import psycopg
from psycopg import sql

from sluice.base import queries
from sluice.base.plain_text import shown

PLACEHOLDER = "…"
Connection = psycopg.Connection[dict[str, Any]]


def lines(
    connection: Connection, *, contract: str | None = None, rule: str | None = None, file_id: int | None = None
) -> list[str]:
    """The quarantine in lines of plain text; the arguments narrow it down."""
    chosen = {"contract": contract, "rule": rule, "file_id": file_id}
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute("SET LOCAL work_mem = '64MB'")  # a million rejects are counted by file without a disk
        groups = queries.all(connection, "ledger/quarantine.by_rule", **chosen)
        pairs = {f"{name}s": [group[name] for group in groups] for name in ("contract", "rule")}
        examples = queries.all(connection, "ledger/quarantine.examples", file_id=file_id, **pairs)
    if not groups:
        return ["nothing is in quarantine" + (" that fits" if any(chosen.values()) else "")]
    by_rule = {key: list(rows) for key, rows in groupby(examples, lambda row: (row["contract"], row["rule"]))}
    said = []
    for group in groups:
        of_the_rule = by_rule[group["contract"], group["rule"]]
        said += [_heading(group), *(line for example in of_the_rule for line in _example(example)), ""]
    return said + _remedy(examples[0])


def _heading(group: dict[str, Any]) -> str:
    rows, files = group["rows"], group["files"]
    return (
        f"{shown(group['contract'])}  {shown(group['rule'])}  {rows:,} row{'s' * (rows != 1)} "
        f"of {files:,} file{'s' * (files != 1)}, the newest of {group['newest']:%Y-%m-%d %H:%M:%S} UTC"
    )


def _example(row: dict[str, Any]) -> list[str]:
    edited = ", edited" if row["edited"] else ""
    where = f"file {row['file_id']} ({shown(row['name'], 60)})"
    return [
        f"    {where}, record {row['record_number']}, line {row['line_number']}, {row['bytes']:,} bytes{edited}:",
        f"        {shown(bytes(row['raw']))}",
    ]


def _remedy(row: dict[str, Any]) -> list[str]:
    query, names = _edit(row)
    fields = json.dumps(dict.fromkeys(names, PLACEHOLDER), ensure_ascii=not "".join(names).isprintable())
    edit = queries.compose(
        query,
        fields=sql.Literal(fields),
        file_id=sql.Literal(row["file_id"]),
        record_number=sql.Literal(row["record_number"]),
    )
    return [
        "To bring rows back, correct the contract under include/contracts, or a row's fields with `make psql`",
        f"(the right value for {PLACEHOLDER}):",
        f"    {edit.as_string()};",
        "Then run `make replay`; CONTRACT=, RULE= and FILE_ID= choose what is judged again.",
    ]


def _edit(row: dict[str, Any]) -> tuple[str, list[str]]:
    """The query, and the field that a rule of the reject names, else its first; all, when it has not the header's."""
    header: list[str] = row["header"] or row["field_names"]
    if not header or set(row["field_names"]) != set(header):
        return "ledger/quarantine.edit_all", header
    named = {rule.rpartition(".")[0].casefold() for rule in row["rules"]}
    return "ledger/quarantine.edit", [next((name for name in header if name.casefold() in named), header[0])]
