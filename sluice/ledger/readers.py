"""What readers of the database rely on: the columns of ``events``, of files and rejects in the ledger, and of reports.

Read from the text of a schema as ``catalogue.text`` writes it. A column that went, or that has another type, breaks
those who read it; one that came breaks nobody, and nor does a table that became a view with the same columns.
"""

from __future__ import annotations

import re

_TABLE = re.compile(r"^(?:CREATE (?:UNLOGGED )?TABLE|/\*) (\S+) \(\n(.*?)\n\)", re.MULTILINE | re.DOTALL)
_AFTER_TYPE = re.compile(r" (?:COLLATE|GENERATED|NOT NULL|DEFAULT) .*| NOT NULL$")
_TABLES = {"public.events", "ledger.files", "ledger.rejects"}

Columns = dict[str, dict[str, str]]


def columns(schema: str) -> Columns:
    """By table or view that readers rely on, its columns with their types."""
    return {
        table: dict(map(_column, _lines(body)))
        for table, body in _TABLE.findall(schema)
        if table in _TABLES or table.startswith("report.")
    }


def breaks(before: str, after: str) -> list[str]:
    """A line for each thing of the schema ``before`` that readers miss in the schema ``after``."""
    now = columns(after)
    lines = []
    for table, was in columns(before).items():
        if table not in now:
            lines.append(f"{table} is gone")
            continue
        for column, kind in was.items():
            if column not in now[table]:
                lines.append(f"{table}.{column} is gone")
            elif now[table][column] != kind:
                lines.append(f"{table}.{column} was {kind} and is {now[table][column]}")
    return lines


def may_break(released: str, version: str) -> bool:
    """Whether ``version`` says to readers that something breaks: a new major one, before 1.0.0 a new minor one."""
    old, new = _numbers(released), _numbers(version)
    return new[0] > old[0] or (new[0] == old[0] == 0 and new[1] > old[1])


def _numbers(version: str) -> tuple[int, int]:
    """The major and the minor number; 0 for what is no number."""
    major, minor = [int(part) if part.isdigit() else 0 for part in [*version.split("."), "0"][:2]]
    return major, minor


def _lines(body: str) -> list[str]:
    lines = [line.strip().removesuffix(",") for line in body.splitlines()]
    return [line for line in lines if not line.startswith("CONSTRAINT ")]


def _column(line: str) -> tuple[str, str]:
    name, _, rest = line.partition(" ")
    return name, _AFTER_TYPE.sub("", rest)
